"""Anthropic messages: the agent's request, the provider's answer, whole or streamed. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from remit.api.reasons import CallReason
from remit.core.pricing import ModelUse
from remit.core.redact import without_secrets
from remit.gateway.answers import AnswerFault
from remit.gateway.jsontext import MalformedError, parse_object, write
from remit.gateway.modelcall import (
    MAX_ASKED_TOKENS,
    ModelAnswer,
    ModelCall,
    ModelFault,
    RefusedBodyError,
    SeenCall,
    count_of,
    digested,
    flag_of,
    malformed,
    objects_of,
    parse_model_answer,
    read_body,
    text_of,
    tokens_of,
    unbounded,
)
from remit.gateway.sse import Event, EventReader

PATH: Final = "/v1/messages"
API_VERSION: Final = "2023-06-01"
_KNOWN = frozenset(
    [
        "model",
        "messages",
        "max_tokens",
        "system",
        "stream",
        "tools",
        "tool_choice",
        "temperature",
        "top_p",
        "top_k",
        "stop_sequences",
        "metadata",
        "thinking",
        "service_tier",
        "cache_control",
    ]
)
_BOUNDED_BLOCKS = frozenset({"text", "tool_use", "tool_result", "thinking", "redacted_thinking"})
_PRICED_TIERS = (None, "auto", "standard_only")
_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    413: "request_too_large",
    503: "overloaded_error",
}


def parse_request(body: bytes) -> ModelCall | ModelFault:
    """Return the call that a body asks for, or why it is refused."""
    try:
        value = read_body(body, _KNOWN)
        for message in objects_of(value.get("messages"), "messages"):
            _check_content(message.get("content"), "messages")
        _check_content(value.get("system", ""), "system")
        _check_tools(value)
        asked = count_of(value, "max_tokens", MAX_ASKED_TOKENS)
        if asked is None:
            raise malformed("max_tokens must be given")
        return ModelCall(
            model=text_of(value, "model"),
            body=value,
            digest=digested(value),
            stream=flag_of(value, "stream"),
            choices=1,
            asked_tokens=asked,
        )
    except RefusedBodyError as error:
        return ModelFault(error.reason, str(error))


def _check_content(content: Any, place: str) -> None:
    """Only text and what tools said; a tool's result may hold blocks itself."""
    waiting = [content]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            continue
        for block in objects_of(item, f"{place}: content"):
            if block.get("type") not in _BOUNDED_BLOCKS:
                raise unbounded(
                    f"{place}: only text is taken: pictures, documents and search results have no bound of tokens"
                )
            if block["type"] == "tool_result":
                waiting.append(block.get("content") or "")


def _check_tools(body: Mapping[str, Any]) -> None:
    for tool in objects_of(body.get("tools") or [], "tools"):
        if tool.get("type", "custom") != "custom":
            raise unbounded("tools: only the agent's own tools are taken, none of the provider's")
    if body.get("service_tier") not in _PRICED_TIERS:
        raise unbounded("service_tier: its price is not the granted one")


def upstream_body(call: ModelCall, max_tokens: int) -> bytes:
    """Return the body for the provider: output bounded."""
    return write({**call.body, "max_tokens": max_tokens})


def upstream_headers() -> dict[str, str]:
    """Return the headers of a call; the credential comes from the grant."""
    return {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "anthropic-version": API_VERSION,
    }


def parse_answer(status: int, body: bytes, *, secrets: tuple[str, ...] = ()) -> ModelAnswer | AnswerFault:
    """Return the provider's answer, or what is wrong with it."""
    return parse_model_answer(status, body, _read_answer, secrets=secrets)


def _read_answer(value: dict[str, Any]) -> tuple[ModelUse | None, list[SeenCall]]:
    calls = [
        SeenCall(block["id"], block["name"], write(block.get("input") or {}).decode())
        for block in value["content"]
        if block["type"] == "tool_use"
    ]
    usage = value.get("usage")
    if not isinstance(usage, dict) or "output_tokens" not in usage:
        return None, calls
    return ModelUse(_input_of(usage), tokens_of(usage, "output_tokens")), calls


def _input_of(usage: Mapping[str, Any]) -> int:
    """Count input; what is written to the provider's cache costs up to twice as much and counts twice."""
    read = tokens_of(usage, "input_tokens", "cache_read_input_tokens")
    return read + 2 * tokens_of(usage, "cache_creation_input_tokens")


class AnswerStream:
    """Reads a streamed answer as it passes: what it cost, and which tools the model wants called."""

    def __init__(self, _call: ModelCall, *, secrets: tuple[str, ...] = ()) -> None:
        """Start at the beginning of the answer."""
        self._secrets = secrets
        self._reader = EventReader()
        self._pieces: dict[int, list[str]] = {}
        self._input: int | None = None
        self._output: int | None = None
        self.finished = False
        """Whether the end came: a stream that breaks off before is not whole."""

    @property
    def use(self) -> ModelUse | None:
        """What it cost, once the provider has said so."""
        if self._input is None or self._output is None:
            return None
        return ModelUse(self._input, self._output)

    @property
    def calls(self) -> tuple[SeenCall, ...]:
        """The tool calls so far."""
        return tuple(SeenCall(*pieces) for pieces in self._pieces.values())

    def feed(self, chunk: bytes) -> bytes:
        """Return what goes on to the agent; raises MalformedError or EventTooLargeError."""
        return b"".join(self._passed(event) for event in self._reader.feed(chunk))

    def _passed(self, event: Event) -> bytes:
        value = parse_object(event.data.encode())
        try:
            self._read(value)
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise MalformedError("the stream is no answer of this protocol") from error
        shown = without_secrets(value, self._secrets)
        return (event if shown == value else Event(event.name, write(shown).decode())).encoded()

    def _read(self, value: Mapping[str, Any]) -> None:
        match value["type"]:
            case "message_start":
                self._input = _input_of(value["message"]["usage"])
            case "content_block_start" if value["content_block"]["type"] == "tool_use":
                block = value["content_block"]
                self._pieces[value["index"]] = [block["id"], block["name"], ""]
            case "content_block_delta" if value["delta"]["type"] == "input_json_delta":
                self._pieces[value["index"]][2] += value["delta"]["partial_json"]
            case "message_delta":
                self._output = tokens_of(value["usage"], "output_tokens")
            case "message_stop":
                self.finished = True
            case _:
                pass


def error_body(reason: CallReason, message: str, status: int = 403) -> bytes:
    """Return a refusal as the provider's SDK reads errors."""
    kind = _ERROR_TYPES.get(status, "permission_error")
    return write({"type": "error", "error": {"type": kind, "message": f"{reason}: {message}"}})
