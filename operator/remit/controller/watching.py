"""Has kopf watch in a thread and a loop of its own, so that it can be left behind and begun anew.

kopf takes every task of its loop for one of its own: when something ends it, an answer that it does not know for one,
it cancels them all, and may then wait for ever. Nothing of ours may stand in its way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from threading import Thread
from typing import Any

import structlog

LEAVE_SECONDS = 5.0
"""How long kopf has to end when asked to."""
CLEAR_SECONDS = 2.0

Operate = Callable[[asyncio.Event], Coroutine[Any, Any, None]]
"""Runs kopf until the event is set."""

log = structlog.get_logger()


class Watching:
    """One kopf after another."""

    def __init__(self, operate: Operate) -> None:
        """Run it by this; nothing runs yet."""
        self._operate = operate
        self._life: _Life | None = None

    @property
    def is_alive(self) -> bool:
        """Whether kopf runs, deaf or not."""
        return self._life is not None and self._life.thread.is_alive()

    def begin(self) -> None:
        """Start a new one."""
        self._life = _Life(self._operate)
        self._life.thread.start()

    async def end(self) -> None:
        """Ask it to end; one that does not is left behind."""
        if self._life is not None:
            await asyncio.to_thread(self._life.end)
            self._life = None


class _Life:
    """One kopf, from its beginning to its end."""

    def __init__(self, operate: Operate) -> None:
        self._operate = operate
        self._loop = asyncio.new_event_loop()
        self._ending = asyncio.Event()
        self.thread = Thread(target=self._live, name="kopf", daemon=True)

    def end(self) -> None:
        """Ask, then stop its loop whatever it does."""
        for ask, seconds in ((self._ending.set, LEAVE_SECONDS), (self._loop.stop, 2 * CLEAR_SECONDS)):
            if self.thread.is_alive():
                self._loop.call_soon_threadsafe(ask)
                self.thread.join(seconds)
        if self.thread.is_alive():
            log.warning("kopf does not end: it is left behind")

    def _live(self) -> None:
        try:
            self._loop.run_until_complete(self._operate(self._ending))
        except Exception as error:  # noqa: BLE001 - a process loop: whatever ends kopf, another one is begun
            log.warning("kopf ended", error=type(error).__name__, why=str(error)[:500])
        finally:
            self._clear()

    def _clear(self) -> None:
        """Cancel what is left; what does not mind is dropped."""
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        done = self._loop.run_until_complete(asyncio.wait(left, timeout=CLEAR_SECONDS))[0] if left else ()
        for task in done:
            if not task.cancelled():
                task.exception()  # it was said already, or is the end's own doing
        self._loop.close()
