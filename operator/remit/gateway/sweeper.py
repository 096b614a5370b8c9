"""Ends the runs that should have handed over and did not: a budget that is used up leaves a grace, then the end."""

from __future__ import annotations

import asyncio
from typing import Final

from remit.api.reasons import RunReason
from remit.core.prepare import CompiledBundle
from remit.gateway.authority import Authority
from remit.gateway.callers import is_held, limits_for, run_of
from remit.gateway.ending import Endings
from remit.gateway.memory import Memory, Remembered
from remit.gateway.settings import GRACE_SECONDS
from remit.gateway.settlements import Closing
from remit.gateway.store import RUN
from remit.ports import Clock

EVERY_SECONDS: Final = 1.0


class Sweeper:
    """Looks at all live runs, once a second."""

    def __init__(self, *, clock: Clock, authority: Authority, memory: Memory, endings: Endings) -> None:
        """Look at what this process remembers."""
        self._clock = clock
        self._authority = authority
        self._memory = memory
        self._endings = endings

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            self.sweep()

    def sweep(self) -> None:
        """End what is overdue."""
        for remembered in self._memory.runs():
            record = remembered.record
            if record is None or self._endings.is_ending(record.uid):
                continue
            if record.ended:
                self._memory.forget(record.uid)
            elif (message := self._overdue(remembered)) is not None:
                self._endings.end_soon(record.uid, Closing(RunReason.BUDGET_EXHAUSTED, message))

    def _overdue(self, remembered: Remembered) -> str | None:
        if remembered.exhausted_at is not None and self._is_held(remembered):
            remembered.exhausted_at = self._clock.monotonic()  # it can hand over only when it is resumed
        used_up = remembered.exhausted_at
        if used_up is not None and self._clock.monotonic() - used_up > GRACE_SECONDS:
            return f"the run's budget was used up, and the agent did not hand over within {GRACE_SECONDS:.0f} s"
        bound = self._wall_clock_seconds(remembered)
        record = remembered.record
        if bound is None or record is None:
            return None
        if self._clock.now() - record.account.opened_at <= bound + GRACE_SECONDS:
            return None
        return f"the run's wall clock of {bound} s is over, and the agent did not hand over"

    def _is_held(self, remembered: Remembered) -> bool:
        record = remembered.record
        return record is not None and is_held(self._authority.store.get(RUN, record.namespace, record.name))

    def _wall_clock_seconds(self, remembered: Remembered) -> int | None:
        record = remembered.record
        stored = self._authority.store.get(RUN, record.namespace, record.name) if record is not None else None
        if record is None or stored is None or stored["metadata"]["uid"] != record.uid:
            return None
        run = run_of(stored)
        if run is None:
            return None
        pinned = self._authority.pinned(run.namespace, (stored.get("status") or {}).get("revision") or {})
        if not isinstance(pinned, CompiledBundle):
            return None
        live = self._authority.live(run.namespace, run.spec.agent)
        return limits_for(run, pinned, live).wall_clock_seconds
