"""Decides whether one call may proceed. Pure: no clock, no I/O, no logging.

A call must pass the bundle that the run is pinned to and the live one: authority may shrink, never grow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from remit.api.agent import Lifecycle
from remit.api.policy import Effect
from remit.api.reasons import CallReason, ObjectReason
from remit.api.toolgrant import PricedModel, Risk, Tool
from remit.core.budget import Amount
from remit.core.engines import CompiledRule, RuleError
from remit.core.prepare import CompiledBundle, GrantedTool, PolicyRule, Refusal


@dataclass(frozen=True, slots=True)
class CallInput:
    """Everything that a decision may look at, gathered beforehand."""

    grant: str
    tool: str
    """The tool's or model's name in the grant."""
    arguments: Mapping[str, Any]
    run: Mapping[str, Any]
    """namespace, name, uid, attempt."""
    requester: Mapping[str, Any]
    """username, uid, groups."""
    purpose: str
    now: float
    """Epoch seconds."""
    case: Mapping[str, str] = field(default_factory=dict)
    """id, system, step; all empty where the run has no case."""
    step: int = 0
    usage: Amount = field(default_factory=Amount)
    duplicate: bool = False
    """The same call with the same arguments was made by this run before, under another call id."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is decided, and by what: `policy` is NAMESPACE/NAME; both are empty where no rule decided."""

    effect: Effect
    reason: CallReason
    message: str
    rule: str = ""
    policy: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """One call under one bundle."""

    call: CallInput
    bundle: CompiledBundle
    entry: GrantedTool
    variables: Mapping[str, Any]


Finding = Callable[[View], Decision | None]


def deny(reason: CallReason, message: str) -> Decision:
    """Return a Deny that no rule made."""
    return Decision(Effect.DENY, reason, message)


def agent_is_not_active(view: View) -> Decision | None:
    """An agent acts while it is Active."""
    why = inactive(view.bundle)
    return deny(CallReason.REVOKED, why) if why else None


def inactive(bundle: CompiledBundle) -> str:
    """Return why the bundle's agent may not act; empty while it is Active."""
    agent = bundle.bundle.agent
    return "" if agent.spec.lifecycle is Lifecycle.ACTIVE else f"Agent {agent.ref.name} is {agent.spec.lifecycle}"


def grant_is_suspended(view: View) -> Decision | None:
    """A suspended grant gives nothing."""
    if not view.entry.grant.spec.suspended:
        return None
    return deny(CallReason.GRANT_SUSPENDED, f"ToolGrant {view.call.grant} is suspended")


def grant_is_expired(view: View) -> Decision | None:
    """A grant ends at its notAfter."""
    end = view.entry.not_after
    if end is None or view.call.now < end:
        return None
    return deny(
        CallReason.GRANT_EXPIRED,
        f"ToolGrant {view.call.grant} ended at {view.entry.grant.spec.not_after}",
    )


def purpose_is_not_granted(view: View) -> Decision | None:
    """The run's purpose must be the agent's and the grant's."""
    agent = view.bundle.bundle.agent
    if view.call.purpose not in agent.spec.purposes:
        return deny(
            CallReason.PURPOSE_NOT_GRANTED,
            f"Agent {agent.ref.name} may not act for the purpose {view.call.purpose}",
        )
    if view.call.purpose not in view.entry.grant.spec.purposes:
        return deny(
            CallReason.PURPOSE_NOT_GRANTED,
            f"ToolGrant {view.call.grant} is not for the purpose {view.call.purpose}",
        )
    return None


def arguments_are_invalid(view: View) -> Decision | None:
    """Arguments must satisfy the grant's schema."""
    schema = view.entry.schema
    violation = schema.violation(view.call.arguments) if schema is not None else None
    return None if violation is None else deny(CallReason.INVALID_ARGUMENTS, violation)


def constraint_is_violated(view: View) -> Decision | None:
    """Arguments must meet every constraint of the tool."""
    for place, constraint in enumerate(view.entry.constraints):
        met = _evaluate(constraint.expression, view)
        if isinstance(met, str):
            return deny(
                CallReason.RULE_ERROR,
                f"constraint {place} of {view.call.grant}/{view.call.tool} cannot be decided: {met}",
            )
        if not met:
            return deny(CallReason.CONSTRAINT_VIOLATED, constraint.message)
    return None


def decide_by_rules(view: View) -> Decision:
    """Deny beats RequireApproval beats Allow; an error in any rule is a Deny; silence is a deny.

    The rules are in that order, and all are looked at unless one denies: a rule that errs behind one
    that allows still refuses.
    """
    strongest: Decision | None = None
    for entry in view.entry.rules:
        matched = _evaluate(entry.when, view)
        if isinstance(matched, str):
            return _by_rule(entry, CallReason.RULE_ERROR, f"rule {entry.rule.name} cannot be decided: {matched}")
        if matched and entry.rule.effect is Effect.DENY:
            return _by_rule(entry, CallReason.POLICY_DENIED, entry.rule.message)
        if matched and strongest is None:
            strongest = _by_rule(entry, CallReason.ALLOWED, entry.rule.message)
    return strongest or deny(
        CallReason.NO_RULE_MATCHED,
        f"no rule allows {view.call.grant}/{view.call.tool} for this call",
    )


FINDINGS: tuple[Finding, ...] = (
    agent_is_not_active,  # whoever may not act needs no further reason
    grant_is_suspended,
    grant_is_expired,
    purpose_is_not_granted,
    arguments_are_invalid,  # before any expression sees the arguments
    constraint_is_violated,
)


def decide(call: CallInput, pinned: CompiledBundle, live: CompiledBundle | Refusal) -> Decision:
    """Return the strongest of what the pinned and the live bundle say."""
    if isinstance(live, Refusal):
        return _under_no_bundle(live)
    admitted = pinned.tools.get((call.grant, call.tool))
    if admitted is None:
        return deny(CallReason.TOOL_NOT_GRANTED, f"no ToolGrant gives {call.grant}/{call.tool} to this run")
    current = live.tools.get((call.grant, call.tool))
    if current is None:
        return deny(CallReason.REVOKED, f"{call.grant}/{call.tool} is no longer granted")
    if (other := _is_another(call, pinned, live)) is not None:
        return deny(CallReason.REVOKED, other)
    variables = variables_of(call, pinned, admitted)
    said = _judge(View(call, pinned, admitted, variables))
    if said.effect is Effect.DENY or live.digest == pinned.digest:
        return said
    says = _judge(View(call, live, current, variables_of(call, live, current)))
    return max((said, says), key=_strength)


def _is_another(call: CallInput, pinned: CompiledBundle, live: CompiledBundle) -> str | None:
    """Say what has the name of what was admitted, and is something else."""
    agent = pinned.bundle.agent.ref
    if live.bundle.agent.ref.uid != agent.uid:
        return f"Agent {agent.name} was deleted; the one of that name now is another"
    place = call.grant, call.tool
    admitted, current = pinned.tools[place].grant.spec, live.tools[place].grant.spec
    if _destination(pinned.tools[place]) != _destination(live.tools[place]):
        return f"ToolGrant {call.grant} has another upstream since this run was admitted"
    if frozenset(admitted.credentials) != frozenset(current.credentials):
        return f"ToolGrant {call.grant} has other credentials since this run was admitted"
    return None


def narrowest(admitted: GrantedTool, current: GrantedTool) -> GrantedTool:
    """Return the tool as it is granted now, with no bound wider than it was admitted with.

    Of prices the higher one counts, for a lower one stretches the budget.
    """
    return replace(
        current,
        risk=max(admitted.risk, current.risk, key=list(Risk).index),
        tool=_narrower_tool(admitted.tool, current.tool),
        model=_narrower_model(admitted.model, current.model),
    )


def _narrower_tool(admitted: Tool | None, current: Tool | None) -> Tool | None:
    if admitted is None or current is None:
        return current
    bounds = {
        "price_micro_usd": max(admitted.price_micro_usd, current.price_micro_usd),
        "timeout_seconds": min(admitted.timeout_seconds, current.timeout_seconds),
    }
    return current.model_copy(update=bounds)


def _narrower_model(admitted: PricedModel | None, current: PricedModel | None) -> PricedModel | None:
    if admitted is None or current is None:
        return current
    prices = ("input_micro_usd_per_million_tokens", "output_micro_usd_per_million_tokens", "tokens_per_kib")
    return current.model_copy(update={name: max(getattr(admitted, name), getattr(current, name)) for name in prices})


def _judge(view: View) -> Decision:
    """Return the first objection, else what the rules say."""
    for finding in FINDINGS:
        if (decision := finding(view)) is not None:
            return decision
    return decide_by_rules(view)


def variables_of(call: CallInput, bundle: CompiledBundle, entry: GrantedTool) -> dict[str, Any]:
    """Return the names that a rule may use (docs/spec/policy-names.md)."""
    agent = bundle.bundle.agent
    return {
        "run": call.run,
        "agent": {"name": agent.ref.name, "owner": agent.spec.owner, "labels": agent.labels},
        "requester": call.requester,
        "case": call.case,
        "purpose": call.purpose,
        "step": call.step,
        "tool": call.tool,
        "grant": call.grant,
        "risk": str(entry.risk),
        "arguments": call.arguments,
        "usage": {
            "tokens": call.usage.tokens,
            "toolCalls": call.usage.tool_calls,
            "costMicroUSD": call.usage.cost_micro_usd,
        },
        "duplicate": call.duplicate,
        "now": datetime.fromtimestamp(call.now, UTC),
    }


def _evaluate(expression: CompiledRule, view: View) -> bool | str:
    """Return the boolean, or why there is none."""
    try:
        return expression.evaluate(view.variables) is True
    except RuleError as error:
        return str(error)


def _by_rule(entry: PolicyRule, reason: CallReason, message: str) -> Decision:
    effect = entry.rule.effect if reason is CallReason.ALLOWED else Effect.DENY
    return Decision(effect, reason, message, rule=entry.rule.name, policy=entry.policy)


def _strength(decision: Decision) -> int:
    return (Effect.ALLOW, Effect.REQUIRE_APPROVAL, Effect.DENY).index(decision.effect)


def _destination(entry: GrantedTool) -> tuple[str, str]:
    """Where calls go: part of what was admitted."""
    upstream = entry.grant.spec.upstream
    if upstream.mcp is not None:
        return "mcp", upstream.mcp.url
    return (str(upstream.model.api), upstream.model.base_url) if upstream.model is not None else ("", "")


_REASON_WITHOUT_BUNDLE = {
    ObjectReason.PROGRESSING: CallReason.AUTHORITY_STALE,
    ObjectReason.INVALID_RULE: CallReason.INVALID_RULE,
    ObjectReason.INVALID_SPEC: CallReason.INVALID_RULE,
    ObjectReason.INVALID_SCHEMA: CallReason.INVALID_SCHEMA,
}


def taken_back(live: CompiledBundle | Refusal) -> str:
    """Return why a run has no authority left, whatever it would ask for; empty while it may have some."""
    if isinstance(live, CompiledBundle):
        return inactive(live)
    said = _under_no_bundle(live)
    return said.message if said.reason is CallReason.REVOKED else ""


def _under_no_bundle(refusal: Refusal) -> Decision:
    """No live bundle, no call: what does not compile is named, what was taken back is Revoked."""
    reason = _REASON_WITHOUT_BUNDLE.get(refusal.reason, CallReason.REVOKED)
    return deny(reason, f"{refusal.kind} {refusal.name}: {refusal.reason}: {refusal.message}")
