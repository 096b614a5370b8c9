"""Whatever the rules and calls: deny wins, silence denies, and authority only shrinks."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support.bundles import NOW, PURPOSE, a_bundle, a_call, a_grant, a_model_grant, a_policy, a_rule, a_tool

from remit.api.policy import Effect
from remit.api.reasons import CallReason
from remit.core.policy import decide
from remit.core.prepare import CompiledBundle

WHENS = (
    "true",
    "false",
    "arguments.amount > 50",
    "arguments.absent == 1",
    "purpose == 'other'",
    "duplicate",
    "step < 2",
)
RULES = st.builds(
    lambda when, effect, tools, risks: {"when": when, "effect": effect, "tools": [tools], "risks": [risks]},
    st.sampled_from(WHENS),
    st.sampled_from([str(effect) for effect in Effect]),
    st.sampled_from(["*", "core/*", "core/credit", "cards/*"]),
    st.sampled_from(["Any", "Financial", "ReadOnly"]),
)
POLICIES = st.lists(st.lists(RULES, max_size=4), min_size=1, max_size=3)
CALLS = st.builds(
    lambda amount, purpose, step, duplicate, tool: a_call(
        tool=tool, arguments={"amount": amount}, purpose=purpose, step=step, duplicate=duplicate
    ),
    st.one_of(st.integers(0, 100), st.text(max_size=3)),
    st.sampled_from([PURPOSE, "other"]),
    st.integers(0, 3),
    st.booleans(),
    st.sampled_from(["credit", "debit"]),
)
GRANTS = st.fixed_dictionaries(
    {},
    optional={
        "suspended": st.booleans(),
        "notAfter": st.sampled_from(["2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z"]),
        "purposes": st.sampled_from([[PURPOSE], ["other"]]),
    },
)
STRENGTH = [Effect.ALLOW, Effect.REQUIRE_APPROVAL, Effect.DENY]


def bundle_of(policies: Any, grant: Any = None, *, granted: bool = True) -> CompiledBundle:
    written = [
        a_policy(*(a_rule(f"r{n}", **rule) for n, rule in enumerate(rules)), name=f"p{m}")
        for m, rules in enumerate(policies)
    ]
    grants = [a_grant("core", a_tool(), **(grant or {}))] if granted else []
    return a_bundle(None, [*grants, a_model_grant()], written)


BUNDLES = st.builds(bundle_of, POLICIES, GRANTS)


@given(POLICIES, CALLS, RULES)
def test_another_deny_rule_never_widens(policies: Any, call: Any, rule: Any) -> None:
    before = bundle_of(policies)
    after = bundle_of([*policies, [{**rule, "effect": "Deny"}]])
    assert STRENGTH.index(decide(call, after, after).effect) >= STRENGTH.index(decide(call, before, before).effect)


@given(POLICIES, CALLS)
def test_a_matching_deny_beats_everything(policies: Any, call: Any) -> None:
    deny = {"when": "true", "effect": "Deny", "tools": ["*"], "risks": ["Any"]}
    bundle = bundle_of([[deny], *policies])
    assert decide(call, bundle, bundle).effect is Effect.DENY


@given(POLICIES, CALLS)
def test_no_grant_no_allow(policies: Any, call: Any) -> None:
    bundle = bundle_of(policies, granted=False)
    decision = decide(call, bundle, bundle)
    assert (decision.effect, decision.reason) == (Effect.DENY, CallReason.TOOL_NOT_GRANTED)


@given(POLICIES, CALLS, st.sampled_from([str(effect) for effect in Effect]))
def test_an_erring_rule_denies(policies: Any, call: Any, effect: str) -> None:
    erring = {"when": "arguments.absent == 1", "effect": effect, "tools": ["*"], "risks": ["Any"]}
    bundle = bundle_of([*policies, [erring]])
    assert decide(call, bundle, bundle).effect is Effect.DENY


@given(BUNDLES, BUNDLES, CALLS)
def test_both_bundles_must_pass(pinned: CompiledBundle, live: CompiledBundle, call: Any) -> None:
    alone = [decide(call, bundle, bundle).effect for bundle in (pinned, live)]
    assert decide(call, pinned, live).effect is max(alone, key=STRENGTH.index)


@given(BUNDLES, CALLS)
def test_a_suspension_or_an_end_shuts_at_once(bundle: CompiledBundle, call: Any) -> None:
    for spec in ({"suspended": True}, {"notAfter": "2020-01-01T00:00:00Z"}):
        shut = bundle_of([[{"when": "true", "effect": "Allow", "tools": ["*"], "risks": ["Any"]}]], spec)
        assert decide(replace(call, now=NOW), bundle, shut).effect is Effect.DENY


@given(BUNDLES, BUNDLES, CALLS)
def test_a_decision_is_the_same_every_time(pinned: CompiledBundle, live: CompiledBundle, call: Any) -> None:
    assert decide(call, pinned, live) == decide(call, pinned, live)
