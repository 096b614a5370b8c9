"""Two controllers on one namespace: the leader is stopped (SIGSTOP) beyond its lease, then woken, again and again.

Nobody but the holder may write, no run may get two pods, and the other one takes over in time.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from math import ceil

from tests.support.objects import a_grant, a_policy, a_run, an_agent

from campaigns.proxy.gate import Gate
from campaigns.proxy.plan import NOTHING
from campaigns.runner import Arguments, logs
from campaigns.world.judge import judge
from campaigns.world.plane import Plane, plane
from campaigns.world.stage import NotInTimeError, Stage, World, stage

LEASE_SECONDS, REAL_LEASE_SECONDS = 3, 15
TAKEOVER_SECONDS = 20.0
"""Whatever the length of the lease: a busy machine is slow, not wrong. The figures are printed."""
SERIES = ((LEASE_SECONDS, 190), (REAL_LEASE_SECONDS, 12))
"""Leases of so many seconds, and how often each is tried."""
SHORT_SERIES = ((LEASE_SECONDS, 4),)
BURST = 3
AFTER_WAKING_SECONDS = 0.8
SLACK_SECONDS = 0.25
"""What was sent before the lease changed hands may arrive a little later."""


class When(StrEnum):
    """When the leader is stopped."""

    AT_ONCE = "as runs are made"
    AT_A_WRITE = "at a write, which arrives after the other has taken over"
    LATER = "somewhat later"


@dataclass
class Pair:
    """A world with two controllers; `holder` is who wrote the lease last."""

    world: World
    gates: list[Gate]
    seconds: int
    found: list[str] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    writes: list[tuple[int, float, str]] = field(default_factory=list)
    """Who wrote, when, and what."""
    moves: list[tuple[int, float]] = field(default_factory=list)
    """Who held the lease from when on."""

    def holder(self) -> int:
        """Return which of the two holds the lease; -1 before the first did."""
        return self.moves[-1][0] if self.moves else -1

    def note_lease(self, who: int) -> None:
        """Note that one of them wrote the lease."""
        if self.holder() != who:
            self.moves.append((who, time.monotonic()))

    def note_write(self, who: int, name: str) -> None:
        """Note a write, and who must not have made it."""
        now = time.monotonic()
        self.writes.append((who, now, name))
        if self.moves and self.holder() != who and now > self.moves[-1][1] + SLACK_SECONDS:
            self.found.append(f"{name} by one whose lease the other holds")


async def main(arguments: Arguments) -> int:
    """Try with short leases many times, and some times with real ones."""
    with plane() as control_plane:
        return await on(control_plane, arguments)


async def on(control_plane: Plane, arguments: Arguments) -> int:
    """Try on this control plane; returns the violations."""
    async with stage(control_plane, logs("leaders")) as the_stage:
        violations, missed = 0, list[str]()
        for seconds, trials in () if arguments.prove else SHORT_SERIES if arguments.short else SERIES:
            violations += await series(the_stage, arguments, seconds, trials)
        if not arguments.short:
            missed = await prove(the_stage, arguments.seed)
    return violations + len(missed)


async def series(the_stage: Stage, arguments: Arguments, seconds: int, trials: int) -> int:
    """Try so many times with leases of so many seconds, in several pairs at the same time; returns the violations."""
    pairs = min(arguments.jobs, trials)
    share = ceil(trials / pairs)
    seeds = (arguments.seed + seconds * 100 + number for number in range(pairs))
    done = await asyncio.gather(
        *(together(the_stage, seed, seconds, share, is_over=arguments.has_ended) for seed in seeds)
    )
    took = sorted(each for pair in done for each in pair.took)
    found = [each for pair in done for each in pair.found]
    at = took[min(len(took) - 1, int(len(took) * 0.99))] if took else 0.0
    arguments.say(
        f"{len(took)} trials with a lease of {seconds} s: {len(found)} violations;"
        f" takeover median {took[len(took) // 2] if took else 0:.1f} s, p99 {at:.1f} s (bound {TAKEOVER_SECONDS:g} s)"
    )
    if at > TAKEOVER_SECONDS:
        found.append(f"takeover p99 {at:.1f} s")
    arguments.say(*(f"VIOLATION {each}" for each in found[:20]))
    return len(found)


async def together(
    the_stage: Stage,
    seed: int,
    seconds: int,
    trials: int,
    *,
    plant: str = "",
    is_over: Callable[[], bool] = lambda: False,
) -> Pair:
    """Try so many times with one pair."""
    chance = random.Random(seed)
    async with a_pair(the_stage, seconds, plant) as pair:
        try:
            await pair.world.create(a_policy(), a_grant(), an_agent())
            await pair.world.stands("Agent", "teller", "Ready")
            for number in range(trials):
                await attempt(pair, number, chance)
                if (plant and pair.found) or is_over():
                    break
        except NotInTimeError as error:
            pair.found.append(str(error)[:400])
        pair.found += judge(pair.world, 0)
    return pair


@asynccontextmanager
async def a_pair(the_stage: Stage, seconds: int, plant: str) -> AsyncIterator[Pair]:
    """A world with a second controller, each behind a gate of its own."""
    settings = {"REMIT_LEASE": "on", "REMIT_LEASE_SECONDS": str(seconds), "REMIT_RESYNC_SECONDS": "300"}
    first = {**settings, "REMIT_IDENTITY": "one"}
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(the_stage.world(NOTHING, plant=plant, **first))
        gate = Gate(world.namespace, lambda: None)
        url = await stack.enter_async_context(the_stage.proxy.open(gate))
        second = {**settings, "REMIT_IDENTITY": "two", "CAMPAIGN_START": "2", "plant": plant}
        log = the_stage.folder / f"{world.namespace}-two.log"
        world.programs.append(the_stage.program("controller", url, log, **second))
        world.programs[1].start()
        pair = Pair(world, [world.gate, gate], seconds)
        for who, each in enumerate(pair.gates):
            each.on_write = writer(pair, who)
            each.on_lease = holder(pair, who)
        yield pair


def writer(pair: Pair, who: int) -> Callable[[str], None]:
    """Return what notes one's writes."""
    return lambda name: pair.note_write(who, name)


def holder(pair: Pair, who: int) -> Callable[[], None]:
    """Return what notes that one wrote the lease."""
    return lambda: pair.note_lease(who)


async def attempt(pair: Pair, number: int, chance: random.Random) -> None:
    """Stop the leader while it has work, wait for the other, wake it, and see that it writes nothing."""
    world = pair.world
    await world.poll(lambda: pair.holder() >= 0, "one of the two leads")
    leader = pair.holder()
    heir = 1 - leader
    names = [f"run-{number}-{each}" for each in range(BURST)]
    when = chance.choice(list(When))
    stopped = stop_at(pair, leader, when, chance)
    await world.create(*(a_run(name, ttlSecondsAfterFinished=0) for name in names))
    began = await stopped
    names.append(f"run-{number}-more")
    await world.create(a_run(names[-1], ttlSecondsAfterFinished=0))  # something is left to do, whatever was done
    try:
        await world.poll(lambda: pair.holder() == heir, "the other one leads")
        await world.poll(lambda: any(who == heir and at > began for who, at, _ in pair.writes), "the other one writes")
        pair.took.append(next(at for who, at, _ in pair.writes if who == heir and at > began) - began)
        pair.gates[leader].let_go()
    finally:
        world.programs[leader].wake()
    await asyncio.sleep(AFTER_WAKING_SECONDS)
    for name in names:
        await world.stands("AgentRun", name, "Running")
        await world.say(name, outcome={"reason": "Succeeded", "message": "done"})
    for name in names:
        await world.stands("AgentRun", name, "Succeeded")
        await world.delete("AgentRun", name)


def stop_at(pair: Pair, leader: int, when: When, chance: random.Random) -> "asyncio.Future[float]":
    """Stop the leader at its moment; the future says when that was."""
    loop, program, gate = asyncio.get_running_loop(), pair.world.programs[leader], pair.gates[leader]
    stopped: asyncio.Future[float] = loop.create_future()

    def stop() -> None:
        if not stopped.done():
            program.pause()
            stopped.set_result(time.monotonic())

    if when is When.AT_A_WRITE:
        gate.hold_after(chance.randint(0, 2 * BURST), stop)
        loop.call_later(2.0, stop)
    else:
        loop.call_later(0.0 if when is When.AT_ONCE else chance.uniform(0.0, 0.3), stop)
    return stopped


PROOF = (
    "pod-named-by-process",
    "writes-unfenced",
    "tenure-without-end",
    "lease-taken-early",
    "looks-too-rarely",
)
"""Planted bugs that must come to light in a few trials."""
PROOF_TRIALS = 12


async def prove(the_stage: Stage, seed: int) -> list[str]:
    """Plant each bug; returns those that were not caught."""
    control = await together(the_stage, seed, LEASE_SECONDS, 1)
    if control.found:
        print(f"without a planted bug: {control.found[0]}")
        return list(PROOF)
    missed = []
    for name in PROOF:
        pair = await together(the_stage, seed, LEASE_SECONDS, PROOF_TRIALS, plant=name)
        slow = [f"takeover {took:.1f} s" for took in pair.took if took > TAKEOVER_SECONDS]
        found = pair.found + slow
        print(f"planted {name}: {f'caught, {found[0][:160]}' if found else 'NOT CAUGHT'}")
        missed += [] if found else [name]
    print(f"planted bugs caught: {len(PROOF) - len(missed)} of {len(PROOF)}", flush=True)
    return missed
