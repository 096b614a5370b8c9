"""Reads the apiserver's audit log: who wrote what, and what of it counts. Pure but for reading the file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
REVIEWS = frozenset(
    {
        "tokenreviews",
        "subjectaccessreviews",
        "selfsubjectaccessreviews",
        "localsubjectaccessreviews",
        "selfsubjectreviews",
    }
)


class Sort(StrEnum):
    """What kind of write it is."""

    OBJECT = "object"
    EVENT = "event"
    LEASE = "lease"
    REVIEW = "review"
    """Token and access reviews, and tokens themselves: questions in the shape of writes."""


@dataclass(frozen=True, slots=True)
class Write:
    """One request that wrote, or tried to."""

    user: str
    verb: str
    resource: str
    name: str
    at: float
    """Seconds since the epoch when the apiserver received it."""
    code: int

    @property
    def sort(self) -> Sort:
        """What kind of write it is."""
        if self.resource == "events":
            return Sort.EVENT
        if self.resource == "leases":
            return Sort.LEASE
        return Sort.REVIEW if self.resource in REVIEWS or self.resource.endswith("/token") else Sort.OBJECT

    def text(self) -> str:
        """Say it in few words."""
        failed = f" ({self.code})" if self.code >= 400 else ""  # noqa: PLR2004 - HTTP's border of errors
        return f"{self.verb} {self.resource}{failed}"


def writes(lines: Iterable[str]) -> Iterator[Write]:
    """Read the lines of an audit log; what is not a whole line of a write is passed over."""
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            # The last line may still be on its way.
            continue
        if event.get("stage") == "ResponseComplete" and event.get("verb") in WRITES and "objectRef" in event:
            yield write_of(event)


def write_of(event: dict[str, Any]) -> Write:
    """Read one audit event."""
    target = event["objectRef"]
    resource = "/".join(filter(None, (target.get("resource", ""), target.get("subresource", ""))))
    return Write(
        user=event["user"]["username"],
        verb=event["verb"],
        resource=resource,
        name=target.get("name", ""),
        at=datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp(),
        code=event.get("responseStatus", {}).get("code", 0),
    )


@dataclass(frozen=True, slots=True)
class Span:
    """Seconds since the epoch from a creation to its finish."""

    start: float
    end: float

    def holds(self, write: Write) -> bool:
        """Tell whether the write came within it."""
        return self.start <= write.at <= self.end


@dataclass(frozen=True, slots=True)
class Count:
    """The writes of some users: object writes within the span, those after it, and what is counted apart."""

    within: tuple[Write, ...]
    after: int
    apart: int
    everybody: int
    """Writes of all users within the span, Events too, without leases and reviews."""
    events: int = 0
    """Events among those apart."""
    everything: int = 0
    """Writes of these users within the span, of whatever sort."""

    def text(self) -> str:
        """Say which writes they are."""
        kinds = Counter(write.text() for write in self.within)
        return ", ".join(f"{number} x {kind}" for kind, number in sorted(kinds.items())) or "none"


def count(found: Iterable[Write], users: frozenset[str], span: Span) -> Count:
    """Count the writes of some users from a creation to its finish."""
    every = [write for write in found if write.at >= span.start]
    own = [write for write in every if write.user in users]
    objects = [write for write in own if write.sort is Sort.OBJECT]
    all_within = [write for write in every if span.holds(write)]
    return Count(
        within=tuple(write for write in objects if span.holds(write)),
        after=sum(not span.holds(write) for write in objects),
        apart=sum(span.holds(write) for write in own) - sum(span.holds(write) for write in objects),
        everybody=sum(write.sort in {Sort.OBJECT, Sort.EVENT} for write in all_within),
        events=sum(span.holds(write) and write.sort is Sort.EVENT for write in own),
        everything=sum(span.holds(write) for write in own),
    )


class Log:
    """The part of an audit log that is written from now on."""

    def __init__(self, path: Path) -> None:
        """Begin at the end of the file."""
        self._path = path
        self._from = path.stat().st_size

    def writes(self) -> list[Write]:
        """Return what was written since."""
        with self._path.open(encoding="utf-8") as file:
            # A smaller file is a new one: the apiserver turns its log over at 100 MB.
            file.seek(self._from if self._path.stat().st_size >= self._from else 0)
            return list(writes(file))
