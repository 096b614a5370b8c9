"""Watches the kinds that change most, without kopf: of a run's cost, kopf's own work for each event would be half.

A stream lists its kind first, goes on from there, and is begun anew when it breaks. It is asked to end soon, so that
its renewal proves that it lives (see `watches`). What it tells is noted as what kopf tells is: level, not edge.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from remit.controller.kinds import STREAMED
from remit.controller.reconcile import Controller
from remit.controller.store import Object, Watched
from remit.ports import Clock, Cluster, RemitError

FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 5.0
LASTED_SECONDS: Final = 10.0
"""A stream that lasted so long was well: the next one is begun at once."""

log = structlog.get_logger()


async def stream(controller: Controller, cluster: Cluster, clock: Clock) -> None:
    """Watch the streamed kinds until cancelled."""
    async with asyncio.TaskGroup() as group:
        for watched in STREAMED:
            group.create_task(_for_ever(controller, cluster, clock, watched), name=f"stream-{watched.kind}")


async def _for_ever(controller: Controller, cluster: Cluster, clock: Clock, watched: Watched) -> None:
    pause = FIRST_PAUSE_SECONDS
    while True:
        began = clock.monotonic()
        try:
            await once(controller, cluster, watched)
        except (RemitError, OSError, ValueError) as error:  # ValueError: an answer that is no JSON
            log.warning("a stream ended", kind=watched.kind, error=type(error).__name__, why=str(error)[:500])
        lasted = clock.monotonic() - began
        pause = FIRST_PAUSE_SECONDS if lasted > LASTED_SECONDS else min(2 * pause, LONGEST_PAUSE_SECONDS)
        await asyncio.sleep(pause)


async def once(controller: Controller, cluster: Cluster, watched: Watched) -> None:
    """Take in the list of one kind, then every change, until the stream ends."""
    listed: list[Object] | None = []
    async for change, thing in cluster.watch(watched.api_version, watched.kind, watched.selector):
        if change == "SYNCED":
            controller.take(watched.kind, listed or [], int(thing["metadata"]["resourceVersion"] or 0))
            controller.watches.listed(watched.kind)
            listed = None
        elif listed is not None:
            listed.append(thing)
        elif change in {"ADDED", "MODIFIED", "DELETED"}:
            controller.note(watched.kind, thing, gone=change == "DELETED")
        if listed is None:
            controller.watches.hear(watched.kind)
