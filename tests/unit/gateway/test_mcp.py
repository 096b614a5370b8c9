"""The Model Context Protocol from agents: what is taken, and what is refused with which words."""

import json
from typing import Any

import pytest

from remit.api.reasons import CallReason
from remit.core.digest import digest_of
from remit.gateway.mcp import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    META_CAPABILITIES,
    META_VERSION,
    METHOD_NOT_FOUND,
    MODERN,
    PARSE_ERROR,
    UNSUPPORTED_PROTOCOL_VERSION,
    CallTool,
    Discover,
    Initialize,
    ListTools,
    McpFault,
    Notification,
    Ping,
    header_value,
    parse_message,
)

Headers = dict[str, str]
ENVELOPE = {META_VERSION: MODERN, META_CAPABILITIES: {}}


def message(method: str, params: Any = None, **more: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 7, "method": method, **({} if params is None else {"params": params}), **more}


def parsed(body: Any, headers: Headers | None = None) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse_message([(k.encode(), v.encode()) for k, v in (headers or {}).items()], raw)


def modern(method: str, params: dict[str, Any] | None = None, **headers: str) -> Any:
    body = message(method, {**(params or {}), "_meta": {**ENVELOPE, **(params or {}).get("_meta", {})}})
    name = {"mcp-name": header_value(str((params or {})["name"]))} if "name" in (params or {}) else {}
    routing = {"mcp-protocol-version": MODERN, "mcp-method": method, **name}
    return parsed(body, routing | {key.replace("_", "-"): value for key, value in headers.items()})


def fault(outcome: Any) -> tuple[int, int, CallReason]:
    assert isinstance(outcome, McpFault), outcome
    return outcome.status, outcome.code, outcome.reason


CALL = {"name": "credit", "arguments": {"amount": 1}, "_meta": {"remit.dev/call-id": "call-1"}}


def test_a_call_of_2026_is_read() -> None:
    digest = digest_of({"amount": 1})
    assert modern("tools/call", CALL) == CallTool(
        7, modern=True, name="credit", arguments={"amount": 1}, arguments_digest=digest, call_id="call-1"
    )


def test_a_call_of_2025_is_read() -> None:
    outcome = parsed(message("tools/call", CALL), {"mcp-protocol-version": "2025-11-25"})
    assert (outcome.modern, outcome.name, outcome.call_id) == (False, "credit", "call-1")
    assert parsed(message("tools/call", CALL)).name == "credit", "no header means 2025-03-26"


def test_a_call_without_arguments_has_none() -> None:
    assert modern("tools/call", {"name": "credit"}).arguments == {}
    assert modern("tools/call", {"name": "credit", "arguments": None}).call_id == ""


def test_the_handshake_needs_nothing_remembered() -> None:
    assert parsed(message("initialize", {"protocolVersion": "2025-06-18"})) == Initialize(7, "2025-06-18")
    assert parsed(message("initialize", {"protocolVersion": "2030-01-01"})) == Initialize(7, "2025-11-25")
    assert parsed({"jsonrpc": "2.0", "method": "notifications/initialized"}) == Notification(
        "notifications/initialized"
    )
    assert parsed(message("ping")) == Ping(7)


def test_other_methods_are_read() -> None:
    assert modern("server/discover") == Discover(7)
    assert modern("tools/list") == ListTools(7, modern=True)
    assert parsed(message("tools/list")) == ListTools(7, modern=False)


@pytest.mark.parametrize(
    ("body", "code", "reason"),
    [
        pytest.param(b"{", PARSE_ERROR, CallReason.MALFORMED, id="cut off"),
        pytest.param(b'{"a":1,"a":2}', PARSE_ERROR, CallReason.MALFORMED, id="a name twice"),
        pytest.param([message("ping")], INVALID_REQUEST, CallReason.MALFORMED, id="a batch"),
        pytest.param("ping", INVALID_REQUEST, CallReason.MALFORMED, id="a text"),
        pytest.param({"id": 1, "method": "ping"}, INVALID_REQUEST, CallReason.MALFORMED, id="no version"),
        pytest.param({"jsonrpc": "2.0", "id": 1, "result": {}}, INVALID_REQUEST, CallReason.MALFORMED, id="a response"),
        pytest.param(message("ping", id=None), INVALID_REQUEST, CallReason.MALFORMED, id="id null"),
        pytest.param(message("ping", id=True), INVALID_REQUEST, CallReason.MALFORMED, id="id true"),
        pytest.param(message("ping", id=1.5), INVALID_REQUEST, CallReason.MALFORMED, id="id a float"),
        pytest.param(message("ping", id="x" * 300), INVALID_REQUEST, CallReason.MALFORMED, id="id too long"),
        pytest.param(message("x" * 300), INVALID_REQUEST, CallReason.MALFORMED, id="method too long"),
        pytest.param(message("ping", []), INVALID_PARAMS, CallReason.MALFORMED, id="params a list"),
        pytest.param(message("ping", {"_meta": 1}), INVALID_PARAMS, CallReason.MALFORMED, id="_meta a number"),
        pytest.param(message("initialize", {}), INVALID_PARAMS, CallReason.MALFORMED, id="no protocol version"),
        pytest.param(message("tools/call", {}), INVALID_PARAMS, CallReason.MALFORMED, id="no name"),
        pytest.param(message("tools/call", {"name": 1}), INVALID_PARAMS, CallReason.MALFORMED, id="name a number"),
        pytest.param(
            message("tools/call", {"name": "a", "arguments": []}),
            INVALID_PARAMS,
            CallReason.MALFORMED,
            id="arguments a list",
        ),
        pytest.param(
            message("tools/call", {"name": "a", "arguments": {"n": 2**60}}),
            INVALID_PARAMS,
            CallReason.MALFORMED,
            id="a number that readers round",
        ),
        pytest.param(
            b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"t":"\\ud800"}}}',
            INVALID_PARAMS,
            CallReason.MALFORMED,
            id="half a character",
        ),
        pytest.param(
            message("tools/call", {"name": "a", "_meta": {"remit.dev/call-id": "x" * 129}}),
            INVALID_PARAMS,
            CallReason.MALFORMED,
            id="call id too long",
        ),
        pytest.param(
            message("tools/call", {"name": "a", "task": {"ttl": 1}}),
            INVALID_PARAMS,
            CallReason.MALFORMED,
            id="as a task",
        ),
        pytest.param(message("tools/list", {"cursor": "2"}), INVALID_PARAMS, CallReason.MALFORMED, id="a second page"),
    ],
)
def test_a_malformed_message_is_refused(body: Any, code: int, reason: CallReason) -> None:
    assert fault(parsed(body)) == (400, code, reason)


def test_a_large_body_is_refused_as_large() -> None:
    assert fault(parsed(b" " * (10 << 20))) == (413, PARSE_ERROR, CallReason.TOO_LARGE)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"mcp_method": "tools/list"}, id="another method"),
        pytest.param({"mcp_name": "debit"}, id="another name"),
        pytest.param({"mcp_name": "=?base64?!?="}, id="no base64"),
        pytest.param({"mcp_name": "=?base64?//8=?="}, id="base64 of no text"),
        pytest.param({"mcp_name": "=?base64?Y3JlZGl0Cg=?="}, id="base64 of another name"),
        pytest.param({"mcp_protocol_version": "2025-11-25"}, id="another version"),
    ],
)
def test_headers_that_do_not_equal_the_body_are_refused(headers: dict[str, str]) -> None:
    assert fault(modern("tools/call", CALL, **headers)) == (400, HEADER_MISMATCH, CallReason.HEADER_MISMATCH)


@pytest.mark.parametrize("missing", ["mcp-protocol-version", "mcp-method", "mcp-name"])
def test_a_missing_header_is_refused(missing: str) -> None:
    headers = {"mcp-protocol-version": MODERN, "mcp-method": "tools/call", "mcp-name": "credit"}
    del headers[missing]
    body = message("tools/call", {**CALL, "_meta": ENVELOPE})
    assert fault(parsed(body, headers)) == (400, HEADER_MISMATCH, CallReason.HEADER_MISMATCH)


def test_a_header_that_stands_twice_is_refused() -> None:
    body = json.dumps(message("tools/call", {**CALL, "_meta": ENVELOPE})).encode()
    headers = [(b"mcp-protocol-version", MODERN.encode()), (b"mcp-method", b"tools/call"), (b"mcp-name", b"credit")]
    assert fault(parse_message([*headers, (b"mcp-name", b"debit")], body))[1] == HEADER_MISMATCH


@pytest.mark.parametrize("name", ["grün", " edge ", "=?base64?x?=", "plain", "a b"])
def test_a_name_is_carried_by_its_header(name: str) -> None:
    assert modern("tools/call", {"name": name}).name == name


@pytest.mark.parametrize(
    ("meta", "code"),
    [
        ({META_VERSION: MODERN}, INVALID_PARAMS),
        ({META_CAPABILITIES: {}}, INVALID_PARAMS),
        ({META_VERSION: 1, META_CAPABILITIES: {}}, INVALID_PARAMS),
        ({META_VERSION: MODERN, META_CAPABILITIES: []}, INVALID_PARAMS),
    ],
)
def test_the_envelope_of_2026_is_asked_for(meta: dict[str, Any], code: int) -> None:
    headers = {"mcp-protocol-version": MODERN, "mcp-method": "tools/list"}
    assert fault(parsed(message("tools/list", {"_meta": meta}), headers))[1] == code


def test_an_unknown_version_is_told_the_known_ones() -> None:
    later = {META_VERSION: "2027-01-01", META_CAPABILITIES: {}}
    headers = {"mcp-protocol-version": "2027-01-01", "mcp-method": "tools/list"}
    for body in (message("tools/list", {"_meta": later}), message("tools/list")):
        outcome = parsed(body, headers)
        assert fault(outcome) == (400, UNSUPPORTED_PROTOCOL_VERSION, CallReason.UNSUPPORTED_VERSION)
        error = json.loads(outcome.body())["error"]
        assert error["data"]["supported"][0] == MODERN
        assert error["data"]["requested"] == "2027-01-01"


def test_an_unknown_method_is_not_found() -> None:
    assert fault(modern("resources/list")) == (404, METHOD_NOT_FOUND, CallReason.UNKNOWN_METHOD)
    assert fault(modern("ping")) == (404, METHOD_NOT_FOUND, CallReason.UNKNOWN_METHOD)
    assert fault(parsed(message("resources/list"))) == (200, METHOD_NOT_FOUND, CallReason.UNKNOWN_METHOD)
    assert fault(parsed(message("server/discover"))) == (200, METHOD_NOT_FOUND, CallReason.UNKNOWN_METHOD)


def test_a_fault_answers_the_request_that_it_is_about() -> None:
    body = json.loads(parsed(message("resources/list")).body())
    assert (body["jsonrpc"], body["id"], body["error"]["code"]) == ("2.0", 7, METHOD_NOT_FOUND)
    assert json.loads(parsed(b"{").body())["id"] is None
