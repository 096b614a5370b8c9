"""Whether a call that may have been made before is made again. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from remit.core.digest import canonical, sha256_hex

CallKind = Literal["tool", "model"]
_READ_ONLY = "ReadOnly"


class KnownCall(Protocol):
    """What must be known of an earlier call: ports.CallRecord has it."""

    @property
    def state(self) -> str:
        """held, done, failed or unknown."""

    @property
    def arguments_digest(self) -> str:
        """Digest of its arguments."""

    @property
    def answer(self) -> bytes:
        """The recorded answer of a finished write."""


@dataclass(frozen=True, slots=True)
class Run:
    """Make the call."""


@dataclass(frozen=True, slots=True)
class Replay:
    """The call was made: this is its answer."""

    answer: bytes


@dataclass(frozen=True, slots=True)
class InFlight:
    """The call is under way: wait for it."""


@dataclass(frozen=True, slots=True)
class KeyReused:
    """The call's id was used with other arguments."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The call's answer was lost: it may have been acted on, and is not made again."""


Verdict = Run | Replay | InFlight | KeyReused | Unknown


def key_of(run_uid: str, call_id: str, grant: str, tool: str) -> str:
    """Return the idempotency key: a digest of run, call id and tool, in hex."""
    return sha256_hex(canonical([run_uid, call_id, f"{grant}/{tool}"]))


def only_reads(kind: CallKind, risk: str) -> bool:
    """Tell whether making the call twice changes nothing: models and ReadOnly tools."""
    return kind == "model" or risk == _READ_ONLY


def verdict(known: KnownCall | None, arguments_digest: str, *, kind: CallKind, risk: str) -> Verdict:
    """Return what to do about a call whose key may be known.

    A read is never answered from the record, and is made again whatever became of the first: nothing but its
    cost depends on it. A write that certainly had no effect may be made again.
    """
    if known is None:
        return Run()
    if known.arguments_digest != arguments_digest:
        return KeyReused()
    if known.state == "held":
        return InFlight()
    if only_reads(kind, risk) or known.state == "failed":
        return Run()
    return Replay(known.answer) if known.state == "done" else Unknown()
