#!/usr/bin/env bash
# What `make prove` runs: the long forms of the short tests, and what is too slow for every change.
source "$(dirname "$0")/stages.sh"
export KONTOR_PROVE=1

debian_packages

# cargo-deny takes minutes to build, so it lives in .tools and is built once.
if [ ! -x .tools/bin/cargo-deny ]; then
    stage "build cargo-deny" cargo install cargo-deny --version 0.20.2 --locked --root .tools --target-dir .tools/build
fi
stage "licences, sources and bans of all dependencies" .tools/bin/cargo-deny --log-level error check bans licenses sources
if .tools/bin/cargo-deny --log-level error fetch db >/dev/null 2>&1; then
    stage "advisories" .tools/bin/cargo-deny --log-level error check --disable-fetch advisories
else
    leave_out "advisories" "not checked (database not reachable)"
fi

stage "build, optimized and with every assertion on" \
    cargo build --locked --profile sim --package kontor --package kontor-sim
stage "crashes, power cuts, disk faults, bit flips, imports, buyers, bad input" \
    cargo test --locked --profile sim --package kontor --test black_box -- --test-threads=1 --nocapture
stage "simulated faults, 10,000 seeds" "$target/sim/kontor-sim" --seeds 10000 --demanding
stage "two regions cut apart for an hour" "$target/sim/kontor-sim" hour
stage "orders and payments, 2,000 worlds" "$target/sim/kontor-sim" checkouts --seeds 2000
books="${KONTOR_RETAIL_CSV:-../shared/data/online-retail-sample.csv.gz}"
if [ -f "$books" ]; then
    stage "a real retailer's books, sold from two regions" "$target/sim/kontor-sim" retail "$books"
else
    leave_out "a real retailer's books, sold from two regions" "no books to read ($books or KONTOR_RETAIL_CSV)"
fi

if tools/python-env.sh; then
    stage "random requests, about 10,000" env KONTOR_BIN="$target/sim/kontor" tools/schemathesis.sh 10000
else
    leave_out "random requests" "python3 with venv, or the package index, is not available"
fi
summary
