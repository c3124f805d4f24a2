#!/usr/bin/env bash
# Sends about CASES random requests, made from the OpenAPI document, to a server with the sample data, and a
# fifth as many without a key. Every answer must be documented and none may be a 5xx. The seed is fixed: SEED=n tries another.
set -euo pipefail
cd "$(dirname "$0")/.."

cases="${1:?usage: tools/schemathesis.sh CASES}"
binary="${KONTOR_BIN:-${CARGO_TARGET_DIR:-target}/debug/kontor}"
folder="$(mktemp -d)"
server=""
finish() {
    if [ -n "$server" ] && kill "$server" 2>/dev/null; then
        # It still writes while it stops; only then can its folder go.
        wait "$server" || true
    fi
    rm -rf "$folder"
}
trap finish EXIT

export KONTOR_ADMIN_KEY="kon_0123456789abcdefghijklmnopqrstuvwxyzABCD"
exec {lines}< <(KONTOR_LOG=warn exec "$binary" serve --data "$folder/data" --listen 127.0.0.1:0 --sample examples 2>"$folder/log")
server=$!
url=""
while read -r -t 60 -u "$lines" line; do
    case "$line" in "listening on "*) url="${line#listening on }" && break ;; esac
done
if [ -z "$url" ]; then
    echo "kontor did not start:" >&2
    cat "$folder/log" >&2
    exit 1
fi

python=.venv/bin/python
operations="$("$python" - "$url" <<'PY'
import json, sys, urllib.request
document = json.load(urllib.request.urlopen(sys.argv[1] + "/api/v1/openapi.json", timeout=30))
methods = {"get", "put", "post", "patch", "delete"}
print(sum(len(methods & path.keys()) for path in document["paths"].values()))
PY
)"

# requests NAME CASES ARGUMENTS...: sends that many, and fails if fewer could be made.
requests() {
    local name="$1" cases="$2" sent
    shift 2
    echo "== $name"
    SCHEMATHESIS_HOOKS=tools/schemathesis_hooks.py PYTHONPATH=. PYTHONDONTWRITEBYTECODE=1 \
        .venv/bin/schemathesis run "$url/api/v1/openapi.json" "$@" \
        --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,refusals_are_problems \
        --max-examples "$(((cases + operations - 1) / operations))" \
        --seed "${SEED:-20261121}" --continue-on-failure \
        --suppress-health-check all --request-timeout 30 --warnings off --no-color |
        tee "$folder/said" ||
        { echo "--- the server's log" && tail -n 20 "$folder/log" && exit 1; } >&2
    kill -0 "$server" || { echo "the server is gone" && cat "$folder/log" && exit 1; } >&2
    sent="$(sed -nE 's/^ *([0-9,]+) generated.*/\1/p' "$folder/said" | tr -d ,)"
    if [ "${sent:-0}" -lt "$cases" ]; then
        echo "only ${sent:-0} of $cases requests were made" >&2
        exit 1
    fi
}

requests "with the admin key" "$cases" --header "X-API-Key: $KONTOR_ADMIN_KEY" --phases examples,coverage,fuzzing,stateful
# What a stranger can reach: the public reads, and the refusal of everything else.
requests "without a key" $((cases / 5)) --phases examples,coverage,fuzzing
