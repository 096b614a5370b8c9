"""Watches that stall silently, all or one alone, are reset while being set up, or hear 410 or a strange error.

In each trial something then happens that only a watch would tell; the controller must act on it within a minute.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import cycle, islice

from tests.support.objects import a_grant, a_policy, a_run, an_agent

from campaigns.runner import Arguments, logs
from campaigns.world.direct import DirectError
from campaigns.world.judge import judge
from campaigns.world.plane import Plane, plane
from campaigns.world.players import ended
from campaigns.world.stage import NotInTimeError, Stage, World, stage
from remit.controller.kinds import WATCHED

BOUND_SECONDS = 60.0
TRIALS, SHORT_TRIALS = 50, 8
RESETS = 12
CLEANER = "system:serviceaccount:kube-system:namespace-controller"
Act = Callable[[World], Awaitable[None]]


@dataclass(frozen=True)
class Happening:
    """What happens behind a watch's back, and what must come of it."""

    plural: str
    change: Act
    effect: Callable[[World], bool]


async def _a_run_is_made(world: World) -> None:
    await world.create(a_run("second"))


async def _the_pod_is_evicted(world: World) -> None:
    pod = world.pod_of("first")
    if pod is not None:
        await world.stage.players.set_pod(pod, ended(reason="Evicted", message="out of memory"))


async def _the_pod_is_deleted(world: World) -> None:
    await world.delete("Pod", "first-1", gracePeriodSeconds=0)


async def _the_agent_is_suspended(world: World) -> None:
    await world.patch("Agent", "teller", {"spec": {"lifecycle": "Suspended"}})


async def _the_model_is_taken_back(world: World) -> None:
    await world.patch("ToolGrant", "provider", {"spec": {"suspended": True}})


async def _the_policy_is_changed(world: World) -> None:
    await world.patch("Policy", "rules", {"spec": {"runs": {"maxConcurrent": 7}}})


def _the_policy_is_seen(world: World) -> bool:
    policy = world.get("Policy", "rules")
    return policy is not None and policy["metadata"]["generation"] > 1 and world.reason("Policy", "rules") == "Ready"


def _child_goes(kind: str) -> Act:
    async def go(world: World) -> None:
        for child in world.within(kind):
            if child["metadata"]["name"].startswith("remit-agent-"):
                path = f"{child['metadata']['name']}"
                await world.stage.direct.delete_as(CLEANER, kind, world.namespace, path)

    return go


def _is_anew(kind: str) -> Callable[[World], bool]:
    def look(world: World) -> bool:
        lives = world.stage.observer.lives[kind, world.namespace].values()
        ours = [life for life in lives if life.thing["metadata"]["name"].startswith("remit-agent-")]
        return len(ours) > 1 and any(life.until >= 2**63 for life in ours)

    return look


HAPPENINGS = (
    Happening("agentruns", _a_run_is_made, lambda world: world.reason("AgentRun", "second") == "Running"),
    Happening("pods", _the_pod_is_evicted, lambda world: world.reason("AgentRun", "first") == "Failed"),
    Happening("pods", _the_pod_is_deleted, lambda world: world.reason("AgentRun", "first") == "Failed"),
    Happening("agents", _the_agent_is_suspended, lambda world: world.reason("AgentRun", "first") == "Revoked"),
    Happening("toolgrants", _the_model_is_taken_back, lambda world: world.reason("AgentRun", "first") == "Revoked"),
    Happening("policies", _the_policy_is_changed, _the_policy_is_seen),
    Happening("networkpolicies", _child_goes("NetworkPolicy"), _is_anew("NetworkPolicy")),
    Happening("serviceaccounts", _child_goes("ServiceAccount"), _is_anew("ServiceAccount")),
    Happening("controllerrevisions", _child_goes("ControllerRevision"), _is_anew("ControllerRevision")),
)


async def stalls(world: World, plural: str) -> None:
    """The kind's watch says nothing more and does not end; nor does any later one."""
    world.gate.silent.add(plural)


async def all_stall(world: World, plural: str) -> None:
    """Every watch says nothing more and does not end."""
    del plural
    world.gate.silent.add("*")


async def stalls_once(world: World, plural: str) -> None:
    """The kind's watch is dead, and a later one would live."""
    world.gate.mute(plural)


async def resets(world: World, plural: str) -> None:
    """Watches are cut, and reset again and again while they are set up."""
    world.gate.resets = RESETS
    world.gate.cut([plural])


async def gone(world: World, plural: str) -> None:
    """The watch hears 410, and what is deleted before it lists again is told by nobody."""
    world.gate.gone_after([plural])


async def strange(world: World, plural: str) -> None:
    """The watch hears of an error that is no 410."""
    world.gate.gone_after([plural], code=500)


FAULTS = (stalls, all_stall, stalls_once, resets, gone, strange)


@dataclass
class Trial:
    """One disturbance and one happening."""

    fault: Callable[[World, str], Awaitable[None]]
    happening: Happening

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.fault.__name__} {self.happening.plural}: {self.happening.change.__name__.strip('_')}"


async def main(arguments: Arguments) -> int:
    """Try each disturbance with happenings of each kind."""
    with plane() as control_plane:
        return await on(control_plane, arguments)


async def on(control_plane: Plane, arguments: Arguments) -> int:
    """Try on this control plane; returns the violations."""
    async with stage(control_plane, logs("watches")) as the_stage:
        trials = [] if arguments.prove else choose(arguments)
        found = await try_all(the_stage, trials, arguments)
        missed = [] if arguments.short else await prove(the_stage)
    return len(found) + len(missed)


def choose(arguments: Arguments) -> list[Trial]:
    """Draw the trials: every fault in turn, with happenings in an order of this seed."""
    happenings = list(HAPPENINGS)
    random.Random(arguments.seed).shuffle(happenings)
    number = SHORT_TRIALS if arguments.short else TRIALS
    return [Trial(*pair) for pair in islice(zip(cycle(FAULTS), cycle(happenings), strict=False), number)]


async def try_all(the_stage: Stage, trials: list[Trial], arguments: Arguments) -> list[str]:
    """Try them, many at the same time: they mostly wait."""
    jobs = arguments.jobs * 3
    turns, found, took = asyncio.Semaphore(jobs), list[str](), list[float]()

    async def one(trial: Trial) -> None:
        async with turns:
            seconds, faults = await attempt(the_stage, trial)
        took.append(seconds)
        found.extend(f"{trial}: {fault}" for fault in faults)

    async with asyncio.TaskGroup() as group:
        for trial in trials:
            group.create_task(one(trial))
    if trials:
        recovered = len(trials) - len({each.partition(": ")[0] for each in found})
        arguments.say(f"{recovered} of {len(trials)} recovered; longest {max(took):.1f} s (bound {BOUND_SECONDS:g} s)")
    arguments.say(*(f"VIOLATION {each}" for each in found))
    return found


async def attempt(the_stage: Stage, trial: Trial, plant: str = "") -> tuple[float, list[str]]:
    """Disturb, let it happen, and wait for what must come of it."""
    async with the_stage.world(plant=plant, REMIT_RESYNC_SECONDS="300") as world:
        found: list[str] = []
        began = time.monotonic()
        try:
            await world.create(a_policy(), a_grant(), an_agent())
            await world.stands("Agent", "teller", "Ready")
            await world.create(a_run("first"))
            await world.stands("AgentRun", "first", "Running")
            await world.poll(lambda: len(world.gate.streams) >= len(WATCHED), "every kind is watched")
            await trial.fault(world, trial.happening.plural)
            began = time.monotonic()
            await trial.happening.change(world)
            await world.until(lambda: trial.happening.effect(world), "the change is acted on", BOUND_SECONDS)
        except (NotInTimeError, DirectError) as error:
            found.append(str(error)[:500])
        took = time.monotonic() - began
        world.gate.silent.clear()
        return took, found + judge(world, 0)


PROOF = {
    "stall-unnoticed": Trial(stalls_once, HAPPENINGS[5]),
    "silence-not-listed": Trial(stalls, HAPPENINGS[3]),
    "list-anew-not-followed": Trial(gone, HAPPENINGS[7]),
    "nothing-listed-again": Trial(all_stall, HAPPENINGS[1]),
    "deaf-for-ever": Trial(strange, HAPPENINGS[3]),
}
"""Planted bugs, each with the trial that must bring it to light."""


async def prove(the_stage: Stage) -> list[str]:
    """Plant each bug; returns those that were not caught."""
    outcomes = await asyncio.gather(*(attempt(the_stage, trial, name) for name, trial in PROOF.items()))
    missed = []
    for (name, trial), (_, found) in zip(PROOF.items(), outcomes, strict=True):
        print(f"planted {name}: {f'caught, {trial}: {found[0][:120]}' if found else 'NOT CAUGHT'}")
        missed += [] if found else [name]
    print(f"planted bugs caught: {len(PROOF) - len(missed)} of {len(PROOF)}", flush=True)
    return missed
