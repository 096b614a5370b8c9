"""The course of a run, from its first event to its pod's end, on a fake cluster."""

from typing import Any

import pytest
from tests.support.controlled import (
    ACCOUNT,
    AGENT,
    AGENT_POLICY,
    DENY,
    POD,
    RUN,
    SETTINGS,
    Controlled,
    a_team,
)
from tests.support.fake_cluster import CrashedError, CrashPlan
from tests.support.objects import NAMESPACE, a_grant, a_policy, a_run, an_agent
from tests.support.started import RUNNING, started

from remit.ports import ClusterError


async def test_a_run_gets_its_pod_in_one_create_and_one_status() -> None:
    team = await a_team()
    before = len(team.cluster.writes)

    await team.apply(a_run())

    writes = [write for write in team.cluster.writes[before:] if " Event " not in write]
    assert writes == ["create Pod dispute-1-1", "status AgentRun dispute-1"]
    pod = team.cluster.objects[POD]
    assert team.status()["reason"] == "Starting"
    assert team.status()["pod"] == {"name": "dispute-1-1", "uid": pod["metadata"]["uid"]}
    assert team.status()["revision"] == team.status(AGENT)["revision"]


async def test_a_whole_run_costs_four_writes_of_the_controller() -> None:
    team = await a_team()
    before = len(team.cluster.writes)

    await team.apply(a_run())
    await team.say(POD, **RUNNING)
    await team.say(RUN, outcome={"reason": "Succeeded", "message": "the agent handed in a result"})

    writes = [write for write in team.cluster.writes[before:] if " Event " not in write]
    assert writes == ["create Pod dispute-1-1", *["status AgentRun dispute-1"] * 3]


async def test_a_run_that_lost_its_authority_loses_its_pod_before_anybody_is_told() -> None:
    team = await started()
    before = len(team.cluster.writes)

    await team.change(RUN, desired="Terminated")

    status, deletion, *told = team.cluster.writes[before:]
    assert (status, deletion) == ("status AgentRun dispute-1", "delete Pod dispute-1-1")
    assert [write.split()[:2] for write in told] == [["create", "Event"]]


async def test_what_has_not_changed_is_not_written_again() -> None:
    team = await started()
    before = len(team.cluster.writes)

    team.restart()
    await team.settle()

    assert team.cluster.writes[before:] == []


async def test_a_run_that_succeeded_is_ready_and_keeps_its_pod_for_its_time() -> None:
    team = await started(ttlSecondsAfterFinished=60)
    await team.say(RUN, outcome={"reason": "Succeeded", "message": "done"})

    assert team.condition(RUN, "Succeeded")["status"] == "True"
    assert team.condition(RUN, "Ready")["status"] == "True"
    assert team.has(POD)
    await team.later(61)
    assert not team.has(POD)
    assert team.has(RUN)


@pytest.mark.parametrize(
    "reason", ["Failed", "PolicyViolation", "BudgetExhausted", "OutcomeUnknown", "Revoked", "DeadlineExceeded"]
)
async def test_the_gateways_word_is_the_runs_end(reason: str) -> None:
    team = await started()
    await team.say(RUN, outcome={"reason": reason, "message": "as the ledger says"})

    assert team.status()["reason"] == reason
    assert team.condition(RUN, "Stalled")["status"] == "True"
    assert team.condition(RUN, "Finished")["message"].startswith("as the ledger says")


async def test_a_finished_run_stays_as_it_is() -> None:
    team = await started()
    await team.say(RUN, outcome={"reason": "Succeeded", "message": "done"})
    await team.change(RUN, desired="Terminated")
    await team.change(AGENT, lifecycle="Suspended")

    assert team.status()["reason"] == "Succeeded"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"requester": None}, "nobody is named as requester"),
        ({"purpose": "marketing"}, "purpose marketing is not one of agent teller"),
        ({"unknown": 1}, "the spec is not valid: unknown"),
    ],
)
async def test_what_is_not_allowed_is_denied_without_a_pod(change: dict[str, Any], words: str) -> None:
    team = await a_team()
    await team.apply(a_run(**change))

    assert team.status()["reason"] == "Denied"
    assert words in team.condition(RUN, "Ready")["message"]
    assert not team.has(POD)


async def test_a_run_that_is_seen_before_what_allows_it_is_not_denied() -> None:
    team = await a_team()
    await team.change(AGENT, lifecycle="Suspended")
    team.cluster.listeners.clear()  # the watch of agents is behind
    await team.change(AGENT, lifecycle="Active")
    team.cluster.listeners.append(team.hear)
    await team.apply(a_run())
    assert team.status()["reason"] == "Pending"

    team.hear("MODIFIED", dict(team.cluster.objects[AGENT]))
    await team.settle()
    assert team.status()["reason"] == "Starting"


@pytest.mark.parametrize("lifecycle", ["Draft", "Suspended", "Retired"])
async def test_an_agent_that_is_not_active_has_its_runs_denied(lifecycle: str) -> None:
    team = Controlled()
    await team.apply(a_policy(), a_grant(), an_agent(lifecycle=lifecycle), a_run())

    assert team.status()["reason"] == "Denied"
    assert lifecycle in team.condition(RUN, "Ready")["message"]


async def test_a_run_waits_for_its_agent_and_starts_when_it_comes() -> None:
    team = Controlled()
    await team.apply(a_run())
    assert team.status()["reason"] == "Pending"
    assert "does not exist yet" in team.condition(RUN, "Ready")["message"]

    await team.apply(a_policy(), a_grant(), an_agent())

    assert team.status()["reason"] == "Starting"


async def test_a_run_whose_agent_never_comes_ends_at_its_deadline() -> None:
    team = Controlled()
    await team.apply(a_run(deadlineSeconds=60))
    await team.later(61)

    assert team.status()["reason"] == "DeadlineExceeded"
    assert "agent teller does not exist yet" in team.condition(RUN, "Ready")["message"]


async def test_a_run_waits_while_its_agent_has_no_policy() -> None:
    team = Controlled()
    await team.apply(a_grant(), an_agent(), a_run())

    assert team.status()["reason"] == "Pending"
    assert "NoPolicy" in team.condition(RUN, "Ready")["message"]


@pytest.mark.parametrize("place", [DENY, AGENT_POLICY, ACCOUNT])
async def test_no_pod_is_made_while_something_that_protects_it_is_missing(place: tuple[str, str, str]) -> None:
    team = await a_team()
    team.cluster.refusals[f"apply {place[0]}"] = ClusterError("busy", "TooManyRequests", 429)
    await team.delete(place)
    await team.apply(a_run())
    assert not team.has(POD)
    assert place[2] in team.condition(RUN, "Ready")["message"]

    team.cluster.refusals.clear()
    await team.later(120)

    assert team.has(place)
    assert team.has(POD)


async def test_a_run_waits_for_the_gateways_service() -> None:
    team = await a_team()
    service = team.cluster.objects.pop(("Service", "remit-system", "remit-gateway"))
    await team.apply(a_run())
    assert "Service remit-system/remit-gateway" in team.condition(RUN, "Ready")["message"]

    team.cluster.put(service)
    await team.later(6)

    assert team.status()["reason"] == "Starting"


async def test_an_image_that_cannot_be_pulled_is_said_and_does_not_end_the_run() -> None:
    team = await a_team()
    await team.apply(a_run())
    counts = []
    for word in ("ErrImagePull", "ImagePullBackOff"):
        waiting = {"name": "harness", "image": "nowhere:1", "state": {"waiting": {"reason": word, "message": word}}}
        await team.say(POD, phase="Pending", containerStatuses=[waiting])
        counts.append(len(team.cluster.writes))

    assert team.status()["reason"] == "Starting"
    assert "image nowhere:1 cannot be pulled" in team.condition(RUN, "Ready")["message"]
    assert counts[0] == counts[1]


async def test_a_node_without_room_is_said() -> None:
    team = await a_team()
    await team.apply(a_run())
    full = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: cpu"}
    await team.say(POD, phase="Pending", conditions=[full])

    message = team.condition(RUN, "Ready")["message"]
    assert message == "no node has room for the pod: add one, or lower the agent's spec.sandbox: 0/1 nodes: cpu"
    events = [thing for (kind, _, _), thing in team.cluster.objects.items() if kind == "Event"]
    assert any("no node has room" in event["message"] for event in events)


async def test_a_pod_of_the_name_that_is_not_this_runs_is_never_taken() -> None:
    team = await a_team()
    await team.apply(a_run())
    impostor = dict(team.cluster.objects[POD])
    team.cluster.remove(RUN)
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "somebody"}
    impostor["metadata"] = {
        "name": POD[2], "namespace": NAMESPACE, "labels": {"any": "one"}, "ownerReferences": [owner]
    }  # fmt: skip
    await team.apply(impostor, a_run())

    assert team.status()["reason"] == "Pending"
    assert "is in the way" in team.condition(RUN, "Ready")["message"]

    team.cluster.remove(POD)
    await team.later(6)
    assert team.status()["reason"] == "Starting"


async def test_a_pod_that_a_webhook_changed_is_no_sandbox() -> None:
    team = await a_team()

    def inject(thing: dict[str, Any]) -> None:
        if thing["kind"] == "Pod":
            thing["spec"]["containers"].append({"name": "mesh", "image": "mesh:1"})

    team.cluster.alter = inject
    await team.apply(a_run())

    assert team.status()["reason"] == "Failed"
    assert "admission webhook" in team.condition(RUN, "Ready")["message"]
    assert not team.has(POD)


async def test_a_new_run_of_the_same_name_gets_a_pod_of_its_own() -> None:
    team = await started()
    first = team.cluster.objects[POD]["metadata"]["uid"]
    await team.delete(RUN)
    await team.apply(a_run())

    assert team.status()["pod"]["uid"] != first


async def test_a_status_that_came_too_late_is_decided_anew() -> None:
    team = await a_team()
    team.cluster.refusals["status AgentRun"] = ClusterError("the object has been modified", "Conflict", 409)
    await team.apply(a_run())
    assert "reason" not in team.status()
    team.cluster.refusals.clear()
    await team.later(0.2)

    assert team.status()["reason"] == "Starting"
    assert [write for write in team.cluster.writes if "create Pod" in write] == ["create Pod dispute-1-1"]


async def test_events_that_cannot_be_made_hold_nothing_up() -> None:
    team = await a_team()
    team.cluster.refusals["create Event"] = ClusterError("no", "Forbidden", 403)
    await team.apply(a_run(desired="Running"))
    await team.change(RUN, desired="Terminated")

    assert team.status()["reason"] == "Cancelled"
    assert not team.has(POD)


async def test_a_run_waits_for_the_revision_that_it_is_to_be_pinned_to() -> None:
    team = await a_team()
    name = team.status(AGENT)["revision"]["name"]
    team.cluster.refusals["create ControllerRevision"] = ClusterError("busy", "TooManyRequests", 429)
    await team.delete(("ControllerRevision", NAMESPACE, name))
    await team.apply(a_run())
    assert f"ControllerRevision {name}" in team.condition(RUN, "Ready")["message"]

    team.cluster.refusals.clear()
    await team.later(6)

    assert team.status()["reason"] == "Starting"


async def test_a_pod_of_a_crash_that_is_not_as_it_should_be_is_made_anew() -> None:
    team = await a_team()
    team.cluster.crash = CrashPlan(len(team.cluster.writes) + 1, after=True)
    with pytest.raises(CrashedError):
        await team.apply(a_run())
    old = team.cluster.objects[POD]
    old["spec"]["containers"][0]["image"] = "remit.dev/harness:0"
    team.cluster.crash = CrashPlan()
    team.restart()
    await team.settle()

    assert team.status()["reason"] == "Starting"
    assert team.status()["pod"]["uid"] != old["metadata"]["uid"]
    assert team.cluster.objects[POD]["spec"]["containers"][0]["image"] == SETTINGS.harness_image


async def test_a_pod_that_is_on_its_way_out_is_waited_for() -> None:
    team = await a_team()
    team.cluster.crash = CrashPlan(len(team.cluster.writes) + 1, after=True)
    with pytest.raises(CrashedError):
        await team.apply(a_run())
    old = team.cluster.objects[POD]
    old["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:00Z"
    team.cluster.crash = CrashPlan()
    team.restart()
    await team.settle()
    assert "on its way out" in team.condition(RUN, "Ready")["message"]

    await team.delete(POD)

    assert team.status()["reason"] == "Starting"


async def test_a_pod_that_the_cluster_does_not_let_in_is_waited_for_in_its_words() -> None:
    team = await a_team()
    words = 'pods "dispute-1-1" is forbidden: pod rejected: RuntimeClass "gvisor" not found'
    team.cluster.refusals["create Pod"] = ClusterError(words, "Forbidden", 403)
    await team.apply(a_run())
    assert (team.status()["reason"], words in team.condition(RUN, "Ready")["message"]) == ("Pending", True)
    team.cluster.refusals.clear()
    await team.later(5)
    assert team.status()["reason"] == "Starting"
