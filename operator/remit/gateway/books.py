"""What the chain writes: works for the ledger's transactions, each of which becomes durable whole or not at all.

They run on the ledger's turn: no I/O, no clock, nothing from outside but what is handed in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from remit.api.evidence import CallFacts, DecisionFacts, RunFacts
from remit.api.names import MAX_REFUSED_CALLS
from remit.api.reasons import CallReason, RunReason
from remit.core.budget import Account, Amount, Exhausted, Purpose, reserve
from remit.core.digest import canonical, sha256_hex
from remit.core.evidence import (
    Chain,
    Spot,
    bundle_entry,
    denial_entry,
    intent_entry,
    shown,
)
from remit.core.idempotency import InFlight, KeyReused, Replay, Run, Unknown, verdict
from remit.core.prepare import CompiledBundle
from remit.core.pricing import affordable_output_tokens, hold_of_model, hold_of_tool
from remit.gateway.call import Call, Caller, Refused
from remit.gateway.takeovers import taken_over
from remit.gateway.works import earlier_run, repeated
from remit.ports import CallRecord, LedgerTransaction, RunRecord

NOTHING: Final = Amount()


@dataclass(frozen=True, slots=True)
class Held:
    """The intent is durable: the call may be made."""

    intent: CallRecord
    record: RunRecord
    max_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Contended:
    """There is budget, but other calls of the run hold it now."""

    refused: Refused
    """What to say when nothing of it comes back."""


def open_run(tx: LedgerTransaction, caller: Caller, now: float) -> RunRecord | Refused:
    """Return the run's record; at its first use, make it, with the bundle that it is pinned to.

    INVARIANT: of the runs that do the same piece of work, one has a record of doing it: the others are refused.
    A pod is refused that comes after one that wrote.
    """
    live = caller.live
    if isinstance(live, CompiledBundle) and live.digest != caller.pinned.digest and not tx.has_bundle(live.digest):
        tx.put_bundle(live.digest, live.document)
    run = caller.run
    record = tx.run(run.uid)
    if record is not None:
        return taken_over(tx, record, caller.pod_uid)
    earlier = earlier_run(tx, run, caller.work)
    if earlier is not None:
        return repeated(earlier)
    pinned = caller.pinned
    tx.put_bundle(pinned.digest, pinned.document)
    record = RunRecord(
        uid=run.uid,
        namespace=run.namespace,
        name=run.name,
        account=Account(opened_at=run.started_at or now),
        pinned_bundle=pinned.digest,
        facts=canonical(caller.facts),
        work=caller.work,
        pod_uid=caller.pod_uid,
    )
    record = advanced(tx, record, bundle_entry(spot(record, caller.facts, now), pinned.digest))
    tx.put_run(record)
    return record


def take_step(tx: LedgerTransaction, caller: Caller, step: int, now: float) -> RunRecord | Refused:
    """Keep which turn the run is in: a pod that starts again goes on after it."""
    record = open_run(tx, caller, now)
    if isinstance(record, Refused):
        return record
    if step > record.step and not record.ended:
        record = replace(record, step=step)
        tx.put_run(record)
    return record


def spot(record: RunRecord, facts: RunFacts, now: float) -> Spot:
    """Return the place of the run's next entry."""
    return Spot(Chain(record.sequence, record.previous), now, facts)


def advanced(tx: LedgerTransaction, record: RunRecord, body: bytes, **changes: Any) -> RunRecord:
    """Append an entry of the run and return the record that counts it, with these changes."""
    tx.append(record.uid, body)
    return replace(record, sequence=record.sequence + 1, previous=sha256_hex(body), **changes)


def refuse(tx: LedgerTransaction, call: Call, refused: Refused, now: float) -> RunRecord | None:
    """Record a denial; a run that had too many of them is marked to end. None for a run that has ended."""
    if call.caller is None:
        raise LookupError("only an identified call's refusal is recorded")
    record = open_run(tx, call.caller, now)
    if isinstance(record, Refused) or record.ended:
        return None
    body = denial_entry(spot(record, call.caller.facts, now), call_facts(call), denial_facts(call, refused))
    record = advanced(tx, record, body, refused_calls=record.refused_calls + 1)
    if record.refused_calls > MAX_REFUSED_CALLS and not record.outcome_reason:
        message = f"more than {MAX_REFUSED_CALLS} calls were refused, the last with {refused.reason}"
        record = replace(record, outcome_reason=RunReason.POLICY_VIOLATION, outcome_message=message)
    tx.put_run(record)
    return record


def hold(tx: LedgerTransaction, call: Call, now: float) -> Held | Refused | Contended | Replay | InFlight:
    """Reserve the worst case and record the intent, all or nothing; or say why not."""
    if call.caller is None:
        raise LookupError("only an identified call is held")
    record = open_run(tx, call.caller, now)
    if isinstance(record, Refused):
        return record
    refused = over(record) or out_of_turn(call, record)
    if refused is not None:
        return refused
    known = known_call(tx, call)
    if known is not None:
        return known
    reserved = reserve_worst_case(call, record.account, now)
    if isinstance(reserved, Refused):
        alone = replace(record.account, held=NOTHING)
        affordable = not isinstance(reserve_worst_case(call, alone, now), Refused)
        return Contended(reserved) if affordable else reserved
    account, amount, max_tokens = reserved
    intent = intent_record(call, record, amount)
    body = intent_entry(spot(record, call.caller.facts, now), call_facts(call), decision_facts(call), amount)
    record = advanced(
        tx,
        record,
        body,
        account=account,
        model_calls=record.model_calls + (call.kind == "model"),
        handed_over=record.handed_over or call.hand_over,
    )
    tx.put_call(intent)
    tx.put_run(record)
    return Held(intent, record, max_tokens)


def known_call(tx: LedgerTransaction, call: Call) -> Refused | Replay | InFlight | None:
    """Return what is to be done instead of a call that was made before; None for one to be made."""
    found = verdict(tx.call(call.key), call.arguments_digest, kind=call.kind, risk=str(call.risk))
    match found:
        case Run():
            return None
        case KeyReused():
            message = f"the call id {shown(call.call_id)} was used with other arguments"
            return Refused(CallReason.KEY_REUSED, message)
        case Unknown():
            return Refused(CallReason.OUTCOME_UNKNOWN, "the answer to this write was lost: it is not made again")
        case Replay() | InFlight():
            return found


def purpose_of(call: Call) -> Purpose:
    """Return which share of the budget the call may use."""
    return "hand-over" if call.hand_over else "ordinary"


def over(record: RunRecord) -> Refused | None:
    """Return the refusal of a run that has its end."""
    if not record.ended and not record.outcome_reason:
        return None
    if record.recorded_from:
        return Refused(CallReason.RUN_ALREADY_EXECUTED, record.outcome_message)
    return Refused(CallReason.RUN_NOT_ACTIVE, f"the run has ended: {record.outcome_reason}")


def out_of_turn(call: Call, record: RunRecord) -> Refused | None:
    """Return the refusal of a call that comes too late in its run: past a stop, a hand-over or the last turn."""
    if call.caller is None:
        return None
    if record.handed_over:
        return Refused(CallReason.HANDED_OVER, "the hand-over call was made: hand over what there is")
    if call.hand_over:
        return None
    if call.run.is_stopping:
        return Refused(CallReason.RUN_NOT_ACTIVE, "the run was asked to stop: only the hand-over call is left")
    bound = call.caller.max_iterations
    if call.kind == "model" and record.model_calls >= bound:
        return Refused(CallReason.ITERATIONS_EXHAUSTED, f"the agent has used its {bound} model calls")
    return None


def reserve_worst_case(call: Call, account: Account, now: float) -> tuple[Account, Amount, int] | Refused:
    """Return the account with the call's worst case held, the amount, and the output tokens that it is cut to."""
    if call.caller is None:
        raise LookupError("only an identified call is held")
    amount, max_tokens = worst_case(call, account)
    if amount is None:
        return exhausted(Exhausted("tokens or cost_micro_usd", 0, 0, 0, 0))
    after = reserve(account, call.caller.limits, amount, purpose=purpose_of(call), now=now)
    return exhausted(after) if isinstance(after, Exhausted) else (after, amount, max_tokens)


def worst_case(call: Call, account: Account) -> tuple[Amount | None, int]:
    """Return the most that the call can spend, and the output tokens that it is cut to; None: not affordable."""
    tool, caller = call.current, call.caller
    if tool.tool is not None:
        return hold_of_tool(tool.tool.price_micro_usd), 0
    if tool.model is None or caller is None:
        return None, 0
    model, choices = tool.model, call.choices
    asked = min(call.asked_tokens, caller.max_output_tokens)
    granted = affordable_output_tokens(
        account,
        caller.limits,
        model,
        body_bytes=call.body_bytes,
        asked=asked,
        choices=choices,
        purpose=purpose_of(call),
    )
    if granted == 0:
        return None, 0
    return hold_of_model(model, body_bytes=call.body_bytes, max_tokens=granted, choices=choices), granted


def exhausted(what: Exhausted) -> Refused:
    """Say which budget is used up."""
    figures = f" of {what.limit}: {what.spent} spent, {what.held} held, {what.asked} asked" if what.limit else ""
    return Refused(CallReason.BUDGET_EXHAUSTED, f"the run's budget is used up: {what.dimension}{figures}")


def intent_record(call: Call, record: RunRecord, amount: Amount) -> CallRecord:
    """Return what the ledger keeps of the call."""
    return CallRecord(
        key=call.key,
        run_uid=record.uid,
        state="held",
        arguments_digest=call.arguments_digest,
        intent_sequence=record.sequence,
        hold={
            "tokens": amount.tokens,
            "tool_calls": amount.tool_calls,
            "cost_micro_usd": amount.cost_micro_usd,
        },
        kind=call.kind,
        grant=call.granted.grant.ref.name,
        tool=call.granted.name,
        risk=str(call.risk),
        call_id=call.call_id,
        facts=msgspec.json.encode(call_facts(call)),
    )


def call_facts(call: Call) -> CallFacts:
    """Return what entries say of the call: digests only."""
    tool = call.tool
    return {
        "id": shown(call.call_id or call.given_id),
        "kind": call.kind,
        "grant": tool.grant.ref.name if tool else "",
        "tool": tool.name if tool else shown(call.name),
        "risk": str(tool.risk) if tool else "",
        "argumentsDigest": call.arguments_digest,
        "idempotencyKey": call.key,
    }


def decision_facts(call: Call) -> DecisionFacts:
    """Return what was decided, as entries say it."""
    decision = call.decision
    if decision is None or call.caller is None:
        raise LookupError("the call is not decided yet")
    return {
        "effect": "Allow",
        "reason": str(decision.reason),
        "rule": decision.rule,
        "policy": decision.policy,
        "message": decision.message,
        "pinnedBundle": call.caller.pinned.digest,
        "liveBundle": live_digest(call.caller),
        "view": call.view,
    }


def denial_facts(call: Call, refused: Refused) -> DecisionFacts:
    """Return what was refused, as entries say it."""
    if call.caller is None:
        raise LookupError("only an identified call's refusal is recorded")
    return {
        "effect": "Deny",
        "reason": str(refused.reason),
        "rule": refused.rule,
        "policy": refused.policy,
        "message": shown(refused.message),
        "pinnedBundle": call.caller.pinned.digest,
        "liveBundle": live_digest(call.caller),
    }


def live_digest(caller: Caller) -> str:
    """Name the live bundle; empty when there is none."""
    return caller.live.digest if isinstance(caller.live, CompiledBundle) else ""
