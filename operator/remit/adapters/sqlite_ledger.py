"""The Ledger port over one SQLite file: one writer with natural group commit, one reading thread.

While the disk takes one group, the works that come in queue up and become the next group: one commit, one signature
and one wake-up of the event loop for all of them, and no waiting when there is only one.

Works run on the event loop, in memory; what waits for the disk, the commit, runs on a thread beside it. (Works on
that thread fought the loop for the interpreter at each statement: a fifth of the CPU of a governed call.)
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from remit.adapters.signing import CheckpointSigner
from remit.adapters.sqlite_log import export_run
from remit.adapters.sqlite_records import SqliteReading
from remit.adapters.sqlite_schema import Connect, Connection, connect_reader, connect_writer
from remit.adapters.sqlite_store import Outcome, SqliteStore
from remit.ports import LedgerTransaction, LedgerUnavailableError, Result, RunExport, RunRecord

MAX_GROUP = 256
MAX_WAITING = 16_384


@dataclass(frozen=True, slots=True)
class _Request:
    """A work, and who waits for it."""

    work: Callable[[LedgerTransaction], Any]
    future: asyncio.Future[Any]


class SqliteLedger:
    """Ledger over SQLite. Opened with `open`, and used, from one event loop."""

    def __init__(self, store: SqliteStore, reader: Connection, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._store = store
        self._reader = reader
        self._note = store.note
        self._waiting: deque[_Request] = deque()
        self._arrived = asyncio.Event()
        self._closed = False
        self._reading = ThreadPoolExecutor(1, "ledger-reader")
        self._disk = ThreadPoolExecutor(1, "ledger-writer")
        self._writing: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, path: Path, signer: CheckpointSigner, connect: Connect = connect_writer) -> SqliteLedger:
        """Open or make the file; raises LedgerUnavailableError, at once when another process has it."""
        loop = asyncio.get_running_loop()

        def start() -> SqliteLedger:
            store = SqliteStore(path, signer, connect)
            try:
                return cls(store, connect_reader(path), loop)
            except sqlite3.Error as error:
                store.close()
                raise LedgerUnavailableError(f"the ledger at {path} cannot be read: {error}") from error

        ledger = await asyncio.to_thread(start)
        ledger.start_writing()
        return ledger

    def start_writing(self) -> None:
        """Begin to commit; `open` does it."""
        self._writing = self._loop.create_task(self._write(), name="ledger-writer")

    async def transact(self, work: Callable[[LedgerTransaction], Result]) -> Result:
        """Run `work` and return its result once all that it wrote is durable and under a signed checkpoint.

        Cancelling the caller does not take the work back.
        """
        if self._closed or len(self._waiting) >= MAX_WAITING:
            raise LedgerUnavailableError("the ledger is closed" if self._closed else "too many wait for the ledger")
        future: asyncio.Future[Result] = self._loop.create_future()
        self._waiting.append(_Request(work, future))
        self._arrived.set()
        return await future

    async def read(self, work: Callable[[LedgerTransaction], Result]) -> Result:
        """Run `work` on a snapshot of what is durable; its writes are refused."""
        return await self._read(lambda connection: work(SqliteReading(connection)))

    async def export(self, run_uid: str, owners: Sequence[str] = ()) -> RunExport:
        """Return all that proves the run, under the latest checkpoint."""
        return await self._read(lambda connection: export_run(connection, run_uid, owners))

    async def checkpoint(self) -> str:
        """Return the latest signed checkpoint."""
        return self._note

    async def find_run(self, namespace: str, name: str) -> RunRecord | None:
        """Return the newest run of that name that is no copy of an earlier one."""
        return await self._read(lambda connection: SqliteReading(connection).newest_run(namespace, name))

    async def close(self) -> None:
        """Finish what is queued and close."""
        if self._closed:
            return
        self._closed = True
        self._arrived.set()
        if self._writing is not None:
            await self._writing
        await asyncio.to_thread(self._disk.shutdown)
        await asyncio.to_thread(self._reading.shutdown)
        self._reader.close()
        self._store.close()

    async def _read(self, look: Callable[[Connection], Result]) -> Result:
        """Run `look` in one read transaction on the reading thread."""
        if self._closed:
            raise LedgerUnavailableError("the ledger is closed")
        return await self._loop.run_in_executor(self._reading, self._snapshot, look)

    def _snapshot(self, look: Callable[[Connection], Result]) -> Result:
        """Run `look` in one read transaction."""
        try:
            self._reader.execute("BEGIN")
            try:
                return look(self._reader)
            finally:
                self._reader.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise LedgerUnavailableError(f"the ledger cannot be read now: {error}") from error

    async def _write(self) -> None:
        """Commit group after group until the ledger is closed and nobody waits any more."""
        while group := await self._next_group():
            outcomes = await self._commit(group)
            _resolve([(request.future, outcome) for request, outcome in zip(group, outcomes, strict=True)])

    async def _next_group(self) -> list[_Request]:
        """Wait for one request, and take those that are there; nothing at the end."""
        while not self._waiting:
            if self._closed:
                return []
            self._arrived.clear()
            await self._arrived.wait()
        return [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_GROUP))]

    async def _commit(self, group: Sequence[_Request]) -> list[Outcome]:
        """Commit the group; a failure is everybody's."""
        store, beside = self._store, self._loop.run_in_executor
        try:
            if not store.begin_at_once():
                await beside(self._disk, store.begin)
            outcomes = store.run([request.work for request in group])
            await beside(self._disk, store.finish)
        except Exception as error:  # noqa: BLE001 - the writer outlives every fault: its callers must hear of it
            return [Outcome(error=_unavailable(error)) for _ in group]
        self._note = store.note
        return outcomes


def _resolve(pairs: Sequence[tuple[asyncio.Future[Any], Outcome]]) -> None:
    """Give each waiting caller its outcome."""
    for future, outcome in pairs:
        if future.done():
            continue
        if outcome.error is None:
            future.set_result(outcome.value)
        else:
            future.set_exception(outcome.error)


def _unavailable(error: Exception) -> LedgerUnavailableError:
    """An exception for one caller alone: each gathers a traceback of its own."""
    own = LedgerUnavailableError(str(error))
    own.__cause__ = error
    return own
