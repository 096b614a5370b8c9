"""A run that is deleted and made again executes nothing: it shows what the ledger knows, and its calls are refused."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.fake_authority import RUN_UID
from tests.support.fake_upstream import FakeUpstream, hang_up, upstream
from tests.support.gateway_process import Served, reason_of, served
from tests.support.governed import CHAT, a_chat
from tests.support.memory_ledger import signer_for_tests
from tests.support.polling import eventually_async
from tests.support.repeated import (
    COPY_POD,
    COPY_UID,
    GOOD,
    a_copy,
    after,
    delete,
    ended,
    executed,
    make_again,
    outcome,
)

from remit.adapters.evidence_export import export_document
from remit.adapters.sqlite_ledger import SqliteLedger
from remit.cli.evidence import exported_files, verify_export
from remit.core.work import unnamed_work
from remit.gateway.repeats import Repeats
from remit.gateway.store import RUN


async def calls_of(bank: FakeUpstream) -> int:
    return bank.calls


async def test_the_copy_of_a_finished_run_shows_its_outcome_before_any_pod() -> None:
    async with executed() as (world, bank, _):
        first = await outcome(world)
        delete(world.cluster)
        make_again(world.cluster, a_copy(pod=""))
        told = await outcome(world)

        assert told["outcome"]["reason"] == "Succeeded"
        assert told["outcome"]["recordedFrom"] == RUN_UID
        assert told["outcome"]["message"].startswith(f"recorded: executed by run UID {RUN_UID}, finished 20")
        for field in ("usage", "result"):
            assert told[field] == first[field]
        assert told["evidence"]["records"] == first["evidence"]["records"]
        assert bank.calls == 1


async def test_it_holds_after_etcd_forgot_and_the_gateway_is_another() -> None:
    async with executed() as (_, bank, ledger):
        async with after(ledger, bank, a_copy(pod="")) as world:
            told = await outcome(world)
        assert (told["outcome"]["reason"], told["outcome"]["recordedFrom"]) == ("Succeeded", RUN_UID)
        assert bank.calls == 1


async def test_the_copy_of_a_copy_names_the_run_that_did_the_work() -> None:
    async with executed() as (world, bank, _):
        delete(world.cluster)
        make_again(world.cluster, a_copy())
        await outcome(world)
        delete(world.cluster)
        make_again(world.cluster, a_copy("run-uid-3", "pod-uid-3"))

        assert (await outcome(world))["outcome"]["recordedFrom"] == RUN_UID
        assert bank.calls == 1


SAME: dict[str, dict[str, Any]] = {
    "asked for by another": {"requester": {"username": "argo", "uid": "u2", "groups": []}},
    "kept longer": {"ttlSecondsAfterFinished": 7},
    "to be stopped": {"desired": "Stopped"},
    "tried more often": {"retry": {"limit": 3, "backoffSeconds": 10}},
    "with a default said": {"budget": {}},
}
OTHER: dict[str, dict[str, Any]] = {
    "another attempt": {"attempt": 2},
    "other input": {"input": {"dispute": "D-2"}},
    "another case": {"case": {"id": "D-2", "system": "disputes", "step": "intake"}},
    "another budget": {"budget": {"toolCalls": 7}},
    "another deadline": {"deadlineSeconds": 601},
}


@pytest.mark.parametrize("changes", SAME.values(), ids=SAME)
async def test_what_does_not_say_what_is_to_be_done_makes_no_other_work(changes: dict[str, Any]) -> None:
    async with executed() as (world, _, _ledger):
        delete(world.cluster)
        make_again(world.cluster, a_copy(pod="", **changes))
        assert (await outcome(world))["outcome"]["recordedFrom"] == RUN_UID


@pytest.mark.parametrize("changes", OTHER.values(), ids=OTHER)
async def test_another_attempt_and_another_spec_are_another_run(changes: dict[str, Any]) -> None:
    async with executed() as (world, bank, _):
        delete(world.cluster)
        make_again(world.cluster, a_copy(**changes))
        assert (await world.call("credit", {"amount": 5}, "c1"))["result"]["content"]
        assert bank.calls == 2


def first_contact(path: str) -> Any:
    async def make(world: Served) -> str:
        if path == "tool":
            return reason_of(await world.call("credit", {"amount": 5}, "c1"))
        if path == "input":
            return str((await world.get("/run/v1/input"))[1]["error"]["reason"])
        bodies: dict[str, Any] = {
            CHAT: a_chat(),
            "/run/v1/step": {"step": 1},
            "/run/v1/result": GOOD,
            "/run/v1/hand-over": {"partial": {}, "stop": "StopRequested"},
        }
        return str((await world.post(path, bodies[path]))[2]["Remit-Reason"])

    return make


@pytest.mark.parametrize("path", ["tool", "input", CHAT, "/run/v1/step", "/run/v1/result", "/run/v1/hand-over"])
async def test_a_pod_that_started_in_the_race_is_served_nothing(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with executed() as (_, bank, ledger):
        with monkeypatch.context() as blind:
            blind.setattr(Repeats, "_on_change", lambda *_: None)
            async with after(ledger, bank, a_copy()) as world:
                assert await first_contact(path)(world) == "RunAlreadyExecuted"
                assert (await outcome(world))["outcome"]["recordedFrom"] == RUN_UID
        assert bank.calls == 1
        assert [e["predicateType"].split("/")[-2] for e in await world.entries(COPY_UID)] == ["run-end"]


async def test_the_refusal_of_a_copy_is_evidence_that_verifies() -> None:
    async with executed() as (world, _, ledger):
        delete(world.cluster)
        make_again(world.cluster, a_copy())
        await outcome(world)
        (entry,) = await world.entries(COPY_UID)
        assert entry["predicate"]["recordedFrom"] == RUN_UID
        assert entry["predicate"]["reason"] == "Succeeded"
        assert entry["predicate"]["run"]["uid"] == COPY_UID

        files = exported_files(json.dumps(export_document(await ledger.export(COPY_UID))))
        verdict = verify_export(files, signer_for_tests().verifier)
        assert verdict.ok, verdict.summary
        _, view = await world.control("/control/v1/runs/bank/run-1")
        assert view["uid"] == RUN_UID
        _, view = await world.control(f"/control/v1/runs/bank/run-1@{COPY_UID}")
        assert (view["uid"], view["recordedFrom"]) == (COPY_UID, RUN_UID)
        assert (await world.control(f"/control/v1/runs/bank/run-1@{COPY_UID}/export"))[0] == 200
        for other in ("bank/run-2@" + COPY_UID, "bank/run-1@nobody"):
            assert (await world.control(f"/control/v1/runs/{other}"))[0] == 404


async def test_the_copy_of_a_run_that_was_deleted_under_way_shows_that() -> None:
    async with executed(to_the_end=False) as (world, bank, _):
        delete(world.cluster)
        make_again(world.cluster, a_copy())
        told = await outcome(world)
        assert told["outcome"]["reason"] == "Cancelled"
        assert told["outcome"]["message"].endswith("the AgentRun was deleted")
        assert reason_of(await world.call("credit", {"amount": 6}, "c2")) == "RunAlreadyExecuted"
        assert bank.calls == 1


async def test_a_write_in_flight_is_settled_before_the_copy_is_told() -> None:
    async with executed(to_the_end=False) as (world, bank, _):
        bank.serve = hang_up_later(bank)
        asking = asyncio.ensure_future(world.call("credit", {"amount": 6}, "c2"))
        await eventually_async(lambda: calls_of(bank), lambda calls: calls == 2)
        delete(world.cluster)
        make_again(world.cluster, a_copy())
        told = await outcome(world)
        await asking
        assert told["outcome"]["reason"] == "OutcomeUnknown"
        assert "bank/credit (call c2" in told["outcome"]["message"]


def hang_up_later(bank: FakeUpstream) -> Any:
    async def wait(request: Any, body: Any) -> Any:
        await bank.gate.wait()
        return await hang_up(request, body)

    return wait


async def test_another_object_under_the_name_without_a_word_of_the_deletion_is_one() -> None:
    async with executed(to_the_end=False) as (world, bank, _):
        world.cluster.put(a_copy(pod=""))
        assert (await ended(world)).outcome_reason == "Cancelled"
        assert (await outcome(world))["outcome"]["recordedFrom"] == RUN_UID
        assert bank.calls == 1


async def test_a_run_that_was_deleted_while_no_gateway_watched_is_ended() -> None:
    async with executed(to_the_end=False) as (_, bank, ledger):
        pass
    async with after(ledger, bank) as world:
        record = await ended(world)
        assert (record.outcome_reason, record.outcome_message) == ("Cancelled", "the AgentRun was deleted")


async def test_a_list_that_shows_the_past_ends_nothing() -> None:
    async with executed(to_the_end=False) as (world, bank, _):
        assert world.gateway is not None
        authority = world.gateway.gate.authority
        run = world.cluster.named("AgentRun", "run-1")
        authority._drop(RUN, ("bank", "run-1"))
        authority._put(RUN, run)
        assert (await world.call("credit", {"amount": 6}, "c2"))["result"]["content"]
        await eventually_async(lambda: calls_of(bank), lambda calls: calls == 2)
        record = await world.ledger.read(lambda tx: tx.run(RUN_UID))
        assert record is not None
        assert not record.ended


async def test_a_ledger_of_before_knows_runs_by_name_and_refuses_what_may_be_the_same() -> None:
    async with executed() as (world, bank, ledger):
        record = await ended(world)
        old = replace(record, work=unnamed_work("bank", "run-1"))
        await ledger.transact(lambda tx: tx.put_run(old))
    async with after(ledger, bank, a_copy(pod="")) as world:
        assert (await outcome(world))["outcome"]["recordedFrom"] == RUN_UID
    async with after(ledger, bank, a_copy(attempt=2)) as world:
        assert (await world.call("credit", {"amount": 5}, "c1"))["result"]["content"]


async def test_a_run_that_an_older_ledger_knew_by_name_gets_its_work_named() -> None:
    async with executed(to_the_end=False) as (world, bank, ledger):
        record = await world.ledger.read(lambda tx: tx.run(RUN_UID))
        assert record is not None
        old = replace(record, work=unnamed_work("bank", "run-1"))
        await ledger.transact(lambda tx: tx.put_run(old))
    run = a_copy(RUN_UID, "pod-uid-1")
    async with after(ledger, bank, run) as world:

        async def work() -> str:
            known = await ledger.read(lambda tx: tx.run(RUN_UID))
            return known.work if known is not None else ""

        assert await eventually_async(work, lambda seen: seen.startswith("sha256:")) == record.work


async def test_a_run_that_an_older_ledger_knew_by_name_is_named_at_the_latest_when_it_is_deleted() -> None:
    async with executed() as (world, bank, ledger):
        record = await ended(world)
        await ledger.transact(lambda tx: tx.put_run(replace(record, work=unnamed_work("bank", "run-1"))))
        delete(world.cluster)

        async def work() -> str:
            known = await ledger.read(lambda tx: tx.run(RUN_UID))
            return known.work if known is not None else ""

        assert await eventually_async(work, lambda seen: seen.startswith("sha256:")) == record.work
        make_again(world.cluster, a_copy(input={"dispute": "D-2"}))
        assert (await world.call("credit", {"amount": 5}, "c1"))["result"]["content"]
        assert bank.calls == 2


async def test_a_spec_that_changed_under_way_ends_the_run_s_authority() -> None:
    async with executed(to_the_end=False) as (world, bank, _):
        world.cluster.change("AgentRun", "run-1", budget={"toolCalls": 1_000_000})

        async def refusal() -> str:
            _, answer, _ = await world.call_raw("credit", {"amount": 7}, "c3")
            return reason_of(answer)

        assert await eventually_async(refusal) == "Revoked"
        assert bank.calls == 1


async def test_a_bundle_whose_revision_is_gone_comes_from_the_ledger() -> None:
    async with executed(to_the_end=False) as (world, bank, ledger):
        revision = world.cluster.status_of("AgentRun", "run-1")["revision"]
        world.cluster.remove("ControllerRevision", revision["name"])
        files = exported_files(json.dumps(export_document(await ledger.export(RUN_UID))))
        assert f"bundles/{revision['digest'].removeprefix('sha256:')}.json" in files
        cluster = world.cluster

        async with served(cluster, ledger=ledger) as next_one:
            assert (await next_one.call("credit", {"amount": 6}, "c2"))["result"]["content"]
        assert bank.calls == 2


async def test_of_two_gateways_that_each_see_another_run_of_the_work_one_executes(tmp_path: Path) -> None:
    ledger = await SqliteLedger.open(tmp_path / "ledger.db", signer_for_tests())
    async with upstream() as bank:
        worlds = [(a_copy(uid, pod)) for uid, pod in ((RUN_UID, "pod-uid-1"), (COPY_UID, COPY_POD))]
        async with after(ledger, bank, worlds[0]) as one, after(ledger, bank, worlds[1]) as other:
            answers = await asyncio.gather(*(world.call("credit", {"amount": 5}, "c1") for world in (one, other)))
    await ledger.close()
    assert [reason_of(answer) for answer in answers].count("RunAlreadyExecuted") == 1
    assert bank.calls == 1
