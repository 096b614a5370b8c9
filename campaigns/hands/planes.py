"""What befalls the control plane itself: etcd restarted, the apiserver restarted, the apiserver away."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.support.guards import until_guards_stand
from tests.support.kube import Kube
from tests.support.objects import a_run

from campaigns.hands.acts import pods_ever
from campaigns.world.plane import Plane
from campaigns.world.stage import World

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
    await asyncio.to_thread(until_guards_stand, Kube(control_plane.kubeconfig))


PLANE_CASES: dict[str, Play] = {
    "etcd is restarted": etcd_restarted,
    "the apiserver is restarted": apiserver_restarted,
    "the apiserver is away": apiserver_away,
}
