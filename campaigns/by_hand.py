"""What people and machines do to a cluster by hand: each case has a name, an act, and what must come of it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.objects import a_grant, a_policy, a_run, an_agent

from campaigns.hands import CASES, PLANE_CASES
from campaigns.runner import Arguments, logs
from campaigns.world.direct import DirectError
from campaigns.world.judge import judge
from campaigns.world.plane import plane
from campaigns.world.stage import NotInTimeError, Stage, World, stage

Play = Callable[[World], Awaitable[None]]
AWAY_SECONDS, SHORT_AWAY_SECONDS = 60.0, 5.0


@dataclass(frozen=True)
class Verdict:
    """What one case came to."""

    name: str
    faults: tuple[str, ...]


async def main(arguments: Arguments) -> int:
    """Play every case."""
    with plane() as control_plane:
        async with stage(control_plane, logs("by-hand")) as the_stage:
            verdicts = [] if arguments.prove else await everything(the_stage, arguments)
            found = [f"{verdict.name}: {fault}" for verdict in verdicts for fault in verdict.faults]
            arguments.say(f"{len(verdicts)} cases by hand, {sum(not each.faults for each in verdicts)} as they must be")
            arguments.say(*(f"VIOLATION {each}" for each in found))
            missed = [] if arguments.short else await prove(the_stage)
    return len(found) + len(missed)


async def everything(the_stage: Stage, arguments: Arguments) -> list[Verdict]:
    """Play every case, those of the control plane itself last."""
    verdicts = await play_all(the_stage, arguments.jobs)
    return verdicts + await play_plane(the_stage, SHORT_AWAY_SECONDS if arguments.short else AWAY_SECONDS)


async def play_all(the_stage: Stage, jobs: int, cases: Mapping[str, Play] = CASES, plant: str = "") -> list[Verdict]:
    """Play cases, a few at the same time, each in a world of its own."""
    turns = asyncio.Semaphore(jobs)

    async def one(name: str) -> Verdict:
        async with turns:
            return Verdict(name, tuple(await play(the_stage, cases[name], plant)))

    async with asyncio.TaskGroup() as group:
        playing = [group.create_task(one(name)) for name in cases]
    return [task.result() for task in playing]


async def play(the_stage: Stage, case: Play, plant: str = "") -> list[str]:
    """Play one case on a team with a run under way."""
    async with the_stage.world(plant=plant) as world:
        if plant:
            world.patience = 10.0
        found: list[str] = []
        try:
            await world.create(a_policy(), a_grant(), an_agent())
            await world.stands("Agent", "teller", "Ready")
            await world.create(a_run("work"))
            await world.stands("AgentRun", "work", "Running")
            await case(world)
        except (NotInTimeError, AssertionError, DirectError, OSError) as error:
            found.append(f"{type(error).__name__}: {error}"[:700])
        return found + judge(world, 0)


async def play_plane(the_stage: Stage, away_seconds: float) -> list[Verdict]:
    """Play what befalls the control plane itself: one after the other, with nothing beside it."""
    verdicts = []
    for name, case in PLANE_CASES.items():

        async def befall(world: World, case: Callable[[World, float], Awaitable[Any]] = case) -> None:
            await case(world, away_seconds)

        found = await play(the_stage, befall)
        the_stage.observer.faults.pop("observer", None)
        verdicts.append(Verdict(name, tuple(found)))
    return verdicts


PROOF = {
    "edits-not-seen": "the agent's NetworkPolicy loses its owner",
    "status-not-made-anew": "the run's status is wiped",
    "refusals-not-said": "no quota for the pod",
    "raises-on-eviction": "the pod is evicted",
    "leaves-namespaces-alone": "the namespace goes with a run under way",
}
"""Planted bugs, each with the case that must bring it to light."""


async def prove(the_stage: Stage) -> list[str]:
    """Plant each bug; returns those that were not caught."""
    missed = []
    for plant, case in PROOF.items():
        (verdict,) = await play_all(the_stage, 1, {case: CASES[case]}, plant)
        print(
            f"planted {plant}: {f'caught, {verdict.faults[0][:140]}' if verdict.faults else 'NOT CAUGHT'}", flush=True
        )
        missed += [] if verdict.faults else [plant]
    print(f"planted bugs caught: {len(PROOF) - len(missed)} of {len(PROOF)}")
    return missed
