"""What the random requests check beyond the document, and where they must not wait."""

import json

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(context, value):
    """A row, or several, as lines of JSON."""
    if isinstance(value, bytes):
        return value
    rows = value if isinstance(value, list) else [value]
    return "".join(json.dumps(row) + "\n" for row in rows).encode("utf-8", "surrogatepass")


@schemathesis.serializer("application/vnd.kontor.journal")
def frames(context, value):
    """Bytes, of which hardly any are frames of a journal."""
    return value if isinstance(value, bytes) else json.dumps(value).encode("utf-8", "surrogatepass")


@schemathesis.hook
def before_call(context, case, kwargs):
    """Nobody waits: long polls answer at once, and the change feed is asked as JSON, not as a stream."""
    if isinstance(case.query, dict) and str(case.query.get("wait_s", "")).isdigit():
        case.query["wait_s"] = 0
    for name in list(case.headers or {}):
        if name.lower() == "accept":
            del case.headers[name]


@schemathesis.check
def refusals_are_problems(context, response, case):
    """Every refusal is a problem document that a program can act on."""
    if response.status_code < 400 or case.method == "HEAD":
        return
    kind = response.headers.get("content-type", [""])[0]
    assert kind.startswith("application/problem+json"), f"{response.status_code} is {kind or 'untyped'}"
    problem = response.json()
    assert problem.get("status") == response.status_code, f"status {problem.get('status')}"
    assert problem.get("code"), "no code"
    assert isinstance(problem.get("retryable"), bool), "no retryable"
