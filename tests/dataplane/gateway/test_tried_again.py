"""A run whose pod was lost: another pod goes on where nothing was written, and is refused where something was."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.fake_authority import TOKEN, a_pod, a_review
from tests.support.fake_upstream import FakeUpstream, hang_up
from tests.support.gateway_process import Served, reason_of
from tests.support.governed import CHAT, a_chat, governed
from tests.support.polling import eventually_async

FIRST = {"name": "run-1-1", "uid": "pod-uid-1"}
SECOND = {"name": "run-1-1-r1", "uid": "pod-uid-2"}
FAILED = {"pod": FIRST, "endedAt": "2026-11-21T12:00:00Z", "message": "the pod is gone"}


def lose_pod(world: Served) -> None:
    """Do what the controller does about a pod that is gone."""
    world.cluster.remove("Pod", "run-1-1")
    world.cluster.set_status("AgentRun", "run-1", reason="Pending", pod={}, tries=[FAILED])


def try_again(world: Served) -> None:
    """Serve the run to another pod, whose token is the only good one from now on."""
    world.cluster.tokens[TOKEN] = a_review("pod-uid-2")
    assert world.gateway is not None
    world.gateway.gate.callers._identity.forget("pod-uid-1")
    world.cluster.put(a_pod(uid="pod-uid-2", name="run-1-1-r1"))
    world.cluster.set_status("AgentRun", "run-1", reason="Starting", pod=SECOND, tries=[FAILED])


async def outcome(world: Served) -> Any:
    async def look() -> Any:
        return world.cluster.status_of("AgentRun", "run-1").get("outcome")

    return await eventually_async(look, bool, why="the run's end")


@asynccontextmanager
async def begun() -> AsyncIterator[tuple[Served, FakeUpstream]]:
    async with governed() as (world, bank):
        await world.post("/run/v1/step", {"step": 1})
        assert (await world.post(CHAT, a_chat()))[0] == 200
        await world.call("look", {}, "c1")
        yield world, bank


async def test_another_pod_goes_on_where_nothing_was_written() -> None:
    async with begun() as (world, _):
        lose_pod(world)
        try_again(world)
        status, given = await eventually_async(lambda: world.get("/run/v1/input"), lambda seen: seen[0] == 200)
        assert (status, given["step"]) == (200, 1)
        assert (await world.post("/run/v1/step", {"step": 2}))[0] == 200
        assert not (await world.call("credit", {"amount": 5}, "c2"))["result"].get("isError")
        assert (await world.post(CHAT, a_chat()))[0] == 200
        _, answer, _ = await world.post("/run/v1/result", {"outcome": "Succeeded", "result": {}, "stop": "Answered"})
        assert answer == {"accepted": True, "reason": "Succeeded"}
        entries = await world.kinds()
        assert entries.count("intent") == 4, "one account and one chain of entries for all pods"


async def test_a_run_whose_agent_wrote_ends_as_soon_as_its_pod_is_lost() -> None:
    async with begun() as (world, _):
        await world.call("credit", {"amount": 5}, "c2")
        lose_pod(world)
        told = await outcome(world)
        assert told["reason"] == "Failed"
        assert "bank/credit (call c2)" in told["message"]


async def test_a_pod_that_comes_before_the_gateway_has_looked_is_refused() -> None:
    async with begun() as (world, bank):
        await world.call("credit", {"amount": 5}, "c2")
        assert world.gateway is not None
        world.gateway.gate.endings.catch_up = _never  # type: ignore[method-assign]
        calls = bank.calls
        lose_pod(world)
        try_again(world)
        step = {"step": 2}
        status, answer, _ = await eventually_async(
            lambda: world.post("/run/v1/step", step), lambda seen: seen[1]["error"]["reason"] != "RunNotFound"
        )
        assert (status, answer["error"]["reason"]) == (403, "RunNotActive")
        assert reason_of(await world.call("look", {}, "c3")) == "RunNotActive"
        assert (await world.post(CHAT, a_chat()))[2]["Remit-Reason"] == "RunNotActive"
        assert bank.calls == calls


async def test_a_write_whose_answer_was_lost_with_the_pod_ends_as_unknown() -> None:
    async with begun() as (world, bank):
        bank.serve = hang_up
        await world.call("credit", {"amount": 5}, "c2")
        lose_pod(world)
        assert (await outcome(world))["reason"] == "OutcomeUnknown"


async def test_a_write_that_certainly_was_not_made_does_not_count() -> None:
    async with begun() as (world, _):
        assert reason_of(await world.call("credit", {"amount": "much"}, "c2")) == "InvalidArguments"
        lose_pod(world)
        try_again(world)
        status, _ = await eventually_async(lambda: world.get("/run/v1/input"), lambda seen: seen[0] == 200)
        assert status == 200


async def _never(stored: object) -> None:
    """Look at nothing."""
    del stored
