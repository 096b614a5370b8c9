"""What goes on behind the calls: work that nobody waits for, and that tries again until those it asks answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

from remit.ports import ClusterError, LedgerUnavailableError

RETRY_SECONDS: Final = 1.0
Result = TypeVar("Result")


class Background:
    """Tasks that go on until they are done, or the process ends: the next start takes up what is left."""

    def __init__(self) -> None:
        """Begin with none."""
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Have this done, by and by."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop what is not done."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def at_last(attempt: Callable[[], Awaitable[Result]]) -> Result:
    """Return what `attempt` comes to, tried again while the ledger or the apiserver cannot be asked."""
    while True:
        try:
            return await attempt()
        except (LedgerUnavailableError, ClusterError):
            await asyncio.sleep(RETRY_SECONDS)
