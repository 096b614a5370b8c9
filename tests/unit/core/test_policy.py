"""What is decided about one call, and why."""

from typing import Any

import pytest
from tests.support.bundles import (
    NOW,
    a_bundle,
    a_call,
    a_grant,
    a_model_grant,
    a_policy,
    a_rule,
    a_tool,
    an_agent,
)

from remit.api.policy import Effect
from remit.api.reasons import CallReason, ObjectReason
from remit.core.budget import Amount
from remit.core.policy import decide
from remit.core.prepare import Refusal


def decided(live: Any = None, pinned: Any = None, **call: Any) -> tuple[Effect, CallReason]:
    bundle = live or pinned or a_bundle()
    decision = decide(a_call(**call), pinned or bundle, bundle)
    return decision.effect, decision.reason


def with_grant(**spec: Any) -> Any:
    return a_bundle(None, [a_grant(**spec), a_model_grant()])


def with_tool(**fields: Any) -> Any:
    return a_bundle(None, [a_grant("core", a_tool(**fields)), a_model_grant()])


def with_rules(*rules: Any) -> Any:
    return a_bundle(None, None, [a_policy(*rules)])


def test_an_allowed_call_names_its_rule_and_policy() -> None:
    decision = decide(a_call(), a_bundle(), a_bundle())
    assert (decision.effect, decision.reason) == (Effect.ALLOW, CallReason.ALLOWED)
    assert (decision.rule, decision.policy) == ("all", "bank/rules")


def test_a_model_is_decided_like_a_tool() -> None:
    assert decided(grant="provider", tool="small", arguments={"model": "small"})[0] is Effect.ALLOW
    denied = with_rules(a_rule(), a_rule("no", effect="Deny", tools=["provider/small"], risks=["ReadOnly"]))
    assert decided(denied, grant="provider", tool="small") == (Effect.DENY, CallReason.POLICY_DENIED)


@pytest.mark.parametrize(
    ("live", "call", "reason"),
    [
        pytest.param(None, {"tool": "debit"}, CallReason.TOOL_NOT_GRANTED, id="no such tool"),
        pytest.param(None, {"grant": "cards"}, CallReason.TOOL_NOT_GRANTED, id="no such grant"),
        pytest.param(with_grant(suspended=True), {}, CallReason.GRANT_SUSPENDED, id="suspended"),
        pytest.param(with_grant(notAfter="2026-01-01T00:00:00Z"), {}, CallReason.GRANT_EXPIRED, id="expired"),
        pytest.param(None, {"purpose": "other"}, CallReason.PURPOSE_NOT_GRANTED, id="not the agent's purpose"),
        pytest.param(with_grant(purposes=["other"]), {}, CallReason.PURPOSE_NOT_GRANTED, id="not the grant's purpose"),
        pytest.param(None, {"arguments": {"amount": "1"}}, CallReason.INVALID_ARGUMENTS, id="wrong type"),
        pytest.param(None, {"arguments": {"more": 1}}, CallReason.INVALID_ARGUMENTS, id="extra argument"),
        pytest.param(
            with_tool(constraints=[{"expression": "arguments.amount < 50", "message": "below 50"}]),
            {},
            CallReason.CONSTRAINT_VIOLATED,
            id="constraint",
        ),
        pytest.param(
            with_tool(constraints=[{"expression": "arguments.absent < 50", "message": "below 50"}]),
            {},
            CallReason.RULE_ERROR,
            id="erring constraint",
        ),
        pytest.param(with_rules(), {}, CallReason.NO_RULE_MATCHED, id="silence"),
        pytest.param(with_rules(a_rule(when="false")), {}, CallReason.NO_RULE_MATCHED, id="no match"),
        pytest.param(
            with_rules(a_rule(), a_rule("no", effect="Deny", when="arguments.amount >= 100")),
            {},
            CallReason.POLICY_DENIED,
            id="deny beats allow",
        ),
        pytest.param(
            with_rules(a_rule(), a_rule("broken", when="arguments.absent == 1")),
            {},
            CallReason.RULE_ERROR,
            id="an erring allow behind an allow",
        ),
        pytest.param(
            with_rules(a_rule(), a_rule("dyn", when="arguments.amount")),
            {},
            CallReason.RULE_ERROR,
            id="not a boolean",
        ),
        pytest.param(a_bundle(an_agent(lifecycle="Suspended")), {}, CallReason.REVOKED, id="agent suspended"),
        pytest.param(a_bundle(an_agent(lifecycle="Draft")), {}, CallReason.REVOKED, id="agent a draft"),
    ],
)
def test_a_call_is_refused_for_a_reason(live: Any, call: dict[str, Any], reason: CallReason) -> None:
    assert decided(live, **call) == (Effect.DENY, reason)
    if live is not None:
        assert decided(live, a_bundle(), **call) == (Effect.DENY, reason), "though the pinned bundle allows"
        assert decided(a_bundle(), live, **call) == (Effect.DENY, reason), "though the live bundle allows"


def test_approval_beats_allow_and_loses_to_deny() -> None:
    approval = a_rule("ask", effect="RequireApproval")
    assert decided(with_rules(a_rule(), approval)) == (Effect.REQUIRE_APPROVAL, CallReason.ALLOWED)
    assert decided(with_rules(a_rule(), approval, a_rule("no", effect="Deny")))[0] is Effect.DENY


def test_a_live_approval_beats_a_pinned_allow() -> None:
    decision = decide(a_call(), a_bundle(), with_rules(a_rule("ask", effect="RequireApproval")))
    assert (decision.effect, decision.rule) == (Effect.REQUIRE_APPROVAL, "ask")


def test_a_tool_granted_after_admission_is_not_the_runs() -> None:
    more = a_bundle(None, [a_grant("core", a_tool(), a_tool("debit")), a_model_grant()])
    assert decided(more, a_bundle(), tool="debit") == (Effect.DENY, CallReason.TOOL_NOT_GRANTED)


def test_a_tool_that_was_taken_back_is_revoked() -> None:
    assert decided(a_bundle(None, [a_model_grant()]), a_bundle()) == (Effect.DENY, CallReason.REVOKED)


def test_an_upstream_that_moved_is_not_the_admitted_one() -> None:
    moved = with_grant(upstream={"mcp": {"url": "http://elsewhere.example/mcp"}})
    assert decided(moved, a_bundle()) == (Effect.DENY, CallReason.REVOKED)
    model = a_model_grant()
    model["spec"]["upstream"] = {"model": {**model["spec"]["upstream"]["model"], "api": "Anthropic"}}
    changed = a_bundle(None, [a_grant(), model])
    assert decided(changed, a_bundle(), grant="provider", tool="small") == (Effect.DENY, CallReason.REVOKED)


@pytest.mark.parametrize(
    ("why", "reason"),
    [
        (ObjectReason.INVALID_RULE, CallReason.INVALID_RULE),
        (ObjectReason.INVALID_SPEC, CallReason.INVALID_RULE),
        (ObjectReason.INVALID_SCHEMA, CallReason.INVALID_SCHEMA),
        (ObjectReason.NO_POLICY, CallReason.REVOKED),
        (ObjectReason.MODEL_NOT_GRANTED, CallReason.REVOKED),
    ],
)
def test_without_a_live_bundle_there_is_no_call(why: ObjectReason, reason: CallReason) -> None:
    decision = decide(a_call(), a_bundle(), Refusal(why, "why", "Policy", "rules"))
    assert (decision.effect, decision.reason) == (Effect.DENY, reason)
    assert decision.message == f"Policy rules: {why}: why"


@pytest.mark.parametrize(
    "when",
    [
        "run.name == 'dispute-1' && run.attempt == 1",
        "agent.owner == 'disputes@example.com' && agent.labels.team == 'disputes'",
        "'tellers' in requester.groups",
        "case.id == 'C-1'",
        "purpose == 'card-dispute' && tool == 'credit' && grant == 'core' && risk == 'Financial'",
        "step == 3 && duplicate",
        "usage.tokens == 5 && usage.toolCalls == 6 && usage.costMicroUSD == 7",
        "now == timestamp('2026-11-18T11:06:40Z')",
    ],
)
def test_rules_see_the_whole_call(when: str) -> None:
    seen = decided(with_rules(a_rule(when=when)), step=3, duplicate=True, usage=Amount(5, 6, 7), now=NOW)
    assert seen == (Effect.ALLOW, CallReason.ALLOWED)


def test_a_grant_ends_at_its_very_second() -> None:
    ended = with_grant(notAfter="2026-11-18T11:06:40Z")
    assert decided(ended, now=NOW - 0.001)[0] is Effect.ALLOW
    assert decided(ended, now=NOW)[1] is CallReason.GRANT_EXPIRED


def test_refusals_repeat_no_value_of_the_arguments() -> None:
    planted = "planted-value-4711"
    erring = with_rules(a_rule("r", when="timestamp(arguments.note) < now"))
    schema = {"type": "object"}
    loose = a_bundle(None, [a_grant("core", a_tool(inputSchema=schema)), a_model_grant()])
    for live, arguments in ((a_bundle(), {"amount": planted}), (erring, {"amount": 1}), (loose, {"note": planted})):
        assert planted not in decide(a_call(arguments=arguments), live, live).message
