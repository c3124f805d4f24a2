#!/usr/bin/env bash
# Makes .venv with the Python tools that the tests use. Does nothing when they are there.
set -euo pipefail
cd "$(dirname "$0")/.."
want=(schemathesis==4.32.5 selenium==4.51.0)

is_there() {
    local there one
    [ -x .venv/bin/pip ] && there="$(.venv/bin/pip freeze 2>/dev/null)" || return 1
    for one in "${want[@]}"; do grep -qx "$one" <<<"$there" || return 1; done
}
is_there && exit 0
echo "Installing ${want[*]} into .venv"
rm -rf .venv
python3 -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check "${want[@]}"
