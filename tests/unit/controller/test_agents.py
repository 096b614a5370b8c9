"""An agent's children, its bundle and what is said of it; grants and policies beside it."""

from typing import Any

import pytest
from tests.support.controlled import ACCOUNT, AGENT, AGENT_POLICY, DENY, Controlled, a_team
from tests.support.objects import NAMESPACE, a_container, a_grant, a_namespace, a_policy, a_run, an_agent

from remit.adapters.cel import CelEngine
from remit.adapters.schemas import JsonSchemaEngine
from remit.controller.compiler import Compiler
from remit.controller.gather import AgentWorld
from remit.core.digest import digest_of
from remit.core.prepare import Refusal
from remit.ports import ClusterError

GRANT = ("ToolGrant", NAMESPACE, "provider")
POLICY = ("Policy", NAMESPACE, "rules")


def revisions(controlled: Controlled) -> list[dict[str, Any]]:
    return [thing for (kind, _, _), thing in controlled.cluster.objects.items() if kind == "ControllerRevision"]


async def test_an_agent_gets_the_standing_policy_before_everything_else() -> None:
    team = await a_team()
    writes = [write for write in team.cluster.writes if "status" not in write and "Event" not in write]

    assert writes[0] == "apply NetworkPolicy remit-sandbox-deny"
    assert writes[1:3] == ["apply NetworkPolicy remit-agent-teller", "apply ServiceAccount remit-agent-teller"]
    assert writes[3].startswith("create ControllerRevision remit-agent-teller-")


async def test_the_revision_holds_the_bundle_that_its_digest_names() -> None:
    team = await a_team()
    (revision,) = revisions(team)

    assert team.status(AGENT)["revision"] == {
        "name": revision["metadata"]["name"],
        "digest": digest_of(revision["data"]),
    }


async def test_effective_tools_say_why_they_are_not_to_be_had() -> None:
    team = await a_team()
    assert team.status(AGENT)["tools"] == [{"grant": "provider", "name": "small", "reason": "Ready"}]
    await team.change(GRANT, notAfter="2026-11-21T12:01:00Z")
    assert team.status(AGENT)["tools"][0]["reason"] == "Ready"

    await team.later(61)

    assert team.status(AGENT)["tools"][0]["reason"] == "Expired"
    await team.change(GRANT, suspended=True)
    assert team.status(AGENT)["tools"][0]["reason"] == "Suspended"


@pytest.mark.parametrize(
    ("objects", "reason", "words"),
    [
        ([a_grant()], "NoPolicy", "no Policy is for this agent"),
        ([a_policy()], "ModelNotGranted", ""),
        ([a_grant(), a_policy(rules=[{"name": "r", "when": "1 +"}])], "InvalidSpec", "Policy rules"),
    ],
)
async def test_an_agent_without_a_bundle_says_why(objects: list[dict[str, Any]], reason: str, words: str) -> None:
    team = Controlled()
    await team.apply(*objects, an_agent())

    assert team.condition(AGENT, "Stalled")["reason"] == reason
    assert words in team.condition(AGENT, "Stalled")["message"]
    assert revisions(team) == []


async def test_a_rule_that_does_not_compile_keeps_the_last_revision_and_stalls() -> None:
    team = await a_team()
    before = team.status(AGENT)["revision"]
    rule = dict(team.cluster.objects[POLICY]["spec"]["rules"][0])
    await team.change(POLICY, rules=[{**rule, "when": "1 +"}])

    assert team.condition(AGENT, "Ready")["reason"] == "InvalidRule"
    assert team.status(AGENT)["revision"] == before


async def test_an_image_by_tag_is_refused() -> None:
    team = Controlled()
    await team.apply(a_policy(), a_grant(), an_agent(runtime=a_container("agents.example/teller:latest")))

    assert team.condition(AGENT, "Ready")["reason"] == "ImageNotPinned"


async def test_a_revision_comes_into_force_only_while_the_agent_is_active() -> None:
    team = await a_team()
    before = team.status(AGENT)["revision"]
    await team.change(AGENT, lifecycle="Suspended")
    await team.change(GRANT, purposes=["card-dispute", "refund"])
    assert team.status(AGENT)["revision"] == before

    await team.change(AGENT, lifecycle="Active")

    assert team.status(AGENT)["revision"] != before


async def test_what_the_cluster_does_not_let_in_is_said_and_tried_again() -> None:
    team = Controlled()
    words = "exceeded quota: few, requested: count/controllerrevisions.apps=1"
    team.cluster.refusals["create ControllerRevision"] = ClusterError(words, "Forbidden", 403)
    await team.apply(a_namespace(), a_policy(), a_grant(), an_agent())
    said = team.condition(AGENT, "Ready")
    assert said["reason"] == "Progressing"
    assert "ControllerRevision remit-agent-teller-" in said["message"]
    assert words in said["message"]

    team.cluster.refusals.clear()
    await team.later(6)
    assert team.condition(AGENT, "Ready")["reason"] == "Ready"


async def test_a_revision_of_other_contents_under_our_name_is_replaced() -> None:
    team = await a_team()
    (revision,) = revisions(team)
    place = ("ControllerRevision", NAMESPACE, revision["metadata"]["name"])
    forged = {**revision, "metadata": dict(revision["metadata"]), "data": {"version": "forged"}}
    forged["metadata"].pop("uid")
    team.cluster.remove(place)
    team.cluster.objects.pop(place, None)
    team.cluster.put(forged)
    await team.settle()

    assert [digest_of(found["data"]) for found in revisions(team)] == [team.status(AGENT)["revision"]["digest"]]


@pytest.mark.parametrize("place", [DENY, AGENT_POLICY, ACCOUNT])
async def test_a_child_that_goes_comes_back(place: tuple[str, str, str]) -> None:
    team = await a_team()
    await team.delete(place)

    assert team.has(place)


async def test_a_rule_added_to_the_standing_policy_is_taken_away() -> None:
    team = await a_team()
    policy = dict(team.cluster.objects[DENY])
    await team.apply({**policy, "metadata": dict(policy["metadata"]), "spec": {**policy["spec"], "egress": [{}]}})

    assert team.cluster.objects[DENY]["spec"]["egress"] == []


async def test_the_platforms_floor_holds_in_namespaces_that_it_chooses() -> None:
    team = await a_team()
    before = team.status(AGENT)["revision"]
    await team.apply(a_policy("floor", "remit-system", namespaceSelector={"tier": "prod"}))
    assert team.status(AGENT)["revision"] == before

    await team.apply(a_namespace(tier="prod"))

    assert team.status(AGENT)["revision"] != before


async def test_runs_are_counted_in_their_own_time() -> None:
    team = await a_team()
    before = len(team.cluster.writes)
    await team.apply(a_run("one"), a_run("two"))
    assert team.status(AGENT)["activeRuns"] == 0

    await team.later(31)

    assert team.status(AGENT)["activeRuns"] == 2
    assert sum("status Agent " in write for write in team.cluster.writes[before:]) == 1


@pytest.mark.parametrize("place", [GRANT, POLICY])
async def test_what_the_gateway_does_not_enforce_yet_is_not_ready(place: tuple[str, str, str]) -> None:
    team = await a_team()
    assert team.condition(place, "Ready")["reason"] == "GatewayNotReady"
    assert team.condition(place, "Reconciling")["status"] == "True"

    await team.say(place, enforced={"generation": 1, "reason": "Ready", "message": "m"})
    assert team.condition(place, "Ready")["status"] == "True"

    await team.say(place, enforced={"generation": 1, "reason": "SecretNotReadable", "message": "kubectl apply ..."})
    assert team.condition(place, "Stalled")["reason"] == "SecretNotReadable"
    assert team.condition(place, "Stalled")["message"] == "kubectl apply ..."


async def test_a_change_waits_for_the_gateway_again() -> None:
    team = await a_team()
    await team.say(GRANT, enforced={"generation": 1, "reason": "Ready", "message": "m"})
    await team.change(GRANT, suspended=True)
    assert team.condition(GRANT, "Ready")["reason"] == "GatewayNotReady"

    await team.say(GRANT, enforced={"generation": 2, "reason": "Ready", "message": "m"})

    assert team.condition(GRANT, "Ready")["reason"] == "Suspended"


async def test_a_grant_that_ends_says_so_when_it_does() -> None:
    team = await a_team()
    await team.change(GRANT, notAfter="2026-11-21T12:01:00Z")
    await team.say(GRANT, enforced={"generation": 2, "reason": "Ready", "message": "m"})
    assert team.condition(GRANT, "Ready")["status"] == "True"

    await team.later(61)

    assert team.condition(GRANT, "Ready")["reason"] == "Expired"


async def test_a_tenants_policy_holds_nowhere_else() -> None:
    team = Controlled()
    await team.apply(a_policy(namespaceSelector={"tier": "prod"}))

    assert team.condition(POLICY, "Stalled")["reason"] == "NamespaceSelectorNotAllowed"


def test_an_agent_of_a_namespace_that_was_not_seen_is_under_no_bundle() -> None:
    agent = an_agent()
    agent["metadata"]["uid"] = "1"
    world = AgentWorld(agent, (), (), None, {}, (), ())
    refusal = Compiler(CelEngine(), JsonSchemaEngine(), "remit-system").compile(world)

    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.kind, refusal.name) == ("Progressing", "Namespace", NAMESPACE)
