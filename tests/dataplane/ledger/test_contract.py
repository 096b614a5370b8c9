"""The contract of the Ledger port: every store passes these, the fake included."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from operator import methodcaller
from pathlib import Path
from typing import Any

import pytest
from tests.support.evidence_facts import BUNDLE, BUNDLE_DIGEST, NOW, call_record, run_facts, run_record
from tests.support.memory_ledger import MemoryLedger, signer_for_tests

from remit.adapters.signing import ed25519_holds
from remit.adapters.sqlite_ledger import SqliteLedger
from remit.core.budget import Amount
from remit.core.evidence import Chain, Spot, bundle_entry
from remit.core.merkle import inclusion_holds, leaf_hash
from remit.core.notes import Checkpoint, open_checkpoint
from remit.ports import Ledger, LedgerTransaction, LedgerUnavailableError, ReadOnlyTransactionError

ENTRY = bundle_entry(Spot(Chain(), NOW, run_facts()), BUNDLE_DIGEST)


@pytest.fixture(params=["sqlite", "memory"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledger]:
    made: Ledger
    if request.param == "sqlite":
        made = await SqliteLedger.open(tmp_path / "ledger.db", signer_for_tests())
    else:
        made = MemoryLedger()
    yield made
    await made.close()


def opened(note: str) -> Checkpoint:
    return open_checkpoint(note, signer_for_tests().verifier, ed25519_holds)


def boom(transaction: LedgerTransaction) -> None:
    transaction.put_run(run_record("boom"))
    transaction.put_call(call_record("boom"))
    transaction.put_bundle("sha256:boom", b"boom")
    transaction.append("boom", ENTRY)
    raise KeyError("boom")


async def test_a_run_reads_as_it_was_written(ledger: Ledger) -> None:
    record = replace(
        run_record(spent=7), sequence=3, previous="ab", step=2, result=b'{"x":"\xc3\xa9"}', outcome_reason="Succeeded"
    )
    await ledger.transact(lambda transaction: transaction.put_run(record))
    assert await ledger.read(lambda transaction: transaction.run("run-1")) == record
    assert await ledger.transact(lambda transaction: transaction.run("run-1")) == record
    assert await ledger.read(lambda transaction: transaction.run("other")) is None


async def test_a_call_reads_as_it_was_written_and_changes_state(ledger: Ledger) -> None:
    held = call_record("k1")
    done = replace(held, state="done", answer=b"\x00\xff")
    await ledger.transact(lambda transaction: transaction.put_call(held))
    assert await ledger.read(lambda transaction: transaction.open_calls("run-1")) == [held]
    await ledger.transact(lambda transaction: transaction.put_call(done))
    assert await ledger.read(lambda transaction: transaction.call("k1")) == done
    assert await ledger.read(lambda transaction: transaction.open_calls("run-1")) == []


async def test_calls_are_the_run_s_own_oldest_first(ledger: Ledger) -> None:
    def work(transaction: LedgerTransaction) -> None:
        for key in ("z", "a", "m"):
            transaction.put_call(call_record(key))
        transaction.put_call(call_record("other", "run-2"))
        transaction.put_call(call_record("z", state="unknown"))

    await ledger.transact(work)
    calls = await ledger.read(lambda transaction: transaction.calls("run-1"))
    assert [(call.key, call.state) for call in calls] == [("z", "unknown"), ("a", "held"), ("m", "held")]
    held = await ledger.read(lambda transaction: transaction.open_calls("run-1"))
    assert [call.key for call in held] == ["a", "m"]


async def test_open_runs_are_those_that_have_not_ended(ledger: Ledger) -> None:
    def work(transaction: LedgerTransaction) -> None:
        for uid in ("b", "a", "c"):
            transaction.put_run(run_record(uid))
        transaction.put_run(run_record("a", ended=True))

    await ledger.transact(work)
    runs = await ledger.transact(lambda transaction: transaction.open_runs())
    assert [run.uid for run in runs] == ["b", "c"]


async def test_find_run_returns_the_newest_of_a_name(ledger: Ledger) -> None:
    for uid in ("first", "second"):
        record = run_record(uid, name="same")
        await ledger.transact(methodcaller("put_run", record))
    found = await ledger.find_run("bank", "same")
    assert found is not None
    assert found.uid == "second"
    assert await ledger.find_run("elsewhere", "same") is None


async def test_find_run_passes_over_the_copies_of_a_run(ledger: Ledger) -> None:
    await ledger.transact(lambda transaction: transaction.put_run(run_record("first", name="same")))
    copy = replace(run_record("copy", name="same", ended=True), recorded_from="first")
    await ledger.transact(lambda transaction: transaction.put_run(copy))
    found = await ledger.find_run("bank", "same")
    assert found is not None
    assert found.uid == "first"
    assert await ledger.read(lambda transaction: transaction.run("copy")) == copy


async def test_runs_are_found_by_the_work_that_they_do_oldest_first(ledger: Ledger) -> None:
    for uid, work in (("b", "sha256:aa"), ("a", "sha256:aa"), ("c", "sha256:bb"), ("d", "")):
        record = replace(run_record(uid), work=work)
        await ledger.transact(methodcaller("put_run", record))
    for ask in (ledger.read, ledger.transact):
        assert [run.uid for run in await ask(methodcaller("runs_of", "sha256:aa"))] == ["b", "a"]
        assert await ask(methodcaller("runs_of", "")) == []


async def test_the_work_of_a_run_may_be_written_down_later(ledger: Ledger) -> None:
    for work in ("name:bank/dispute-a", "sha256:aa"):
        record = replace(run_record("a"), work=work, ended_at=NOW)
        await ledger.transact(methodcaller("put_run", record))
    assert await ledger.read(methodcaller("runs_of", "name:bank/dispute-a")) == []
    assert await ledger.read(methodcaller("runs_of", "sha256:aa")) == [record]


async def test_a_bundle_is_read_as_it_was_kept(ledger: Ledger) -> None:
    await ledger.transact(lambda transaction: transaction.put_bundle(BUNDLE_DIGEST, BUNDLE))
    for ask in (ledger.read, ledger.transact):
        assert await ask(methodcaller("bundle", BUNDLE_DIGEST)) == BUNDLE
        assert await ask(methodcaller("bundle", "sha256:other")) is None


async def test_a_bundle_is_kept_once(ledger: Ledger) -> None:
    await ledger.transact(lambda transaction: transaction.put_bundle("sha256:aa", b"first"))
    await ledger.transact(lambda transaction: transaction.put_bundle("sha256:aa", b"first"))
    assert await ledger.read(lambda transaction: transaction.has_bundle("sha256:aa"))
    assert not await ledger.read(lambda transaction: transaction.has_bundle("sha256:bb"))


async def test_a_work_that_raises_leaves_nothing_and_is_heard_by_its_caller_alone(ledger: Ledger) -> None:
    def good(transaction: LedgerTransaction) -> int:
        return transaction.append("run-1", ENTRY)

    await ledger.transact(lambda transaction: transaction.put_run(run_record(spent=1)))
    works: list[Callable[[LedgerTransaction], Any]] = [good, boom, good]
    outcomes = await asyncio.gather(*(ledger.transact(work) for work in works), return_exceptions=True)
    assert outcomes[0] == 0
    assert isinstance(outcomes[1], KeyError)
    assert outcomes[2] == 1
    assert await ledger.transact(lambda transaction: transaction.run("boom")) is None
    assert await ledger.transact(lambda transaction: transaction.call("boom")) is None
    assert not await ledger.transact(lambda transaction: transaction.has_bundle("sha256:boom"))
    assert opened(await ledger.checkpoint()).size == 2


async def test_a_raise_puts_a_changed_run_back(ledger: Ledger) -> None:
    def change(transaction: LedgerTransaction) -> None:
        transaction.put_run(run_record(spent=99))
        transaction.put_run(run_record(spent=100))
        raise ValueError

    await ledger.transact(lambda transaction: transaction.put_run(run_record(spent=1)))
    with pytest.raises(ValueError):
        await ledger.transact(change)
    run = await ledger.transact(lambda transaction: transaction.run("run-1"))
    assert run is not None
    assert run.account.spent == Amount(tokens=1)


async def test_a_work_sees_its_own_writes(ledger: Ledger) -> None:
    def work(transaction: LedgerTransaction) -> tuple[bool, int, int]:
        transaction.put_run(run_record())
        transaction.put_call(call_record("k"))
        return transaction.run("run-1") is not None, len(transaction.open_runs()), len(transaction.calls("run-1"))

    assert await ledger.transact(work) == (True, 1, 1)


@pytest.mark.parametrize(
    "write",
    [
        lambda transaction: transaction.put_run(run_record()),
        lambda transaction: transaction.put_call(call_record("k")),
        lambda transaction: transaction.put_bundle("sha256:aa", b""),
        lambda transaction: transaction.append("run-1", ENTRY),
    ],
)
async def test_a_reading_cannot_write(ledger: Ledger, write: Any) -> None:
    with pytest.raises(ReadOnlyTransactionError):
        await ledger.read(write)
    assert opened(await ledger.checkpoint()).size == 0


async def test_every_acknowledged_entry_is_under_the_checkpoint(ledger: Ledger) -> None:
    bodies = [bundle_entry(Spot(Chain(n, "aa"), NOW, run_facts()), BUNDLE_DIGEST) for n in range(300)]
    await ledger.transact(lambda transaction: transaction.put_bundle(BUNDLE_DIGEST, BUNDLE))
    indexes = [await ledger.transact(methodcaller("append", "run-1", body)) for body in bodies[:40]]
    indexes += await asyncio.gather(*(ledger.transact(methodcaller("append", "run-1", body)) for body in bodies[40:]))
    assert indexes == list(range(300))
    export = await ledger.export("run-1")
    head = opened(export.checkpoint)
    assert [entry.body for entry in export.entries] == bodies
    for entry, proof in zip(export.entries, export.proofs, strict=True):
        assert inclusion_holds(leaf_hash(entry.body), entry.index, head.size, proof=proof, root=head.root)
    assert export.bundles == {BUNDLE_DIGEST: BUNDLE}


async def test_an_export_holds_one_run_only(ledger: Ledger) -> None:
    def work(transaction: LedgerTransaction) -> None:
        transaction.put_bundle(BUNDLE_DIGEST, BUNDLE)
        for uid in ("run-1", "run-2", "run-1"):
            transaction.append(uid, ENTRY)

    await ledger.transact(work)
    assert [entry.index for entry in (await ledger.export("run-1")).entries] == [0, 2]
    assert (await ledger.export("nobody")).entries == ()


async def test_a_run_whose_bundle_is_not_kept_is_not_exported(ledger: Ledger) -> None:
    await ledger.transact(lambda transaction: transaction.append("run-1", ENTRY))
    with pytest.raises(LedgerUnavailableError, match=BUNDLE_DIGEST):
        await ledger.export("run-1")


async def test_the_empty_log_has_a_checkpoint(ledger: Ledger) -> None:
    assert opened(await ledger.checkpoint()).size == 0


async def test_after_close_nothing_is_taken(ledger: Ledger) -> None:
    await ledger.close()
    with pytest.raises(LedgerUnavailableError):
        await ledger.transact(lambda transaction: transaction.put_run(run_record()))
    with pytest.raises(LedgerUnavailableError):
        await ledger.read(lambda transaction: transaction.run("run-1"))


async def test_a_thousand_spenders_at_once_never_overspend(ledger: Ledger) -> None:
    limit = 700

    def spend(transaction: LedgerTransaction) -> bool:
        run = transaction.run("run-1")
        assert run is not None
        spent = run.account.spent.tokens
        if spent + 3 > limit:
            return False
        transaction.put_run(run_record(spent=spent + 3))
        return True

    await ledger.transact(lambda transaction: transaction.put_run(run_record()))
    taken = await asyncio.gather(*(ledger.transact(spend) for _ in range(1000)))
    assert sum(taken) == limit // 3
    run = await ledger.read(lambda transaction: transaction.run("run-1"))
    assert run is not None
    assert run.account.spent.tokens == limit // 3 * 3
