"""The Ledger port over one SQLite file: one writing thread with natural group commit, one reading thread.

While the disk takes one group, the works that come in queue up and become the next group: one commit, one signature
and one wake-up of the event loop for all of them, and no waiting when there is only one.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
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
        self._queue: SimpleQueue[_Request | None] = SimpleQueue()
        self._closed = False
        self._reading = ThreadPoolExecutor(1, "ledger-reader")
        self._writing = threading.Thread(target=self._write, name="ledger-writer", daemon=True)
        self._writing.start()

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

        return await asyncio.to_thread(start)

    async def transact(self, work: Callable[[LedgerTransaction], Result]) -> Result:
        """Run `work` and return its result once all that it wrote is durable and under a signed checkpoint.

        Cancelling the caller does not take the work back.
        """
        if self._closed or self._queue.qsize() >= MAX_WAITING:
            raise LedgerUnavailableError("the ledger is closed" if self._closed else "too many wait for the ledger")
        future: asyncio.Future[Result] = self._loop.create_future()
        self._queue.put(_Request(work, future))
        return await future

    async def read(self, work: Callable[[LedgerTransaction], Result]) -> Result:
        """Run `work` on a snapshot of what is durable; its writes are refused."""
        return await self._read(lambda connection: work(SqliteReading(connection)))

    async def export(self, run_uid: str) -> RunExport:
        """Return all that proves the run, under the latest checkpoint."""
        return await self._read(lambda connection: export_run(connection, run_uid))

    async def checkpoint(self) -> str:
        """Return the latest signed checkpoint."""
        return self._note

    async def find_run(self, namespace: str, name: str) -> RunRecord | None:
        """Return the newest run of that name."""
        return await self._read(lambda connection: SqliteReading(connection).newest_run(namespace, name))

    async def close(self) -> None:
        """Finish what is queued and close."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._writing.join)
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

    def _write(self) -> None:
        """The writing thread: group after group until the end mark."""
        last = False
        while not last:
            group, last = self._next_group()
            if group:
                self._deliver(group, self._commit(group))

    def _next_group(self) -> tuple[list[_Request], bool]:
        """Wait for one request, and take those that are there; True when the end mark was among them."""
        request = self._queue.get()
        group: list[_Request] = []
        try:
            while request is not None:
                group.append(request)
                if len(group) == MAX_GROUP:
                    return group, False
                request = self._queue.get_nowait()
        except Empty:
            return group, False
        return group, True

    def _commit(self, group: Sequence[_Request]) -> list[Outcome]:
        """Commit the group; a failure is everybody's."""
        try:
            outcomes = self._store.commit([request.work for request in group])
        except Exception as error:  # noqa: BLE001 - the writing thread outlives every fault: its callers must hear of it
            return [Outcome(error=_unavailable(error)) for _ in group]
        self._note = self._store.note
        return outcomes

    def _deliver(self, group: Sequence[_Request], outcomes: Sequence[Outcome]) -> None:
        """Hand the outcomes back, with one wake-up of the event loop, if it is still there."""
        if not self._loop.is_closed():
            futures = [request.future for request in group]
            self._loop.call_soon_threadsafe(_resolve, list(zip(futures, outcomes, strict=True)))


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
