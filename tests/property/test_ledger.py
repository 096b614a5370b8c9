"""The SQLite store against a model of it: holds, settlements, failures and crashes in any order.

A crash is what a kill leaves: the files as they are, opened anew. The model is a few dictionaries.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field, replace
from operator import methodcaller
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.support.evidence_facts import BUNDLE, BUNDLE_DIGEST, call_facts, call_record, decision_facts, run_facts
from tests.support.memory_ledger import signer_for_tests

from remit.adapters.signing import ed25519_holds
from remit.adapters.sqlite_log import export_run
from remit.adapters.sqlite_store import SqliteStore
from remit.core.budget import Account, Amount
from remit.core.evidence import Chain, Spot, denial_entry
from remit.core.merkle import inclusion_holds, leaf_hash
from remit.core.notes import open_checkpoint
from remit.ports import CallRecord, LedgerTransaction, RunRecord

SIGNER = signer_for_tests()
LIMIT = 110
RUNS = ("run-1", "run-2")
runs = st.sampled_from(RUNS)
amounts = st.integers(0, 40)


class RefusedError(Exception):
    """The budget does not allow it."""


@dataclass
class Model:
    """What must be there."""

    spent: dict[str, int] = field(default_factory=lambda: dict.fromkeys(RUNS, 0))
    holds: dict[str, tuple[str, int]] = field(default_factory=dict)
    entries: list[tuple[str, bytes]] = field(default_factory=list)

    def held(self, uid: str) -> int:
        return sum(amount for run, amount in self.holds.values() if run == uid)

    def hold(self, uid: str, key: str, amount: int) -> bool:
        if self.spent[uid] + self.held(uid) + amount > LIMIT:
            return False
        self.holds[key] = (uid, amount)
        return True


def entry(number: int) -> bytes:
    spot = Spot(Chain(number), 0.0, run_facts())
    return denial_entry(spot, call_facts(f"call-{number}"), decision_facts("Deny"))


@dataclass(frozen=True)
class Hold:
    """Reserve an amount in a run, with a record of the call and an entry."""

    uid: str
    key: str
    amount: int
    body: bytes
    stumble: bool

    def __call__(self, transaction: LedgerTransaction) -> None:
        run = transaction.run(self.uid)
        assert run is not None
        account = run.account
        transaction.put_run(moved(run, held=account.held.tokens + self.amount))
        transaction.put_call(replace(call_record(self.key, self.uid), hold={"tokens": self.amount}))
        transaction.append(self.uid, self.body)
        if self.stumble or account.spent.tokens + account.held.tokens + self.amount > LIMIT:
            raise RefusedError


@dataclass(frozen=True)
class Settle:
    """Turn a hold into money spent."""

    key: str
    used: int

    def __call__(self, transaction: LedgerTransaction) -> None:
        call = transaction.call(self.key)
        assert call is not None
        run = transaction.run(call.run_uid)
        assert run is not None
        account = run.account
        transaction.put_run(
            moved(run, spent=account.spent.tokens + self.used, held=account.held.tokens - call.hold["tokens"])
        )
        transaction.put_call(replace(call, state="done", answer=b"%d" % self.used))


def moved(run: RunRecord, *, spent: int | None = None, held: int | None = None) -> RunRecord:
    account = run.account
    return replace(
        run,
        account=replace(
            account,
            spent=account.spent if spent is None else Amount(tokens=spent),
            held=account.held if held is None else Amount(tokens=held),
        ),
    )


class LedgerMachine(RuleBasedStateMachine):
    """Drives the store and the model alike."""

    @initialize()
    def start(self) -> None:
        shared = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it
        self.directory = Path(tempfile.mkdtemp(dir=shared if shared.is_dir() else None))
        self.lives = 0
        self.calls = 0
        self.model = Model()
        self.store = SqliteStore(self.directory / "0.db", SIGNER)
        self.store.commit([lambda transaction: transaction.put_bundle(BUNDLE_DIGEST, BUNDLE)])
        self.store.commit([methodcaller("put_run", RunRecord(uid, "bank", uid, Account(0.0))) for uid in RUNS])

    @rule(wanted=st.lists(st.tuples(runs, amounts, st.integers(0, 9)), min_size=1, max_size=6))
    def hold_in_one_group(self, wanted: list[tuple[str, int, int]]) -> None:
        works = []
        for uid, amount, luck in wanted:
            self.calls += 1
            works.append(Hold(uid, f"call-{self.calls}", amount, entry(self.calls), stumble=luck == 0))
        outcomes = self.store.commit(works)
        for work, outcome in zip(works, outcomes, strict=True):
            allowed = not work.stumble and self.model.hold(work.uid, work.key, work.amount)
            assert (outcome.error is None) == allowed
            assert outcome.error is None or isinstance(outcome.error, RefusedError)
            if allowed:
                self.model.entries.append((work.uid, work.body))

    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        if not self.model.holds:
            return
        key = data.draw(st.sampled_from(sorted(self.model.holds)))
        uid, amount = self.model.holds.pop(key)
        used = data.draw(st.integers(0, amount))
        assert self.store.commit([Settle(key, used)])[0].error is None
        self.model.spent[uid] += used

    @rule()
    def crash(self) -> None:
        """Leave the store as a kill does, and open a copy of what is on the disk."""
        old = self.store
        self.lives += 1
        for suffix in ("", "-wal"):
            source = self.directory / f"{self.lives - 1}.db{suffix}"
            if source.exists():
                shutil.copy(source, self.directory / f"{self.lives}.db{suffix}")
        self.store = SqliteStore(self.directory / f"{self.lives}.db", SIGNER)
        old.close()

    @invariant()
    def the_books_agree(self) -> None:
        if not hasattr(self, "model"):
            return

        def look(transaction: LedgerTransaction) -> dict[str, tuple[RunRecord | None, list[CallRecord]]]:
            return {uid: (transaction.run(uid), transaction.open_calls(uid)) for uid in RUNS}

        for uid, (run, held) in self.store.commit([look])[0].value.items():
            assert run is not None
            assert (run.account.spent.tokens, run.account.held.tokens) == (self.model.spent[uid], self.model.held(uid))
            assert run.account.spent.tokens + run.account.held.tokens <= LIMIT
            assert {call.key for call in held} == {key for key, (of, _) in self.model.holds.items() if of == uid}

    @invariant()
    def the_log_agrees(self) -> None:
        if not hasattr(self, "model"):
            return
        head = open_checkpoint(self.store.note, SIGNER.verifier, ed25519_holds)
        assert head.size == len(self.model.entries)
        for uid in RUNS:
            export = export_run(self.store._connection, uid)
            assert [found.body for found in export.entries] == [body for of, body in self.model.entries if of == uid]
            for found, proof in zip(export.entries, export.proofs, strict=True):
                assert inclusion_holds(leaf_hash(found.body), found.index, head.size, proof=proof, root=head.root)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.directory)


LedgerMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestLedger = pytest.mark.timeout(180)(LedgerMachine.TestCase)
