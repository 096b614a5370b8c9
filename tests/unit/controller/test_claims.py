"""A run claims a pod that stands ready: in one patch, once, and whatever happens in between."""

import asyncio
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytest
from tests.support.controlled import AGENT, POD, RUN, Controlled
from tests.support.fake_cluster import CrashedError, CrashPlan, FakeCluster, Object
from tests.support.objects import a_run
from tests.support.pooled import a_pool, all_pods, place_of_pod, start_pods, warm_pods

from remit.api.names import LABEL_RUN, LABEL_WARM
from remit.core.pool import REFILL_DELAY_SECONDS
from remit.ports import ClusterError


async def test_a_run_claims_a_pod_in_one_patch_and_one_status_and_runs_at_once() -> None:
    team = await a_pool(1)
    (pod,) = warm_pods(team)
    before = len(team.cluster.writes)

    await team.apply(a_run())

    writes = [write for write in team.cluster.writes[before:] if not write.startswith("create Event")]
    assert writes == [f"patch Pod {pod['metadata']['name']}", "status AgentRun dispute-1"]
    assert team.status()["reason"] == "Running"
    assert team.status()["pod"] == {"name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}


async def test_a_claimed_pod_is_the_runs_and_no_pools() -> None:
    team = await a_pool(1)
    await team.apply(a_run(deadlineSeconds=600))
    (pod,) = all_pods(team)

    assert pod["metadata"]["labels"][LABEL_RUN] == "dispute-1"
    assert LABEL_WARM not in pod["metadata"]["labels"]
    assert [owner["uid"] for owner in pod["metadata"]["ownerReferences"]] == [
        team.cluster.objects[RUN]["metadata"]["uid"]
    ]


async def test_a_claimed_pod_ends_with_its_runs_deadline_though_it_stood_before() -> None:
    team = await a_pool(1)
    await team.later(970)
    await team.apply(a_run(deadlineSeconds=600))
    (pod,) = all_pods(team)

    assert pod["spec"]["activeDeadlineSeconds"] == 30 + 970 + 600 + 60


async def test_each_pod_goes_to_one_run_and_the_rest_start_cold() -> None:
    team = await a_pool(2)
    for number in range(3):
        team.cluster.put(a_run(f"run-{number}"))
    await team.settle()

    pods = {team.status(("AgentRun", RUN[1], f"run-{number}"))["pod"]["uid"] for number in range(3)}
    assert len(pods) == 3
    assert len(all_pods(team)) == 3
    assert sum(write.startswith("create Pod run-") for write in team.cluster.writes) == 1


async def test_claims_at_the_same_time_do_not_meet() -> None:
    team = await a_pool(3)
    for number in range(3):
        team.cluster.put(a_run(f"run-{number}"))
    works = [team.controller.work.settle() for _ in range(3)]
    await asyncio.gather(*works)

    names = {team.status(("AgentRun", RUN[1], f"run-{number}"))["pod"]["name"] for number in range(3)}
    assert len(names) == 3
    assert POD[2] not in names


class LosingCluster(FakeCluster):
    """Someone else is faster, or the answer to a patch is lost."""

    stolen: int = 0
    lost: int = 0

    async def patch(self, api_version: str, kind: str, patch: Mapping[str, Any], manager: str) -> Object:
        if self.stolen:
            self.stolen -= 1
            raise ClusterError("the object has been modified", "Conflict", 409)
        stored = await super().patch(api_version, kind, patch, manager)
        if self.lost:
            self.lost -= 1
            raise ClusterError("the apiserver cannot be reached", "Unreachable", 0)
        return stored


async def test_a_run_that_loses_a_race_takes_the_next_pod() -> None:
    team = await a_pool(2)
    team.cluster.__class__ = LosingCluster
    team.cluster.stolen = 1  # type: ignore[attr-defined]
    await team.apply(a_run())

    assert team.status()["reason"] == "Running"
    assert len(warm_pods(team)) == 1


async def test_a_run_that_loses_every_race_starts_cold() -> None:
    team = await a_pool(2)
    team.cluster.__class__ = LosingCluster
    team.cluster.stolen = 9  # type: ignore[attr-defined]
    await team.apply(a_run())

    assert team.status()["pod"]["name"] == "dispute-1-1"
    assert len(warm_pods(team)) == 2


async def test_a_claim_whose_answer_was_lost_is_found_again_not_made_twice() -> None:
    team = await a_pool(2)
    heard = team.cluster.listeners.copy()
    team.cluster.listeners.clear()  # the watch is late, too
    team.cluster.__class__ = LosingCluster
    team.cluster.lost = 1  # type: ignore[attr-defined]
    run = team.cluster.put(a_run())
    team.controller.note("AgentRun", run)
    await team.settle()
    team.cluster.listeners[:] = heard
    await team.later(1)

    assert team.status()["reason"] == "Running"
    assert [pod["metadata"]["name"] for pod in all_pods(team) if LABEL_RUN in pod["metadata"]["labels"]] == [
        team.status()["pod"]["name"]
    ]


async def started_by_a_controller_that_dies(team: Controlled, *, after: bool, nth: int) -> None:
    team.cluster.crash = CrashPlan(len(team.cluster.writes) + nth, after=after)
    with pytest.raises(CrashedError):
        await team.apply(a_run())
    team.cluster.crash = CrashPlan()
    team.restart()
    await team.settle()


@pytest.mark.parametrize(("nth", "after"), [(1, False), (1, True), (2, False), (2, True)])
async def test_a_controller_that_dies_around_a_claim_is_followed_by_one_that_adopts_the_pod(
    nth: int, *, after: bool
) -> None:
    team = await a_pool(2)
    await started_by_a_controller_that_dies(team, nth=nth, after=after)
    claimed = [pod for pod in all_pods(team) if LABEL_RUN in pod["metadata"]["labels"]]

    assert [pod["metadata"]["uid"] for pod in claimed] == [team.status()["pod"]["uid"]]
    assert team.status()["reason"] == "Running"
    assert not any(write.startswith("create Pod dispute") for write in team.cluster.writes)


async def test_a_pod_is_never_used_again_after_its_run() -> None:
    team = await a_pool(1)
    await team.apply(a_run(ttlSecondsAfterFinished=60))
    (pod,) = all_pods(team)
    await team.say(RUN, outcome={"reason": "Succeeded", "message": "done"})
    await team.later(REFILL_DELAY_SECONDS)
    await start_pods(team)
    await team.apply(a_run("second"))

    assert team.status(("AgentRun", RUN[1], "second"))["pod"]["uid"] != pod["metadata"]["uid"]
    await team.later(61)
    assert not team.has(place_of_pod(pod))


async def test_a_changed_agent_starts_cold_until_its_pool_was_renewed() -> None:
    team = await a_pool(1)
    await team.change(AGENT, instructions={"inline": "Do otherwise."})
    await team.apply(a_run())

    assert team.status()["pod"]["name"] == "dispute-1-1"


async def test_a_pod_that_somebody_changed_is_taken_away_not_handed_over() -> None:
    team = await a_pool(1)
    pod = deepcopy(warm_pods(team)[0])
    pod["metadata"]["labels"]["opens"] = "yes"
    team.cluster.put(pod)
    await team.apply(a_run())

    assert team.status()["pod"]["name"] == "dispute-1-1"
    assert not any("opens" in each["metadata"]["labels"] for each in all_pods(team))
