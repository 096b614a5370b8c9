"""What the protocols of model providers have in common. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from remit.api.reasons import CallReason
from remit.core.digest import digest_of
from remit.core.pricing import ModelUse
from remit.core.redact import without_secrets
from remit.gateway.answers import (
    MAX_ANSWER_BYTES,
    MAX_SHOWN_CHARACTERS,
    REDIRECTS,
    AnswerFault,
    redirected,
    unreadable,
)
from remit.gateway.jsontext import MalformedError, parse_object, write

MAX_MODEL_BODY_BYTES: Final = 4 << 20
MAX_CHOICES: Final = 16
MAX_ASKED_TOKENS: Final = 1_000_000
MAX_COUNTED_TOKENS: Final = 1_000_000_000
"""Of one call: a provider that counts more does not count, and no ledger could hold it."""


@dataclass(frozen=True, slots=True)
class ModelCall:
    """A model call as the agent asked for it."""

    model: str
    body: Mapping[str, Any]
    digest: str
    """`sha256:HEX` of the body's canonical JSON."""
    stream: bool
    choices: int
    asked_tokens: int | None
    """Bound of output tokens that the agent asks for."""


@dataclass(frozen=True, slots=True)
class ModelFault:
    """Why a body is refused before anything is decided."""

    reason: CallReason
    message: str


@dataclass(frozen=True, slots=True)
class SeenCall:
    """A tool call that the model asked for: `arguments` is the JSON text as it came."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """A model's whole answer: the bytes for the agent, what it cost, which tools it wants called.

    `use` is None where the provider did not say: then the whole hold counts as spent.
    """

    body: bytes
    use: ModelUse | None
    calls: tuple[SeenCall, ...]


class RefusedBodyError(Exception):
    """Carries a fault out of the reading of a body."""

    def __init__(self, reason: CallReason, message: str) -> None:
        """Keep the reason beside the text."""
        super().__init__(message)
        self.reason = reason


def read_body(body: bytes, known: frozenset[str]) -> dict[str, Any]:
    """Parse a body whose names are all known; raises RefusedBodyError.

    What a name that we do not know costs, or where it sends data, nobody here can bound.
    """
    try:
        value = parse_object(body, max_bytes=MAX_MODEL_BODY_BYTES)
    except MalformedError as error:
        raise RefusedBodyError(error.reason, str(error)) from error
    unknown = sorted(name for name in value if name not in known)
    if unknown:
        shown = ", ".join(name[:64] for name in unknown[:5])
        raise unbounded(f"not supported here: {shown}")
    return value


def malformed(message: str) -> RefusedBodyError:
    """Return the error for a body that breaks the protocol."""
    return RefusedBodyError(CallReason.MALFORMED, message)


def unbounded(message: str) -> RefusedBodyError:
    """Return the error for content whose cost or reach has no bound."""
    return RefusedBodyError(CallReason.UNBOUNDED_CONTENT, message)


def text_of(body: Mapping[str, Any], name: str) -> str:
    """Return a required text; raises RefusedBodyError."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise malformed(f"{name} must be a text")
    return value


def flag_of(body: Mapping[str, Any], name: str) -> bool:
    """Return a boolean that may be absent; raises RefusedBodyError."""
    value = body.get(name)
    if not isinstance(value, bool | None):
        raise malformed(f"{name} must be true or false")
    return bool(value)


def count_of(body: Mapping[str, Any], name: str, most: int) -> int | None:
    """Return a whole number from 1 that may be absent; raises RefusedBodyError."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise malformed(f"{name} must be a whole number from 1")
    if value > most:
        raise malformed(f"{name} must be at most {most}")
    return value


def objects_of(value: Any, name: str) -> list[dict[str, Any]]:
    """Return a list of objects; raises RefusedBodyError."""
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise malformed(f"{name} must be a list of objects")
    return value


def digested(body: dict[str, Any]) -> str:
    """Return the body's digest; raises RefusedBodyError for numbers and texts without one."""
    try:
        return digest_of(body)
    except ValueError as error:
        raise malformed("a number or a text that JSON readers do not keep exact") from error


def parse_model_answer(
    status: int,
    body: bytes,
    read: Callable[[dict[str, Any]], tuple[ModelUse | None, Iterable[SeenCall]]],
    *,
    secrets: tuple[str, ...],
) -> ModelAnswer | AnswerFault:
    """Read a whole answer of a provider; `read` finds usage and tool calls in it."""
    if status in REDIRECTS:
        return redirected(status)
    try:
        value = parse_object(body, max_bytes=MAX_ANSWER_BYTES)
    except MalformedError as error:
        return unreadable(status, str(error))
    if status >= REDIRECTS.start:
        fault = unreadable(status, "")
        return AnswerFault(fault.reason, f"{fault.message}: {_told(value, secrets)}", fault.settled)
    try:
        use, calls = read(value)
    except (TypeError, KeyError, AttributeError, ValueError):
        return unreadable(status, "it is no answer of this protocol")
    shown = without_secrets(value, secrets)
    return ModelAnswer(body if shown == value else write(shown), use, tuple(calls))


def _told(value: Mapping[str, Any], secrets: tuple[str, ...]) -> str:
    error = value.get("error")
    text = error.get("message", "") if isinstance(error, dict) else ""
    return str(without_secrets(str(text), secrets))[:MAX_SHOWN_CHARACTERS]


def tokens_of(usage: Any, *names: str) -> int:
    """Return the sum of token counts; raises TypeError for what is none."""
    total = 0
    for name in names:
        count = usage.get(name) or 0
        if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= MAX_COUNTED_TOKENS:
            raise TypeError(name)
        total += count
    return total
