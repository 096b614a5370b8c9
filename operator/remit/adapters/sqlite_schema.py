"""The SQLite file of the ledger: how it is opened, its tables, and how an older file comes forward.

Tables: `entries` are the log's leaves in order, `tiles` the roots of full groups of 256 (of leaves, of groups of 256,
and so on), from which every proof can be computed; `checkpoints` the signed heads; `bundles`, `runs` and `calls` what
decisions rest on. A run's money stands in columns, so that it can be summed by hand; the rest of a record is JSON.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from remit.ports import LedgerUnavailableError

BUSY_SECONDS = 2.0
"""How long a stranger's lock on the file is waited for; the gateway's own writer never waits."""

_VERSION_1 = """
CREATE TABLE entries (
    position INTEGER PRIMARY KEY,
    run_uid TEXT NOT NULL,
    leaf BLOB NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX entries_by_run ON entries (run_uid);
CREATE TABLE tiles (
    level INTEGER NOT NULL,
    position INTEGER NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (level, position)
) WITHOUT ROWID;
CREATE TABLE checkpoints (
    latest INTEGER PRIMARY KEY CHECK (latest = 1),
    note TEXT NOT NULL
);
CREATE TABLE bundles (
    digest TEXT PRIMARY KEY,
    document BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE runs (
    place INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    ended INTEGER NOT NULL,
    spent_tokens INTEGER NOT NULL,
    spent_tool_calls INTEGER NOT NULL,
    spent_cost_micro_usd INTEGER NOT NULL,
    held_tokens INTEGER NOT NULL,
    held_tool_calls INTEGER NOT NULL,
    held_cost_micro_usd INTEGER NOT NULL,
    overrun_tokens INTEGER NOT NULL,
    overrun_tool_calls INTEGER NOT NULL,
    overrun_cost_micro_usd INTEGER NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX runs_by_name ON runs (namespace, name);
CREATE INDEX runs_open ON runs (place) WHERE ended = 0;
CREATE TABLE calls (
    place INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    run_uid TEXT NOT NULL,
    state TEXT NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX calls_by_run ON calls (run_uid);
"""

_VERSION_2 = """
ALTER TABLE runs ADD COLUMN work TEXT NOT NULL DEFAULT '';
UPDATE runs SET work = 'name:' || namespace || '/' || name,
    record = json_set(record, '$.work', 'name:' || namespace || '/' || name);
CREATE INDEX runs_by_work ON runs (work) WHERE work <> '';
"""
"""Which piece of work a run does. Of the runs before it only the name is known (core/work.py: `unnamed_work`)."""

MIGRATIONS: tuple[str, ...] = (_VERSION_1, _VERSION_2)
"""Each script takes a file of the version that is its index to the next one. Only ever append."""


class Cursor(Protocol):
    """The part of a DB-API cursor that is used."""

    def fetchone(self) -> Any:
        """Return the next row or None."""

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""


class Connection(Protocol):
    """The part of sqlite3.Connection, in autocommit mode, that is used; its errors are sqlite3.Error."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Cursor:
        """Run one statement."""

    def close(self) -> None:
        """Close."""


Connect = Callable[[Path], Connection]


def connect_writer(path: Path) -> Connection:
    """Open the file for its one writer; used from one thread at a time, though not always the same one."""
    return sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=64
    )


def connect_reader(path: Path) -> Connection:
    """Open the existing file for reading."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def prepare_writer(connection: Connection) -> None:
    """Make every commit durable before it returns, and bring the tables to the newest version."""
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise LedgerUnavailableError(f"the ledger's file system gives no write-ahead log (journal mode {mode})")
    for setting in ("synchronous = FULL", "trusted_schema = OFF", "temp_store = MEMORY", "cache_size = -16384"):
        connection.execute(f"PRAGMA {setting}").fetchall()
    connection.execute("PRAGMA journal_size_limit = 67108864").fetchall()
    migrate(connection)


def migrate(connection: Connection) -> None:
    """Run the scripts that the file has not seen, all in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise LedgerUnavailableError(
            f"the ledger is of version {version}, written by a newer Remit; this one knows {len(MIGRATIONS)}"
        )
    for script in MIGRATIONS[version:]:
        for statement in filter(str.strip, script.split(";")):
            connection.execute(statement)
    if version < len(MIGRATIONS):
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    connection.execute("COMMIT")


def sync_directory(path: Path) -> None:
    """Make the names of the files durable: SQLite syncs what is in them."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
