"""The models' endpoints: a request in the provider's own protocol is led through the chain and answered in kind."""

from __future__ import annotations

from typing import Final

from remit.api.reasons import CallReason
from remit.api.toolgrant import ModelApi
from remit.api.wire import HEADER_BUDGET, HEADER_CALL_ID, HEADER_HANDOVER
from remit.gateway import anthropic, openai
from remit.gateway.call import Answered, Call, Refused
from remit.gateway.chain import govern
from remit.gateway.gate import Gate
from remit.gateway.mcp import MAX_CALL_ID_CHARACTERS
from remit.gateway.model import PROTOCOLS
from remit.gateway.modelcall import ModelCall, ModelFault
from remit.gateway.sse import Event
from remit.gateway.web import Answer, Request, Stream, refusal_headers

ASKED_WHEN_SILENT: Final = 1_000_000
"""An agent that names no bound asks for all that its own bound allows."""


async def serve_openai(gate: Gate, request: Request) -> Answer | None:
    """POST chat/completions."""
    return await serve(gate, request, ModelApi.OPENAI)


async def serve_anthropic(gate: Gate, request: Request) -> Answer | None:
    """POST v1/messages."""
    return await serve(gate, request, ModelApi.ANTHROPIC)


async def serve(gate: Gate, request: Request, api: ModelApi) -> Answer | None:
    """Lead a model call through the chain; None when the answer was streamed."""
    identity = await gate.callers.authenticate(token_of(request))
    if isinstance(identity, Refused):
        return refused_as(api, identity)
    body = await request.body()
    parsed: ModelCall | ModelFault = PROTOCOLS[api].parse_request(body)
    stream = Stream(request.send) if isinstance(parsed, ModelCall) and parsed.stream else None
    call = call_of(request, api, parsed, len(body))
    call.sink = stream
    end = await govern(gate, call)
    if isinstance(end, Refused):
        if stream is None or not stream.started:
            return refused_as(api, end, call.budget)
        await stream.finish(Event("error", error_body(api, end).decode()).encoded())
        return None
    return await told(end, call, stream)


async def told(end: Answered, call: Call, stream: Stream | None) -> Answer | None:
    """Tell the settled answer; of a stream, its end."""
    if stream is not None and stream.started:
        await stream.finish(end.rest)
        return None
    return Answer(200, end.body, headers={HEADER_BUDGET: call.budget})


def token_of(request: Request) -> str:
    """Return the token: as bearer, or where Anthropic's SDK puts a key."""
    return request.bearer() or request.header("x-api-key")


def call_of(request: Request, api: ModelApi, parsed: ModelCall | ModelFault, body_bytes: int) -> Call:
    """Return the call as it enters the chain."""
    given_id = request.header(HEADER_CALL_ID)
    fault = None
    if isinstance(parsed, ModelFault):
        recorded = parsed.reason is CallReason.UNBOUNDED_CONTENT
        fault = Refused(parsed.reason, parsed.message, recorded=recorded)
        parsed = ModelCall("", {}, "", stream=False, choices=1, asked_tokens=None)
    elif len(given_id) > MAX_CALL_ID_CHARACTERS or not given_id.isprintable():
        message = f"{HEADER_CALL_ID} must be a text of at most {MAX_CALL_ID_CHARACTERS}"
        fault = Refused(CallReason.MALFORMED, message, recorded=False)
    asked = parsed.asked_tokens or ASKED_WHEN_SILENT
    return Call(
        "model",
        token_of(request),
        request.peer,
        parsed.model,
        {"model": parsed.model, "stream": parsed.stream, "choices": parsed.choices, "maxTokens": asked},
        parsed.digest.removeprefix("sha256:"),
        "" if fault else given_id,
        hand_over=request.header(HEADER_HANDOVER).lower() == "true",
        parsed=parsed,
        api=api,
        body_bytes=body_bytes,
        choices=parsed.choices,
        asked_tokens=asked,
        fault=fault,
    )


def refused_as(api: ModelApi, refused: Refused, budget: str = "") -> Answer:
    """Return a refusal as the provider's SDK reads errors."""
    return Answer(refused.status, error_body(api, refused), headers=refusal_headers(refused, budget))


def error_body(api: ModelApi, refused: Refused) -> bytes:
    """Return a refusal's body in the provider's form."""
    if api is ModelApi.OPENAI:
        return openai.error_body(refused.reason, refused.message)
    return anthropic.error_body(refused.reason, refused.message, refused.status)
