"""kopf lives apart: it may end, or never end, and another one is begun."""

import asyncio
from threading import Event, current_thread

from tests.support.polling import eventually

from remit.controller import watching
from remit.controller.watching import Watching


async def test_it_lives_in_a_thread_of_its_own_and_ends_when_asked() -> None:
    names = []

    async def operate(ending: asyncio.Event) -> None:
        names.append(current_thread().name)
        await ending.wait()

    one = Watching(operate)
    seen = [one.is_alive]
    one.begin()
    seen.append(one.is_alive)
    await one.end()
    seen.append(one.is_alive)

    assert seen == [False, True, False]
    assert names == ["kopf"]


async def test_one_that_ended_by_itself_is_followed_by_another() -> None:
    began = []

    async def operate(_: asyncio.Event) -> None:
        began.append(1)
        raise RuntimeError("an answer that it does not know")

    one = Watching(operate)
    for _ in range(2):
        one.begin()
        eventually(lambda: not one.is_alive, why="it has ended")
        await one.end()

    assert len(began) == 2


async def test_one_that_waits_for_ever_and_does_not_mind_is_left_behind() -> None:
    watching.LEAVE_SECONDS, before = 0.1, watching.LEAVE_SECONDS
    begun = Event()

    async def operate(_: asyncio.Event) -> None:
        begun.set()
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    one = Watching(operate)
    one.begin()
    assert begun.wait(5)
    try:
        await one.end()
    finally:
        watching.LEAVE_SECONDS = before

    assert not one.is_alive
