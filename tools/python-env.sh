#!/usr/bin/env bash
# Makes .venv with the one Python tool that the tests use. Does nothing when it is there.
set -euo pipefail
cd "$(dirname "$0")/.."
want="schemathesis==4.32.5"

if [ -x .venv/bin/pip ] && .venv/bin/pip freeze 2>/dev/null | grep -qx "$want"; then
    exit 0
fi
echo "Installing $want into .venv"
rm -rf .venv
python3 -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check "$want"
