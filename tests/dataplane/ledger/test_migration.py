"""A ledger that an older Remit wrote comes forward with all that it holds; one that a newer wrote is left alone."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.evidence_facts import call_record, run_record
from tests.support.memory_ledger import signer_for_tests

from remit.adapters.sqlite_ledger import SqliteLedger
from remit.adapters.sqlite_schema import MIGRATIONS
from remit.core.work import unnamed_work
from remit.ports import Ledger

SINCE_VERSION_2 = ("work", "ended_at", "recorded_from")
ROW = "INSERT INTO runs VALUES (?, ?, 'bank', ?, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, ?)"


def of_version_1(uid: str) -> dict[str, Any]:
    """A run's record as the first version wrote it."""
    whole: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(run_record(uid, spent=7)))
    return {field: value for field, value in whole.items() if field not in SINCE_VERSION_2}


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    """A ledger of version 1 with two runs and a call, opened by this version."""
    file = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    file.execute("PRAGMA journal_mode = WAL")
    file.executescript(MIGRATIONS[0])
    file.execute("PRAGMA user_version = 1")
    for place, uid in enumerate(("a", "b")):
        file.execute(ROW, (place, uid, f"dispute-{uid}", json.dumps(of_version_1(uid))))
    call = msgspec.json.encode(call_record("k", "a")).decode()
    file.execute("INSERT INTO calls VALUES (1, 'k', 'a', 'held', ?)", (call,))
    file.close()
    opened = await SqliteLedger.open(tmp_path / "ledger.db", signer_for_tests())
    yield opened
    await opened.close()


async def test_every_record_is_there_as_it_was(ledger: Ledger) -> None:
    runs = await ledger.read(lambda tx: tx.open_runs())
    assert [(run.uid, run.account.spent.tokens, run.ended_at, run.recorded_from) for run in runs] == [
        ("a", 7, 0.0, ""),
        ("b", 7, 0.0, ""),
    ]
    assert await ledger.read(lambda tx: tx.open_calls("a")) == [call_record("k", "a")]


async def test_what_a_run_did_is_known_by_its_name_alone(ledger: Ledger) -> None:
    (run,) = await ledger.read(lambda tx: tx.runs_of(unnamed_work("bank", "dispute-a")))
    assert (run.uid, run.work) == ("a", unnamed_work("bank", "dispute-a"))


async def test_records_are_written_on(ledger: Ledger) -> None:
    record = await ledger.transact(lambda tx: tx.run("b"))
    assert record is not None
    await ledger.transact(lambda tx: tx.put_run(record))
    assert await ledger.read(lambda tx: tx.run("b")) == record
    assert [run.uid for run in await ledger.read(lambda tx: tx.runs_of(record.work))] == ["b"]
