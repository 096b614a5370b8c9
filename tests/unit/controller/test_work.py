"""The queue: one at a time per key, nothing lost, nothing twice, errors later and later."""

import asyncio
from itertools import pairwise

from tests.support.controlled import StillClock
from tests.support.polling import eventually_async

from remit.controller.store import Key
from remit.controller.work import LONGEST_PAUSE_SECONDS, Work
from remit.ports import ClusterError

ONE, OTHER = Key("AgentRun", "bank", "one"), Key("AgentRun", "bank", "other")


async def test_events_of_one_key_become_one_round() -> None:
    seen: list[Key] = []

    async def reconcile(key: Key) -> None:
        seen.append(key)

    work = Work(reconcile, StillClock())
    for key in (ONE, ONE, OTHER, ONE):
        work.add(key)
    await work.settle()

    assert seen == [ONE, OTHER]


async def test_an_event_during_a_round_becomes_one_more() -> None:
    seen: list[Key] = []
    work: Work

    async def reconcile(key: Key) -> None:
        seen.append(key)
        if len(seen) == 1:
            work.add(ONE)
            work.add(ONE)

    work = Work(reconcile, StillClock())
    work.add(ONE)
    await work.settle()

    assert seen == [ONE, ONE]


async def test_one_key_is_never_reconciled_twice_at_once() -> None:
    running, most, done = 0, 0, 0
    gate = asyncio.Event()

    async def reconcile(key: Key) -> None:
        nonlocal running, most, done
        running += 1
        most = max(most, running)
        await gate.wait()
        running -= 1
        done += 1

    work = Work(reconcile, StillClock())
    worker = asyncio.create_task(work.run())
    work.add(ONE)
    await eventually_async(lambda: _value(running == 1))
    work.add(ONE)
    gate.set()
    await eventually_async(lambda: _value(done == 2))
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)

    assert most == 1


async def _value(seen: bool) -> bool:  # noqa: FBT001 - what polling looks at
    return seen


async def test_errors_back_off_and_do_not_stop_the_others() -> None:
    clock, seen = StillClock(), []

    async def reconcile(key: Key) -> None:
        seen.append(clock.now())
        if len(seen) < 4:
            raise ClusterError("busy", "TooManyRequests", 429)

    work = Work(reconcile, clock)
    work.add(ONE)
    for _ in range(60):
        await work.settle()
        clock.seconds += 0.05
        work.ring()
    pauses = [round(later - earlier, 2) for earlier, later in pairwise(seen)]

    assert len(seen) == 4
    assert pauses == sorted(pauses)
    assert pauses[0] >= 0.1
    assert pauses[-1] <= LONGEST_PAUSE_SECONDS


async def test_a_fault_of_ours_is_tried_again_too() -> None:
    clock, seen = StillClock(), []

    async def reconcile(key: Key) -> None:
        seen.append(key)
        if len(seen) == 1:
            raise KeyError("a fault")

    work = Work(reconcile, clock)
    work.add(ONE)
    await work.settle()
    clock.seconds += 1
    work.ring()
    await work.settle()

    assert len(seen) == 2


async def test_the_earliest_moment_counts_and_a_jump_of_the_clock_is_seen() -> None:
    clock, seen = StillClock(), []

    async def reconcile(key: Key) -> None:
        seen.append(clock.now())

    work = Work(reconcile, clock)
    work.add_at(ONE, clock.now() + 10_000)
    work.add_at(ONE, clock.now() + 100)
    assert work.ring() <= 30
    clock.seconds += 50_000
    work.ring()
    await work.settle()

    assert len(seen) == 1
