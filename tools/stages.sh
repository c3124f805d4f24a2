# Shared by test.sh and prove.sh: runs named stages, says what ran, how long it took and what was left out.
# Sourced, never run.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target="${CARGO_TARGET_DIR:-target}"
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-auto}"

done_stages=()
left_out=()

# stage NAME COMMAND...: runs it; a failure ends the whole run with the name of the stage.
stage() {
    local name="$1" began=$SECONDS
    shift
    printf '\n== %s\n' "$name"
    if ! "$@"; then
        printf '\nFAILED: %s\n  %s\n' "$name" "$*" >&2
        exit 1
    fi
    done_stages+=("$(printf '%5ss  %s' $((SECONDS - began)) "$name")")
}

# leave_out NAME REASON: what this machine cannot run is said, never skipped in silence.
leave_out() {
    printf '\n== %s: left out: %s\n' "$1" "$2"
    left_out+=("$1: $2")
}

summary() {
    printf '\nDone in %s s:\n' "$SECONDS"
    printf '  %s\n' "${done_stages[@]}"
    if ((${#left_out[@]})); then
        printf 'Left out on this machine:\n'
        printf '  %s\n' "${left_out[@]}"
    else
        printf 'Nothing was left out.\n'
    fi
}

# Debian packages that some tests use. A machine that has them, or where nothing can be installed, goes on:
# the tests concerned say themselves why they are left out.
debian_packages() {
    local missing=()
    command -v strace >/dev/null || missing+=(strace)
    command -v mkfs.ext4 >/dev/null || missing+=(e2fsprogs)
    python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
    install_packages "${missing[@]}"
    # By themselves: not every mirror has them.
    missing=()
    command -v chromium >/dev/null || missing+=(chromium)
    command -v chromedriver >/dev/null || missing+=(chromium-driver)
    install_packages "${missing[@]}"
}

install_packages() {
    (($#)) || return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing $*"
        if apt-get update -q >/dev/null &&
            DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >/dev/null; then
            return 0
        fi
    fi
    leave_out "packages" "could not install $* (needs root, apt-get and a mirror)"
}

# tests ARGUMENTS...: nextest where it is installed, else cargo's own runner.
tests() {
    if cargo nextest --version >/dev/null 2>&1; then
        cargo nextest run --locked --no-fail-fast "$@"
    else
        cargo test --locked --no-fail-fast --lib --bins --tests
    fi
}
