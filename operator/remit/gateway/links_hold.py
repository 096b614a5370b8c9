"""The chain's two durable brackets, hold and intent, outcome and settlement; and the record of calls that end early."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from remit.api.reasons import CallReason, RunReason
from remit.core.budget import Amount, word
from remit.core.digest import sha256_hex
from remit.core.idempotency import InFlight, Replay
from remit.core.pricing import spent_of_model
from remit.gateway import books, settlements
from remit.gateway.books import NOTHING, Contended, Held
from remit.gateway.call import Answered, Call, Refused
from remit.gateway.credentials import UNUSABLE
from remit.gateway.flights import CutError, interruptible
from remit.gateway.gate import Gate
from remit.gateway.links import out_of_date, renew
from remit.gateway.memory import asked_bytes
from remit.gateway.settings import MODEL_TIMEOUT_SECONDS
from remit.gateway.settlements import Closing, Settlement, settle_again, settle_call
from remit.gateway.status import usage_status
from remit.gateway.store import RUN
from remit.ports import LedgerTransaction, LedgerUnavailableError, RunRecord

LEDGER_PATIENCE_SECONDS: Final = 20.0
"""How long an outcome waits for the ledger: after that the call counts as lost, which is the truth."""
LEDGER_PAUSE_SECONDS: Final = 0.25
LOST: Final = Refused(
    CallReason.OUTCOME_UNKNOWN,
    "the answer to this write was lost: it may have been acted on, and is not made again",
)


async def hold_and_intend(gate: Gate, call: Call) -> Refused | Answered | None:
    """Reserve the worst case and record the intent, in one transaction; a write that was made has its answer."""
    try:
        held = await held_in_turn(gate, call)
    except CutError as error:
        return error.refused
    if isinstance(held, Refused):
        return held
    if isinstance(held, Replay):
        return Answered("ok", CallReason.ALLOWED, body=held.answer)
    if isinstance(held, InFlight):
        return await settle_orphan(gate, call)
    call.intent, call.max_tokens, call.record = held.intent, held.max_tokens, held.record
    gate.memory.note_record(held.record)
    if call.hand_over:
        grace(gate, call, MODEL_TIMEOUT_SECONDS)
    return None


async def held_in_turn(gate: Gate, call: Call) -> Held | Refused | Replay | InFlight:
    """Wait for the call's turn, and hold; raises CutError when authority goes meanwhile.

    INVARIANT: between the last look at what is granted and the place in the ledger's queue nothing is waited for, so
    that an intent whose decision is out of date stands in the log before the acknowledgement of what replaced it.
    """
    while True:
        with interruptible(call):
            while (holder := gate.flights.claim(call)) is not None:
                await holder.done.wait()
            refused = await out_of_date(gate) or renew(gate, call)
        if refused is not None:
            return refused
        now, call.view = gate.clock.now(), gate.authority.view()
        held = await gate.ledger.transact(lambda tx, now=now: books.hold(tx, call, now))  # type: ignore[misc]
        if not isinstance(held, Contended):
            return held
        with interruptible(call):
            if not await gate.flights.one_less(call):
                return held.refused


async def settle_orphan(gate: Gate, call: Call) -> Refused | Answered | None:
    """Settle what nobody here is waiting for any more: an intent whose outcome could not be recorded."""
    key, now = call.key, gate.clock.now()
    record = await gate.ledger.transact(lambda tx: settlements.settle_orphan(tx, key, now))
    if record is not None and record.outcome_reason == RunReason.OUTCOME_UNKNOWN:
        gate.endings.end_soon(record.uid, Closing(RunReason.OUTCOME_UNKNOWN, record.outcome_message))
        return LOST
    return await hold_and_intend(gate, call)


async def settle(gate: Gate, call: Call) -> Refused | Answered | None:
    """Record the outcome and settle the hold, in one transaction; a lost write ends the run."""
    if call.answered is None or call.intent is None:
        raise LookupError("there is no outcome of an intent to settle")
    view = gate.authority.view() if call.cut is None else None
    intent, settlement, now = call.intent, replace(settlement_of(call, call.answered), view=view), gate.clock.now()
    try:
        record = await gate.ledger.transact(lambda tx: settle_call(tx, intent, settlement, now))
    except LedgerUnavailableError:
        record = await at_last(gate, lambda tx: settle_again(tx, intent, settlement, now))
    if record is None:
        return LOST
    note(gate, call, record)
    remember_outcome(gate, call, call.answered, settlement)
    if settlement.state == "unknown":
        gate.endings.end_soon(record.uid, Closing(RunReason.OUTCOME_UNKNOWN, record.outcome_message))
        return Refused(CallReason.OUTCOME_UNKNOWN, record.outcome_message)
    if call.answered.status == "error" and not call.answered.body:
        return Refused(call.answered.reason, call.answered.message)
    return None


def remember_outcome(gate: Gate, call: Call, answered: Answered, settlement: Settlement) -> None:
    """Remember what later calls of the run depend on."""
    remembered = gate.memory.known(call.run.uid)
    if remembered is not None and answered.tool_calls:
        remembered.note_asked(answered.tool_calls)
    if settlement.state == "failed":
        not_written(gate, call)
    if call.hand_over:
        grace(gate, call, 0)


async def at_last(gate: Gate, work: Callable[[LedgerTransaction], RunRecord | None]) -> RunRecord | None:
    """Write what must not be lost: a ledger that cannot be written now is asked again for a while."""
    deadline = gate.clock.monotonic() + LEDGER_PATIENCE_SECONDS
    while True:
        await asyncio.sleep(LEDGER_PAUSE_SECONDS)
        try:
            return await gate.ledger.transact(work)
        except LedgerUnavailableError:
            if gate.clock.monotonic() >= deadline:
                raise


async def conclude(gate: Gate, call: Call, end: Refused | Answered) -> Refused | Answered:
    """Make durable what ended a call early: a refusal before the intent is a denial, one after it is its outcome."""
    if isinstance(end, Answered):
        return end
    if end.reason is CallReason.RUN_ALREADY_EXECUTED and call.caller is not None:
        gate.repeats.look_soon(call.caller.stored)
    if end.reason in UNUSABLE:
        gate.acknowledger.doubt(call.run.namespace, call.granted.grant.ref.name)
    if call.intent is not None and call.answered is None:
        call.answered = Answered("error", end.reason, end.message, acted=False)
        return await settle(gate, call) or end
    if call.intent is None:
        not_written(gate, call)
    if call.intent is None and call.caller is not None and end.recorded:
        now = gate.clock.now()
        record = await gate.ledger.transact(lambda tx: books.refuse(tx, call, end, now))
        if record is not None:
            note(gate, call, record)
        await after_refusal(gate, call, end, record)
    return end


def grace(gate: Gate, call: Call, more_seconds: float) -> None:
    """Let the grace of a run that hands over begin when its hand-over call is answered."""
    remembered = gate.memory.known(call.run.uid)
    if remembered is not None and remembered.exhausted_at is not None:
        remembered.exhausted_at = gate.clock.monotonic() + more_seconds


def not_written(gate: Gate, call: Call) -> None:
    """Forget that the call was to write: nothing of it was done."""
    remembered = gate.memory.known(call.run.uid) if call.claims_write else None
    if remembered is not None:
        remembered.release_write(call.write, call.call_id)


async def after_refusal(gate: Gate, call: Call, end: Refused, record: RunRecord | None) -> None:
    """Draw the consequences of a refusal for its run: too many end it, an exhausted budget starts its grace."""
    if record is not None and record.outcome_reason == RunReason.POLICY_VIOLATION:
        gate.endings.end_soon(record.uid, Closing(RunReason.POLICY_VIOLATION, record.outcome_message))
    if end.reason is CallReason.BUDGET_EXHAUSTED:
        remembered = await gate.memory.of(call.run.uid)
        if remembered.exhausted_at is None:
            remembered.exhausted_at = gate.clock.monotonic()
        call.budget = "exhausted"


def note(gate: Gate, call: Call, record: RunRecord) -> None:
    """Remember the run's newest record, and tell its status once that its budget runs out."""
    call.record = record
    gate.memory.note_record(record)
    if call.caller is None:
        return
    call.budget = word(record.account, call.caller.limits, gate.clock.now())
    remembered = gate.memory.known(record.uid)
    if remembered is not None and remembered.exhausted_at is not None:
        call.budget = "exhausted"
    if call.budget == "ok" or remembered is None or remembered.told_soft or record.outcome_reason:
        return
    remembered.told_soft = True
    gate.status.put(RUN, record.namespace, record.name, record.uid, usage_status(record))


def settlement_of(call: Call, answered: Answered) -> Settlement:
    """Say what became of the call, in the ledger's words."""
    if call.intent is None:
        raise LookupError("the call has no intent")
    hold = Amount(**call.intent.hold)
    digest = answered.digest or (sha256_hex(answered.body) if answered.body else "")
    reason = str(answered.reason)
    if answered.status == "unknown" and not call.only_reads:
        return Settlement("unknown", "unknown", reason, hold)
    if not answered.acted:
        return Settlement("failed", "error", reason, NOTHING)
    if call.kind == "model":
        return Settlement(
            "done" if answered.status == "ok" else "failed",
            "ok" if answered.status == "ok" else "error",
            reason,
            spent_by_model(call, answered, hold),
            asked_bytes(answered.tool_calls),
            digest,
        )
    if answered.status == "unknown" or not answered.body:
        return Settlement("failed", "error", reason, hold, b"", digest)
    recorded = b"" if call.only_reads else answered.body
    return Settlement("done", answered.status, reason, hold, recorded, digest)


def spent_by_model(call: Call, answered: Answered, hold: Amount) -> Amount:
    """Return what a model call cost: what the provider counted, all of the hold when it did not say."""
    model = call.current.model
    return hold if answered.use is None or model is None else spent_of_model(model, answered.use)
