"""Waits for something to become true, with a deadline and a reason. The only sleep in tests."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

Seen = TypeVar("Seen")


class NotYetError(AssertionError):
    """Raised when the deadline passes; the message says what was seen last."""


def eventually(
    look: Callable[[], Seen],
    wanted: Callable[[Seen], object] = bool,
    *,
    within_seconds: float = 10.0,
    every_seconds: float = 0.05,
    why: str = "",
) -> Seen:
    """Call `look` until `wanted(seen)` is true, and return what was seen.

    A `look` that raises AssertionError or OSError counts as "not yet".
    """
    deadline = time.monotonic() + within_seconds
    while True:
        last: object
        try:
            seen = look()
            if wanted(seen):
                return seen
            last = seen
        except (AssertionError, OSError) as error:
            last = error
        if time.monotonic() >= deadline:
            raise NotYetError(explain(why, within_seconds, last))
        time.sleep(every_seconds)  # noqa: TID251 - the one sleep, bounded by the deadline


async def eventually_async(
    look: Callable[[], Awaitable[Seen]],
    wanted: Callable[[Seen], object] = bool,
    *,
    within_seconds: float = 10.0,
    every_seconds: float = 0.02,
    why: str = "",
) -> Seen:
    """Await `look` until `wanted(seen)` is true; see `eventually`."""
    deadline = time.monotonic() + within_seconds
    while True:
        last: object
        try:
            seen = await look()
            if wanted(seen):
                return seen
            last = seen
        except (AssertionError, OSError) as error:
            last = error
        if time.monotonic() >= deadline:
            raise NotYetError(explain(why, within_seconds, last))
        await asyncio.sleep(every_seconds)  # noqa: TID251 - the one sleep, bounded by the deadline


def explain(why: str, within_seconds: float, last: object) -> str:
    """Say what was waited for, how long, and what was seen instead."""
    return f"not within {within_seconds:g} s: {why or 'the predicate'}; last seen: {last!r}"
