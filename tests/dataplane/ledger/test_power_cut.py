"""Power cuts: no acknowledged entry is lost with the production settings, and the simulator can tell.

One run of the real store through a recording disk, cut at hundreds of places, with chance deciding what of the
unsynced writes survives. Each time the files are opened by the production code on the real file system.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support.evidence_facts import call_record
from tests.support.memory_ledger import signer_for_tests
from tests.support.power_cut import Disk, RecordingVFS, connect_through, cuts

from remit.adapters.signing import ed25519_holds
from remit.adapters.sqlite_schema import connect_writer
from remit.adapters.sqlite_store import SqliteStore
from remit.core.budget import Account, Amount
from remit.core.notes import open_checkpoint
from remit.ports import LedgerTransaction, LedgerUnavailableError, RunRecord

GROUPS = 160
CUTS = 600
SIGNER = signer_for_tests()


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory whose syncs cost nothing: the disk is simulated above it."""
    shared = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as made:
        yield Path(made)


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What the callers of a group were told: entries in all, and what the run has spent."""

    entries: int
    spent: int


@dataclass
class Writing:
    """A ledger under way."""

    chance: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311 - repeatable
    entries: int = 0
    spent: int = 0

    def group(self, store: SqliteStore) -> Acknowledged:
        """Commit a few works, each of which spends one token, records a call and appends an entry."""
        works = [self.work(self.entries + place) for place in range(self.chance.randint(1, 4))]
        outcomes = store.commit(works)
        assert [outcome.error for outcome in outcomes] == [None] * len(works)
        self.entries += len(works)
        self.spent += len(works)
        return Acknowledged(self.entries, self.spent)

    def work(self, number: int) -> Callable[[LedgerTransaction], None]:
        body = b"entry %d " % number + b"x" * self.chance.randint(0, 3000)

        def spend(transaction: LedgerTransaction) -> None:
            run = transaction.run("run-1")
            spent = run.account.spent.tokens if run else 0
            transaction.put_run(RunRecord("run-1", "bank", "a", Account(0.0, spent=Amount(tokens=spent + 1))))
            transaction.put_call(call_record(f"call-{number}"))
            transaction.append("run-1", body)

        return spend


def recorded(directory: Path, synchronous: str) -> Disk:
    """Run the store on a recording disk."""
    disk = Disk()
    vfs = RecordingVFS(disk, f"recording-{synchronous}")
    store = SqliteStore(directory / "ledger.db", SIGNER, connect_through(vfs, synchronous=synchronous))
    disk.mark(Acknowledged(0, 0))
    writing = Writing()
    for _ in range(GROUPS):
        disk.mark(writing.group(store))
    store.close()
    return disk


def cut_ledgers(directory: Path, disk: Disk) -> Iterator[tuple[Acknowledged, Path]]:
    """Yield what was acknowledged before each cut, and the ledger that it left."""
    first = next(place for place, step in enumerate(disk.steps) if step.action == "mark")
    chance = random.Random(11)  # noqa: S311 - repeatable
    places = [chance.randint(first + 1, len(disk.steps)) for _ in range(CUTS)]
    for files, marks in cuts(disk, places, seed=13):
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        for name, content in files.items():
            (directory / name).write_bytes(content)
        yield marks[-1], directory / "ledger.db"


def opened(path: Path) -> Acknowledged:
    """Open what a cut left, by the production code, and read it: whole transactions, in order, under their head."""
    store = SqliteStore(path, SIGNER)
    head = open_checkpoint(store.note, SIGNER.verifier, ed25519_holds)
    run, calls = store.commit([lambda transaction: (transaction.run("run-1"), transaction.calls("run-1"))])[0].value
    store.close()
    rows = connect_writer(path).execute("SELECT position, body FROM entries ORDER BY position").fetchall()
    assert [(position, body.split(b" ")[1]) for position, body in rows] == [
        (number, b"%d" % number) for number in range(head.size)
    ]
    spent = run.account.spent.tokens if run else 0
    assert (spent, len(calls)) == (head.size, head.size), "half of a transaction is there"
    return Acknowledged(head.size, spent)


def lost(before: Acknowledged, path: Path) -> bool:
    """Tell whether something acknowledged is gone, or the ledger with it."""
    try:
        return opened(path).entries < before.entries
    except (AssertionError, LedgerUnavailableError, sqlite3.DatabaseError):
        return True


@pytest.mark.timeout(180)
def test_no_acknowledged_entry_is_lost_to_a_power_cut(memory: Path) -> None:
    disk = recorded(memory, "FULL")
    results = [(before, opened(path)) for before, path in cut_ledgers(memory / "cut", disk)]
    assert len(results) == CUTS
    assert [(before, after) for before, after in results if after.entries < before.entries] == []
    assert any(after.entries > before.entries for before, after in results), "no cut fell into a commit"


@pytest.mark.timeout(180)
@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
def test_the_simulated_disk_does_lose_what_is_not_synced(memory: Path, synchronous: str) -> None:
    disk = recorded(memory, synchronous)
    assert sum(lost(before, path) for before, path in cut_ledgers(memory / "cut", disk)) > CUTS // 10
