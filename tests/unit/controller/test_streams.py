"""What is watched without kopf: a list, then every change, begun anew when it breaks."""

import asyncio
from collections.abc import AsyncIterator

from tests.support.controlled import POD, RUN, Controlled, a_team
from tests.support.fake_cluster import FakeCluster, Object
from tests.support.objects import a_run
from tests.support.polling import eventually_async

from remit.controller import streams
from remit.controller.kinds import RUN as RUNS
from remit.controller.store import Key
from remit.ports import ClusterError

KEY = Key("AgentRun", RUN[1], RUN[2])


async def deaf(team: Controlled) -> Controlled:
    """Have the controller hear nothing but what a stream tells."""
    team.cluster.listeners.clear()
    return team


async def test_a_stream_takes_in_the_list_and_every_change() -> None:
    team = await deaf(await a_team())
    team.cluster.put(a_run("listed"))
    task = asyncio.create_task(streams.once(team.controller, team.cluster, RUNS))
    store = team.controller.store
    await eventually_async(lambda: found(team, Key("AgentRun", RUN[1], "listed")))
    team.cluster.put(a_run())
    await eventually_async(lambda: found(team, KEY))
    team.cluster.remove(RUN)
    await eventually_async(lambda: missing(team, KEY))
    task.cancel()

    assert store.get(Key("AgentRun", RUN[1], "listed")) is not None
    await team.settle()
    assert team.status(("AgentRun", RUN[1], "listed"))["reason"] == "Starting"


async def test_what_went_while_a_stream_was_broken_is_missed_by_nobody() -> None:
    team = await deaf(await a_team())
    team.cluster.put(a_run())
    team.controller.see("AgentRun", team.cluster.objects[RUN])
    team.cluster.remove(RUN)
    team.cluster.version += 1
    task = asyncio.create_task(streams.once(team.controller, team.cluster, RUNS))

    await eventually_async(lambda: missing(team, KEY))
    task.cancel()


class BrokenCluster(FakeCluster):
    """A cluster whose watches break off, each in another way."""

    faults: list[Exception]

    async def watch(self, api_version: str, kind: str, selector: str = "") -> AsyncIterator[tuple[str, Object]]:
        if self.faults:
            raise self.faults.pop()
        async for event in super().watch(api_version, kind, selector):
            yield event


async def test_a_stream_that_breaks_is_begun_anew() -> None:
    team = await deaf(await a_team())
    team.cluster.__class__ = BrokenCluster
    broken = team.cluster
    assert isinstance(broken, BrokenCluster)
    broken.faults = [ClusterError("away", "Unreachable", 0), OSError("reset"), ValueError("no JSON")]
    team.cluster.put(a_run())
    task = asyncio.create_task(streams.stream(team.controller, team.cluster, team.clock))

    await eventually_async(lambda: found(team, KEY), within_seconds=5)
    task.cancel()
    assert broken.faults == []
    assert not team.has(POD)


async def found(team: Controlled, key: Key) -> bool:
    return team.controller.store.get(key) is not None


async def missing(team: Controlled, key: Key) -> bool:
    return team.controller.store.get(key) is None
