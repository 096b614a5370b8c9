"""A namespace that goes at each step of a run: it must go, and no pod may stand uncovered meanwhile."""

from collections.abc import Awaitable, Callable

from tests.support.objects import a_run, an_agent

from campaigns.world.stage import World

Play = Callable[[World], Awaitable[None]]


async def goes(world: World) -> None:
    """Send the namespace away and wait until it is gone."""
    path = f"/api/v1/namespaces/{world.namespace}"
    await world.stage.direct.send("DELETE", path)

    async def is_gone() -> bool:
        return (await world.stage.direct.send("GET", path))[0] == 404

    for _ in range(600):
        if await is_gone():
            return
        await world.poll_once()
    raise AssertionError("the namespace does not go")


async def under_way(world: World) -> None:
    """With a run that runs."""
    await goes(world)


async def starting(world: World) -> None:
    """With a run whose pod was made just now."""
    world.stage.players.quiet.add(world.namespace)
    await world.create(a_run("young"))
    await world.stands("AgentRun", "young", "Starting")
    world.stage.players.quiet.discard(world.namespace)
    await goes(world)


async def pending(world: World) -> None:
    """With a run that waits for its agent."""
    await world.create(a_run("early", agent="nobody"))
    await world.stands("AgentRun", "early", "Pending")
    await goes(world)


async def finished(world: World) -> None:
    """With a run that has ended."""
    await world.say("work", outcome={"reason": "Succeeded", "message": "done"})
    await world.stands("AgentRun", "work", "Succeeded")
    await goes(world)


async def at_once(world: World) -> None:
    """With an agent and a run that were made just now."""
    await world.create(an_agent("newcomer"), a_run("newest", agent="newcomer"))
    await goes(world)


NAMESPACES: dict[str, Play] = {
    "the namespace goes with a run under way": under_way,
    "the namespace goes with a run starting": starting,
    "the namespace goes with a run pending": pending,
    "the namespace goes with a run finished": finished,
    "the namespace goes with everything new": at_once,
}
