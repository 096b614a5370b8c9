"""Runs, calls and bundles in the SQLite ledger, as one transaction shows them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from remit.adapters.sqlite_log import SqliteLog
from remit.adapters.sqlite_schema import Connection, Cursor
from remit.core.budget import Amount
from remit.ports import CallRecord, LedgerUnavailableError, ReadOnlyTransactionError, RunRecord

MAX_CACHED_RUNS = 4096

_OWN_FAULTS = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.DataError)
"""Faults of what a work asked for; every other error of SQLite is the file's, and ends the group."""

_encoder = msgspec.json.Encoder()
_run_decoder = msgspec.json.Decoder(RunRecord)
_call_decoder = msgspec.json.Decoder(CallRecord)

_PUT_RUN = """
INSERT INTO runs (uid, namespace, name, ended, work,
    spent_tokens, spent_tool_calls, spent_cost_micro_usd,
    held_tokens, held_tool_calls, held_cost_micro_usd,
    overrun_tokens, overrun_tool_calls, overrun_cost_micro_usd, record)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (uid) DO UPDATE SET ended = excluded.ended, work = excluded.work,
    spent_tokens = excluded.spent_tokens, spent_tool_calls = excluded.spent_tool_calls,
    spent_cost_micro_usd = excluded.spent_cost_micro_usd,
    held_tokens = excluded.held_tokens, held_tool_calls = excluded.held_tool_calls,
    held_cost_micro_usd = excluded.held_cost_micro_usd,
    overrun_tokens = excluded.overrun_tokens, overrun_tool_calls = excluded.overrun_tool_calls,
    overrun_cost_micro_usd = excluded.overrun_cost_micro_usd, record = excluded.record
"""
_NEWEST_RUN = """
SELECT record FROM runs WHERE namespace = ? AND name = ? AND coalesce(json_extract(record, '$.recorded_from'), '') = ''
ORDER BY place DESC LIMIT 1
"""
_PUT_CALL = """
INSERT INTO calls (key, run_uid, state, record) VALUES (?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET state = excluded.state, record = excluded.record
"""


class SqliteReading:
    """LedgerTransaction over a snapshot: it refuses to write."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def run(self, uid: str) -> RunRecord | None:
        """Return the run's record."""
        row = self._execute("SELECT record FROM runs WHERE uid = ?", (uid,)).fetchone()
        return _run_decoder.decode(row[0]) if row else None

    def put_run(self, record: RunRecord) -> None:
        """Refuse."""
        raise ReadOnlyTransactionError(f"a reading cannot write the run {record.uid}")

    def call(self, key: str) -> CallRecord | None:
        """Return the call's record."""
        row = self._execute("SELECT record FROM calls WHERE key = ?", (key,)).fetchone()
        return _call_decoder.decode(row[0]) if row else None

    def put_call(self, record: CallRecord) -> None:
        """Refuse."""
        raise ReadOnlyTransactionError(f"a reading cannot write the call {record.key}")

    def open_calls(self, run_uid: str) -> list[CallRecord]:
        """Return the run's calls in state held, oldest first."""
        rows = self._execute(
            "SELECT record FROM calls WHERE run_uid = ? AND state = 'held' ORDER BY place", (run_uid,)
        ).fetchall()
        return [_call_decoder.decode(row[0]) for row in rows]

    def calls(self, run_uid: str) -> list[CallRecord]:
        """Return all the run's calls, oldest first."""
        rows = self._execute("SELECT record FROM calls WHERE run_uid = ? ORDER BY place", (run_uid,)).fetchall()
        return [_call_decoder.decode(row[0]) for row in rows]

    def open_runs(self) -> list[RunRecord]:
        """Return the runs that have not ended."""
        rows = self._execute("SELECT record FROM runs WHERE ended = 0 ORDER BY place").fetchall()
        return [_run_decoder.decode(row[0]) for row in rows]

    def newest_run(self, namespace: str, name: str) -> RunRecord | None:
        """Return the newest run of that name that is no copy of an earlier one."""
        row = self._execute(_NEWEST_RUN, (namespace, name)).fetchone()
        return _run_decoder.decode(row[0]) if row else None

    def runs_of(self, work: str) -> list[RunRecord]:
        """Return the runs that do this piece of work, oldest first."""
        rows = self._execute("SELECT record FROM runs WHERE work = ? AND work <> '' ORDER BY place", (work,)).fetchall()
        return [_run_decoder.decode(row[0]) for row in rows]

    def has_bundle(self, digest: str) -> bool:
        """Tell whether the bytes of the bundle are kept."""
        return self._execute("SELECT 1 FROM bundles WHERE digest = ?", (digest,)).fetchone() is not None

    def bundle(self, digest: str) -> bytes | None:
        """Return the canonical bytes of a bundle that is kept."""
        row = self._execute("SELECT document FROM bundles WHERE digest = ?", (digest,)).fetchone()
        return bytes(row[0]) if row else None

    def put_bundle(self, digest: str, document: bytes) -> None:
        """Refuse."""
        raise ReadOnlyTransactionError(f"a reading cannot keep the {len(document)} bytes of {digest}")

    def last_entry(self, run_uid: str) -> bytes | None:
        """Return the newest entry under this owner."""
        row = self._execute(
            "SELECT body FROM entries WHERE run_uid = ? ORDER BY position DESC LIMIT 1", (run_uid,)
        ).fetchone()
        return bytes(row[0]) if row else None

    def append(self, run_uid: str, body: bytes) -> int:
        """Refuse."""
        raise ReadOnlyTransactionError(f"a reading cannot append {len(body)} bytes to the run {run_uid}")

    def _execute(self, sql: str, parameters: Sequence[Any] = ()) -> Cursor:
        """Run one statement."""
        return self._connection.execute(sql, parameters)


class SqliteTransaction(SqliteReading):
    """LedgerTransaction of the writer. Records of live runs are kept in memory, written through."""

    def __init__(self, connection: Connection, log: SqliteLog) -> None:
        super().__init__(connection)
        self._log = log
        self._runs: dict[str, RunRecord] = {}
        self._before: dict[str, RunRecord | None] = {}
        self._fault: sqlite3.Error | None = None

    def run(self, uid: str) -> RunRecord | None:
        """Return the run's record."""
        record = self._runs.get(uid)
        if record is None:
            record = super().run(uid)
            if record is not None:
                self._remember(record)
        return record

    def put_run(self, record: RunRecord) -> None:
        """Store the run's record."""
        self._before.setdefault(record.uid, self._runs.get(record.uid))
        account = record.account
        self._execute(
            _PUT_RUN,
            (
                record.uid,
                record.namespace,
                record.name,
                record.ended,
                record.work,
                *_columns(account.spent),
                *_columns(account.held),
                *_columns(account.overrun),
                _encoder.encode(record).decode(),
            ),
        )
        self._remember(record)

    def put_call(self, record: CallRecord) -> None:
        """Store the call's record."""
        self._execute(_PUT_CALL, (record.key, record.run_uid, record.state, _encoder.encode(record).decode()))

    def put_bundle(self, digest: str, document: bytes) -> None:
        """Keep a bundle's canonical bytes by their digest."""
        self._execute("INSERT OR IGNORE INTO bundles VALUES (?, ?)", (digest, document))

    def append(self, run_uid: str, body: bytes) -> int:
        """Append an entry to the log and return its index."""
        try:
            return self._log.append(run_uid, body)
        except _OWN_FAULTS:
            raise
        except sqlite3.Error as error:
            self._fault = error
            raise LedgerUnavailableError("nothing can be made durable now") from error

    def keep(self) -> None:
        """Take the work's writes as done."""
        self._before.clear()

    def undo(self) -> None:
        """Put back what was in memory before the work."""
        for uid, record in self._before.items():
            if record is None:
                self._runs.pop(uid, None)
            else:
                self._runs[uid] = record
        self._before.clear()

    def forget(self) -> None:
        """Drop what is in memory."""
        self._runs.clear()
        self._before.clear()
        self._fault = None

    def require_sound(self) -> None:
        """Raise the database's error that a work met, also when the work took it for its own and went on."""
        if self._fault is not None:
            fault, self._fault = self._fault, None
            raise fault

    def _remember(self, record: RunRecord) -> None:
        """Keep the record; the oldest makes room."""
        if record.uid not in self._runs and len(self._runs) >= MAX_CACHED_RUNS:
            del self._runs[next(iter(self._runs))]
        self._runs[record.uid] = record

    def _execute(self, sql: str, parameters: Sequence[Any] = ()) -> Cursor:
        """Run one statement; its error ends the whole group."""
        try:
            return self._connection.execute(sql, parameters)
        except _OWN_FAULTS:
            raise
        except sqlite3.Error as error:
            self._fault = error
            raise LedgerUnavailableError("nothing can be made durable now") from error


def _columns(amount: Amount) -> tuple[int, int, int]:
    """The columns of an amount."""
    return amount.tokens, amount.tool_calls, amount.cost_micro_usd
