"""Misbehaviour on demand, for tests of whoever calls the bank. Off unless --allow-faults is given.

A fault is told in advance with `PUT /faults`, or comes with the request in the header
`X-Bank-Fault` as `KIND` or `KIND:VALUE`.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from starlette.types import Message, Send

HEADER = "x-bank-fault"
MAX_SECONDS = 600.0


class Kind(StrEnum):
    """What goes wrong, and whether the effect has happened when it does."""

    DELAY = "delay"
    """Wait, then do it."""
    DELAY_AFTER = "delay-after"
    """Do it, then wait with the answer."""
    DROP = "drop"
    """Do it, then close the connection without an answer."""
    GARBAGE = "garbage"
    """Do it, then answer what is not JSON."""
    REDIRECT = "redirect"
    """Do nothing; answer 307 to another place."""
    UNAVAILABLE = "unavailable"
    """Do nothing; answer 503."""
    ECHO_SECRET = "echo-secret"  # noqa: S105 - a fault's name
    """Do it, and put the caller's key into the answer."""


PREVENTS_EFFECT = frozenset({Kind.REDIRECT, Kind.UNAVAILABLE})
REPLACES_ANSWER = PREVENTS_EFFECT | {Kind.DROP, Kind.GARBAGE}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, for one tool or all, a number of times."""

    kind: Kind
    tool: str | None = None
    times: int = 1
    seconds: float = 1.0
    location: str = "http://198.51.100.7/stolen"

    @classmethod
    def from_header(cls, text: str) -> "Fault":
        """Parse `KIND` or `KIND:VALUE`; raises ValueError."""
        kind, _, value = text.partition(":")
        match Kind(kind):
            case Kind.DELAY | Kind.DELAY_AFTER as timed if value:
                return cls(timed, seconds=_seconds(value))
            case Kind.REDIRECT if value:
                return cls(Kind.REDIRECT, location=value)
            case known:
                return cls(known)

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> "Fault":
        """Parse one entry of `PUT /faults`; raises ValueError, KeyError or TypeError."""
        fault = cls(**{**entry, "kind": Kind(entry["kind"])})
        return replace(fault, seconds=_seconds(fault.seconds), times=int(fault.times))


class Faults:
    """What is still to go wrong."""

    def __init__(self, *, allowed: bool) -> None:
        """Keep a list only where faults are allowed at all."""
        self.allowed = allowed
        self._pending: list[Fault] = []

    def plan(self, faults: Iterable[Fault]) -> None:
        """Replace what is to go wrong."""
        self._pending = list(faults)

    def take(self, tool: str, header: str | None) -> Fault | None:
        """Return the fault for this call, and count it as used."""
        if not self.allowed:
            return None
        if header is not None:
            return Fault.from_header(header)
        for position, fault in enumerate(self._pending):
            if fault.tool in (None, tool) and fault.times > 0:
                self._pending[position] = replace(fault, times=fault.times - 1)
                return fault
        return None

    def __len__(self) -> int:
        """Count what has not happened yet."""
        return sum(fault.times for fault in self._pending)


@dataclass(slots=True)
class Exchange:
    """One HTTP request on its way: where its tool leaves the fault that its answer suffers."""

    send: Send
    fault: Fault | None = None
    _replaced: bool = False

    async def forward(self, message: Message) -> None:
        """Send the answer, or what the fault puts in its place."""
        if self.fault is None or self.fault.kind not in REPLACES_ANSWER:
            await self.send(message)
        elif not self._replaced:
            self._replaced = True
            await self._send_instead(self.fault)

    @property
    def dropped(self) -> bool:
        """Whether the connection is to be closed without an answer."""
        return self.fault is not None and self.fault.kind is Kind.DROP

    async def _send_instead(self, fault: Fault) -> None:
        match fault.kind:
            case Kind.REDIRECT:
                await respond(self.send, 307, b"", {"location": fault.location})
            case Kind.UNAVAILABLE:
                await respond(self.send, 503, b'{"error": "unavailable"}')
            case Kind.GARBAGE:
                await respond(self.send, 200, b'{"jsonrpc": "2.0", "result": {"content": [<html>')
            case _:
                pass


async def suffer(fault: Fault, moment: Kind) -> None:
    """Wait, when it is this moment's delay."""
    if fault.kind is moment:
        await asyncio.sleep(fault.seconds)


async def respond(send: Send, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
    """Send a whole small answer."""
    fields = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        **(headers or {}),
    }
    raw = [(name.encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


def parse_plan(body: bytes) -> list[Fault]:
    """Parse the body of `PUT /faults`; raises ValueError, KeyError or TypeError."""
    entries = json.loads(body)
    if not isinstance(entries, list):
        raise TypeError("a list of faults is wanted")
    return [Fault.from_json(entry) for entry in entries]


def _seconds(value: str | float) -> float:
    seconds = float(value)
    if not 0 <= seconds <= MAX_SECONDS:
        raise ValueError(f"seconds must be between 0 and {MAX_SECONDS:.0f}")
    return seconds
