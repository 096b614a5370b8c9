"""Whatever is deleted, in whatever order, and wherever the controller dies: no pod is left uncovered."""

from collections.abc import Awaitable, Callable
from copy import deepcopy
from itertools import permutations

import pytest
from tests.support.controlled import ACCOUNT, AGENT, AGENT_POLICY, DENY, POD, RUN, Controlled, a_team
from tests.support.fake_cluster import CrashedError, CrashPlan, Place
from tests.support.objects import NAMESPACE, a_grant, a_namespace, a_policy, a_run, an_agent

from remit.ports import ClusterError


def covered(team: Controlled) -> bool:
    """Tell whether every pod of the namespace stands under the standing policy."""
    return team.has(DENY) or not team.has(POD)


def leaving(team: Controlled) -> dict[str, object]:
    namespace = a_namespace()
    namespace["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:00Z"
    return namespace


@pytest.mark.parametrize("order", list(permutations([AGENT, DENY, AGENT_POLICY, ACCOUNT, RUN], 3)), ids=str)
async def test_deleting_in_any_order_leaves_no_pod_uncovered(order: tuple[Place, ...]) -> None:
    team = await a_team()
    await team.apply(a_run())
    for place in order:
        if team.has(place):
            await team.delete(place)
        assert covered(team)


async def test_the_standing_policy_outlives_the_agent() -> None:
    team = await a_team()
    await team.delete(AGENT)

    assert team.has(DENY)
    assert not team.has(AGENT_POLICY)


async def test_a_namespace_that_goes_loses_its_sandboxes_before_its_policies() -> None:
    team = await a_team()
    await team.apply(a_run())
    await team.apply(leaving(team))

    assert not team.has(POD)
    assert team.has(DENY)


async def test_no_sandbox_starts_where_an_older_policy_of_others_opens_it() -> None:
    team = await a_team()
    spec = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"protocol": "UDP", "port": 53}]}]}
    older = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "spec": spec}
    team.cluster.put({**older, "metadata": {"name": "allow-dns", "namespace": NAMESPACE}})
    await team.apply(a_run())

    assert not team.has(POD)
    assert "NetworkPolicy allow-dns opens sandboxes" in team.condition(RUN, "Ready")["message"]
    del team.cluster.objects["NetworkPolicy", NAMESPACE, "allow-dns"]
    await team.later(6)
    assert team.has(POD)


def held_by_nothing(team: Controlled) -> None:
    """Take the finalizer away, as only an administrator past our guards can."""
    del team.cluster.objects[DENY]["metadata"]["finalizers"]


async def test_a_deleted_standing_policy_stays_until_the_last_sandbox_is_gone_and_comes_back() -> None:
    team = await a_team()
    await team.apply(a_run())
    first = team.cluster.objects[DENY]["metadata"]["uid"]
    await team.delete(DENY)
    assert team.cluster.objects[DENY]["metadata"]["uid"] == first
    assert team.has(POD)

    await team.delete(POD)
    assert team.cluster.objects[DENY]["metadata"]["uid"] != first


async def test_a_standing_policy_that_somebody_narrowed_is_put_back() -> None:
    team = await a_team()
    narrowed = deepcopy(team.cluster.objects[DENY])
    narrowed["spec"]["podSelector"]["matchLabels"] = {"team": "cards"}
    await team.apply(narrowed)

    assert "matchLabels" not in team.cluster.objects[DENY]["spec"]["podSelector"]


async def test_a_refusal_of_the_standing_policy_takes_the_pods() -> None:
    team = await a_team()
    await team.apply(a_run())
    team.cluster.refusals["apply NetworkPolicy"] = ClusterError("no", "Forbidden", 403)
    held_by_nothing(team)
    await team.delete(DENY)

    assert not team.has(POD)


async def test_an_apiserver_that_is_away_for_a_moment_costs_no_run() -> None:
    team = await a_team()
    await team.apply(a_run())
    team.cluster.refusals["apply NetworkPolicy"] = ClusterError("away", "Unreachable", 0)
    await team.delete(DENY)
    team.cluster.refusals.clear()
    await team.later(1)

    assert team.has(DENY)
    assert team.has(POD)


async def live_through(team: Controlled, crash: CrashPlan) -> bool:
    """Take a team from nothing to a finished run; tell whether the crash came."""
    team.cluster.crash = crash
    crashed = False
    acts: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: team.apply(a_policy(), a_grant(), an_agent(), a_run()),
        lambda: team.say(POD, phase="Running"),
        lambda: team.say(RUN, outcome={"reason": "Succeeded", "message": "done"}),
        lambda: team.later(301),
    )
    for act in acts:
        try:
            await act()
        except CrashedError:
            crashed, team.cluster.crash = True, CrashPlan()
            team.restart()
            await team.settle()
        assert covered(team)
    return crashed


async def writes_of_a_whole_life() -> int:
    team = Controlled()
    await live_through(team, CrashPlan())
    return len(team.cluster.writes)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_crash_at_any_write_is_made_good(*, after: bool) -> None:
    total = await writes_of_a_whole_life()
    assert total >= 12
    for number in range(1, total + 1):
        team = Controlled()
        assert await live_through(team, CrashPlan(number, after=after)), number
        assert team.status(RUN)["reason"] == "Succeeded", number
        assert team.status(AGENT)["conditions"][0]["status"] == "True", number
        assert not team.has(POD), number
        pods = [write for write in team.cluster.writes if write.startswith("create Pod")]
        assert set(pods) == {"create Pod dispute-1-1"}, number


async def test_a_pod_of_a_crash_is_taken_over_not_made_twice() -> None:
    team = await a_team()
    team.cluster.crash = CrashPlan(len(team.cluster.writes) + 1, after=True)
    with pytest.raises(CrashedError):
        await team.apply(a_run())
    first = team.cluster.objects[POD]["metadata"]["uid"]
    assert "pod" not in team.status()

    team.cluster.crash = CrashPlan()
    team.restart()
    await team.settle()

    assert team.status()["pod"]["uid"] == first


async def test_a_pod_that_its_watch_has_not_told_of_yet_keeps_the_standing_policy() -> None:
    team = await a_team()
    await team.apply(a_run())
    first = team.cluster.objects[DENY]["metadata"]["uid"]
    team.controller.store.drop("Pod", team.cluster.objects[POD])
    team.cluster.remove(DENY)
    await team.settle()

    assert team.has(POD)
    assert team.cluster.objects[DENY]["metadata"]["uid"] == first


async def test_a_namespace_without_agents_is_left_alone() -> None:
    team = Controlled()
    await team.apply(a_namespace("quiet"))

    assert not team.has(("NetworkPolicy", "quiet", DENY[2]))
    assert NAMESPACE != "quiet"
