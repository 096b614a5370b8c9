"""Warm pools on a real cluster: filled, claimed once, refilled, drained, and adopted by the next controller."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.support.controller_process import ControllerProcess
from tests.support.objects import a_run
from tests.support.polling import eventually
from tests.support.tenant import Tenant

from remit.adapters.access import from_kubeconfig
from remit.adapters.cluster import KubernetesCluster
from remit.api.agentrun import AgentRunSpec
from remit.api.names import CONTROLLER_FIELD_MANAGER, LABEL_RUN, LABEL_WARM
from remit.core.children import claim_of
from remit.ports import ClusterError

Object = dict[str, Any]


def labels_of(pod: Object) -> dict[str, str]:
    return pod["metadata"].get("labels") or {}


def standing(tenant: Tenant) -> list[Object]:
    """Return the pods that stand ready and nobody has claimed."""
    return [
        pod
        for pod in tenant.pods()
        if LABEL_WARM in labels_of(pod)
        and any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", ()))
    ]


def resize(tenant: Tenant, **spec: Any) -> None:
    answer = tenant.kube.patch(tenant.path("Agent", "teller"), {"spec": spec})
    assert answer.code == 200, answer.message


@pytest.fixture
def pool(controller: ControllerProcess, tenant: Tenant) -> Tenant:
    """A tenant whose agent has two pods that stand ready."""
    tenant.settle_in()
    resize(tenant, warm={"replicas": 2})
    eventually(lambda: standing(tenant), lambda pods: len(pods) == 2, within_seconds=60, why="two pods stand ready")
    return tenant


def test_a_run_takes_a_pod_that_stands_ready_and_the_pool_is_filled_again(pool: Tenant) -> None:
    before = {pod["metadata"]["uid"] for pod in standing(pool)}
    pool.create(a_run(deadlineSeconds=600))
    pool.until("Running")
    uid = pool.status()["pod"]["uid"]
    (taken,) = [pod for pod in pool.pods() if LABEL_RUN in labels_of(pod)]

    assert uid in before
    assert taken["metadata"]["uid"] == uid
    assert LABEL_WARM not in labels_of(taken)
    assert [owner["kind"] for owner in taken["metadata"]["ownerReferences"]] == ["AgentRun"]
    assert 600 <= taken["spec"]["activeDeadlineSeconds"] <= 600 + 60 + 120
    eventually(lambda: standing(pool), lambda pods: len(pods) == 2, within_seconds=60, why="the pool is full again")

    pool.kube.delete(pool.path("AgentRun", "dispute-1"))
    eventually(
        lambda: [pod["metadata"]["uid"] for pod in pool.pods()],
        lambda uids: uid not in uids,
        within_seconds=30,
        why="the pod goes with its run",
    )


def test_runs_that_come_together_take_different_pods_and_the_rest_start_cold(pool: Tenant) -> None:
    names = [f"dispute-{number}" for number in range(1, 5)]
    pool.create(*(a_run(name) for name in names))
    for name in names:
        pool.until("Running", name=name)
    pods = [pool.status(name=name)["pod"] for name in names]

    assert len({pod["uid"] for pod in pods}) == 4
    assert sum(pod["name"].startswith("remit-warm-") for pod in pods) >= 2


def test_of_two_that_claim_a_pod_at_the_same_time_one_gets_it_and_the_next_controller_adopts_it(
    controller: ControllerProcess, pool: Tenant, account: Path
) -> None:
    controller.stop()
    pool.create(a_run("first"), a_run("second"))
    runs = {name: pool.kube.get(pool.path("AgentRun", name)).body for name in ("first", "second")}
    pod = standing(pool)[0]

    async def race() -> list[object]:
        async with KubernetesCluster(from_kubeconfig(account)) as cluster:
            patches = [claim_of(pod, run, AgentRunSpec.model_validate(run["spec"])) for run in runs.values()]
            claims = [cluster.patch("v1", "Pod", patch, CONTROLLER_FIELD_MANAGER) for patch in patches]
            return list(await asyncio.gather(*claims, return_exceptions=True))

    answers = asyncio.run(race())
    lost = [answer for answer in answers if isinstance(answer, ClusterError)]
    controller.start()

    assert [refused.code for refused in lost] == [409]
    winner = list(runs)[answers.index(next(each for each in answers if not isinstance(each, ClusterError)))]
    for name in runs:
        pool.until("Running", name=name)
    uids = {name: pool.status(name=name)["pod"]["uid"] for name in runs}
    assert uids[winner] == pod["metadata"]["uid"]
    assert len(set(uids.values())) == 2


def test_a_changed_agent_drains_its_pool_and_a_suspended_one_has_none(pool: Tenant) -> None:
    before = {pod["metadata"]["uid"] for pod in standing(pool)}
    resize(pool, instructions={"inline": "Do otherwise."})
    eventually(
        lambda: {pod["metadata"]["uid"] for pod in standing(pool)},
        lambda uids: len(uids) == 2 and not uids & before,
        within_seconds=60,
        why="every pod is made anew",
    )

    resize(pool, lifecycle="Suspended")
    eventually(pool.pods, lambda pods: pods == [], within_seconds=30, why="nothing stands for a suspended agent")


def test_a_pod_that_dies_is_replaced(pool: Tenant) -> None:
    dead = standing(pool)[0]["metadata"]
    pool.kube.delete(f"/api/v1/namespaces/{pool.name}/pods/{dead['name']}")
    eventually(
        lambda: {pod["metadata"]["uid"] for pod in standing(pool)},
        lambda uids: len(uids) == 2 and dead["uid"] not in uids,
        within_seconds=60,
        why="another stands in its place",
    )


def test_nobody_visits_a_pod_that_stands_ready(pool: Tenant) -> None:
    name = standing(pool)[0]["metadata"]["name"]
    answer = pool.kube.send("POST", f"/api/v1/namespaces/{pool.name}/pods/{name}/exec?command=id&stdout=true", {})

    assert answer.code == 403
    assert "stands ready" in answer.message


@pytest.mark.parametrize("point", ["before-patch-pod", "after-patch-pod"])
def test_a_controller_killed_at_a_claim_is_followed_by_one_that_finds_the_pod(
    controller: ControllerProcess, mortal: ControllerProcess, pool: Tenant, point: str
) -> None:
    controller.stop()
    try:
        mortal.launch(crash_at=point)
        pool.create(a_run())
        eventually(mortal.killed, within_seconds=60, why=f"killed at {point}")
        mortal.start()

        pool.until("Running")
        taken = [pod for pod in pool.pods() if LABEL_RUN in labels_of(pod)]
        assert [pod["metadata"]["uid"] for pod in taken] == [pool.status()["pod"]["uid"]]
        assert taken[0]["metadata"]["name"].startswith("remit-warm-")
    finally:
        mortal.stop()
        controller.start()
