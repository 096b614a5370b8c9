"""What befalls the control plane itself: etcd restarted, the apiserver restarted, the apiserver away."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

from tests.support.objects import a_run, an_agent

from campaigns.hands.acts import pods_ever
from campaigns.world.plane import Plane, PlaneError
from campaigns.world.stage import World

ADMISSION_SECONDS = 120.0
POLL_SECONDS = 0.5

Play = Callable[[World, float], Awaitable[None]]


async def goes_on(world: World) -> None:
    """The run under way goes on, another one starts, and both have one pod."""
    await world.poll(lambda: world.reason("AgentRun", "work") == "Running", "the run goes on")
    await world.create(a_run("after"))
    await world.stands("AgentRun", "after", "Running")
    assert pods_ever(world) == 2


async def etcd_restarted(world: World, _: float) -> None:
    """Etcd is killed and started again on what it has stored."""
    control_plane = world.stage.plane
    await asyncio.to_thread(control_plane.restart, "etcd")
    await ready(control_plane)
    await goes_on(world)


async def apiserver_restarted(world: World, _: float) -> None:
    """The apiserver is killed and started again."""
    control_plane = world.stage.plane
    await asyncio.to_thread(control_plane.restart, "apiserver")
    await ready(control_plane)
    await goes_on(world)


async def apiserver_away(world: World, seconds: float) -> None:
    """Nothing answers for a while."""
    control_plane = world.stage.plane
    await asyncio.to_thread(control_plane.stop, "apiserver")
    await asyncio.sleep(seconds)
    await asyncio.to_thread(control_plane.restart, "apiserver")
    await ready(control_plane)
    await goes_on(world)


async def ready(control_plane: Plane) -> None:
    """Wait until the apiserver answers, and its admission policies have found the kinds that they ask about."""
    await asyncio.to_thread(control_plane.wait, lambda: control_plane.answers("/readyz"), "the apiserver")
    deadline = time.monotonic() + ADMISSION_SECONDS
    while not await asyncio.to_thread(admits, control_plane):
        if time.monotonic() > deadline:
            raise PlaneError(f"admission policies know no kinds within {ADMISSION_SECONDS:g} s")
        await asyncio.sleep(POLL_SECONDS)


def admits(control_plane: Plane) -> bool:
    """Tell whether an agent and a run would be taken."""
    for thing in (an_agent(), a_run("asked")):
        spec = {key: value for key, value in thing["spec"].items() if key != "requester"}
        asked = {**thing, "metadata": {"name": "asked", "namespace": "default"}, "spec": spec}
        try:
            control_plane.kubectl("create", "--dry-run=server", "-f", "-", given=json.dumps(asked))
        except PlaneError:  # for up to half a minute its policies ask about kinds that it has not found yet
            return False
    return True


PLANE_CASES: dict[str, Play] = {
    "etcd is restarted": etcd_restarted,
    "the apiserver is restarted": apiserver_restarted,
    "the apiserver is away": apiserver_away,
}
