"""Which objects make an agent's bundle, and why there is none."""

from typing import Any

import pytest
from tests.support.bundles import (
    INSTALL_NAMESPACE,
    a_budget,
    a_bundle,
    a_grant,
    a_model_grant,
    a_policy,
    a_rule,
    a_tool,
    an_agent,
    an_object,
    compiled,
)

from remit.adapters.cel import CelEngine
from remit.adapters.schemas import JsonSchemaEngine
from remit.api.bundle import Bundle
from remit.api.reasons import ObjectReason
from remit.core.compile import _without_budget, compile_bundle, load_bundle
from remit.core.digest import canonical, digest_of
from remit.core.prepare import CompiledBundle, Refusal

IMAGE = "registry.example/team/agent@sha256:" + "0" * 64


def refused(*args: Any, **more: Any) -> Refusal:
    refusal = compiled(*args, **more)
    assert isinstance(refusal, Refusal), refusal
    return refusal


def reason_of(*args: Any, **more: Any) -> tuple[ObjectReason, str, str]:
    refusal = refused(*args, **more)
    return refusal.reason, refusal.kind, refusal.name


def test_a_bundle_has_the_agent_its_grants_and_its_policies() -> None:
    bundle = a_bundle().bundle
    assert bundle.agent.ref.name == "teller"
    assert [grant.ref.name for grant in bundle.grants] == ["core", "provider"]
    assert [policy.ref.name for policy in bundle.policies] == ["rules"]


def test_the_digest_is_of_the_documents_canonical_bytes() -> None:
    bundle = a_bundle()
    assert bundle.document == canonical(bundle.bundle.document())
    assert bundle.digest == digest_of(bundle.bundle.document())


def test_the_order_of_objects_does_not_matter() -> None:
    grants, policies = [a_grant(), a_model_grant()], [a_policy(a_rule()), a_policy(a_rule(), name="more")]
    assert a_bundle(None, grants, policies).digest == a_bundle(None, grants[::-1], policies[::-1]).digest


def test_a_bundle_read_back_is_the_same_bundle() -> None:
    bundle = a_bundle()
    again = load_bundle(bundle.bundle.document(), rules=CelEngine(), schemas=JsonSchemaEngine())
    assert isinstance(again, CompiledBundle)
    assert again.digest == bundle.digest


def test_a_document_of_another_version_is_refused() -> None:
    document = {**a_bundle().bundle.document(), "version": "remit.dev/bundle/v2"}
    refusal = load_bundle(document, rules=CelEngine(), schemas=JsonSchemaEngine())
    assert isinstance(refusal, Refusal)
    assert refusal.reason is ObjectReason.INVALID_SPEC


def test_compile_bundle_returns_the_bundle_alone() -> None:
    bundle = compile_bundle(
        an_agent(),
        [a_grant(), a_model_grant()],
        [a_policy(a_rule())],
        namespace_labels={},
        install_namespace=INSTALL_NAMESPACE,
        rules=CelEngine(),
        schemas=JsonSchemaEngine(),
    )
    assert isinstance(bundle, Bundle)


def test_compile_bundle_returns_the_refusal_too() -> None:
    refusal = compile_bundle(
        an_agent(),
        [],
        [],
        namespace_labels={},
        install_namespace=INSTALL_NAMESPACE,
        rules=CelEngine(),
        schemas=JsonSchemaEngine(),
    )
    assert isinstance(refusal, Refusal)


@pytest.mark.parametrize(
    "grant",
    [
        pytest.param(a_grant("other", agents={"names": ["clerk"]}), id="another agent by name"),
        pytest.param(a_grant("other", agents={"matchLabels": {"team": "loans"}}), id="another agent by label"),
        pytest.param(a_grant("other", meta={"namespace": "elsewhere"}), id="another namespace"),
        pytest.param(a_grant("other", meta={"deletionTimestamp": "2026-01-01T00:00:00Z"}), id="being deleted"),
        pytest.param(
            a_grant("other", agents={"names": ["clerk"]}, purposes="none"), id="malformed and of another agent"
        ),
    ],
)
def test_a_grant_that_is_not_the_agents_is_left_out(grant: Any) -> None:
    assert [g.ref.name for g in a_bundle(None, [grant, a_model_grant()]).bundle.grants] == ["provider"]


def test_a_suspended_grant_stays_in_the_bundle() -> None:
    assert ("core", "credit") in a_bundle(None, [a_grant(suspended=True), a_model_grant()]).tools


def test_a_floor_holds_where_its_selector_matches() -> None:
    floor = a_policy(a_rule(), name="floor", namespace=INSTALL_NAMESPACE, namespaceSelector={"tier": "gold"})
    policies = [a_policy(a_rule()), floor]
    names = [p.ref.name for p in a_bundle(None, None, policies, labels={"tier": "gold"}).bundle.policies]
    assert names == ["rules", "floor"]
    assert len(a_bundle(None, None, policies, labels={"tier": "iron"}).bundle.policies) == 1


def test_an_empty_selector_holds_everywhere() -> None:
    floor = a_policy(a_rule(), name="floor", namespace=INSTALL_NAMESPACE, namespaceSelector={})
    assert len(a_bundle(None, None, [a_policy(a_rule()), floor]).bundle.policies) == 2


def test_a_malformed_floor_is_refused_not_left_out() -> None:
    floor = a_policy(a_rule(), name="floor", namespace=INSTALL_NAMESPACE, namespaceSelector="all")
    assert reason_of(None, None, [a_policy(a_rule()), floor]) == (ObjectReason.INVALID_SPEC, "Policy", "floor")


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(a_policy(a_rule(), namespace=INSTALL_NAMESPACE), id="install namespace without selector"),
        pytest.param(a_policy(a_rule(), namespace="elsewhere", namespaceSelector={}), id="another namespace"),
        pytest.param(a_policy(a_rule(), agents={"names": ["clerk"]}), id="another agent"),
    ],
)
def test_a_policy_that_is_not_for_the_agent_is_no_policy(policy: Any) -> None:
    assert reason_of(None, None, [policy]) == (ObjectReason.NO_POLICY, "Agent", "teller")


def test_a_tenants_policy_may_not_reach_out() -> None:
    policy = a_policy(a_rule(), namespaceSelector={})
    assert reason_of(None, None, [policy])[0] is ObjectReason.NAMESPACE_SELECTOR_NOT_ALLOWED


@pytest.mark.parametrize(
    "model",
    [
        pytest.param({"grant": "none", "name": "small"}, id="no such grant"),
        pytest.param({"grant": "provider", "name": "large"}, id="not listed"),
        pytest.param({"grant": "core", "name": "credit"}, id="not a model"),
    ],
)
def test_a_model_that_is_not_granted_is_refused(model: Any) -> None:
    assert reason_of(an_agent(model=model)) == (ObjectReason.MODEL_NOT_GRANTED, "Agent", "teller")


def test_a_bundle_without_a_budget_of_a_run_is_refused() -> None:
    bundle = a_bundle().bundle
    policy = bundle.policies[0]
    without = policy.model_copy(update={"spec": policy.spec.model_copy(update={"budgets": []})})
    refusal = _without_budget(bundle.model_copy(update={"policies": [without]}))
    assert refusal is not None
    assert refusal.reason is ObjectReason.NO_BUDGET


def test_an_image_by_tag_is_refused() -> None:
    agent = an_agent(runtime={"container": {"image": "registry.example/team/agent:1"}})
    assert reason_of(agent) == (ObjectReason.IMAGE_NOT_PINNED, "Agent", "teller")


def test_an_image_by_digest_is_taken() -> None:
    assert a_bundle(an_agent(runtime={"container": {"image": IMAGE}})).digest


def test_a_tag_is_taken_only_where_every_policy_allows_it() -> None:
    agent = an_agent(runtime={"container": {"image": "agent:1"}})
    loose = a_policy(a_rule(), name="loose", sandbox={"images": "Tag"})
    assert a_bundle(agent, None, [loose]).digest
    assert reason_of(agent, None, [loose, a_policy(a_rule())])[0] is ObjectReason.IMAGE_NOT_PINNED


@pytest.mark.parametrize(
    ("when", "fault"),
    [
        pytest.param("amount >", "1:9: Syntax error", id="syntax"),
        pytest.param("arguments.amount + 1", "must be a boolean, but is int", id="a number"),
        pytest.param("purpose", "must be a boolean, but is string", id="a text"),
    ],
)
def test_a_rule_that_does_not_compile_is_named(when: str, fault: str) -> None:
    refusal = refused(None, None, [a_policy(a_rule("bad", when=when))])
    assert (refusal.reason, refusal.kind, refusal.name) == (ObjectReason.INVALID_RULE, "Policy", "rules")
    assert refusal.message.startswith(f"spec.rules[0].when: {fault}")


def test_a_constraint_that_does_not_compile_is_named() -> None:
    constraints = [{"expression": "true", "message": "m"}, {"expression": "nothing", "message": "m"}]
    refusal = refused(None, [a_grant("core", a_tool(constraints=constraints)), a_model_grant()])
    assert (refusal.reason, refusal.name) == (ObjectReason.INVALID_RULE, "core")
    assert refusal.message.startswith("spec.tools[0].constraints[1].expression: 1:1: undeclared reference")


def test_a_schema_that_cannot_be_used_is_named() -> None:
    refusal = refused(None, [a_grant("core", a_tool(inputSchema={"$ref": "#"})), a_model_grant()])
    assert (refusal.reason, refusal.name) == (ObjectReason.INVALID_SCHEMA, "core")
    assert refusal.message.startswith("spec.tools[0].inputSchema: ")


def test_a_schema_of_results_that_cannot_be_used_is_named() -> None:
    refusal = refused(an_agent(loop={"outputSchema": {"$ref": "#"}}))
    assert (refusal.reason, refusal.kind) == (ObjectReason.INVALID_SCHEMA, "Agent")
    assert refusal.message.startswith("spec.loop.outputSchema: ")


@pytest.mark.parametrize(
    ("objects", "kind", "place"),
    [
        pytest.param({"agent": an_agent(runtime={})}, "Agent", "runtime", id="no runtime"),
        pytest.param({"agent": an_agent(purposes="x")}, "Agent", "purposes", id="wrong type"),
        pytest.param({"agent": an_agent(surprise=1)}, "Agent", "surprise", id="unknown field"),
        pytest.param({"agent": an_object("teller", {}, labels={})}, "Agent", "owner", id="empty"),
        pytest.param({"grants": [a_grant(upstream={})]}, "ToolGrant", "upstream", id="no upstream"),
        pytest.param({"grants": [a_grant(tools=[])]}, "ToolGrant", "tools", id="no tools"),
        pytest.param({"grants": [a_grant("core", a_tool(), a_tool())]}, "ToolGrant", "tools", id="a name twice"),
        pytest.param({"grants": [a_grant(agents=None)]}, "ToolGrant", "agents", id="no selector"),
        pytest.param(
            {"grants": [a_grant(agents={"names": ["teller"], "matchLabels": {"a": "b"}})]},
            "ToolGrant",
            "agents",
            id="two selectors",
        ),
        pytest.param({"grants": [a_grant(notAfter="soon")]}, "ToolGrant", "notAfter", id="no time"),
        pytest.param({"grants": [a_grant(notAfter="2026-02-31T00:00:00Z")]}, "ToolGrant", "notAfter", id="no day"),
        pytest.param({"grants": [a_grant(notAfter="2026-01-01T00:00:00")]}, "ToolGrant", "notAfter", id="no zone"),
        pytest.param({"policies": [a_policy(budgets=[])]}, "Policy", "budgets", id="no budget"),
        pytest.param({"policies": [a_policy(budgets=[a_budget(tokens=1.5)])]}, "Policy", "budgets", id="a float"),
        pytest.param(
            {"policies": [a_policy(agents={"names": ["teller"], "matchLabels": {"a": "b"}})]},
            "Policy",
            "agents",
            id="two selectors of a policy",
        ),
    ],
)
def test_a_malformed_object_is_refused_with_its_place(objects: dict[str, Any], kind: str, place: str) -> None:
    grants = [*objects["grants"], a_model_grant()] if "grants" in objects else None
    refusal = refused(objects.get("agent"), grants, objects.get("policies"))
    assert (refusal.reason, refusal.kind) == (ObjectReason.INVALID_SPEC, kind)
    assert refusal.message.startswith(f"spec.{place}")


def test_a_refusal_names_at_most_five_places() -> None:
    wrong: dict[str, Any] = {f"wrong{n}": n for n in range(8)}
    agent = an_agent(**wrong)
    assert refused(agent).message.endswith("; and 3 more")


def test_a_grant_that_chooses_nobody_is_nobodys() -> None:
    assert ("core", "credit") not in a_bundle(None, [a_grant(agents={}), a_model_grant()]).tools


def test_tools_of_one_name_are_told_apart_for_the_agent() -> None:
    shown = a_bundle(None, [a_grant("core"), a_grant("cards"), a_model_grant()]).shown
    assert list(shown) == ["cards__credit", "core__credit"]
    assert shown["core__credit"].grant.ref.name == "core"


def test_names_for_the_agent_are_such_as_providers_take() -> None:
    dotted, long = a_tool("file.read"), a_tool("x" * 64)
    grants = [a_grant("core.eu", dotted, long), a_grant("core", long), a_model_grant()]
    names = list(a_bundle(None, grants).shown)
    assert "file_read" in names
    assert all(len(name) <= 64 and name.replace("_", "").replace("-", "").isalnum() for name in names)
    assert len(set(names)) == 3


def test_names_that_collide_after_all_are_marked() -> None:
    grants = [a_grant("a.b", a_tool("c")), a_grant("a-b", a_tool("c")), a_grant("a", a_tool("b__c")), a_model_grant()]
    assert len(a_bundle(None, grants).shown) == 3
    grants = [a_grant("a", a_tool("x.y"), a_tool("x_y")), a_model_grant()]
    assert len(a_bundle(None, grants).shown) == 2


def test_a_model_is_found_by_its_name_and_the_agents_grant_comes_first() -> None:
    other = a_model_grant()
    other["metadata"] = {**other["metadata"], "name": "another"}
    models = a_bundle(None, [other, a_model_grant()]).models["small"]
    assert [entry.grant.ref.name for entry in models] == ["provider", "another"]


def test_denies_stand_before_approvals_before_allows() -> None:
    rules = [a_rule("a"), a_rule("b", effect="RequireApproval"), a_rule("c", effect="Deny")]
    entry = a_bundle(None, None, [a_policy(*rules)]).tools["core", "credit"]
    assert [found.rule.name for found in entry.rules] == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"tools": ["core/*"]}, True),
        ({"tools": ["core/credit"]}, True),
        ({"tools": ["core/debit", "provider/*"]}, False),
        ({"risks": ["Financial"]}, True),
        ({"risks": ["ReadOnly", "Write"]}, False),
    ],
)
def test_a_rule_is_about_the_tools_and_risks_that_it_names(fields: Any, expected: bool) -> None:  # noqa: FBT001
    entry = a_bundle(None, None, [a_policy(a_rule(**fields))]).tools["core", "credit"]
    assert bool(entry.rules) is expected


REVOKING = {"revoked": "an exercise"}
ELSEWHERE = {"namespace": INSTALL_NAMESPACE, "name": "stop"}


@pytest.mark.parametrize(
    ("policy", "by"),
    [
        (a_policy(a_rule(), name="stop", **REVOKING), "bank/stop"),
        (a_policy(a_rule(), name="stop", agents={"names": ["teller"]}, **REVOKING), "bank/stop"),
        (a_policy(a_rule(), namespaceSelector={}, **ELSEWHERE, **REVOKING), f"{INSTALL_NAMESPACE}/stop"),
        (a_policy(a_rule(), namespaceSelector={"a": "b"}, **ELSEWHERE, **REVOKING), f"{INSTALL_NAMESPACE}/stop"),
    ],
    ids=["its namespace's", "for it by name", "everywhere", "in namespaces like its own"],
)
def test_a_policy_that_revokes_leaves_no_bundle(policy: dict[str, Any], by: str) -> None:
    refusal = refused(None, None, [a_policy(a_rule()), policy], {"a": "b"})
    assert (refusal.reason, refusal.kind, refusal.name) == (ObjectReason.REVOKED, "Policy", by)
    assert refusal.message == "an exercise"


@pytest.mark.parametrize(
    "policy",
    [
        a_policy(a_rule(), name="stop", agents={"names": ["another"]}, **REVOKING),
        a_policy(a_rule(), **ELSEWHERE, **REVOKING),
        a_policy(a_rule(), namespaceSelector={"a": "c"}, **ELSEWHERE, **REVOKING),
        a_policy(a_rule(), name="stop", namespace="another", **REVOKING),
    ],
    ids=["another agent", "the install namespace alone", "other namespaces", "another namespace"],
)
def test_a_policy_that_revokes_others_changes_nothing(policy: dict[str, Any]) -> None:
    bundle = compiled(None, None, [a_policy(a_rule()), policy], {"a": "b"})
    assert isinstance(bundle, CompiledBundle)


def test_no_fault_of_another_object_hides_a_revocation() -> None:
    broken = a_policy(a_rule(when="(("), name="broken")
    malformed = a_policy(a_rule(), name="malformed", budgets="none")
    stop = a_policy(a_rule(), name="stop", **REVOKING)
    assert reason_of(None, [a_grant(purposes=0)], [broken, malformed, stop])[0] is ObjectReason.REVOKED
