"""What befalls the control plane itself: etcd restarted, the apiserver restarted, the apiserver away."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from tests.support.objects import a_run

from campaigns.hands.acts import pods_ever
from campaigns.world.direct import DirectError
from campaigns.world.plane import Plane
from campaigns.world.stage import World

ADMISSION_SECONDS = 60.0
POLL_SECONDS = 0.5

Play = Callable[[World, float], Awaitable[None]]


async def goes_on(world: World) -> None:
    """The run under way goes on, another one starts, and both have one pod."""
    await world.poll(lambda: world.reason("AgentRun", "work") == "Running", "the run goes on")
    await create_once_admitted(world)
    await world.stands("AgentRun", "after", "Running")
    assert pods_ever(world) == 2


async def create_once_admitted(world: World) -> None:
    """Create another run: a fresh apiserver answers 503 until it knows the kinds that admission policies ask about."""
    deadline = time.monotonic() + ADMISSION_SECONDS
    while True:
        try:
            await world.create(a_run("after"))
        except DirectError as error:
            if ": 503 " not in str(error) or time.monotonic() > deadline:
                raise
            await asyncio.sleep(POLL_SECONDS)
        else:
            return


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
    """Wait until the apiserver answers."""
    await asyncio.to_thread(control_plane.wait, lambda: control_plane.answers("/readyz"), "the apiserver")


PLANE_CASES: dict[str, Play] = {
    "etcd is restarted": etcd_restarted,
    "the apiserver is restarted": apiserver_restarted,
    "the apiserver is away": apiserver_away,
}
