"""A pod that stands ready asks for its input before it has a run: it is held, and served the moment it has one."""

import asyncio
import time
from copy import deepcopy
from typing import Any

import pytest
from tests.support.fake_authority import POD_UID, RUN_UID, a_pod
from tests.support.gateway_process import Served
from tests.support.governed import governed
from tests.support.polling import eventually_async

from remit.api import wire
from remit.api.names import LABEL_WARM

Stored = dict[str, Any]


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long here."""
    monkeypatch.setattr("remit.gateway.callers.WAIT_FOR_WATCH_SECONDS", 0.2)
    monkeypatch.setattr("remit.gateway.arrivals.ARRIVAL_SECONDS", 5.0)


async def without_a_run(world: Served, pod: Stored) -> Stored:
    """Have the caller's pod be this one and no run name it; return the run that does, to be put back."""
    run = deepcopy(world.cluster.named("AgentRun", "run-1"))
    unnamed = deepcopy(run)
    del unnamed["status"]["pod"]
    world.cluster.put(pod)
    world.cluster.put(unnamed)
    assert world.gateway is not None
    store = world.gateway.gate.authority.store

    async def seen() -> bool:
        return store.run_of_pod(POD_UID) is None and store.pod(POD_UID) == world.cluster.named("Pod", "run-1-1")

    await eventually_async(seen)
    return run


def a_pod_that_stands_ready() -> Stored:
    pod = a_pod()
    pod["metadata"]["labels"][LABEL_WARM] = "mark"
    return pod


def a_pod_of(run_uid: str) -> Stored:
    pod = a_pod()
    pod["metadata"]["ownerReferences"] = [{"kind": "AgentRun", "name": "run-1", "uid": run_uid}]
    return pod


async def is_held(world: Served) -> None:
    """Wait until the gateway holds the pod's question."""
    assert world.gateway is not None
    waiting = world.gateway.gate.callers._arrivals._waiting

    async def seen() -> bool:
        return POD_UID in waiting

    await eventually_async(seen)


@pytest.mark.parametrize("pod", [a_pod_that_stands_ready(), a_pod_of(RUN_UID)], ids=["warm", "made for a run"])
async def test_a_pod_without_a_run_is_served_the_moment_one_names_it(pod: Stored) -> None:
    async with governed() as (world, _):
        run = await without_a_run(world, pod)
        asking = asyncio.create_task(world.get(wire.INPUT_PATH))
        await is_held(world)

        began = time.monotonic()
        world.cluster.put(run)
        status, answer = await asking

        assert (status, answer["run"]["name"]) == (200, "run-1")
        assert time.monotonic() - began < 1


async def test_a_pod_that_waited_in_vain_is_told_to_ask_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remit.gateway.arrivals.ARRIVAL_SECONDS", 0.1)
    async with governed() as (world, bank):
        await without_a_run(world, a_pod_that_stands_ready())
        for _ in range(2):
            status, answer = await world.get(wire.INPUT_PATH)
            assert (status, answer["error"]["reason"]) == (503, "RunNotFound")
        assert await world.call("look", call_id="c1") != {}
        assert not bank.calls


@pytest.mark.parametrize("pod", [a_pod(), a_pod_of("another-run")], ids=["owned by nothing", "of a run that is gone"])
async def test_a_pod_for_which_no_run_can_come_is_refused(pod: Stored) -> None:
    async with governed() as (world, _):
        await without_a_run(world, pod)
        status, answer = await world.get(wire.INPUT_PATH)

        assert (status, answer["error"]["reason"]) == (401, "RunNotFound")


async def test_a_gateway_that_ends_answers_the_pods_that_wait() -> None:
    async with governed() as (world, _):
        await without_a_run(world, a_pod_that_stands_ready())
        asking = asyncio.create_task(world.get(wire.INPUT_PATH))
        await is_held(world)
        assert world.gateway is not None
        world.gateway.gate.callers.close()

        status, _answer = await asking
        assert status == 503
