"""What only the leader does: begun when the lease is taken, ended when it is lost, and begun again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

Duty = Callable[[], Awaitable[None]]
"""Goes on until it is cancelled."""


class Turns(Protocol):
    """Says when it is this process's turn."""

    taken: asyncio.Event
    lost: asyncio.Event


class Always:
    """A controller that shares its cluster with no other: REMIT_LEASE=off."""

    def __init__(self) -> None:
        """Lead from now on."""
        self.taken, self.lost = asyncio.Event(), asyncio.Event()
        self.taken.set()


async def lead(turns: Turns, catch_up: Duty, duties: Sequence[Duty]) -> None:
    """Do the duties whenever, and only while, it is our turn; a duty that fails ends it all."""
    while True:
        await turns.taken.wait()
        async with asyncio.TaskGroup() as group:
            doing = group.create_task(_do(catch_up, duties), name="leading")
            await turns.lost.wait()
            doing.cancel()


async def _do(catch_up: Duty, duties: Sequence[Duty]) -> None:
    """Catch up first: what the last leader wrote may not have come by watch yet."""
    await catch_up()
    async with asyncio.TaskGroup() as group:
        for duty in duties:
            group.create_task(_run(duty))


async def _run(duty: Duty) -> None:
    await duty()
