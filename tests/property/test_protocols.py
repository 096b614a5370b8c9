"""Whatever comes from outside, the translators answer with a value or with the errors that they name."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remit.core.budget import Amount
from remit.core.schema import check_schema
from remit.gateway import anthropic, openai
from remit.gateway.answers import AnswerFault
from remit.gateway.jsontext import MalformedError
from remit.gateway.mcp import MODERN, CallTool, McpFault, header_value, parse_message
from remit.gateway.mcp_upstream import ToolAnswer, parse_answer
from remit.gateway.modelcall import ModelAnswer, ModelCall, ModelFault
from remit.gateway.sse import Event, EventReader, EventTooLargeError, events_of
from remit.ports import InvalidSchemaError

WORDS = st.sampled_from(
    """jsonrpc id method params _meta name arguments result error content type text role messages model tools
    max_tokens n stream choices delta tool_calls index function usage prompt_tokens completion_tokens message
    content_block input_tokens output_tokens structuredContent isError code $ref $defs properties items allOf
    pattern additionalProperties anyOf $anchor""".split()  # noqa: SIM905 (a word list reads better in lines)
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 2**60),
    st.floats(),
    WORDS,
    st.sampled_from(["2.0", "tools/call", "initialize", "text", "tool_use", "message_start", MODERN, "#", "#/$defs/a"]),
    st.text(max_size=5),
)
SHAPES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=6)),
    max_leaves=25,
)
BODIES = st.one_of(st.binary(max_size=60), st.builds(lambda value: json.dumps(value).encode(), SHAPES))
HEADERS = st.lists(
    st.tuples(
        st.sampled_from([b"mcp-method", b"mcp-name", b"mcp-protocol-version", b"host"]),
        st.one_of(st.binary(max_size=8), st.sampled_from([MODERN.encode(), b"tools/call", b"2025-11-25"])),
    ),
    max_size=4,
)
MODERN_CALLS = st.builds(
    lambda params: {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params},
    st.dictionaries(st.sampled_from(["name", "arguments", "_meta", "task"]), SHAPES, max_size=4),
)


@given(HEADERS, st.one_of(BODIES, MODERN_CALLS.map(lambda value: json.dumps(value).encode())))
def test_any_message_is_read_or_refused(headers: Any, body: bytes) -> None:
    outcome = parse_message(headers, body)
    if isinstance(outcome, McpFault):
        assert json.loads(outcome.body())["error"]["code"] < 0
    if isinstance(outcome, CallTool):
        assert isinstance(outcome.arguments, dict)


@given(st.text(max_size=20).filter(lambda text: max(text, default=" ") < "\ud800"))
def test_any_name_survives_its_header(name: str) -> None:
    encoded = header_value(name)
    assert encoded.isascii()
    assert "\n" not in encoded
    assert "\r" not in encoded


@given(st.integers(200, 599), st.sampled_from(["application/json", "text/event-stream", ""]), BODIES)
def test_any_answer_of_a_tool_is_read_or_judged(status: int, kind: str, body: bytes) -> None:
    framed = b"data: " + body.replace(b"\n", b"").replace(b"\r", b"") + b"\n\n" if "event" in kind else body
    assert isinstance(parse_answer(status, kind, framed, secrets=("planted",)), ToolAnswer | AnswerFault)


@pytest.mark.parametrize("translator", [openai, anthropic])
@given(body=BODIES)
def test_any_model_call_is_read_or_refused(translator: Any, body: bytes) -> None:
    outcome = translator.parse_request(body)
    assert isinstance(outcome, ModelCall | ModelFault)
    if isinstance(outcome, ModelCall):
        assert json.loads(translator.upstream_body(outcome, 16))


@pytest.mark.parametrize("translator", [openai, anthropic])
@given(status=st.integers(200, 599), body=BODIES)
def test_any_answer_of_a_model_is_read_or_judged(translator: Any, status: int, body: bytes) -> None:
    outcome = translator.parse_answer(status, body, secrets=("planted",))
    assert isinstance(outcome, ModelAnswer | AnswerFault)
    if isinstance(outcome, ModelAnswer) and outcome.use is not None:
        assert Amount(outcome.use.input_tokens, 0, outcome.use.output_tokens).covers(Amount())


@pytest.mark.parametrize(("translator", "tokens"), [(openai, {}), (anthropic, {"max_tokens": 5})])
@given(chunks=st.lists(st.one_of(BODIES, BODIES.map(lambda body: b"data: " + body + b"\n\n")), max_size=4))
def test_any_stream_passes_or_ends(translator: Any, tokens: dict[str, int], chunks: list[bytes]) -> None:
    call = translator.parse_request(json.dumps({"model": "m", "messages": [], "stream": True, **tokens}).encode())
    stream = translator.AnswerStream(call, secrets=("planted",))
    try:
        passed = b"".join(stream.feed(chunk) for chunk in chunks)
    except (MalformedError, EventTooLargeError):
        return
    assert isinstance(passed, bytes)
    assert all(isinstance(seen.arguments, str) for seen in stream.calls)


@given(
    st.lists(st.builds(Event, st.text("abc", max_size=3), st.text("ab\n", max_size=5)), max_size=4), st.integers(1, 7)
)
def test_events_survive_any_cut(events: list[Event], size: int) -> None:
    raw = b"".join(event.encoded() for event in events)
    reader = EventReader()
    read = [event for at in range(0, len(raw), size) for event in reader.feed(raw[at : at + size])]
    assert read == events_of(raw) == events


@given(st.dictionaries(WORDS, SHAPES, max_size=5))
def test_any_schema_is_bounded_or_refused(schema: Any) -> None:
    try:
        bounds = check_schema(schema)
    except InvalidSchemaError:
        return
    assert bounds.instance_depth > 0
