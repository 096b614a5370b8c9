"""Anthropic messages: what is taken, what goes to the provider, what comes back."""

import json
from typing import Any

import httpx2
import pytest
from anthropic import AsyncAnthropic, PermissionDeniedError

from remit.api.reasons import CallReason
from remit.core.pricing import ModelUse
from remit.gateway import anthropic
from remit.gateway.answers import AnswerFault
from remit.gateway.jsontext import MalformedError
from remit.gateway.modelcall import ModelAnswer, ModelCall, ModelFault, SeenCall

SECRET = "planted-4711-key"
TOOL_USE = {"type": "tool_use", "id": "call-1", "name": "credit", "input": {"a": 1}}


def body(**fields: Any) -> bytes:
    whole = {"model": "small", "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}], **fields}
    return json.dumps(whole).encode()


def taken(**fields: Any) -> ModelCall:
    call = anthropic.parse_request(body(**fields))
    assert isinstance(call, ModelCall), call
    return call


def message(**fields: Any) -> dict[str, Any]:
    content = [{"type": "text", "text": "Yes"}, TOOL_USE]
    head = {"id": "m", "type": "message", "role": "assistant", "model": "small", "stop_reason": "tool_use"}
    usage = {"input_tokens": 11, "output_tokens": 5, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 3}
    return {**head, "stop_sequence": None, "content": content, "usage": usage, **fields}


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def delta(index: int, kind: str, **fields: Any) -> bytes:
    return event("content_block_delta", index=index, delta={"type": kind, **fields})


STREAM = [
    event("message_start", message=message(content=[], usage={"input_tokens": 11, "output_tokens": 1})),
    event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    event("ping"),
    delta(0, "text_delta", text="Yes"),
    event("content_block_stop", index=0),
    event("content_block_start", index=1, content_block={**TOOL_USE, "input": {}}),
    delta(1, "input_json_delta", partial_json='{"a"'),
    delta(1, "input_json_delta", partial_json=":1}"),
    event("content_block_stop", index=1),
    event("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 5}),
    event("message_stop"),
]


def test_a_request_is_read() -> None:
    call = taken(stream=True)
    assert (call.model, call.choices, call.asked_tokens, call.stream) == ("small", 1, 50, True)


RESULT = {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "x"}]}


@pytest.mark.parametrize(
    "fields",
    [
        {"system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]},
        {"system": "Be brief.", "temperature": 0.5, "stop_sequences": ["x"]},
        {"messages": [{"role": "assistant", "content": [TOOL_USE]}, {"role": "user", "content": [RESULT]}]},
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c"}]}]},
        {"tools": [{"name": "a", "input_schema": {}}, {"type": "custom", "name": "b", "input_schema": {}}]},
        {"thinking": {"type": "enabled", "budget_tokens": 20}},
    ],
)
def test_what_agents_send_is_taken(fields: dict[str, Any]) -> None:
    assert taken(**fields) is not None


def said(*blocks: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


IMAGE = {"type": "image", "source": {"type": "url", "url": "https://elsewhere.example/x.png"}}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param(said(IMAGE), CallReason.UNBOUNDED_CONTENT, id="a picture"),
        pytest.param(said({**RESULT, "content": [IMAGE]}), CallReason.UNBOUNDED_CONTENT, id="a picture from a tool"),
        pytest.param(said({"type": "document"}), CallReason.UNBOUNDED_CONTENT, id="a document"),
        pytest.param({"system": [IMAGE]}, CallReason.UNBOUNDED_CONTENT, id="a picture in system"),
        pytest.param({"tools": [{"type": "web_search_20250305"}]}, CallReason.UNBOUNDED_CONTENT, id="web search"),
        pytest.param({"mcp_servers": []}, CallReason.UNBOUNDED_CONTENT, id="servers by the provider"),
        pytest.param({"container": "c"}, CallReason.UNBOUNDED_CONTENT, id="a container"),
        pytest.param({"service_tier": "priority"}, CallReason.UNBOUNDED_CONTENT, id="a dearer tier"),
        pytest.param({"max_tokens": None}, CallReason.MALFORMED, id="no bound"),
        pytest.param({"max_tokens": 0}, CallReason.MALFORMED, id="a bound of none"),
        pytest.param({"messages": "Hi"}, CallReason.MALFORMED, id="messages a text"),
        pytest.param({"messages": [{"content": None}]}, CallReason.MALFORMED, id="no content"),
        pytest.param({"model": None}, CallReason.MALFORMED, id="no model"),
        pytest.param({"stream": 1}, CallReason.MALFORMED, id="stream a number"),
    ],
)
def test_what_has_no_bound_or_no_sense_is_refused(fields: dict[str, Any], reason: CallReason) -> None:
    fault = anthropic.parse_request(body(**fields))
    assert isinstance(fault, ModelFault)
    assert fault.reason is reason


def test_the_provider_is_told_the_bound() -> None:
    assert json.loads(anthropic.upstream_body(taken(), 42))["max_tokens"] == 42


def test_an_answer_is_read_and_passed_as_it_is() -> None:
    raw = json.dumps(message()).encode()
    answer = anthropic.parse_answer(200, raw)
    assert answer == ModelAnswer(raw, ModelUse(18, 5), (SeenCall("call-1", "credit", '{"a":1}'),))


def test_an_answer_without_usage_says_so() -> None:
    answer = anthropic.parse_answer(200, json.dumps(message(usage=None)).encode())
    assert isinstance(answer, ModelAnswer)
    assert answer.use is None


@pytest.mark.parametrize(
    ("status", "raw", "reason", "settled"),
    [
        (307, b"", CallReason.UPSTREAM_REDIRECTED, True),
        (529, b'{"type":"error","error":{"message":"overloaded"}}', CallReason.UPSTREAM_ERROR, False),
        (400, b'{"type":"error","error":{"message":"bad"}}', CallReason.UPSTREAM_ERROR, True),
        (200, b'{"content":5}', CallReason.UPSTREAM_MALFORMED, False),
        (200, b'{"content":[{"type":"tool_use"}]}', CallReason.UPSTREAM_MALFORMED, False),
    ],
)
def test_what_is_no_answer_is_judged(status: int, raw: bytes, reason: CallReason, settled: bool) -> None:  # noqa: FBT001
    fault = anthropic.parse_answer(status, raw)
    assert isinstance(fault, AnswerFault)
    assert (fault.reason, fault.settled) == (reason, settled)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_stream_is_read_as_it_passes(size: int) -> None:
    stream, whole = anthropic.AnswerStream(taken(stream=True)), b"".join(STREAM)
    passed = b"".join(stream.feed(whole[at : at + size]) for at in range(0, len(whole), size))
    assert (stream.use, stream.finished) == (ModelUse(11, 5), True)
    assert stream.calls == (SeenCall("call-1", "credit", '{"a":1}'),)
    assert passed == whole


def test_a_stream_that_breaks_off_is_not_finished() -> None:
    stream = anthropic.AnswerStream(taken(stream=True))
    stream.feed(b"".join(STREAM[:4]))
    assert (stream.finished, stream.use) == (False, None)


@pytest.mark.parametrize("raw", [b"data: garbage\n\n", b'data: {"a":1}\n\n', b'data: {"type":"message_start"}\n\n'])
def test_garbage_in_a_stream_ends_it(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        anthropic.AnswerStream(taken(stream=True)).feed(raw)


def test_a_secret_goes_no_further() -> None:
    stream = anthropic.AnswerStream(taken(stream=True), secrets=(SECRET,))
    assert SECRET.encode() not in stream.feed(delta(0, "text_delta", text=SECRET))
    assert SECRET not in repr(anthropic.parse_answer(200, json.dumps(message(id=SECRET)).encode(), secrets=(SECRET,)))


def sdk(status: int, content: bytes, kind: str = "application/json") -> AsyncAnthropic:
    def answer(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, content=content, headers={"content-type": kind, "x-should-retry": "false"})

    client = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    return AsyncAnthropic(api_key="none", base_url="http://gateway.test/anthropic", http_client=client)


async def test_the_sdk_reads_our_refusals() -> None:
    refusal = anthropic.error_body(CallReason.BUDGET_EXHAUSTED, "tokens are used up", 403)
    with pytest.raises(PermissionDeniedError, match="BudgetExhausted: tokens are used up"):
        await sdk(403, refusal).messages.create(
            model="small", max_tokens=9, messages=[{"role": "user", "content": "Hi"}]
        )


async def test_the_sdk_reads_a_stream_that_passed() -> None:
    passed = anthropic.AnswerStream(taken(stream=True)).feed(b"".join(STREAM))
    client = sdk(200, passed, "text/event-stream")
    async with client.messages.stream(
        model="small", max_tokens=9, messages=[{"role": "user", "content": "Hi"}]
    ) as stream:
        final = await stream.get_final_message()
    assert [block.type for block in final.content] == ["text", "tool_use"]
    assert final.usage.output_tokens == 5
