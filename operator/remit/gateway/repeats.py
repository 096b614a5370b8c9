"""Nothing is done twice: a run whose work the ledger knows from an earlier run executes nothing and shows its outcome.

The ledger alone knows, so this holds after etcd forgot. The look as soon as the watch brings a run is a courtesy, so
that normally no pod does anything; that of a run's first call, in the transaction that would begin it, is what counts.
"""

from __future__ import annotations

import structlog

from remit.api.reasons import FINAL_RUN_REASONS, RunReason
from remit.core.work import is_named, work_of
from remit.gateway.authority import Authority
from remit.gateway.background import Background, at_last
from remit.gateway.call import Run
from remit.gateway.callers import is_final, run_of
from remit.gateway.ending import DELETED, Endings, named
from remit.gateway.memory import Memory
from remit.gateway.settlements import Closing
from remit.gateway.status import StatusWriter, recorded_status
from remit.gateway.store import RUN, Kind, Stored
from remit.gateway.works import earlier_run, name_work, record_copy
from remit.ports import Clock, Ledger, LedgerTransaction, RunRecord

log = structlog.get_logger()


class Repeats:
    """Finds the runs whose work was done before, and has their status say so."""

    def __init__(
        self,
        *,
        clock: Clock,
        ledger: Ledger,
        authority: Authority,
        memory: Memory,
        endings: Endings,
        status: StatusWriter,
    ) -> None:
        """Look at every run that comes."""
        self._clock = clock
        self._ledger = ledger
        self._authority = authority
        self._memory = memory
        self._endings = endings
        self._status = status
        self._background = Background()
        authority.listen(self._on_change)

    def look_soon(self, stored: Stored) -> None:
        """Look at one run in the background, until the ledger could be asked."""
        self._background.spawn(at_last(lambda: self.look(stored)))

    async def look(self, stored: Stored) -> None:
        """Record a run whose work was done before as such; raises LedgerUnavailableError and ClusterError."""
        run = run_of(stored)
        if run is None:
            return
        work = work_of(run.namespace, run.name, run.spec)
        record, earlier = await self._ledger.read(lambda tx: _known(tx, run, work))
        if record is None and earlier is not None and run.reason not in FINAL_RUN_REASONS:
            record = await self._record(run, work, earlier)
        if record is not None and record.recorded_from:
            await self._publish(record, stored)
        else:
            await self._name(record, work)

    async def _name(self, record: RunRecord | None, work: str) -> None:
        """Write down which work a run does, where an older ledger kept it by its name alone."""
        if record is not None and record.work and not is_named(record.work):
            await self._ledger.transact(lambda tx: name_work(tx, record.uid, work))

    async def close(self) -> None:
        """Stop looking: the next start looks again."""
        await self._background.close()

    async def _record(self, run: Run, work: str, earlier: RunRecord) -> RunRecord | None:
        """Record a copy, once the run that did its work has ended: two of one name cannot both be there."""
        if not earlier.ended:
            if await self._authority.uid_now(RUN, run.namespace, run.name) != run.uid:
                return None
            await self._endings.end(earlier.uid, Closing(RunReason.CANCELLED, DELETED))
        now = self._clock.now()
        record = await self._ledger.transact(lambda tx: record_copy(tx, run, work, now))
        if record is not None and record.recorded_from:
            self._memory.note_record(record)
            log.info("work was done before", **named(record), by=record.recorded_from)
        return record

    async def _publish(self, record: RunRecord, stored: Stored) -> None:
        """Have the copy's status show what the other run came to."""
        if (stored.get("status") or {}).get("outcome"):
            return
        earlier = await self._ledger.read(lambda tx: tx.run(record.recorded_from))
        if earlier is not None:
            status = recorded_status(record, earlier, await self._ledger.checkpoint())
            self._status.put(RUN, record.namespace, record.name, record.uid, status)

    def _on_change(self, kind: Kind, old: Stored | None, new: Stored | None) -> None:
        if kind is not RUN:
            return
        if new is None and old is not None:
            self._background.spawn(at_last(lambda: self._name_gone(old)))
        elif old is None and new is not None and not is_final(new):
            self.look_soon(new)

    async def _name_gone(self, gone: Stored) -> None:
        """Keep of a run that was deleted what it was to do: its copy is known by that."""
        run = run_of(gone)
        if run is not None:
            record = await self._ledger.read(lambda tx: tx.run(run.uid))
            await self._name(record, work_of(run.namespace, run.name, run.spec))


def _known(tx: LedgerTransaction, run: Run, work: str) -> tuple[RunRecord | None, RunRecord | None]:
    """Return the run's own record; where it has none, that of the run that did its work."""
    record = tx.run(run.uid)
    return record, earlier_run(tx, run, work) if record is None else None
