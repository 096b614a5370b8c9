"""A suspended run's calls wait at the gateway: none is lost, none goes out, and none is refused for good."""

import asyncio
from typing import Any

import pytest
from aiohttp import web
from tests.support.fake_authority import RUN_UID, a_policy
from tests.support.fake_upstream import tool_result
from tests.support.gateway_process import Served, reason_of
from tests.support.governed import CHAT, a_chat, governed
from tests.support.polling import eventually_async

from remit.gateway import callers


async def suspend(world: Served) -> None:
    world.cluster.change("AgentRun", "run-1", desired="Suspended")
    gateway = world.gateway
    assert gateway is not None

    async def look() -> Any:
        return gateway.gate.authority.store.run_of_pod("pod-uid-1")

    await eventually_async(look, callers.is_held, why="the gateway knows of the suspension")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "HOLD_SECONDS", 0.05)


async def test_a_call_waits_and_goes_on_when_its_run_is_resumed() -> None:
    async with governed() as (world, bank):
        await suspend(world)
        calls = [
            asyncio.create_task(world.call("credit", {"amount": 5}, "c1")),
            asyncio.create_task(world.get("/run/v1/input")),
            asyncio.create_task(world.post("/run/v1/step", {"step": 1})),
        ]
        done, _ = await asyncio.wait(calls, timeout=0.3)
        assert not done
        assert bank.calls == 0

        world.cluster.change("AgentRun", "run-1", desired="Running")
        called, given, step = await asyncio.gather(*calls)

        assert not called["result"].get("isError")
        assert given[0] == 200
        assert step[1]["desired"] == "Running"
        assert bank.calls == 1


@pytest.mark.usefixtures("impatient")
async def test_a_call_that_waited_long_is_told_to_try_again() -> None:
    async with governed() as (world, bank):
        await suspend(world)
        status, answer, headers = await world.call_raw("credit", {"amount": 5}, "c1")
        assert (status, answer["error"]["reason"]) == (503, "RunSuspended")
        assert int(headers["Retry-After"]) > 0
        assert headers["Remit-Reason"] == "RunSuspended"
        for status, _, headers in [
            await world.post(CHAT, a_chat()),
            await world.post("/run/v1/result", {"outcome": "Succeeded", "result": {}, "stop": "Answered"}),
            await world.post("/run/v1/hand-over", {"partial": {}, "stop": "StopRequested"}),
        ]:
            assert (status, headers["Remit-Reason"]) == (503, "RunSuspended")
        assert bank.calls == 0
        assert await world.kinds() == [], "waiting is no refusal, and no evidence"


@pytest.mark.usefixtures("impatient")
async def test_a_suspended_run_that_is_stopped_hands_over() -> None:
    async with governed() as (world, _):
        await suspend(world)
        world.cluster.change("AgentRun", "run-1", desired="Stopped")
        step = {"step": 1}
        answer = await eventually_async(lambda: world.post("/run/v1/step", step), lambda seen: seen[0] == 200)
        assert answer[1]["desired"] == "Stopped"


@pytest.mark.usefixtures("impatient")
async def test_a_suspended_run_that_is_terminated_is_refused_for_good() -> None:
    async with governed() as (world, _):
        await suspend(world)
        world.cluster.change("AgentRun", "run-1", desired="Terminated")
        look = await eventually_async(lambda: world.get("/run/v1/input"), lambda seen: seen[0] != 503)
        assert look[1]["error"]["reason"] == "RunNotActive"


async def test_a_suspended_run_whose_budget_is_used_up_hands_over_when_it_is_resumed() -> None:
    async with governed(a_policy(toolCalls=0)) as (world, _):
        assert reason_of(await world.call("look", {}, "c1")) == "BudgetExhausted"
        await suspend(world)
        assert world.gateway is not None
        remembered = world.gateway.gate.memory.known(RUN_UID)
        assert remembered is not None
        remembered.exhausted_at = world.gateway.gate.clock.monotonic() - 60
        world.gateway.sweeper.sweep()
        world.cluster.change("AgentRun", "run-1", desired="Running")
        _, answer, _ = await world.post("/run/v1/hand-over", {"partial": {"looked": 0}, "stop": "BudgetLow"})
        assert answer == {"accepted": True, "reason": "BudgetExhausted"}


async def test_the_controllers_word_may_lag_behind() -> None:
    async with governed() as (world, _):
        world.cluster.set_status("AgentRun", "run-1", reason="Suspended")
        status, _ = await eventually_async(lambda: world.get("/run/v1/input"), lambda seen: seen[0] == 200)
        assert status == 200


async def test_a_call_under_way_is_not_cut_by_a_suspension() -> None:
    async with governed() as (world, bank):
        asked = asyncio.Event()

        async def slowly(_request: web.Request, body: Any) -> web.StreamResponse:
            asked.set()
            await bank.gate.wait()
            return web.json_response(tool_result(body))

        bank.serve = slowly
        call = asyncio.create_task(world.call("credit", {"amount": 5}, "c1"))
        async with asyncio.timeout(10):
            await asked.wait()
        await suspend(world)
        world.cluster.set_status("AgentRun", "run-1", reason="Suspended")
        bank.gate.set()

        assert not (await call)["result"].get("isError")
