"""Fault plans: one fault at one write of a recorded trace, each played on a world of its own, all must come out alike.

The plans are made from the writes of a reference play: each write by (killed before, killed after, answer lost, 409,
429, 500), and views from it on: watches cut, frozen, 410 with stale lists, a restart into the past, hidden events.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from campaigns.proxy.plan import AT_VIEW, AT_WRITE, Fault, Plan, Write
from campaigns.runner import Arguments, logs
from campaigns.world.direct import DirectError
from campaigns.world.judge import judge
from campaigns.world.plane import Plane, plane
from campaigns.world.stage import CONVERGES_WITHIN, NotInTimeError, Stage, World, stage
from campaigns.world.state import State, difference
from campaigns.world.workload import reference
from remit.controller.kinds import WATCHED

QUIET_SECONDS = 1.0
QUIET_WRITES = 3
SHORT_EACH = dict.fromkeys(AT_WRITE, 5) | dict.fromkeys(AT_VIEW, 3)
LONG_VIEWS = 12
"""How many places each fault of the view is tried at in the long form."""
PROOF = {
    "pod-named-by-process": (Fault.KILLED_AFTER, "create pods", 0),
    "conflict-forgotten": (Fault.CONFLICT, "apply agentruns/status", 0),
    "errors-not-retried": (Fault.SERVER_ERROR, "apply agentruns/status", 0),
    "nothing-listed-again": (Fault.HIDDEN, "create pods", 0),
    "protection-late": (Fault.NONE, "", 0),
    "writes-what-stands": (Fault.NONE, "", 0),
    "raises-on-eviction": (Fault.NONE, "", 0),
}
"""Planted bugs, each with the faults that must bring it to light, and how far back stale views are."""
PROOF_TRIES = 6
PROOF_SECONDS = 12.0


PlayOne = Callable[[Plan], Coroutine[Any, Any, tuple[list[str], bool]]]
"""Plays one plan; returns what was wrong, and whether its write came."""


@dataclass
class Reference:
    """What a play without faults comes to, and the writes that it takes."""

    state: State
    trace: list[Write]


@dataclass
class Count:
    """What the plays came to."""

    played: int = 0
    met: int = 0
    """Plans whose write came: the fault was really met."""
    longest: float = 0.0
    """Seconds of the longest play."""
    by_fault: Counter[Fault] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Say it."""
        kinds = ", ".join(f"{count} {fault}" for fault, count in sorted(self.by_fault.items()))
        return [
            f"{self.played} plans played, {self.met} faults met ({kinds}); longest play {self.longest:.1f} s",
            *(f"VIOLATION {violation}" for violation in self.violations),
        ]


async def main(arguments: Arguments) -> int:
    """Make the plans and play them all."""
    with plane() as control_plane:
        return await on(control_plane, arguments)


async def on(control_plane: Plane, arguments: Arguments) -> int:
    """Play on this control plane; returns the violations."""
    async with stage(control_plane, logs("plans")) as the_stage:
        usual = await record(the_stage)
        print(f"reference: {len(usual.trace)} writes, {len(usual.state)} objects at its end")
        plans = [] if arguments.prove else choose(usual.trace, arguments)
        count = await play_each(plans, lambda plan: play(the_stage, plan, usual), arguments)
        show(count, arguments)
        missed = [] if arguments.short else await prove(the_stage, usual, random.Random(arguments.seed))
    return len(count.violations) + len(missed)


async def record(the_stage: Stage) -> Reference:
    """Play the work without faults, twice: what differs between the two is no writing of ours to compare with."""
    first, second = await _plain(the_stage), await _plain(the_stage)
    if difference(first.state, second.state):
        raise NotInTimeError(f"two plays without faults differ: {difference(first.state, second.state)}")
    return Reference(first.state, [write for write in first.trace if write in set(second.trace)])


async def _plain(the_stage: Stage) -> Reference:
    async with the_stage.world() as world:
        await reference(world)
        await settle(world)
        trace = list(world.gate.trace)
        found = judge(world, 0) + await start_again(world)
        if found:
            raise NotInTimeError(f"without faults: {found}")
        return Reference(world.state(), trace)


async def settle(world: World, seconds: float = CONVERGES_WITHIN) -> int:
    """Wait until nothing was written for a while; returns the writes of the last while that was not quiet enough."""
    deadline = time.monotonic() + seconds
    while True:
        before = world.gate.writes
        await asyncio.sleep(QUIET_SECONDS)
        written = world.gate.writes - before
        if written == 0 or time.monotonic() > deadline:
            return written


async def start_again(world: World) -> list[str]:
    """Start the program anew on a state that is as wanted: it has nothing to write."""
    before = world.gate.writes
    world.gate.replace()
    await world.poll(lambda: world.gate.listed >= len(WATCHED), "the new process lists everything")
    await settle(world, 5.0)
    written = [write.name for write in world.gate.trace[before:]]
    return [f"a new process writes {written}"] if written else []


def choose(trace: Sequence[Write], arguments: Arguments, short_each: Mapping[Fault, int] = SHORT_EACH) -> list[Plan]:
    """Draw the plans of this run: all that the writes allow in the long form, some of each fault in the short one."""
    chance = random.Random(arguments.seed)
    plans: list[Plan] = []
    for fault in (*AT_WRITE, *AT_VIEW):
        whole = len(trace) if fault in AT_WRITE else min(LONG_VIEWS, len(trace))
        number = min(short_each[fault], len(trace)) if arguments.short else whole
        plans += [Plan(fault, write, lag=chance.randint(1, 6)) for write in chance.sample(list(trace), number)]
    chance.shuffle(plans)
    return plans


def show(count: Count, arguments: Arguments) -> None:
    """Say what the plays came to."""
    arguments.say(*count.lines())


async def play_each(plans: Sequence[Plan], play_one: PlayOne, arguments: Arguments) -> Count:
    """Play the plans, a few at the same time."""
    count, turns = Count(), asyncio.Semaphore(arguments.jobs)

    async def one(plan: Plan) -> None:
        async with turns:
            if arguments.is_over:
                return
            began = time.monotonic()
            found, met = await play_one(plan)
        count.played += 1
        count.met += met
        count.by_fault[plan.fault] += met
        count.longest = max(count.longest, time.monotonic() - began)
        count.violations += [f"{plan}: {each}" for each in found]

    async with asyncio.TaskGroup() as group:
        for plan in plans:
            group.create_task(one(plan))
    return count


async def play(the_stage: Stage, plan: Plan, usual: Reference, *, plant: str = "") -> tuple[list[str], bool]:
    """Play one plan; returns what was wrong, and whether its write came."""
    async with the_stage.world(plan, plant=plant) as world:
        if plant:
            world.patience = PROOF_SECONDS
        found: list[str] = []
        try:
            await reference(world)
            await world.until(
                lambda: not difference(usual.state, world.state()), "the state of the reference", world.patience
            )
        except (NotInTimeError, DirectError) as error:
            found.append(f"{error}; {difference(usual.state, world.state())}"[:900])
        if not found and (written := await settle(world, 5.0)) > QUIET_WRITES:
            found.append(f"{written} writes within {QUIET_SECONDS:g} s of quiet")
        if not found and plan.fault is Fault.NONE:
            found += await start_again(world)
        return found + judge(world, len(usual.trace)), world.gate.is_done


async def prove(the_stage: Stage, usual: Reference, chance: random.Random) -> list[str]:
    """Plant one bug at a time; returns those that no play caught."""
    missed: list[str] = []
    for name, (fault, beginning, lag) in PROOF.items():
        writes = [write for write in usual.trace if write.name.startswith(beginning)]
        plans = [Plan(fault, write, lag) for write in chance.sample(writes, min(PROOF_TRIES, len(writes)))]
        caught = ""
        for plan in plans:
            found, _ = await play(the_stage, plan, usual, plant=name)
            if found:
                caught = f"{plan}: {found[0]}"
                break
        print(f"planted {name}: {'caught, ' + caught[:160] if caught else 'NOT CAUGHT'}", flush=True)
        missed += [] if caught else [name]
    print(f"planted bugs caught: {len(PROOF) - len(missed)} of {len(PROOF)}")
    return missed
