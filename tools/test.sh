#!/usr/bin/env bash
# What `make test` runs: everything that a change must pass before it is handed in.
source "$(dirname "$0")/stages.sh"

debian_packages
stage "lint: formatting, clippy, document links" make --no-print-directory lint

# One build for tests, simulator and server: building them one by one would build shared
# dependencies again with other features.
stage "build" cargo build --locked --all-targets
stage "tests" tests
stage "examples in the documentation" cargo test --locked --doc --quiet
stage "simulated faults, 300 seeds" "$target/debug/kontor-sim" --seeds 300 --demanding
stage "two regions cut apart for an hour" "$target/debug/kontor-sim" hour
stage "orders and payments, 50 worlds" "$target/debug/kontor-sim" checkouts --seeds 50

if tools/python-env.sh; then
    stage "random requests, about 1,000" tools/schemathesis.sh 1000
    if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then
        stage "pages in a browser" tools/browser.sh
    else
        leave_out "pages in a browser" "chromium with chromedriver is not installed (Debian: chromium, chromium-driver)"
    fi
else
    leave_out "random requests, and pages in a browser" "python3 with venv, or the package index, is not available"
fi
summary
