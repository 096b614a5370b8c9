"""A model call at its upstream, whole or streamed: what passes, what it cost, which tools the model wants called."""

from __future__ import annotations

import hashlib
from types import ModuleType
from typing import Any, Final

from remit.api.reasons import CallReason
from remit.api.toolgrant import ModelApi
from remit.api.wire import HEADER_BUDGET
from remit.core.digest import canonical, sha256_hex
from remit.gateway import anthropic, openai
from remit.gateway.answers import MAX_ANSWER_BYTES, AnswerFault
from remit.gateway.call import Answered, Call
from remit.gateway.gate import Gate
from remit.gateway.jsontext import MalformedError, parse_object
from remit.gateway.mcp import is_call_id
from remit.gateway.memory import ToolCall
from remit.gateway.modelcall import ModelAnswer, ModelCall, SeenCall
from remit.gateway.settings import MODEL_TIMEOUT_SECONDS
from remit.gateway.sse import EventTooLargeError
from remit.ports import UpstreamError, UpstreamLostError, UpstreamRequest, UpstreamStream

OK: Final = 200
PROTOCOLS: Final[dict[str, ModuleType]] = {ModelApi.OPENAI: openai, ModelApi.ANTHROPIC: anthropic}


async def call_model(gate: Gate, call: Call, credentials: dict[str, str]) -> Answered:
    """Call a model provider."""
    request = request_of(call, credentials)
    if call.sink is None:
        answer = await gate.upstream.send(request)
        return whole(call, answer.status, answer.body)
    stream = await gate.upstream.stream(request)
    try:
        if stream.status != OK or not stream.headers.get("content-type", "").startswith("text/event-stream"):
            return whole(call, stream.status, await drained(stream))
        return await streamed(call, stream)
    finally:
        await stream.close()


def request_of(call: Call, credentials: dict[str, str]) -> UpstreamRequest:
    """Return the provider's request: output cut to what the budget affords."""
    upstream = call.current.grant.spec.upstream.model
    if upstream is None or not isinstance(call.parsed, ModelCall):
        raise LookupError("the call is not one of a model")
    protocol = PROTOCOLS[call.api]
    return UpstreamRequest(
        "POST",
        upstream.base_url.rstrip("/") + protocol.PATH,
        protocol.upstream_headers() | credentials,
        protocol.upstream_body(call.parsed, call.max_tokens),
        MODEL_TIMEOUT_SECONDS,
    )


def whole(call: Call, status: int, body: bytes) -> Answered:
    """Return the outcome of a whole answer."""
    parsed: ModelAnswer | AnswerFault = PROTOCOLS[call.api].parse_answer(status, body, secrets=call.secrets)
    if isinstance(parsed, AnswerFault):
        # A provider that answers with an error does not bill it; what cannot be read may have cost all of the hold.
        free = parsed.settled or parsed.reason is CallReason.UPSTREAM_ERROR
        return Answered("error", parsed.reason, parsed.message, acted=not free)
    return Answered("ok", CallReason.ALLOWED, body=parsed.body, use=parsed.use, tool_calls=asked(parsed.calls))


async def streamed(call: Call, stream: UpstreamStream) -> Answered:
    """Pass a stream on as it comes; its end is kept back until the call is settled."""
    if call.sink is None:
        raise LookupError("the agent did not ask for a stream")
    reader: Any = PROTOCOLS[call.api].AnswerStream(call.parsed, secrets=call.secrets)
    mark, kept = hashlib.sha256(), b""
    await call.sink.start({HEADER_BUDGET: call.budget})
    try:
        async for chunk in stream.chunks():
            passed: bytes = reader.feed(chunk)
            mark.update(passed)
            if reader.finished:
                kept += passed
            elif passed:
                await call.sink.send(passed)
    except (UpstreamError, MalformedError, EventTooLargeError):
        reader.finished = False
    if not reader.finished:
        # What it cost was not said, or cannot be trusted: all of the hold counts as spent.
        return Answered("error", CallReason.UPSTREAM_MALFORMED, "the model's answer broke off")
    return Answered(
        "ok", CallReason.ALLOWED, use=reader.use, tool_calls=asked(reader.calls), digest=mark.hexdigest(), rest=kept
    )


async def drained(stream: UpstreamStream) -> bytes:
    """Read a whole answer that should have been a stream; raises UpstreamLostError beyond the bound."""
    body = bytearray()
    async for chunk in stream.chunks():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise UpstreamLostError("the upstream's answer is too large")
    return bytes(body)


def asked(calls: tuple[SeenCall, ...]) -> tuple[ToolCall, ...]:
    """Return the tool calls that a model asks for, by digest; one that no agent of ours could make matches nothing."""
    found = []
    for call in calls:
        if not all(isinstance(text, str) for text in (call.id, call.name, call.arguments)):
            continue
        if not is_call_id(call.id) or not is_call_id(call.name):
            continue
        try:
            digest = sha256_hex(canonical(parse_object((call.arguments or "{}").encode())))
        except ValueError:
            continue
        found.append((call.name, digest, call.id))
    return tuple(found)
