"""A ledger that cannot write: full, failing or locked. It says so, does nothing by halves, and gets over it."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.evidence_facts import call_record, run_record
from tests.support.memory_ledger import signer_for_tests
from tests.support.power_cut import Disk, RecordingVFS, connect_through

from remit.adapters import sqlite_ledger, sqlite_records, sqlite_schema
from remit.adapters.signing import ed25519_holds, signer_of
from remit.adapters.sqlite_ledger import SqliteLedger
from remit.adapters.sqlite_store import SqliteStore
from remit.core.notes import NoteError, open_checkpoint
from remit.ports import LedgerTransaction, LedgerUnavailableError

SIGNER = signer_for_tests()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
async def ledger(path: Path) -> AsyncIterator[SqliteLedger]:
    made = await SqliteLedger.open(path, SIGNER)
    yield made
    await made.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_schema, "BUSY_SECONDS", 0.05)


def spend(transaction: LedgerTransaction) -> int:
    run = transaction.run("run-1")
    spent = run.account.spent.tokens if run else 0
    transaction.put_run(run_record(spent=spent + 1))
    transaction.put_call(call_record(f"call-{spent}"))
    return transaction.append("run-1", b"{}" + b" " * 2000)


def spent(transaction: LedgerTransaction) -> tuple[int, int]:
    run = transaction.run("run-1")
    return run.account.spent.tokens if run else 0, len(transaction.calls("run-1"))


def size(store: SqliteStore) -> int:
    return open_checkpoint(store.note, SIGNER.verifier, ed25519_holds).size


def commit_all(store: SqliteStore, count: int) -> int:
    """Commit works one by one; return how many went through before the first that did not."""
    for number in range(count):
        try:
            store.commit([spend])
        except LedgerUnavailableError:
            return number
    return count


def test_a_full_disk_refuses_whole_groups_and_is_over_when_there_is_space(path: Path) -> None:
    disk = Disk()
    vfs = RecordingVFS(disk, "full")
    # Without write-back: APSW raises its errors, which SQLite itself passes over, out of a COMMIT that was done.
    store = SqliteStore(path, SIGNER, connect_through(vfs, checkpoint_pages=0))
    store.commit([spend])
    disk.bytes_left = 100_000
    done = 1 + commit_all(store, 1000)
    assert 1 < done < 1000
    for _ in range(3):
        with pytest.raises(LedgerUnavailableError, match="made durable"):
            store.commit([spend, spend])
    disk.bytes_left = None
    assert store.commit([spent])[0].value == (done, done)
    assert store.commit([spend])[0].value == done
    assert size(store) == done + 1
    store.close()
    again = SqliteStore(path, SIGNER)
    assert again.commit([spent])[0].value == (done + 1, done + 1)
    again.close()


def test_a_disk_that_cannot_sync_refuses_and_is_over_when_it_can(path: Path) -> None:
    disk = Disk()
    vfs = RecordingVFS(disk, "failing")
    store = SqliteStore(path, SIGNER, connect_through(vfs, checkpoint_pages=0))
    store.commit([spend])
    disk.failing_syncs = 1
    with pytest.raises(LedgerUnavailableError):
        store.commit([spend, spend])
    assert store.commit([spend])[0].value in {1, 3}
    before = size(store)
    assert store.commit([spent])[0].value == (before, before)
    store.close()


def test_a_disk_that_fails_for_good_keeps_refusing(path: Path) -> None:
    disk = Disk()
    vfs = RecordingVFS(disk, "dead")
    store = SqliteStore(path, SIGNER, connect_through(vfs))
    store.commit([spend])
    disk.failing_syncs = 100
    for _ in range(3):
        with pytest.raises(LedgerUnavailableError):
            store.commit([spend])
    disk.failing_syncs = 0
    assert commit_all(store, 3) == 3
    store.close()


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond the size: writes fail as on a broken disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_writes_that_really_fail_are_refused_and_got_over(path: Path) -> None:
    store = SqliteStore(path, SIGNER)
    with files_up_to(300_000):
        done = sum(commit_all(store, 1) for _ in range(200))
    assert 1 < done < 200
    assert store.commit([spend])[0].value == done
    assert store.commit([spent])[0].value == (done + 1, done + 1)
    assert size(store) == done + 1
    store.close()
    again = SqliteStore(path, SIGNER)
    assert again.commit([spent])[0].value == (done + 1, done + 1)
    again.close()


async def test_a_full_file_refuses_everyone_in_the_group(ledger: SqliteLedger) -> None:
    await ledger.transact(spend)
    connection = ledger._store._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
    outcomes = await asyncio.gather(*(ledger.transact(spend) for _ in range(20)), return_exceptions=True)
    assert any(isinstance(outcome, LedgerUnavailableError) for outcome in outcomes)
    good = 1 + sum(isinstance(outcome, int) for outcome in outcomes)
    assert await ledger.read(spent) == (good, good)
    connection.execute("PRAGMA max_page_count = 1000000").fetchall()
    assert await ledger.transact(spend) == good


def test_a_work_that_swallows_the_database_s_error_does_not_get_away_with_it(path: Path) -> None:
    disk = Disk()
    store = SqliteStore(path, SIGNER, connect_through(RecordingVFS(disk, "swallowing")))
    store._connection.execute("DROP TABLE calls")

    def careless(transaction: LedgerTransaction) -> str:
        transaction.put_run(run_record(spent=1))
        with pytest.raises(LedgerUnavailableError):
            transaction.put_call(call_record("call"))
        return "fine"

    with pytest.raises(LedgerUnavailableError):
        store.commit([careless])
    with pytest.raises(LedgerUnavailableError):
        store.commit([lambda transaction: transaction.put_call(call_record("call"))])
    assert store.commit([lambda transaction: transaction.put_run(run_record("run-2"))])[0].error is None
    assert store.commit([lambda transaction: transaction.run("run-1")])[0].value is None
    store.close()


@contextmanager
def stranger(path: Path) -> Iterator[sqlite3.Connection]:
    """Another program on the file, such as the sqlite3 shell of a person."""
    connection = sqlite3.connect(path, isolation_level=None)
    yield connection
    connection.close()


@pytest.mark.usefixtures("impatient")
async def test_a_locked_ledger_refuses_and_is_over_when_it_is_let_go(path: Path) -> None:
    ledger = await SqliteLedger.open(path, SIGNER)
    await ledger.transact(spend)
    with stranger(path) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnavailableError, match="locked"):
            await ledger.transact(spend)
        assert await ledger.read(spent) == (1, 1)
        other.execute("ROLLBACK")
    assert await ledger.transact(spend) == 1
    await ledger.close()


async def test_what_a_stranger_wrote_is_seen(ledger: SqliteLedger, path: Path) -> None:
    await ledger.transact(spend)
    with stranger(path) as other:
        other.execute("UPDATE runs SET record = replace(record, '\"tokens\":1', '\"tokens\":5')")
    run = await ledger.transact(lambda transaction: transaction.run("run-1"))
    assert run is not None
    assert run.account.spent.tokens == 5


async def test_evidence_that_a_stranger_altered_stops_the_ledger(ledger: SqliteLedger, path: Path) -> None:
    await ledger.transact(spend)
    with stranger(path) as other:
        other.execute("DELETE FROM entries")
    with pytest.raises(LedgerUnavailableError, match="altered outside"):
        await ledger.transact(spend)
    assert await ledger.read(spent) == (1, 1)


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("DELETE FROM entries WHERE position = 2", "altered outside"),
        ("DELETE FROM entries WHERE position = 0", "cannot be read"),
        ("UPDATE entries SET leaf = zeroblob(32) WHERE position = 0", "altered outside"),
        ("DELETE FROM checkpoints", "no checkpoint"),
        ("UPDATE checkpoints SET note = 'x'", "cannot be read"),
        ("PRAGMA user_version = 99", "newer Remit"),
    ],
)
async def test_a_ledger_that_was_altered_while_it_was_closed_is_not_opened(
    path: Path, statement: str, problem: str
) -> None:
    store = SqliteStore(path, SIGNER)
    store.commit([spend, spend, spend])
    store.close()
    with stranger(path) as other:
        other.execute(statement)
    with pytest.raises(LedgerUnavailableError, match=problem):
        await SqliteLedger.open(path, SIGNER)


def test_a_file_that_is_no_ledger_is_not_opened(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to be looked at as one" * 100)
    with pytest.raises(LedgerUnavailableError, match="cannot be opened"):
        SqliteStore(path, SIGNER)


async def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailableError, match="cannot be opened"):
        await SqliteLedger.open(tmp_path / "absent" / "ledger.db", SIGNER)


def test_a_failed_opening_lets_go_of_the_file(path: Path) -> None:
    path.write_bytes(b"x" * 5000)
    with pytest.raises(LedgerUnavailableError):
        SqliteStore(path, SIGNER)
    path.unlink()
    SqliteStore(path, SIGNER).close()


def test_a_file_system_without_write_ahead_log_is_refused(path: Path) -> None:
    def connect(_: Path) -> sqlite3.Connection:
        return sqlite3.connect(":memory:", isolation_level=None)

    with pytest.raises(LedgerUnavailableError, match="no write-ahead log"):
        SqliteStore(path, SIGNER, connect)


def test_what_a_work_asks_wrongly_is_its_own_fault(path: Path) -> None:
    store = SqliteStore(path, SIGNER)
    nothing = replace(call_record("k"), state=None)  # type: ignore[arg-type]
    wrong, doubled, good = store.commit(
        [
            lambda transaction: transaction.put_call(nothing),
            lambda transaction: transaction.append("run-1", None),  # type: ignore[arg-type]
            spend,
        ]
    )
    assert isinstance(wrong.error, sqlite3.IntegrityError)
    assert isinstance(doubled.error, TypeError)
    assert good.value == 0
    store.close()


def test_more_runs_than_are_kept_in_memory_are_all_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_records, "MAX_CACHED_RUNS", 2)
    store = SqliteStore(path, SIGNER)

    def put_all(transaction: LedgerTransaction) -> None:
        for number in range(5):
            transaction.put_run(run_record(f"run-{number}", spent=number))

    def undone(transaction: LedgerTransaction) -> None:
        for number in range(5):
            transaction.put_run(run_record(f"run-{number}", spent=99))
            transaction.run("run-0")
        raise KeyError

    def read_all(transaction: LedgerTransaction) -> list[int]:
        found = [transaction.run(f"run-{number}") for number in range(5)]
        return [run.account.spent.tokens for run in found if run is not None]

    store.commit([put_all, undone])
    assert store.commit([read_all])[0].value == [0, 1, 2, 3, 4]
    store.close()


async def test_too_many_waiting_are_refused_at_once(ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_ledger, "MAX_WAITING", 0)
    with pytest.raises(LedgerUnavailableError, match="too many"):
        await ledger.transact(spend)


async def test_a_full_group_leaves_the_rest_to_the_next(ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_ledger, "MAX_GROUP", 3)
    assert sorted(await asyncio.gather(*(ledger.transact(spend) for _ in range(20)))) == list(range(20))


async def test_another_signing_key_takes_the_log_over(path: Path) -> None:
    first = await SqliteLedger.open(path, SIGNER)
    await first.transact(spend)
    await first.close()
    rotated = signer_of(SIGNER.verifier.name, bytes(32))
    second = await SqliteLedger.open(path, rotated)
    note = await second.checkpoint()
    assert open_checkpoint(note, rotated.verifier, ed25519_holds).size == 1
    with pytest.raises(NoteError):
        open_checkpoint(note, SIGNER.verifier, ed25519_holds)
    await second.close()


async def test_a_cancelled_caller_does_not_stop_the_others(ledger: SqliteLedger) -> None:
    tasks = [asyncio.ensure_future(ledger.transact(spend)) for _ in range(10)]
    await asyncio.wait(tasks[:1])
    for task in tasks[1:4]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert await ledger.transact(spend) == 10
    assert sum(isinstance(outcome, int) for outcome in outcomes) >= 7


async def test_a_writer_s_own_fault_is_told_and_survived(ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(ledger._store._log, "seal", lambda: 1 / 0)
        with pytest.raises(LedgerUnavailableError, match="division"):
            await ledger.transact(spend)
    assert await ledger.transact(spend) == 0


async def test_closing_finishes_what_is_queued(path: Path) -> None:
    ledger = await SqliteLedger.open(path, SIGNER)
    waiting = [asyncio.ensure_future(ledger.transact(spend)) for _ in range(50)]
    await asyncio.wait(waiting[:1])
    await ledger.close()
    await ledger.close()
    assert sorted([await task for task in waiting]) == list(range(50))
