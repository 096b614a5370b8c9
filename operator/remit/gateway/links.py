"""The links before the hold: who calls, is it well formed, may it be done, has someone agreed. Each has one job."""

from __future__ import annotations

from remit.api.policy import Effect
from remit.api.reasons import CallReason
from remit.core.budget import Amount
from remit.core.idempotency import key_of
from remit.core.policy import CallInput
from remit.core.policy import decide as decided
from remit.core.prepare import CompiledBundle, GrantedTool
from remit.core.work import is_named
from remit.gateway.call import Answered, Call, Caller, Refused
from remit.gateway.gate import Gate

NO_ID_CHARACTERS = 16
NO_CASE = {"id": "", "system": "", "step": ""}


async def identify(gate: Gate, call: Call) -> Refused | Answered | None:
    """Token → pod → run → bundles. Nothing else says who calls."""
    caller = await gate.callers.identify(call.token, call.peer)
    if isinstance(caller, Refused):
        return caller
    call.caller = caller
    gate.flights.enter(call)
    remembered = await gate.memory.of(caller.run.uid)
    call.record = remembered.record
    if remembered.record is not None and remembered.record.recorded_from:
        return Refused(CallReason.RUN_ALREADY_EXECUTED, remembered.record.outcome_message, recorded=False)
    ended = remembered.record is not None and bool(remembered.record.outcome_reason)
    if ended or gate.endings.is_ending(caller.run.uid):
        return Refused(CallReason.RUN_NOT_ACTIVE, "the run has ended: nothing more is done for it", recorded=False)
    if remembered.record is not None and is_named(remembered.record.work) and remembered.record.work != caller.work:
        message = "the run's spec was changed since its first call, which nothing allows: make another run"
        return Refused(CallReason.REVOKED, message, recorded=False)
    return None


async def check_schema(gate: Gate, call: Call) -> Refused | Answered | None:
    """Find the tool as it was admitted, and hold the arguments against its schema before anything else sees them."""
    caller = identified(call)
    if call.fault is not None:
        return call.fault
    tool = tool_of(call, caller.pinned)
    if tool is None:
        return not_granted(call, caller.pinned)
    call.tool = tool
    call.call_id = call.given_id or id_of(gate, call)
    call.key = key_of(caller.run.uid, call.call_id, tool.grant.ref.name, tool.name)
    violation = tool.schema.violation(call.arguments) if tool.schema is not None else None
    return None if violation is None else Refused(CallReason.INVALID_ARGUMENTS, violation)


async def decide(gate: Gate, call: Call) -> Refused | Answered | None:
    """Ask the rules: the pinned bundle and the live one must both let it pass."""
    call.decision = decided(input_of(gate, call), identified(call).pinned, identified(call).live)
    return denied(call)


async def approve(_gate: Gate, call: Call) -> Refused | Answered | None:
    """Let pass what needs nobody's approval."""
    return unapproved(call)


def unapproved(call: Call) -> Refused | None:
    """Return the refusal of what needs approval: nobody can be asked, and it is never let through."""
    if call.decision is not None and call.decision.effect is Effect.ALLOW:
        call.approved = True
        return None
    decision = call.decision
    return Refused(
        CallReason.APPROVAL_UNAVAILABLE,
        f"this call needs a person's approval, and none can be given: {decision.message if decision else ''}",
        rule=decision.rule if decision else "",
        policy=decision.policy if decision else "",
    )


def denied(call: Call) -> Refused | None:
    """Return the refusal that a Deny means."""
    decision = call.decision
    if decision is None or decision.effect is not Effect.DENY:
        return None
    return Refused(decision.reason, decision.message, rule=decision.rule, policy=decision.policy)


def identified(call: Call) -> Caller:
    """Return who calls; only after `identify`."""
    if call.caller is None:
        raise LookupError("the caller is not identified yet")
    return call.caller


def tool_of(call: Call, bundle: CompiledBundle) -> GrantedTool | None:
    """Return the tool or model that the call names, as the bundle grants it."""
    if call.kind == "tool":
        return bundle.shown.get(call.name)
    for model in bundle.models.get(call.name, ()):
        upstream = model.grant.spec.upstream.model
        if upstream is not None and upstream.api == call.api:
            return model
    return None


def not_granted(call: Call, bundle: CompiledBundle) -> Refused:
    """Say that a tool is not there; a model that a granted provider may have has no price, hence no bound."""
    name = call.name[:128]
    providers = {entry.grant.ref.name for entry in bundle.tools.values() if entry.model is not None}
    if call.kind == "model" and providers:
        message = f"no price is granted for the model {name}: its cost would have no bound"
        return Refused(CallReason.UNKNOWN_PRICE, message)
    return Refused(CallReason.TOOL_NOT_GRANTED, f"no ToolGrant gives this run the {call.kind} {name}")


def id_of(gate: Gate, call: Call) -> str:
    """Return the id of a call that came without one.

    It is that of the model's tool call which this call carries out; else the turn's, told apart by the arguments.
    """
    remembered = gate.memory.known(call.run.uid)
    asked = remembered.asked.get((call.name, call.arguments_digest)) if remembered else None
    if asked:
        return asked
    turn = f"{call.record.step}-{call.record.model_calls}" if call.record else "0-0"
    return f"turn-{turn}-{call.arguments_digest[:NO_ID_CHARACTERS]}"


def input_of(gate: Gate, call: Call) -> CallInput:
    """Gather what rules may look at."""
    run, spec, record = call.run, call.run.spec, call.record
    grant, tool = call.granted.grant.ref.name, call.granted.name
    case = spec.case
    return CallInput(
        grant=grant,
        tool=tool,
        arguments=call.arguments,
        run={"namespace": run.namespace, "name": run.name, "uid": run.uid, "attempt": run.attempt},
        requester=identified(call).facts["requester"],
        purpose=spec.purpose,
        now=gate.clock.now(),
        case={"id": case.id, "system": case.system, "step": case.step} if case else NO_CASE,
        step=record.step if record else 0,
        usage=record.account.spent if record else Amount(),
        duplicate=is_duplicate(gate, call),
    )


def is_duplicate(gate: Gate, call: Call) -> bool:
    """Tell whether the run makes the same write under another id, now or before; from now on this one counts."""
    remembered = gate.memory.known(call.run.uid)
    if remembered is None or call.only_reads:
        return False
    call.claims_write = call.claims_write or call.write not in remembered.written
    return remembered.claim_write(call.write, call.call_id) != call.call_id


def objection(gate: Gate, call: Call) -> Refused | None:
    """Return why a call under way may not go on by what is granted now."""
    gone = gate.callers.objection(call)
    if gone is not None or call.tool is None or call.decision is None or call.caller is None:
        return gone
    run = call.run
    live = gate.authority.live(run.namespace, run.spec.agent)
    if live is (call.judged_live or call.caller.live) and not is_over(call, gate.clock.now()):
        return None
    decision = decided(input_of(gate, call), call.caller.pinned, live)
    if decision.effect is Effect.ALLOW:
        call.judged_live = live
        return None
    return Refused(decision.reason, decision.message, rule=decision.rule, policy=decision.policy)


async def out_of_date(gate: Gate) -> Refused | None:
    """Wait until the view is fresh; the refusal when it does not become so."""
    return None if gate.authority.is_fresh() else await gate.callers.stale()


def renew(gate: Gate, call: Call) -> Refused | None:
    """Take up what changed since the call was decided, and decide again: its turn may have been long in coming."""
    before = identified(call)
    caller = gate.callers.again(before)
    if isinstance(caller, Refused):
        return caller
    call.caller, call.judged_run, call.judged_live = caller, None, None
    if caller.live is before.live and caller.pinned is before.pinned and not is_over(call, gate.clock.now()):
        return None
    call.decision = decided(input_of(gate, call), caller.pinned, caller.live)
    return denied(call) or unapproved(call)


def is_over(call: Call, now: float) -> bool:
    """Tell whether the call's grant has ended since it was decided: a call may have waited for another."""
    ends = (call.granted.not_after, call.current.not_after)
    return any(end is not None and end <= now for end in ends)
