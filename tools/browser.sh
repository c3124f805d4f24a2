#!/usr/bin/env bash
# What people do on the pages, in a real browser without a window, each story with a server of its own.
# tools/browser.sh test_shop runs the stories of one file.
set -euo pipefail
cd "$(dirname "$0")/.."
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=crates/kontor/tests/pages
if (($#)); then
    .venv/bin/python -m unittest "$@"
else
    .venv/bin/python -m unittest discover --start-directory crates/kontor/tests/pages
fi
