"""OpenAI chat completions: what is taken, what goes to the provider, what comes back."""

import json
from typing import Any

import httpx2
import pytest
from openai import AsyncOpenAI, PermissionDeniedError

from remit.api.reasons import CallReason
from remit.core.pricing import ModelUse
from remit.gateway import anthropic, openai
from remit.gateway.answers import AnswerFault
from remit.gateway.jsontext import MalformedError
from remit.gateway.modelcall import ModelAnswer, ModelCall, ModelFault, SeenCall

SECRET = "planted-4711-key"
USAGE = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}
TOOL_CALL = {"id": "call-1", "type": "function", "function": {"name": "credit", "arguments": '{"a":1}'}}


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "small", "messages": [{"role": "user", "content": "Hi"}], **fields}).encode()


def taken(**fields: Any) -> ModelCall:
    call = openai.parse_request(body(**fields))
    assert isinstance(call, ModelCall), call
    return call


def completion(**fields: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": "Yes", "tool_calls": [TOOL_CALL]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    head = {"id": "c", "object": "chat.completion", "created": 1, "model": "small"}
    return {**head, "choices": [choice], "usage": USAGE, **fields}


def chunk(delta: Any = None, **fields: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": None}]
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "small"}
    return f"data: {json.dumps({**head, 'choices': choices, **fields})}\n\n".encode()


def part(**function: Any) -> dict[str, Any]:
    return {"tool_calls": [{"index": 0, "function": function}]}


STREAM = [
    chunk({"role": "assistant", "content": "Y"}),
    chunk({"content": "es"}),
    chunk({"tool_calls": [{"index": 0, "id": "call-1", "type": "function", "function": {"name": "credit"}}]}),
    chunk(part(arguments='{"a"')),
    chunk(part(arguments=":1}")),
    chunk(usage=USAGE),
    b"data: [DONE]\n\n",
]


def test_a_request_is_read() -> None:
    call = taken(n=2, max_tokens=50, stream=True)
    assert (call.model, call.choices, call.asked_tokens, call.stream) == ("small", 2, 50, True)
    assert call.digest.startswith("sha256:")


def test_what_is_not_asked_for_is_absent() -> None:
    call = taken()
    assert (call.choices, call.asked_tokens, call.stream) == (1, None, False)


def test_of_two_bounds_the_lower_is_asked_for() -> None:
    assert taken(max_tokens=50, max_completion_tokens=40).asked_tokens == 40


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]},
        {"messages": [{"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]}]},
        {"tools": [{"type": "function", "function": {"name": "a"}}], "tool_choice": "auto"},
        {"temperature": 0.7, "seed": 5, "stop": ["x"], "response_format": {"type": "json_object"}},
        {"modalities": ["text"], "service_tier": "auto", "tools": None, "stream_options": None},
    ],
)
def test_what_agents_send_is_taken(fields: dict[str, Any]) -> None:
    assert taken(**fields) is not None


PICTURE = {"type": "image_url", "image_url": {"url": "https://elsewhere.example/x.png"}}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param(
            {"messages": [{"role": "user", "content": [PICTURE]}]}, CallReason.UNBOUNDED_CONTENT, id="a picture"
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            CallReason.UNBOUNDED_CONTENT,
            id="sound",
        ),
        pytest.param(
            {"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, CallReason.UNBOUNDED_CONTENT, id="sound by id"
        ),
        pytest.param({"tools": [{"type": "web_search"}]}, CallReason.UNBOUNDED_CONTENT, id="a tool of the provider"),
        pytest.param({"tools": [{"type": "mcp"}]}, CallReason.UNBOUNDED_CONTENT, id="a server by the provider"),
        pytest.param({"web_search_options": {}}, CallReason.UNBOUNDED_CONTENT, id="web search"),
        pytest.param({"prediction": {}}, CallReason.UNBOUNDED_CONTENT, id="predicted output"),
        pytest.param({"best_of": 20}, CallReason.UNBOUNDED_CONTENT, id="what multiplies the cost"),
        pytest.param({"service_tier": "priority"}, CallReason.UNBOUNDED_CONTENT, id="a dearer tier"),
        pytest.param({"modalities": ["text", "audio"]}, CallReason.UNBOUNDED_CONTENT, id="sound out"),
        pytest.param({"model": ""}, CallReason.MALFORMED, id="no model"),
        pytest.param({"model": 5}, CallReason.MALFORMED, id="model a number"),
        pytest.param({"messages": None}, CallReason.MALFORMED, id="no messages"),
        pytest.param({"messages": ["Hi"]}, CallReason.MALFORMED, id="messages of text"),
        pytest.param({"messages": [{"content": 5}]}, CallReason.MALFORMED, id="content a number"),
        pytest.param({"messages": [{"content": ["x"]}]}, CallReason.MALFORMED, id="parts of text"),
        pytest.param({"tools": {}, "n": 0}, CallReason.MALFORMED, id="n zero"),
        pytest.param({"tools": "all"}, CallReason.MALFORMED, id="tools a text"),
        pytest.param({"n": 17}, CallReason.MALFORMED, id="too many choices"),
        pytest.param({"n": True}, CallReason.MALFORMED, id="n true"),
        pytest.param({"max_tokens": 1.5}, CallReason.MALFORMED, id="half a token"),
        pytest.param({"max_tokens": -1}, CallReason.MALFORMED, id="less than none"),
        pytest.param({"stream": "yes"}, CallReason.MALFORMED, id="stream a text"),
        pytest.param({"stream_options": []}, CallReason.MALFORMED, id="options a list"),
        pytest.param({"seed": 2**60}, CallReason.MALFORMED, id="a number that readers round"),
    ],
)
def test_what_has_no_bound_or_no_sense_is_refused(fields: dict[str, Any], reason: CallReason) -> None:
    fault = openai.parse_request(body(**fields))
    assert isinstance(fault, ModelFault)
    assert fault.reason is reason


@pytest.mark.parametrize(("raw", "reason"), [(b"{", CallReason.MALFORMED), (b" " * (5 << 20), CallReason.TOO_LARGE)])
def test_a_body_that_is_none_is_refused(raw: bytes, reason: CallReason) -> None:
    fault = openai.parse_request(raw)
    assert isinstance(fault, ModelFault)
    assert fault.reason is reason


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ({}, "max_completion_tokens"),
        ({"max_tokens": 99}, "max_tokens"),
        ({"max_completion_tokens": 9}, "max_completion_tokens"),
        ({"max_tokens": 99, "max_completion_tokens": 9}, "max_completion_tokens"),
    ],
)
def test_the_provider_is_told_the_bound(asked: dict[str, int], name: str) -> None:
    sent = json.loads(openai.upstream_body(taken(**asked), 42))
    assert {key: value for key, value in sent.items() if key.startswith("max_")} == {name: 42}


def test_a_stream_is_asked_for_its_usage() -> None:
    sent = json.loads(openai.upstream_body(taken(stream=True, stream_options={"include_usage": False}), 42))
    assert sent["stream_options"] == {"include_usage": True}
    assert "stream_options" not in json.loads(openai.upstream_body(taken(), 42))


@pytest.mark.parametrize("translator", [openai, anthropic])
def test_no_credential_is_in_the_headers(translator: Any) -> None:
    headers = translator.upstream_headers()
    assert headers["Content-Type"] == "application/json"
    assert not {"authorization", "x-api-key"} & {name.lower() for name in headers}


def test_an_answer_is_read_and_passed_as_it_is() -> None:
    raw = json.dumps(completion()).encode()
    answer = openai.parse_answer(200, raw)
    assert answer == ModelAnswer(raw, ModelUse(11, 5), (SeenCall("call-1", "credit", '{"a":1}'),))


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": 5}])
def test_an_answer_without_usage_says_so(usage: Any) -> None:
    answer = openai.parse_answer(200, json.dumps(completion(usage=usage)).encode())
    assert isinstance(answer, ModelAnswer)
    assert answer.use is None


@pytest.mark.parametrize(
    ("status", "raw", "reason", "settled"),
    [
        (301, b"", CallReason.UPSTREAM_REDIRECTED, True),
        (429, b'{"error":{"message":"slow down"}}', CallReason.UPSTREAM_ERROR, True),
        (500, b'{"error":"oops"}', CallReason.UPSTREAM_ERROR, False),
        (503, b"<html>", CallReason.UPSTREAM_ERROR, False),
        (200, b"garbage", CallReason.UPSTREAM_MALFORMED, False),
        (200, b"{}", CallReason.UPSTREAM_MALFORMED, False),
        (200, b'{"choices":[{}]}', CallReason.UPSTREAM_MALFORMED, False),
        (200, b'{"choices":5}', CallReason.UPSTREAM_MALFORMED, False),
        (
            200,
            json.dumps(completion(usage={"completion_tokens": "many"})).encode(),
            CallReason.UPSTREAM_MALFORMED,
            False,
        ),
        (200, json.dumps(completion(usage={"completion_tokens": -5})).encode(), CallReason.UPSTREAM_MALFORMED, False),
    ],
)
def test_what_is_no_answer_is_judged(status: int, raw: bytes, reason: CallReason, settled: bool) -> None:  # noqa: FBT001
    fault = openai.parse_answer(status, raw)
    assert isinstance(fault, AnswerFault)
    assert (fault.reason, fault.settled) == (reason, settled)


def test_an_echoed_secret_goes_no_further() -> None:
    leaky = completion(system_fingerprint=SECRET)
    assert SECRET not in repr(openai.parse_answer(200, json.dumps(leaky).encode(), secrets=(SECRET,)))
    error = {"error": {"message": f"Incorrect API key provided: {SECRET}"}}
    fault = openai.parse_answer(401, json.dumps(error).encode(), secrets=(SECRET,))
    assert SECRET not in repr(fault)
    assert "Incorrect API key" in repr(fault)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_stream_is_read_as_it_passes(size: int) -> None:
    stream, whole = openai.AnswerStream(taken(stream=True)), b"".join(STREAM)
    passed = b"".join(stream.feed(whole[at : at + size]) for at in range(0, len(whole), size))
    assert stream.use == ModelUse(11, 5)
    assert stream.calls == (SeenCall("call-1", "credit", '{"a":1}'),)
    assert stream.finished
    assert passed == b"".join(STREAM[:-2] + STREAM[-1:]), "usage that nobody asked for stays out"


def test_usage_is_shown_to_who_asked_for_it() -> None:
    stream = openai.AnswerStream(taken(stream=True, stream_options={"include_usage": True}))
    assert stream.feed(b"".join(STREAM)) == b"".join(STREAM)


def test_a_stream_that_breaks_off_is_not_finished() -> None:
    stream = openai.AnswerStream(taken(stream=True))
    stream.feed(b"".join(STREAM[:3]))
    assert (stream.finished, stream.use) == (False, None)


@pytest.mark.parametrize("raw", [b"data: garbage\n\n", b'data: {"choices":[{}]}\n\n', b'data: {"choices":5}\n\n'])
def test_garbage_in_a_stream_ends_it(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        openai.AnswerStream(taken(stream=True)).feed(raw)


def test_a_secret_in_a_stream_goes_no_further() -> None:
    stream = openai.AnswerStream(taken(stream=True), secrets=(SECRET,))
    assert SECRET.encode() not in stream.feed(chunk({"content": f"key {SECRET}"}))


def sdk(status: int, content: bytes, kind: str = "application/json") -> AsyncOpenAI:
    def answer(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, content=content, headers={"content-type": kind, "x-should-retry": "false"})

    client = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    return AsyncOpenAI(api_key="none", base_url="http://gateway.test/openai/v1", http_client=client)


async def test_the_sdk_reads_our_refusals() -> None:
    refusal = openai.error_body(CallReason.BUDGET_EXHAUSTED, "tokens are used up")
    with pytest.raises(PermissionDeniedError) as caught:
        await sdk(403, refusal).chat.completions.create(model="small", messages=[{"role": "user", "content": "Hi"}])
    assert (caught.value.code, caught.value.type) == ("BudgetExhausted", "remit_refusal")


async def test_the_sdk_reads_a_stream_that_passed() -> None:
    passed = openai.AnswerStream(taken(stream=True)).feed(b"".join(STREAM))
    client = sdk(200, passed, "text/event-stream")
    events = await client.chat.completions.create(
        model="small", messages=[{"role": "user", "content": "Hi"}], stream=True
    )
    assert "".join([event.choices[0].delta.content or "" async for event in events]) == "Yes"
