"""Who is reconciled when: one at a time per key, at once when something happened, later when time alone matters.

Events of one key that come while it is being reconciled become one more round. Errors back off. No kopf here.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Mapping

import structlog

from remit.adapters.logs import about
from remit.controller.apply import OutdatedError
from remit.controller.store import Key
from remit.ports import Clock, RemitError

WORKERS = 32
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 60.0
LONGEST_SLEEP_SECONDS = 30.0
"""A timer is looked at again after this long: the wall clock may jump."""

Reconcile = Callable[[Key], Awaitable[float | None]]
"""Reconciles one key; returns when (epoch seconds) to look at it again though nothing happens, None for never."""

log = structlog.get_logger()


class Work:
    """The queue of keys, their timers, and the workers."""

    def __init__(
        self, reconcile: Reconcile, clock: Clock, describe: Callable[[Key], Mapping[str, str]] | None = None
    ) -> None:
        """Hand keys to `reconcile`; every log line on the way says of whom `describe` speaks."""
        self._reconcile = reconcile
        self._describe = describe or who
        self._is_finishing = False
        self._ended = asyncio.Event()
        self._clock = clock
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._queued: set[Key] = set()
        self._running: set[Key] = set()
        self._again: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, Key]] = []
        self._sooner = asyncio.Event()

    def add(self, key: Key) -> None:
        """Reconcile the key as soon as a worker is free."""
        if key in self._running:
            self._again.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._ready.put_nowait(key)

    def add_at(self, key: Key, moment: float) -> None:
        """Reconcile the key at that moment (epoch seconds), or earlier."""
        if moment >= self._due.get(key, float("inf")):
            return
        self._due[key] = moment
        heapq.heappush(self._heap, (moment, key))
        self._sooner.set()

    @property
    def depth(self) -> int:
        """Keys that wait or are being reconciled."""
        return len(self._queued) + len(self._running)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_time(), name="timers")
            for number in range(WORKERS):
                group.create_task(self._work(), name=f"worker-{number}")

    async def finish(self, within_seconds: float) -> None:
        """Begin nothing new, and give what is under way a moment to end: a write that is cut short is made again."""
        self._is_finishing = True
        try:
            async with asyncio.timeout(within_seconds):
                while self._running:
                    self._ended.clear()
                    await self._ended.wait()
        except TimeoutError:
            log.warning("cut short", keys=len(self._running))

    async def settle(self) -> None:
        """Reconcile, in order, until nothing is ready: for tests, which run no workers."""
        while not self._ready.empty():
            await self._next()

    def ring(self) -> float:
        """Queue every key whose moment has come; returns the seconds until the next one."""
        now = self._clock.now()
        while self._heap and self._heap[0][0] <= now:
            moment, key = heapq.heappop(self._heap)
            if self._due.get(key) == moment:
                del self._due[key]
                self.add(key)
        return min(self._heap[0][0] - now if self._heap else LONGEST_SLEEP_SECONDS, LONGEST_SLEEP_SECONDS)

    async def _watch_time(self) -> None:
        while True:
            self._sooner.clear()
            pause = self.ring()
            try:
                async with asyncio.timeout(pause):
                    await self._sooner.wait()
            except TimeoutError:
                continue

    async def _work(self) -> None:
        while True:
            await self._next()

    async def _next(self) -> None:
        key = await self._ready.get()
        self._queued.discard(key)
        if self._is_finishing:
            return
        self._running.add(key)
        try:
            with about(self._describe(key)):
                await self._attempt(key)
        finally:
            self._running.discard(key)
            self._ended.set()
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    async def _attempt(self, key: Key) -> None:
        """Reconcile once; what fails is tried again, later and later."""
        try:
            moment = await self._reconcile(key)
        except OutdatedError:
            self.add_at(key, self._clock.now() + FIRST_PAUSE_SECONDS)  # its event is on the way, and mostly earlier
        except RemitError as error:
            self._back_off(key, str(error))
        except Exception as error:
            log.exception("reconcile failed")
            self._back_off(key, type(error).__name__)
        else:
            self._failures.pop(key, None)
            if moment is not None:
                self.add_at(key, moment)

    def _back_off(self, key: Key, why: str) -> None:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        pause = min(FIRST_PAUSE_SECONDS * 2 ** min(failures - 1, 16), LONGEST_PAUSE_SECONDS)
        log.warning("reconcile again", why=why[:500], pause_seconds=pause)
        self.add_at(key, self._clock.now() + pause)


def who(key: Key) -> Mapping[str, str]:
    """Say whom a key names."""
    return {"kind": key.kind, "namespace": key.namespace, "name": key.name}
