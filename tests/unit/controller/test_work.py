"""The queue: one at a time per key, nothing lost, nothing twice, errors later and later."""

import asyncio
from itertools import pairwise

import structlog
from structlog.testing import capture_logs
from tests.support.controlled import StillClock
from tests.support.polling import eventually_async

from remit.adapters.logs import say_whom
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


async def test_asked_to_end_it_finishes_what_is_under_way_and_begins_nothing() -> None:
    begun: list[Key] = []
    ended: list[Key] = []
    gate = asyncio.Event()

    async def reconcile(key: Key) -> None:
        begun.append(key)
        await gate.wait()
        ended.append(key)

    work = Work(reconcile, StillClock())
    running = asyncio.create_task(work.run())
    work.add(ONE)
    await eventually_async(lambda: asyncio.sleep(0, begun), lambda seen: seen == [ONE])  # noqa: TID251 - yields once
    finishing = asyncio.create_task(work.finish(5))
    await asyncio.sleep(0)  # noqa: TID251 - yields once
    work.add(OTHER)
    gate.set()
    await finishing
    running.cancel()

    assert (begun, ended) == ([ONE], [ONE])


async def test_what_does_not_end_in_time_is_cut_short() -> None:
    async def reconcile(_: Key) -> None:
        await asyncio.Event().wait()

    work = Work(reconcile, StillClock())
    running = asyncio.create_task(work.run())
    work.add(ONE)
    await eventually_async(lambda: asyncio.sleep(0, work.depth), lambda seen: seen == 1)  # noqa: TID251 - yields once
    await work.finish(0.05)
    running.cancel()

    assert work.depth == 1


async def test_every_line_about_a_run_says_its_uid() -> None:
    async def reconcile(_: Key) -> None:
        structlog.get_logger().info("deep inside")
        raise ClusterError("away", "Unreachable")

    work = Work(reconcile, StillClock(), lambda key: {"name": key.name, "uid": f"uid-{key.name}"})
    work.add(ONE)
    with capture_logs(processors=[say_whom]) as lines:
        await work.settle()

    assert [(line["event"], line["uid"]) for line in lines] == [
        ("deep inside", "uid-one"),
        ("reconcile again", "uid-one"),
    ]


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
