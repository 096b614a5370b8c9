"""The calls under way: by run and by key, so that one can be waited for, and all can be cut when authority goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from remit.gateway.call import Call, Refused


class CutError(Exception):
    """Authority went while the call was under way."""

    def __init__(self, refused: Refused, *, sent: bool) -> None:
        """`sent` tells whether the upstream may have heard of the call."""
        super().__init__(refused.message)
        self.refused = refused
        self.sent = sent


@contextmanager
def interruptible(call: Call) -> Iterator[None]:
    """Mark the time in which a cut interrupts the call; raises CutError when it was cut, before or within."""
    if call.cut is not None:
        raise CutError(call.cut, sent=False)
    task = call.task = asyncio.current_task()
    try:
        yield
    except asyncio.CancelledError:
        refused = cut_of(call)
        if refused is None or task is None or task.uncancel() > 0:
            raise
        raise CutError(refused, sent=True) from None
    finally:
        call.task = None


def cut_of(call: Call) -> Refused | None:
    """Return what took the call's authority by now."""
    return call.cut


def cut(call: Call, refused: Refused) -> None:
    """Take a call's authority: one at its upstream is interrupted, one that is not there yet never goes."""
    if call.cut is None:
        call.cut = refused
        if call.task is not None:
            call.task.cancel()


class Flights:
    """All calls under way in this process."""

    def __init__(self) -> None:
        """Begin with none."""
        self._by_run: dict[str, set[Call]] = {}
        self._by_key: dict[str, Call] = {}
        self._places = 0

    def __len__(self) -> int:
        """Return how many there are."""
        return sum(map(len, self._by_run.values()))

    def enter(self, call: Call) -> None:
        """Register an identified call."""
        self._places += 1
        call.place = self._places
        self._by_run.setdefault(call.run.uid, set()).add(call)

    def leave(self, call: Call) -> None:
        """Forget a call that is over, and wake who waits for it."""
        call.done.set()
        if call.caller is None:
            return
        of_run = self._by_run.get(call.run.uid, set())
        of_run.discard(call)
        if not of_run:
            self._by_run.pop(call.run.uid, None)
        if self._by_key.get(call.key) is call:
            del self._by_key[call.key]

    def claim(self, call: Call) -> Call | None:
        """Take the call's key for it; return the call that has it already."""
        holder = self._by_key.setdefault(call.key, call)
        return None if holder is call else holder

    async def one_less(self, call: Call) -> bool:
        """Wait until another call of the same run, one that came before, is over; False when there is none."""
        before = [each for each in self._by_run.get(call.run.uid, ()) if each.place < call.place]
        if not before:
            return False
        await finished(before, return_when=asyncio.FIRST_COMPLETED)
        return True

    def recheck(self, objection: Callable[[Call], Refused | None]) -> None:
        """Cut every call that is objected to now."""
        for calls in list(self._by_run.values()):
            for call in list(calls):
                refused = objection(call)
                if refused is not None:
                    cut(call, refused)

    async def cut_run(self, uid: str, refused: Refused, within_seconds: float) -> None:
        """Cut a run's calls and wait, for a bounded time, until they are settled."""
        for call in list(self._by_run.get(uid, ())):
            cut(call, refused)
        await self.wait_run(uid, within_seconds)

    async def wait_run(self, uid: str, within_seconds: float) -> None:
        """Wait, for a bounded time, until none of a run's calls is under way."""
        calls = list(self._by_run.get(uid, ()))
        if calls and within_seconds > 0:
            await finished(calls, within_seconds=within_seconds)

    async def wait_cut(self, within_seconds: float) -> bool:
        """Wait, for a bounded time, until no call that was cut is under way; tell whether that is so."""
        calls = [call for calls in self._by_run.values() for call in calls if call.cut is not None]
        return not calls or await finished(calls, within_seconds=within_seconds)


async def finished(
    calls: Iterable[Call],
    *,
    within_seconds: float | None = None,
    return_when: str = asyncio.ALL_COMPLETED,
) -> bool:
    """Wait for calls to be over; tell whether none of them is under way any more."""
    waiting = [asyncio.ensure_future(call.done.wait()) for call in calls]
    try:
        _, late = await asyncio.wait(waiting, timeout=within_seconds, return_when=return_when)
        return not late
    finally:
        for waiter in waiting:
            waiter.cancel()
