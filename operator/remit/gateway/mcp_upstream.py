"""The Model Context Protocol as the gateway speaks it to upstreams: 2026-07-28, tools/call only. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from remit.api.reasons import CallReason
from remit.api.wire import HEADER_IDEMPOTENCY_KEY, META_IDEMPOTENCY_KEY
from remit.core.redact import without_secrets
from remit.gateway.answers import (
    MAX_ANSWER_BYTES,
    MAX_SHOWN_CHARACTERS,
    REDIRECTS,
    SERVER_ERRORS,
    AnswerFault,
    redirected,
    unreadable,
)
from remit.gateway.jsontext import MalformedError, parse, write
from remit.gateway.mcp import (
    INTERNAL_ERROR,
    META_CAPABILITIES,
    META_CLIENT,
    META_VERSION,
    MODERN,
    SERVER_INFO,
    header_value,
)
from remit.gateway.sse import EventTooLargeError, events_of

__all__ = [
    "AnswerFault",
    "ToolAnswer",
    "call_body",
    "call_headers",
    "parse_answer",
]

_REQUEST_ID = 1


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What a tool answered: `result` has content, and may have structuredContent and isError."""

    result: dict[str, Any]

    @property
    def failed(self) -> bool:
        """Tell whether the tool itself says that it failed."""
        return self.result.get("isError") is True


def call_headers(tool: str, idempotency_key: str) -> dict[str, str]:
    """Return the headers of tools/call; the key is empty for a read."""
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": MODERN,
        "Mcp-Method": "tools/call",
        "Mcp-Name": header_value(tool),
    }
    return headers | {HEADER_IDEMPOTENCY_KEY: idempotency_key} if idempotency_key else headers


def call_body(tool: str, arguments: Mapping[str, Any], idempotency_key: str) -> bytes:
    """Return the body of tools/call; the key is empty for a read."""
    meta: dict[str, Any] = {META_VERSION: MODERN, META_CLIENT: SERVER_INFO, META_CAPABILITIES: {}}
    if idempotency_key:
        meta[META_IDEMPOTENCY_KEY] = idempotency_key
    params = {"name": tool, "arguments": arguments, "_meta": meta}
    return write({"jsonrpc": "2.0", "id": _REQUEST_ID, "method": "tools/call", "params": params})


def parse_answer(
    status: int, content_type: str, body: bytes, *, secrets: tuple[str, ...] = ()
) -> ToolAnswer | AnswerFault:
    """Return the tool's answer, or what is wrong with it; `secrets` are cut out wherever they stand."""
    if status in REDIRECTS:
        return redirected(status)
    try:
        message = _message_of(content_type, body)
    except (MalformedError, EventTooLargeError) as error:
        return unreadable(status, str(error))
    if message is None:
        return unreadable(status, "no answer to the request is in it")
    if isinstance(message.get("error"), dict):
        return _told_error(status, message["error"], secrets)
    result = message.get("result")
    if not status < REDIRECTS.start or not isinstance(result, dict):
        return unreadable(status, "it holds no result")
    return _answer_of(result, secrets)


def _message_of(content_type: str, body: bytes) -> dict[str, Any] | None:
    """Find the response to our request: the body itself, or one event of a stream."""
    if content_type.split(";", 1)[0].strip().lower() == "text/event-stream":
        texts = [event.data.encode() for event in events_of(body, max_event_bytes=MAX_ANSWER_BYTES)]
    else:
        texts = [body]
    for text in texts:
        message = parse(text, max_bytes=MAX_ANSWER_BYTES)
        if isinstance(message, dict) and _is_ours(message):
            return message
    return None


def _is_ours(message: dict[str, Any]) -> bool:
    if message.get("jsonrpc") != "2.0" or "method" in message:
        return False
    return message.get("id") == _REQUEST_ID or (message.get("id") is None and "error" in message)


def _told_error(status: int, error: dict[str, Any], secrets: tuple[str, ...]) -> AnswerFault:
    code = error.get("code")
    text = without_secrets(str(error.get("message", "")), secrets)[:MAX_SHOWN_CHARACTERS]
    settled = code != INTERNAL_ERROR and status not in SERVER_ERRORS
    return AnswerFault(CallReason.UPSTREAM_ERROR, f"the upstream says: {text}", settled=settled)


def _answer_of(result: dict[str, Any], secrets: tuple[str, ...]) -> ToolAnswer | AnswerFault:
    """Keep what is the tool's word: content, structuredContent and isError."""
    if result.get("resultType", "complete") != "complete":
        return AnswerFault(
            CallReason.UPSTREAM_ERROR,
            "the upstream asks for more than the call: only complete results are taken",
            settled=False,
        )
    content, failed = result.get("content", []), result.get("isError", False)
    if not isinstance(content, list) or not all(_is_block(block) for block in content):
        return unreadable(200, "content is not a list of blocks")
    if not isinstance(failed, bool):
        return unreadable(200, "isError is not a boolean")
    kept = {"content": content, "isError": failed}
    if "structuredContent" in result:
        kept["structuredContent"] = result["structuredContent"]
    return ToolAnswer(without_secrets(kept, secrets) if secrets else kept)


def _is_block(block: Any) -> bool:
    return isinstance(block, dict) and isinstance(block.get("type"), str)
