"""What a dead gateway left open is settled before this one serves anyone: conservatively, and nothing is made again."""

from __future__ import annotations

import structlog

from remit.api.reasons import RunReason
from remit.gateway.ending import Endings, named
from remit.gateway.settlements import Closing, settle_lost_calls
from remit.ports import Clock, Ledger

log = structlog.get_logger()


async def recover(ledger: Ledger, endings: Endings, clock: Clock) -> int:
    """Settle every open call of every open run; return how many runs had any. Raises LedgerUnavailableError."""
    runs = await ledger.read(lambda tx: [(record.uid, bool(tx.open_calls(record.uid))) for record in tx.open_runs()])
    touched = 0
    for uid, has_open_calls in runs:
        if has_open_calls:
            now = clock.now()
            await ledger.transact(lambda tx, uid=uid, now=now: settle_lost_calls(tx, uid, now))  # type: ignore[misc]
            touched += 1
        record = await ledger.read(lambda tx, uid=uid: tx.run(uid))  # type: ignore[misc]
        if record is not None and has_open_calls:
            log.warning("calls of a dead gateway were settled", **named(record))
        if record is not None and record.outcome_reason:
            endings.end_soon(uid, Closing(RunReason(record.outcome_reason), record.outcome_message))
    return touched
