"""Watches objects and notes when something about one was first seen, as any client of the apiserver would see it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from benchmarks.processes import BenchmarkError
from remit.adapters.clock import SystemClock
from remit.adapters.cluster import KubernetesCluster

Object = Mapping[str, Any]
Finding = Callable[[Object], bool]
WAIT_SECONDS = 120.0


class Observer:
    """One watch of one kind; knows when each object, by name, was first found to be so."""

    def __init__(self, cluster: KubernetesCluster, api_version: str, kind: str, finding: Finding) -> None:
        """Know nothing yet."""
        self._cluster = cluster
        self._api_version = api_version
        self._kind = kind
        self._finding = finding
        self._first: dict[str, float] = {}
        self._changed = asyncio.Event()
        self.is_synced = asyncio.Event()

    async def watch(self) -> None:
        """Watch until cancelled."""
        async for change, thing in self._cluster.watch(self._api_version, self._kind):
            if change == "SYNCED":
                self.is_synced.set()
            elif change in {"ADDED", "MODIFIED"} and self._finding(thing):
                self._first.setdefault(thing["metadata"]["name"], SystemClock().now())
                self._changed.set()

    async def when(self, name: str, seconds: float = WAIT_SECONDS) -> float:
        """Return when (epoch seconds) an object was first found to be so; waits for it."""
        try:
            async with asyncio.timeout(seconds):
                while name not in self._first:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError as error:
            raise BenchmarkError(f"not within {seconds:.0f} s: {self._kind} {name} as wanted") from error
        return self._first[name]


@asynccontextmanager
async def observing(
    cluster: KubernetesCluster, api_version: str, kind: str, finding: Finding
) -> AsyncIterator[Observer]:
    """Observe a kind while the block runs."""
    observer = Observer(cluster, api_version, kind, finding)
    task = asyncio.create_task(observer.watch())
    try:
        await asyncio.wait(
            {task, synced := asyncio.create_task(observer.is_synced.wait())}, return_when="FIRST_COMPLETED"
        )
        if task.done():
            raise BenchmarkError(f"{kind} cannot be watched: {task.exception()}")
        yield observer
        synced.cancel()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
