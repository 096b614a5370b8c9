"""The Model Context Protocol to upstreams: what an answer is, and whether it settles a write."""

import json
from typing import Any

import pytest

from remit.api.reasons import CallReason
from remit.gateway.mcp_upstream import AnswerFault, ToolAnswer, call_body, call_headers, parse_answer

JSON = "application/json; charset=utf-8"
STREAM = "text/event-stream"
SECRET = "planted-4711-key"
TEXT = [{"type": "text", "text": "done"}]


def response(result: Any = None, **more: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, **({} if result is None else {"result": result}), **more}).encode()


def stream(*messages: bytes) -> bytes:
    return b"".join(b"event: message\r\ndata: " + message + b"\r\n\r\n" for message in messages)


def judged(status: int, body: bytes, kind: str = JSON) -> tuple[CallReason, bool]:
    outcome = parse_answer(status, kind, body)
    assert isinstance(outcome, AnswerFault), outcome
    return outcome.reason, outcome.settled


def test_a_result_is_the_tools_word_alone() -> None:
    result = {"content": TEXT, "structuredContent": {"a": 1}, "_meta": {"remit.dev/budget": "ok"}, "other": 1}
    assert parse_answer(200, JSON, response(result)) == ToolAnswer(
        {"content": TEXT, "structuredContent": {"a": 1}, "isError": False}
    )


def test_a_tool_may_say_that_it_failed() -> None:
    outcome = parse_answer(200, JSON, response({"content": [], "isError": True}))
    assert isinstance(outcome, ToolAnswer)
    assert outcome.failed


def test_a_stream_is_read_up_to_the_answer() -> None:
    progress = b'{"jsonrpc":"2.0","method":"notifications/progress","params":{}}'
    asked = b'{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage"}'
    outcome = parse_answer(200, STREAM, stream(progress, asked, response({"content": TEXT})))
    assert outcome == ToolAnswer({"content": TEXT, "isError": False})


@pytest.mark.parametrize(
    ("status", "body", "kind", "reason", "settled"),
    [
        pytest.param(302, b"", JSON, CallReason.UPSTREAM_REDIRECTED, True, id="redirected"),
        pytest.param(307, response({"content": []}), JSON, CallReason.UPSTREAM_REDIRECTED, True, id="with a body"),
        pytest.param(401, b"no", JSON, CallReason.UPSTREAM_ERROR, True, id="refused"),
        pytest.param(404, b"<html>", "text/html", CallReason.UPSTREAM_ERROR, True, id="not there"),
        pytest.param(500, b"oops", JSON, CallReason.UPSTREAM_ERROR, False, id="failed"),
        pytest.param(502, b"", JSON, CallReason.UPSTREAM_ERROR, False, id="failed behind a proxy"),
        pytest.param(200, b"", JSON, CallReason.UPSTREAM_MALFORMED, False, id="empty"),
        pytest.param(200, b"{", JSON, CallReason.UPSTREAM_MALFORMED, False, id="cut off"),
        pytest.param(200, b'{"a":1,"a":2}', JSON, CallReason.UPSTREAM_MALFORMED, False, id="a name twice"),
        pytest.param(200, b"[" * 100_000, JSON, CallReason.UPSTREAM_MALFORMED, False, id="deep"),
        pytest.param(200, b"[]", JSON, CallReason.UPSTREAM_MALFORMED, False, id="a list"),
        pytest.param(200, response(), JSON, CallReason.UPSTREAM_MALFORMED, False, id="no result"),
        pytest.param(200, response([]), JSON, CallReason.UPSTREAM_MALFORMED, False, id="result a list"),
        pytest.param(200, response({}, id=2), JSON, CallReason.UPSTREAM_MALFORMED, False, id="another request's"),
        pytest.param(200, response({"content": "x"}), JSON, CallReason.UPSTREAM_MALFORMED, False, id="no list"),
        pytest.param(200, response({"content": [{}]}), JSON, CallReason.UPSTREAM_MALFORMED, False, id="no block"),
        pytest.param(200, response({"isError": "no"}), JSON, CallReason.UPSTREAM_MALFORMED, False, id="isError a text"),
        pytest.param(200, stream(b"{"), STREAM, CallReason.UPSTREAM_MALFORMED, False, id="garbage in a stream"),
        pytest.param(200, stream(), STREAM, CallReason.UPSTREAM_MALFORMED, False, id="an empty stream"),
        pytest.param(
            200,
            response({"resultType": "input_required"}),
            JSON,
            CallReason.UPSTREAM_ERROR,
            False,
            id="asks for more",
        ),
        pytest.param(
            400,
            response(error={"code": -32602, "message": "bad"}),
            JSON,
            CallReason.UPSTREAM_ERROR,
            True,
            id="says that it is wrong",
        ),
        pytest.param(
            200,
            response(error={"code": -32603, "message": "oops"}),
            JSON,
            CallReason.UPSTREAM_ERROR,
            False,
            id="says that it failed",
        ),
        pytest.param(
            200,
            response(error={"code": -32600, "message": "no id"}, id=None),
            JSON,
            CallReason.UPSTREAM_ERROR,
            True,
            id="says so without an id",
        ),
    ],
)
def test_what_is_no_answer_is_judged(  # noqa: PLR0917 (a table)
    status: int,
    body: bytes,
    kind: str,
    reason: CallReason,
    settled: bool,  # noqa: FBT001
) -> None:
    assert judged(status, body, kind) == (reason, settled)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (
            200,
            response({"content": [{"type": "text", "text": f"key {SECRET}"}], "structuredContent": {SECRET: SECRET}}),
        ),
        (200, response({"content": [{"type": "text", "text": "x"}]}).replace(b'"x"', b'"\\u0070lanted-4711-key"')),
        (400, response(error={"code": 1, "message": f"key {SECRET} is bad"})),
        (400, f"key {SECRET}".encode()),
    ],
)
def test_an_echoed_secret_goes_no_further(status: int, body: bytes) -> None:
    outcome = parse_answer(status, JSON, body, secrets=(SECRET,))
    assert SECRET not in repr(outcome)


def test_a_write_carries_its_key_and_a_read_none() -> None:
    headers, body = call_headers("credit", "k"), json.loads(call_body("credit", {"a": 1}, "k"))
    assert (headers["Idempotency-Key"], body["params"]["_meta"]["remit.dev/idempotency-key"]) == ("k", "k")
    assert (headers["Mcp-Method"], headers["Mcp-Name"]) == (body["method"], body["params"]["name"])
    assert headers["MCP-Protocol-Version"] == body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"]
    assert "Idempotency-Key" not in call_headers("credit", "")
    assert "remit.dev/idempotency-key" not in json.loads(call_body("credit", {}, ""))["params"]["_meta"]


@pytest.mark.parametrize("padding", range(280, 301, 4))
def test_no_part_of_a_secret_stands_at_the_end_of_what_is_shown(padding: int) -> None:
    error = {"code": -32000, "message": "x" * padding + SECRET}
    outcome = parse_answer(200, JSON, response(error=error), secrets=(SECRET,))
    assert isinstance(outcome, AnswerFault)
    assert "plant" not in outcome.message
