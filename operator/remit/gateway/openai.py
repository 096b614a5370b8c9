"""OpenAI chat completions: the agent's request, the provider's answer, whole or streamed. Pure."""

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
    MAX_CHOICES,
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

PATH: Final = "/chat/completions"
_BOUNDS = ("max_completion_tokens", "max_tokens")
_KNOWN = frozenset(
    [
        "model",
        "messages",
        "n",
        "max_tokens",
        "max_completion_tokens",
        "stream",
        "stream_options",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "frequency_penalty",
        "presence_penalty",
        "stop",
        "seed",
        "user",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "response_format",
        "metadata",
        "store",
        "reasoning_effort",
        "verbosity",
        "functions",
        "function_call",
        "service_tier",
        "safety_identifier",
        "prompt_cache_key",
        "modalities",
    ]
)
_BOUNDED_PARTS = frozenset({"text", "refusal"})
_OWN_TOOLS = frozenset({"function", "custom"})
_PRICED_TIERS = (None, "auto", "default", "flex")
_DONE = "[DONE]"


def parse_request(body: bytes) -> ModelCall | ModelFault:
    """Return the call that a body asks for, or why it is refused."""
    try:
        value = read_body(body, _KNOWN)
        _check_messages(value)
        _check_tools(value)
        _check_settings(value)
        asked = [count_of(value, name, MAX_ASKED_TOKENS) for name in _BOUNDS]
        return ModelCall(
            model=text_of(value, "model"),
            body=value,
            digest=digested(value),
            stream=flag_of(value, "stream"),
            choices=count_of(value, "n", MAX_CHOICES) or 1,
            asked_tokens=min((count for count in asked if count is not None), default=None),
        )
    except RefusedBodyError as error:
        return ModelFault(error.reason, str(error))


def _check_messages(body: Mapping[str, Any]) -> None:
    for message in objects_of(body.get("messages"), "messages"):
        content = message.get("content")
        if message.get("audio") is not None:
            raise unbounded("messages: audio has no bound of tokens")
        if not isinstance(content, str | list | None):
            raise malformed("messages: content must be a text or a list of parts")
        for part in objects_of(content, "content") if isinstance(content, list) else ():
            if part.get("type") not in _BOUNDED_PARTS:
                raise unbounded("messages: only text is taken: pictures, sound and files have no bound of tokens")


def _check_tools(body: Mapping[str, Any]) -> None:
    for tool in objects_of(body.get("tools") or [], "tools"):
        if tool.get("type") not in _OWN_TOOLS:
            raise unbounded("tools: tools that run at the provider pass by the gateway: not supported")


def _check_settings(body: Mapping[str, Any]) -> None:
    if body.get("service_tier") not in _PRICED_TIERS:
        raise unbounded("service_tier: its price is not the granted one")
    if body.get("modalities") not in (None, ["text"]):
        raise unbounded("modalities: only text is taken")
    if not isinstance(body.get("stream_options"), dict | None):
        raise malformed("stream_options must be an object")


def upstream_body(call: ModelCall, max_tokens: int) -> bytes:
    """Return the body for the provider: output bounded, usage asked for."""
    body = dict(call.body)
    name = "max_tokens" if "max_tokens" in body and "max_completion_tokens" not in body else _BOUNDS[0]
    for bound in _BOUNDS:
        body.pop(bound, None)
    body[name] = max_tokens
    if call.stream:
        body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
    return write(body)


def upstream_headers() -> dict[str, str]:
    """Return the headers of a call; the credential comes from the grant."""
    return {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


def parse_answer(status: int, body: bytes, *, secrets: tuple[str, ...] = ()) -> ModelAnswer | AnswerFault:
    """Return the provider's answer, or what is wrong with it."""
    return parse_model_answer(status, body, _read_answer, secrets=secrets)


def _read_answer(value: dict[str, Any]) -> tuple[ModelUse | None, list[SeenCall]]:
    calls = []
    for choice in value["choices"]:
        for call in choice["message"].get("tool_calls") or ():
            calls += [_seen(call["id"], call["function"])] if "function" in call else []
    return _use_of(value.get("usage")), calls


def _seen(identifier: str, function: Mapping[str, Any]) -> SeenCall:
    return SeenCall(identifier, function["name"], function.get("arguments") or "")


def _use_of(usage: Any) -> ModelUse | None:
    if not isinstance(usage, dict) or "completion_tokens" not in usage:
        return None
    return ModelUse(tokens_of(usage, "prompt_tokens"), tokens_of(usage, "completion_tokens"))


class AnswerStream:
    """Reads a streamed answer as it passes: what it cost, and which tools the model wants called."""

    def __init__(self, call: ModelCall, *, secrets: tuple[str, ...] = ()) -> None:
        """Start at the beginning of the answer to `call`."""
        options = call.body.get("stream_options") or {}
        self._shows_usage = options.get("include_usage") is True
        self._secrets = secrets
        self._reader = EventReader()
        self._pieces: dict[tuple[int, int], list[str]] = {}
        self.use: ModelUse | None = None
        self.finished = False
        """Whether the end came: a stream that breaks off before is not whole."""

    @property
    def calls(self) -> tuple[SeenCall, ...]:
        """The tool calls so far."""
        return tuple(SeenCall(*pieces) for pieces in self._pieces.values())

    def feed(self, chunk: bytes) -> bytes:
        """Return what goes on to the agent; raises MalformedError or EventTooLargeError."""
        return b"".join(self._passed(event) for event in self._reader.feed(chunk))

    def _passed(self, event: Event) -> bytes:
        if event.data == _DONE:
            self.finished = True
            return event.encoded()
        value = parse_object(event.data.encode())
        try:
            only_usage = self._read(value)
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise MalformedError("the stream is no answer of this protocol") from error
        if only_usage and not self._shows_usage:
            return b""
        shown = without_secrets(value, self._secrets)
        return (event if shown == value else Event(event.name, write(shown).decode())).encoded()

    def _read(self, value: dict[str, Any]) -> bool:
        """Take usage and tool calls; return whether nothing else is in it."""
        if (use := _use_of(value.get("usage"))) is not None:
            self.use = use
        choices = value.get("choices") or []
        for choice in choices:
            for call in choice["delta"].get("tool_calls") or ():
                self._take(choice.get("index", 0), call)
        return not choices and use is not None

    def _take(self, choice: int, call: Mapping[str, Any]) -> None:
        pieces = self._pieces.setdefault((choice, call["index"]), ["", "", ""])
        function = call.get("function") or {}
        new = (call.get("id"), function.get("name"), function.get("arguments"))
        for place, text in enumerate(new):
            pieces[place] += text or ""


def error_body(reason: CallReason, message: str) -> bytes:
    """Return a refusal as the provider's SDK reads errors."""
    error = {"message": message, "type": "remit_refusal", "param": None, "code": str(reason)}
    return write({"error": error})
