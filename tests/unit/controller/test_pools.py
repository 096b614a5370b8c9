"""Pods that stand ready: how a pool fills, refills, drains and fails, on a fake cluster."""

from copy import deepcopy
from dataclasses import replace

import pytest
from tests.support.controlled import ACCOUNT, AGENT, AGENT_POLICY, DENY, Controlled, a_team
from tests.support.fake_cluster import CrashedError, CrashPlan
from tests.support.objects import NAMESPACE, a_container, a_grant, a_namespace, a_policy, a_run, an_agent
from tests.support.pooled import a_pool, all_pods, place_of_pod, start_pods, warm_pods

from remit.api.names import LABEL_QUARANTINE, LABEL_RUN, LABEL_WARM
from remit.core.pool import LONGEST_DELAY_SECONDS, REFILL_DELAY_SECONDS, START_SECONDS
from remit.ports import ClusterError


async def test_a_pool_is_filled_and_counted_in_the_agents_status() -> None:
    team = await a_pool(3)

    assert len(warm_pods(team)) == 3
    assert team.status(AGENT)["warmPods"] == 3


async def test_a_pod_that_stands_ready_has_no_run_no_deadline_and_a_user_of_its_own() -> None:
    team = await a_pool(2)
    one, other = warm_pods(team)

    assert LABEL_RUN not in one["metadata"]["labels"]
    assert "activeDeadlineSeconds" not in one["spec"]
    assert one["metadata"]["ownerReferences"][0]["uid"] == team.cluster.objects[AGENT]["metadata"]["uid"]
    assert one["spec"]["securityContext"]["runAsUser"] != other["spec"]["securityContext"]["runAsUser"]


async def test_few_pods_start_at_a_time() -> None:
    team = await a_team()
    await team.apply(an_agent(warm={"replicas": 50}))

    assert len(warm_pods(team)) == 4


async def test_only_the_harness_stands_ready() -> None:
    team = await a_team()
    await team.apply(an_agent(warm={"replicas": 2}, runtime=a_container()))

    assert warm_pods(team) == []


@pytest.mark.parametrize("place", [DENY, AGENT_POLICY, ACCOUNT], ids=str)
async def test_no_pod_is_made_while_what_protects_it_is_not_in_place(place: tuple[str, str, str]) -> None:
    team = await a_team()
    team.cluster.refusals[f"apply {place[0]}"] = ClusterError("no", "Forbidden", 403)
    del team.cluster.objects[place]
    team.restart()
    await team.apply(an_agent(warm={"replicas": 2}))

    assert warm_pods(team) == []
    team.cluster.refusals.clear()
    await team.later(120)
    assert len(warm_pods(team)) == 2


async def test_no_pod_is_made_where_a_policy_of_others_opens_it() -> None:
    team = await a_team()
    spec = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}
    older = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "spec": spec}
    team.cluster.put({**older, "metadata": {"name": "open", "namespace": NAMESPACE}})
    await team.apply(an_agent(warm={"replicas": 2}))

    assert warm_pods(team) == []


async def test_the_refill_waits_after_a_claim() -> None:
    team = await a_pool(2)
    await team.apply(a_run())
    assert len(warm_pods(team)) == 1

    await team.later(REFILL_DELAY_SECONDS)
    await start_pods(team)
    assert len(warm_pods(team)) == 2


async def test_claims_that_do_not_cease_do_not_keep_a_pool_empty() -> None:
    team = await a_pool(20)
    for number in range(int(LONGEST_DELAY_SECONDS / 0.5) + 1):
        await team.apply(a_run(f"run-{number}"))
        await team.later(0.5)
    made = [write for write in team.cluster.writes if write.startswith("create Pod remit-warm-teller")]

    assert len(made) > 20


@pytest.mark.parametrize("lifecycle", ["Suspended", "Retired", "Draft"])
async def test_an_agent_that_may_not_act_has_no_pods_standing(lifecycle: str) -> None:
    team = await a_pool()
    await team.change(AGENT, lifecycle=lifecycle)

    assert warm_pods(team) == []


async def test_fewer_replicas_take_the_youngest() -> None:
    team = await a_pool(1)
    (oldest,) = warm_pods(team)
    await team.change(AGENT, warm={"replicas": 3})
    await start_pods(team)
    await team.change(AGENT, warm={"replicas": 1})

    assert [pod["metadata"]["uid"] for pod in warm_pods(team)] == [oldest["metadata"]["uid"]]


async def test_a_deleted_agent_takes_its_pods_along() -> None:
    team = await a_pool()
    await team.delete(AGENT)

    assert warm_pods(team) == []


async def test_a_standing_policy_that_leaves_takes_the_pods_and_comes_back_with_them() -> None:
    team = await a_pool()
    first = team.cluster.objects[DENY]["metadata"]["uid"]
    await team.delete(DENY)
    assert team.cluster.objects[DENY]["metadata"]["uid"] != first
    assert warm_pods(team) == [] or all(pod["metadata"]["labels"] for pod in warm_pods(team))

    await team.later(10)
    await start_pods(team)
    assert len(warm_pods(team)) == 2


async def test_a_namespace_that_leaves_has_no_pods_standing() -> None:
    team = await a_pool()
    namespace = a_namespace()
    namespace["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:00Z"
    await team.apply(namespace)
    await team.later(60)

    assert warm_pods(team) == []


async def changed_policy(team: Controlled) -> None:
    await team.apply(a_policy("more"))


async def changed_instructions(team: Controlled) -> None:
    await team.change(AGENT, instructions={"inline": "Do otherwise."})


async def changed_grant(team: Controlled) -> None:
    await team.apply(a_grant("another"))


async def changed_sandbox(team: Controlled) -> None:
    await team.change(AGENT, sandbox={"memoryMiB": 512})


async def changed_image(team: Controlled) -> None:
    team.settings = replace(team.settings, harness_image="remit.dev/harness:2")
    team.restart()
    await team.settle()


@pytest.mark.parametrize(
    "change", [changed_policy, changed_instructions, changed_grant, changed_sandbox, changed_image]
)
async def test_what_was_made_from_something_else_is_drained(change: object) -> None:
    team = await a_pool()
    before = {pod["metadata"]["uid"] for pod in warm_pods(team)}
    await change(team)  # type: ignore[operator]
    await start_pods(team)

    now = {pod["metadata"]["uid"] for pod in warm_pods(team)}
    assert len(now) == 2
    assert not now & before


async def test_a_pod_that_fails_is_replaced_later_and_later() -> None:
    team = await a_pool(1)
    made = []
    for _ in range(4):
        (pod,) = warm_pods(team)
        await team.say(place_of_pod(pod), phase="Failed")
        assert warm_pods(team) == []
        began = team.clock.seconds
        while not warm_pods(team):
            await team.later(1)
        made.append(team.clock.seconds - began)

    assert made == [2, 4, 8, 16]


async def test_a_pod_that_never_gets_ready_is_given_up() -> None:
    team = await a_team()
    await team.apply(an_agent(warm={"replicas": 1}))
    (stuck,) = warm_pods(team)
    await team.later(START_SECONDS + 1)
    await team.later(3)

    assert [pod["metadata"]["uid"] for pod in warm_pods(team)] != [stuck["metadata"]["uid"]]


async def test_a_quarantined_pod_is_never_handed_over() -> None:
    team = await a_pool(1)
    pod = deepcopy(warm_pods(team)[0])
    pod["metadata"]["labels"][LABEL_QUARANTINE] = "yes"
    team.cluster.put(pod)
    await team.apply(a_run())

    assert team.status()["pod"]["name"] == "dispute-1-1"


async def test_what_an_admission_webhook_changed_does_not_stand() -> None:
    team = await a_team()
    team.cluster.alter = lambda thing: thing["spec"].update(hostNetwork=True) if thing["kind"] == "Pod" else None
    await team.apply(an_agent(warm={"replicas": 1}))

    assert warm_pods(team) == []


async def test_a_pool_that_stands_costs_no_write() -> None:
    team = await a_pool()
    await team.later(600)
    before = len(team.cluster.writes)
    team.restart()
    await team.settle()
    for _ in range(4):
        await team.later(30)

    assert team.cluster.writes[before:] == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_crash_while_filling_leaves_no_pod_too_many(*, after: bool) -> None:
    team = await a_team()
    team.cluster.crash = CrashPlan(len(team.cluster.writes) + 3, after=after)
    with pytest.raises(CrashedError):
        await team.apply(an_agent(warm={"replicas": 3}))
    team.cluster.crash = CrashPlan()
    team.restart()
    await team.settle()
    await start_pods(team)

    assert len(warm_pods(team)) == 3
    assert all(LABEL_WARM in pod["metadata"]["labels"] for pod in all_pods(team))
