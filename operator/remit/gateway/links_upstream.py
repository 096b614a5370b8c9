"""The links between hold and settlement: the secret is added, the call goes out. What came of it is always a value."""

from __future__ import annotations

import base64
from typing import Final

from remit.api.reasons import CallReason
from remit.core.digest import canonical
from remit.gateway.answers import AnswerFault
from remit.gateway.call import Answered, Call, Refused
from remit.gateway.credentials import credentials_of
from remit.gateway.flights import CutError, interruptible
from remit.gateway.gate import Gate
from remit.gateway.jsontext import write
from remit.gateway.links import objection, out_of_date
from remit.gateway.mcp_upstream import ToolAnswer, call_body, call_headers, parse_answer
from remit.gateway.model import call_model
from remit.ports import (
    UpstreamLostError,
    UpstreamNotSentError,
    UpstreamRequest,
)

HIDING: Final = (b"\\u", b"\\/", b"\\\\")
"""Escapes of JSON that may stand for a character of a secret: it holds no control character and no quote."""


async def add_secret(gate: Gate, call: Call) -> Refused | Answered | None:
    """Read what the upstream wants to see; a Secret goes only to the hosts that it names itself."""
    tool = call.current
    try:
        with interruptible(call):
            found = await credentials_of(gate.secrets, tool, tool.grant.spec.credentials)
    except CutError as error:
        return error.refused
    if isinstance(found, Refused):
        return found
    call.credentials, call.secrets = found
    return None


async def call_upstream(gate: Gate, call: Call) -> Refused | Answered | None:
    """Make the call, unless its authority went in the meantime; whatever comes of it is the outcome."""
    if call.credentials is None:
        raise LookupError("the call's credentials are not known: it must not go out")
    refused = await out_of_date(gate) or call.cut or objection(gate, call)
    if refused is not None:
        return refused
    try:  # INVARIANT: nothing is waited for between this look and the mark by which a cut interrupts
        with interruptible(call):
            work = call_tool if call.kind == "tool" else call_model
            call.answered = await work(gate, call, call.credentials)
    except CutError as error:
        call.answered = broken_off(call, error.refused.reason, error.refused.message, sent=error.sent)
    except UpstreamNotSentError:
        call.answered = broken_off(call, CallReason.UPSTREAM_UNREACHABLE, "the upstream cannot be reached", sent=False)
    except TimeoutError:
        call.answered = broken_off(call, CallReason.UPSTREAM_TIMEOUT, "the upstream did not answer in time", sent=True)
    except UpstreamLostError as error:
        call.answered = broken_off(call, CallReason.UPSTREAM_MALFORMED, str(error), sent=True)
    return None


async def call_tool(gate: Gate, call: Call, credentials: dict[str, str]) -> Answered:
    """Call a tool of an MCP server."""
    tool = call.current
    upstream = tool.grant.spec.upstream.mcp
    if upstream is None or tool.tool is None or call.intent is None:
        raise LookupError("the call is not one of an MCP tool")
    key = "" if call.only_reads else call.intent.key
    request = UpstreamRequest(
        "POST",
        upstream.url,
        call_headers(tool.name, key) | credentials,
        call_body(tool.name, call.arguments, key),
        tool.tool.timeout_seconds,
    )
    answer = await gate.upstream.send(request)
    content_type = answer.headers.get("content-type", "")
    parsed = parse_answer(answer.status, content_type, answer.body, secrets=suspected(answer.body, call.secrets))
    match parsed:
        case AnswerFault():
            return fault(call, parsed)
        case ToolAnswer():
            reason = CallReason.UPSTREAM_ERROR if parsed.failed else CallReason.ALLOWED
            return Answered("error" if parsed.failed else "ok", reason, body=recorded(parsed), result=parsed.result)


def suspected(body: bytes, secrets: tuple[str, ...]) -> tuple[str, ...]:
    """Return the secrets that may stand in the body: none, for the usual body that cannot hold any, at little cost.

    JSON can write any character as an escape: a body with one that could hide a secret holds all of them.
    """
    if any(escape in body for escape in HIDING):
        return secrets
    text = body.decode("utf-8", "replace")
    return tuple(secret for secret in secrets if any(form in text for form in (secret, in_base64(secret))))


def in_base64(secret: str) -> str:
    """Return the shortest form of a secret's base64."""
    return base64.b64encode(secret.encode()).decode().rstrip("=")


def recorded(answer: ToolAnswer) -> bytes:
    """Return an answer's bytes as they are digested and kept."""
    try:
        return canonical(answer.result)
    except ValueError:
        return write(answer.result)


def fault(call: Call, parsed: AnswerFault) -> Answered:
    """Return the outcome that an unusable answer means."""
    if parsed.settled or call.only_reads:
        return Answered("error", parsed.reason, parsed.message)
    return Answered("unknown", CallReason.OUTCOME_UNKNOWN, parsed.message)


def broken_off(call: Call, reason: CallReason, message: str, *, sent: bool) -> Answered:
    """Return the outcome of a call without an answer."""
    if sent and not call.only_reads:
        return Answered("unknown", CallReason.OUTCOME_UNKNOWN, message)
    return Answered("error", reason, message, acted=sent)
