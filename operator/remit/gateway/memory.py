"""What this process remembers of live runs, so that a call need not ask the ledger: all of it is in the ledger too."""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from remit.core.digest import canonical
from remit.core.idempotency import CallKind, only_reads
from remit.ports import CallRecord, Ledger, RunRecord

MAX_RUNS: Final = 4096
MAX_TOOL_CALLS: Final = 256

ToolCall = tuple[str, str, str]
"""(shown tool name, digest of the arguments, call id)."""


Write = tuple[str, str, str]
"""Grant, tool and arguments' digest."""


@dataclass(slots=True)
class Remembered:
    """One run."""

    record: RunRecord | None = None
    asked: OrderedDict[tuple[str, str], str] = field(default_factory=OrderedDict)
    """Ids of the tool calls that the run's model asked for, by tool and arguments."""
    written: dict[Write, str] = field(default_factory=dict)
    """Ids of the writes that the run made, by grant, tool and arguments."""
    told_soft: bool = False
    exhausted_at: float | None = None
    """When the agent was first told that its budget is used up."""

    def note_asked(self, calls: tuple[ToolCall, ...]) -> None:
        """Remember what a model asked for; the oldest makes room."""
        for name, digest, call_id in calls:
            self.asked[name, digest] = call_id
            self.asked.move_to_end((name, digest))
        while len(self.asked) > MAX_TOOL_CALLS:
            self.asked.popitem(last=False)

    def claim_write(self, what: Write, call_id: str) -> str:
        """Remember that a write is made under this id; return the id under which it was made first."""
        return self.written.setdefault(what, call_id)

    def release_write(self, what: Write, call_id: str) -> None:
        """Forget a write that was not made after all."""
        if self.written.get(what) == call_id:
            del self.written[what]


class Memory:
    """All live runs of this process."""

    def __init__(self, ledger: Ledger) -> None:
        """Fill from this ledger."""
        self._ledger = ledger
        self._runs: OrderedDict[str, Remembered] = OrderedDict()

    def known(self, uid: str) -> Remembered | None:
        """Return what is remembered of a run, without asking."""
        return self._runs.get(uid)

    async def of(self, uid: str) -> Remembered:
        """Return what is remembered of a run; asks the ledger the first time."""
        remembered = self._runs.get(uid)
        if remembered is None:
            record, calls = await self._ledger.read(lambda tx: (tx.run(uid), tx.calls(uid)))
            remembered = self._runs.get(uid) or self._recall(uid, record, calls)
        return remembered

    def note_record(self, record: RunRecord) -> None:
        """Remember the newest record of a run: the one with the most entries."""
        remembered = self._runs.get(record.uid)
        if remembered is not None and (remembered.record is None or _newer(record, remembered.record)):
            remembered.record = record

    def runs(self) -> list[Remembered]:
        """Return all that is remembered."""
        return list(self._runs.values())

    def forget(self, uid: str) -> None:
        """Forget a run."""
        self._runs.pop(uid, None)

    def _recall(self, uid: str, record: RunRecord | None, calls: list[CallRecord]) -> Remembered:
        remembered = Remembered(record)
        for call in calls:
            kind: CallKind = "model" if call.kind == "model" else "tool"
            if not only_reads(kind, call.risk) and call.state != "failed":
                remembered.claim_write((call.grant, call.tool, call.arguments_digest), call.call_id)
            if call.kind == "model" and call.answer:
                remembered.note_asked(asked_in(call.answer))
        if len(self._runs) >= MAX_RUNS:
            self._runs.popitem(last=False)
        self._runs[uid] = remembered
        return remembered


def _newer(one: RunRecord, other: RunRecord) -> bool:
    return one.sequence >= other.sequence


def asked_bytes(calls: tuple[ToolCall, ...]) -> bytes:
    """Return what the ledger keeps of a model's answer: the tool calls that it asks for, without contents."""
    return canonical([list(call) for call in calls]) if calls else b""


def asked_in(kept: bytes) -> tuple[ToolCall, ...]:
    """Read what `asked_bytes` wrote."""
    return tuple((name, digest, call_id) for name, digest, call_id in json.loads(kept))
