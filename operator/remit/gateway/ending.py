"""How runs end: no new call begins, those under way are cut and settled, the run-end entry is last, then the status.

Whoever ends a run first decides its reason. An end that was begun is finished at the next start.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from remit.adapters.logs import about
from remit.adapters.telemetry import Metrics
from remit.api.reasons import FINAL_RUN_REASONS, CallReason, RunReason
from remit.gateway.authority import Authority
from remit.gateway.background import RETRY_SECONDS, Background, at_last
from remit.gateway.call import Refused
from remit.gateway.flights import Flights
from remit.gateway.memory import Memory
from remit.gateway.settings import SETTLE_SECONDS
from remit.gateway.settlements import Closing, close_run
from remit.gateway.status import StatusWriter, final_status
from remit.gateway.store import RUN, Kind, Stored, pod_uid_of
from remit.gateway.takeovers import lost_writer
from remit.ports import Clock, Ledger, RunRecord

DELETED: Final = "the AgentRun was deleted"
CONTROLLERS: Final = frozenset(
    {
        RunReason.CANCELLED,
        RunReason.DEADLINE_EXCEEDED,
        RunReason.REVOKED,
        RunReason.FAILED,
        RunReason.DENIED,
    }
)

log = structlog.get_logger()


class Endings:
    """Ends runs, each once."""

    def __init__(
        self,
        *,
        clock: Clock,
        ledger: Ledger,
        authority: Authority,
        memory: Memory,
        flights: Flights,
        status: StatusWriter,
        metrics: Metrics,
    ) -> None:
        """Write to this ledger, then to this status."""
        self._clock = clock
        self._ledger = ledger
        self._authority = authority
        self._memory = memory
        self._flights = flights
        self._status = status
        self._metrics = metrics
        self._locks: dict[str, asyncio.Lock] = {}
        self._background = Background()
        authority.listen(self._on_change)

    def is_ending(self, uid: str) -> bool:
        """Tell whether the run's end has begun in this process."""
        return uid in self._locks

    async def end(self, uid: str, closing: Closing, *, patience_seconds: float = 0) -> RunRecord | None:
        """End a run and return its last record; None when nothing is known of it. Raises LedgerUnavailableError.

        Calls under way have `patience_seconds` to finish before they are cut.
        """
        lock = self._locks.setdefault(uid, asyncio.Lock())
        try:
            async with lock:
                refused = Refused(CallReason.RUN_NOT_ACTIVE, f"the run has ended: {closing.reason}")
                await self._flights.wait_run(uid, patience_seconds)
                await self._flights.cut_run(uid, refused, SETTLE_SECONDS)
                now = self._clock.now()
                record, fresh = await self._ledger.transact(
                    lambda tx: _closed(tx.run(uid), close_run(tx, uid, closing, now))
                )
        finally:
            if self._locks.get(uid) is lock and not lock.locked():
                del self._locks[uid]
        if record is not None:
            self._memory.note_record(record)
            if fresh:
                self._metrics.runs_ended.labels(record.outcome_reason).inc()
                self._metrics.spent.inc(record.account.spent.cost_micro_usd)
                self._metrics.overrun.inc(record.account.overrun.cost_micro_usd)
                with about(named(record)):
                    log.info("run ended", reason=record.outcome_reason)
                await self.publish(record)
        return record

    def end_soon(self, uid: str, closing: Closing) -> None:
        """End a run in the background, trying again while the ledger cannot be written."""
        self._background.spawn(self._end_at_last(uid, closing))

    async def publish(self, record: RunRecord) -> None:
        """Have the run's status say how it ended."""
        stored = self._authority.store.get(RUN, record.namespace, record.name)
        if stored is None or stored["metadata"]["uid"] != record.uid or record.recorded_from:
            return  # what a copy shows is another run's end: repeats.py tells it
        checkpoint = await self._ledger.checkpoint()
        own_end = (stored.get("status") or {}).get("reason") not in CONTROLLERS
        own_end = own_end or record.outcome_reason == RunReason.OUTCOME_UNKNOWN
        status = final_status(record, checkpoint, own_end=own_end)
        self._status.put(RUN, record.namespace, record.name, record.uid, status)

    async def catch_up(self, stored: Stored) -> None:
        """Bring the ledger and the status of one run to the same end, whoever decided it and whatever was lost."""
        uid, status = stored["metadata"]["uid"], stored.get("status") or {}
        tries = status.get("tries")
        record, calls = await self._ledger.read(lambda tx: (tx.run(uid), tx.calls(uid) if tries else []))
        if record is None:
            return
        reason = status.get("reason", "")
        lost = lost_writer(record, calls, pod_uid_of(stored))
        if not record.ended and (record.outcome_reason or reason in FINAL_RUN_REASONS):
            message = f"the controller ended the run: {reason}"
            await self._end_at_last(uid, Closing(RunReason(record.outcome_reason or reason), message))
        elif not record.ended and lost:
            await self._end_at_last(uid, Closing(RunReason.FAILED, lost))
        elif record.ended and "evidence" not in status:
            await self.publish(record)

    async def close(self) -> None:
        """Stop what is still being ended: the next start goes on."""
        await self._background.close()

    def _on_change(self, kind: Kind, old: Stored | None, new: Stored | None) -> None:
        if kind is not RUN:
            return
        if new is None:
            if old is not None:
                metadata = old["metadata"]
                self._background.spawn(self._end_deleted(metadata["namespace"], metadata["name"], metadata["uid"]))
        elif old is None or _final_reason(new) != _final_reason(old) or _tries(new) != _tries(old):
            self._background.spawn(at_last(lambda: self.catch_up(new)))

    def end_deleted_soon(self) -> None:
        """End the runs that were deleted while nobody watched, once the first view of all runs is there."""
        self._background.spawn(self._end_all_deleted())

    async def _end_all_deleted(self) -> None:
        authority = self._authority
        while not await authority.until(authority.is_fresh, RETRY_SECONDS):
            pass
        for record in await at_last(lambda: self._ledger.read(lambda tx: tx.open_runs())):
            stored = authority.store.get(RUN, record.namespace, record.name)
            if stored is None or stored["metadata"]["uid"] != record.uid:
                self._background.spawn(self._end_deleted(record.namespace, record.name, record.uid))

    async def _end_deleted(self, namespace: str, name: str, uid: str) -> None:
        """End a run that a watch no longer shows, when the apiserver itself says so: a list may show the past."""
        if await at_last(lambda: self._authority.uid_now(RUN, namespace, name)) != uid:
            await self._end_at_last(uid, Closing(RunReason.CANCELLED, DELETED))

    async def _end_at_last(self, uid: str, closing: Closing) -> None:
        await at_last(lambda: self.end(uid, closing))


def named(record: RunRecord) -> dict[str, str]:
    """Say which run a record is of, for the log."""
    return {"namespace": record.namespace, "run": record.name, "uid": record.uid}


def _closed(before: RunRecord | None, after: RunRecord | None) -> tuple[RunRecord | None, bool]:
    """Tell whether this was the transaction that ended the run."""
    return after, after is not None and not (before is not None and before.ended)


def _tries(stored: Stored) -> int:
    """Return how many pods of the run the infrastructure failed."""
    return len((stored.get("status") or {}).get("tries") or ())


def _final_reason(stored: Stored) -> str:
    reason: str = (stored.get("status") or {}).get("reason", "")
    return reason if reason in FINAL_RUN_REASONS else ""
