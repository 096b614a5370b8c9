"""The ledger's writer over SQLite, without threads: groups of works, each group one durable commit.

A group is one transaction: all works, then one signed checkpoint over all that they appended, then COMMIT, which
returns once the bytes are on the disk. Works hardly ever raise: when one does, nothing of the group is kept, and it is
run again with every work in a savepoint of its own. That costs a group twice its time, and spares every other call four
statements. Nobody learns a result before that, not even of a
work that only read or that raised: it may rest on what a neighbour wrote. When the commit fails, all of it is gone.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from remit.adapters import sqlite_schema
from remit.adapters.crash import crash_point
from remit.adapters.signing import CheckpointSigner
from remit.adapters.sqlite_log import SqliteLog
from remit.adapters.sqlite_records import SqliteTransaction
from remit.adapters.sqlite_schema import Connect, Connection, connect_writer, prepare_writer, sync_directory
from remit.ports import LedgerTransaction, LedgerUnavailableError

Work = Callable[[LedgerTransaction], Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a work returned, or what it raised."""

    value: Any = None
    error: Exception | None = None


class _RaisedError(Exception):
    """A work raised: the group is run again."""


class SqliteStore:
    """The one writer of one ledger file."""

    def __init__(self, path: Path, signer: CheckpointSigner, connect: Connect = connect_writer) -> None:
        self._path = path
        self._signer = signer
        self._connect = connect
        self._lost = False
        self._version = -1
        self._size = 0
        try:
            with ExitStack() as undo:
                self._lock = _own(path)
                undo.callback(os.close, self._lock)
                self._attach()
                undo.callback(self._connection.close)
                sync_directory(path.parent)
                self._begin()
                self._finish()
                undo.pop_all()
        except (sqlite3.Error, OSError) as error:
            raise LedgerUnavailableError(f"the ledger at {path} cannot be opened: {error}") from error

    @property
    def note(self) -> str:
        """The latest signed checkpoint."""
        return self._log.note

    def commit(self, works: Sequence[Work]) -> list[Outcome]:
        """Run the works in order and make them durable together; raises LedgerUnavailableError, and then none is."""
        self.begin()
        outcomes = self.run(works)
        self.finish()
        return outcomes

    def begin(self) -> None:
        """Open a group; raises LedgerUnavailableError. May wait for the disk."""
        with self._guarded():
            self._begin()

    def begin_at_once(self) -> bool:
        """Open a group without waiting, and tell whether it is open: not while somebody else holds the file."""
        with self._guarded():
            self._connection.execute("PRAGMA busy_timeout = 0")
            try:
                self._begin()
            except sqlite3.OperationalError as error:
                if not _is_busy(error):
                    raise
                return False
            finally:
                self._connection.execute(f"PRAGMA busy_timeout = {int(sqlite_schema.BUSY_SECONDS * 1000)}")
        return True

    def run(self, works: Sequence[Work]) -> list[Outcome]:
        """Run the works of the open group in order, in memory but for what SQLite spills; raises as `begin`."""
        with self._guarded():
            return self._run(works)

    def finish(self) -> None:
        """Make the open group durable under a signed checkpoint; raises as `begin`. Waits for the disk."""
        with self._guarded():
            self._finish()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Leave the transaction when something fails in it, and say what its callers can act on."""
        try:
            yield
        except sqlite3.Error as error:
            self._recover(error)
            raise LedgerUnavailableError(f"nothing can be made durable now: {error}") from error
        except BaseException:
            self._recover(None)
            raise

    def close(self) -> None:
        """Close the file and let go of it."""
        self._connection.close()
        os.close(self._lock)

    def _begin(self) -> None:
        """Open the transaction, and read anew what somebody else may have changed."""
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        version = execute("PRAGMA data_version").fetchone()[0]
        if version != self._version:
            # Somebody else wrote to the file, or this is the first group: what is in memory counts for nothing.
            self._records.forget()
            self._log.load()
            self._version = version
        self._size = self._log.frontier.size

    def _run(self, works: Sequence[Work]) -> list[Outcome]:
        """Run the group, and again, each work by itself, when one of them raises."""
        try:
            return [self._together(work) for work in works]
        except _RaisedError:
            self._connection.execute("ROLLBACK")
            self._version = -1
            self._begin()
            return [self._one(work) for work in works]

    def _finish(self) -> None:
        """Sign what was appended, and commit."""
        if self._log.frontier.size != self._size:
            self._log.seal()
        crash_point("before-commit")
        self._connection.execute("COMMIT")
        crash_point("after-commit")

    def _together(self, work: Work) -> Outcome:
        """Run one work beside its neighbours."""
        try:
            value = work(self._records)
        except Exception as error:
            self._records.require_sound()
            raise _RaisedError from error
        self._records.require_sound()
        self._records.keep()
        return Outcome(value)

    def _one(self, work: Work) -> Outcome:
        """Run one work; if it raises, nothing of it remains."""
        execute = self._connection.execute
        frontier = self._log.frontier
        execute("SAVEPOINT work")
        try:
            value = work(self._records)
        except Exception as error:  # noqa: BLE001 - whatever a work raises belongs to its caller, not to the writer
            self._records.require_sound()
            execute("ROLLBACK TO work")
            execute("RELEASE work")
            self._records.undo()
            self._log.frontier = frontier
            return Outcome(error=error)
        self._records.require_sound()
        execute("RELEASE work")
        self._records.keep()
        return Outcome(value)

    def _recover(self, error: sqlite3.Error | None) -> None:
        """Leave the failed transaction; the next group reads everything anew."""
        self._version = -1
        self._lost = self._lost or (error is not None and _is_input_output(error))
        try:
            if self._lost:
                self._connection.close()
                self._attach()
                self._lost = False
            elif self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except (sqlite3.Error, LedgerUnavailableError):
            # Still broken: the next group fails, and comes here again.
            self._lost = True

    def _attach(self) -> None:
        """Open a connection with nothing in memory."""
        self._connection: Connection = self._connect(self._path)
        try:
            prepare_writer(self._connection)
        except BaseException:
            self._connection.close()
            raise
        self._log = SqliteLog(self._connection, self._signer)
        self._records = SqliteTransaction(self._connection, self._log)
        self._version = -1


def _own(path: Path) -> int:
    """Take the file for this process alone; the kernel lets go of it when the process ends."""
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise LedgerUnavailableError(
            f"another gateway has the ledger at {path}: one file has one writer, so this one does not start"
        ) from error
    return lock


def _is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def _is_input_output(error: sqlite3.Error) -> bool:
    """Tell whether the disk failed, as opposed to being full or locked."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_IOERR
