"""What ends: the outcome of a call, the last entry of a run. Works for the ledger's transactions, as in books.py."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec

from remit.api.evidence import CallFacts, View
from remit.api.reasons import CallReason, RunReason
from remit.core.budget import Amount, release, settle
from remit.core.digest import sha256_hex
from remit.core.evidence import OutcomeStatus, outcome_entry, run_end_entry
from remit.core.idempotency import only_reads
from remit.gateway.books import NOTHING, advanced, spot
from remit.ports import CallRecord, LedgerTransaction, RunRecord


@dataclass(frozen=True, slots=True)
class Closing:
    """How a run ends."""

    reason: RunReason
    message: str
    result: bytes = b""
    partial: bytes = b""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of one held call."""

    state: str
    """done, failed or unknown."""
    status: OutcomeStatus
    reason: str
    spent: Amount
    answer: bytes = b""
    result_digest: str = ""
    view: View | None = None
    """What had been seen while the call was still allowed; none for one that was cut or lost."""


def settle_call(tx: LedgerTransaction, intent: CallRecord, settlement: Settlement, now: float) -> RunRecord | None:
    """Record the outcome of a held intent and settle its hold; None for a run whose end settled it."""
    record = tx.run(intent.run_uid)
    if record is None or record.ended:
        return None
    held = Amount(**intent.hold)
    if settlement.spent == NOTHING and settlement.state == "failed":
        account = release(record.account, held)
    else:
        account = settle(record.account, held, settlement.spent)
    call: CallFacts = msgspec.json.decode(intent.facts)
    body = outcome_entry(
        spot(record, msgspec.json.decode(record.facts), now),
        call,
        intent=intent.intent_sequence,
        status=settlement.status,
        reason=settlement.reason,
        spent=settlement.spent,
        overrun=settlement.spent.minus(held),
        result_digest=settlement.result_digest,
        view=settlement.view,
    )
    record = advanced(tx, record, body, account=account)
    if settlement.state == "unknown" and not record.outcome_reason:
        record = replace(record, outcome_reason=RunReason.OUTCOME_UNKNOWN, outcome_message=unknown_message(call))
    tx.put_call(replace(intent, state=settlement.state, answer=settlement.answer))
    tx.put_run(record)
    return record


def unknown_message(call: CallFacts) -> str:
    """Name the call whose answer was lost."""
    return (
        f"the answer to {call['grant']}/{call['tool']} (call {call['id']}, idempotency key "
        f"{call['idempotencyKey']}) was lost: it may have been acted on; see to it before a new attempt"
    )


def lost(record: CallRecord) -> Settlement:
    """Return the settlement of a call whose process died, or that its run's end cut off."""
    if only_reads("model" if record.kind == "model" else "tool", record.risk):
        return Settlement("failed", "error", CallReason.OUTCOME_UNKNOWN, Amount(**record.hold))
    return Settlement("unknown", "unknown", CallReason.OUTCOME_UNKNOWN, Amount(**record.hold))


def settle_orphan(tx: LedgerTransaction, key: str, now: float) -> RunRecord | None:
    """Settle one call that nobody waits for any more."""
    intent = tx.call(key)
    if intent is None or intent.state != "held":
        return None
    return settle_call(tx, intent, lost(intent), now)


def settle_again(tx: LedgerTransaction, intent: CallRecord, settlement: Settlement, now: float) -> RunRecord | None:
    """Settle after an attempt that failed: its own outcome, should it be there after all, is not written twice."""
    known = tx.call(intent.key)
    if known is None or known.state != "held" or known.intent_sequence != intent.intent_sequence:
        return tx.run(intent.run_uid)
    return settle_call(tx, intent, settlement, now)


def settle_lost_calls(tx: LedgerTransaction, run_uid: str, now: float) -> RunRecord | None:
    """Settle whatever a dead process left open."""
    for intent in tx.open_calls(run_uid):
        settle_call(tx, intent, lost(intent), now)
    return tx.run(run_uid)


def close_run(tx: LedgerTransaction, uid: str, closing: Closing, now: float) -> RunRecord | None:
    """Write the run-end entry, the run's last. What ended it first stands; None for a run without a record."""
    record = settle_lost_calls(tx, uid, now)
    if record is None or record.ended:
        return record
    if not record.outcome_reason:
        record = replace(record, outcome_reason=closing.reason, outcome_message=closing.message)
    if record.outcome_reason == closing.reason:
        record = replace(record, result=closing.result)
    record = replace(record, partial=closing.partial or record.partial)
    body = run_end_entry(
        spot(record, msgspec.json.decode(record.facts), now),
        reason=record.outcome_reason,
        spent=record.account.spent,
        overrun=record.account.overrun,
        result_digest=sha256_hex(record.result) if record.result else "",
    )
    record = advanced(tx, record, body, ended=True, ended_at=now)
    tx.put_run(record)
    return record
