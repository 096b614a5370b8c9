"""Suspended, tried again, waiting for a place, denied: a run's states on a real cluster, with a real kubelet."""

from functools import partial
from itertools import pairwise
from typing import Any

from tests.support.controller_process import ControllerProcess
from tests.support.objects import a_policy, a_run
from tests.support.polling import eventually
from tests.support.tenant import Tenant

from remit.core.conditions import find_condition


def message(tenant: Tenant, name: str = "dispute-1") -> str:
    conditions = tenant.status(name=name).get("conditions", ())
    return str((find_condition(conditions, "Ready") or {}).get("message", ""))


def change(tenant: Tenant, name: str = "dispute-1", **spec: Any) -> None:
    answer = tenant.kube.patch(tenant.path("AgentRun", name), {"spec": spec})
    assert answer.code == 200, answer.message


def pod_uids(tenant: Tenant) -> set[str]:
    return {pod["metadata"]["uid"] for pod in tenant.pods()}


def test_a_suspended_run_keeps_its_pod_and_goes_on_in_it(controller: ControllerProcess, tenant: Tenant) -> None:
    tenant.settle_in(a_run(), a_run("dispute-2", desired="Suspended"))
    tenant.until("Running")
    tenant.until("Suspended", name="dispute-2")
    pods = pod_uids(tenant)
    assert len(pods) == 1, "a run that never started has no pod"

    change(tenant, desired="Suspended")
    tenant.until("Suspended")
    assert pod_uids(tenant) == pods
    change(tenant, desired="Running")
    tenant.until("Running")
    assert pod_uids(tenant) == pods

    change(tenant, "dispute-2", desired="Running")
    tenant.until("Running", name="dispute-2")


def test_another_pod_is_tried_when_one_is_deleted_and_all_go_in_the_end(
    controller: ControllerProcess, tenant: Tenant
) -> None:
    tenant.settle_in(a_run(retry={"limit": 1, "backoffSeconds": 1}, ttlSecondsAfterFinished=1))
    tenant.until("Running")
    first = tenant.status()
    tenant.kube.delete(f"/api/v1/namespaces/{tenant.name}/pods/dispute-1-1")

    again = eventually(
        tenant.status,
        lambda seen: seen.get("tries") and seen["reason"] == "Running",
        within_seconds=30,
        why="a new try",
    )
    assert again["pod"]["name"] == "dispute-1-1-r1"
    assert again["tries"][0]["pod"] == first["pod"]
    assert (again["revision"], again["startedAt"]) == (first["revision"], first["startedAt"])

    tenant.kube.delete(f"/api/v1/namespaces/{tenant.name}/pods/dispute-1-1-r1")
    tenant.until("Failed")
    assert "try 2 of 2" in message(tenant)
    eventually(tenant.pods, lambda seen: seen == [], within_seconds=20)


def test_runs_take_turns_in_the_order_of_their_making(controller: ControllerProcess, tenant: Tenant) -> None:
    tenant.settle_in()
    tenant.create(a_policy("turns", runs={"maxConcurrent": 1}))
    tenant.until("GatewayNotReady", "Policy", "turns")
    names = [f"turn-{number}" for number in range(3)]
    for name in names:
        tenant.create(a_run(name, ttlSecondsAfterFinished=0))
    tenant.until("Running", name="turn-0")
    for name in names[1:]:
        eventually(partial(message, tenant, name), lambda seen: seen.startswith("waiting for a place"))
    told = [tenant.status(name=name) for name in names[1:]]

    for going, following in pairwise(names):
        change(tenant, going, desired="Terminated")
        tenant.until("Cancelled", name=going)
        tenant.until("Running", name=following)
    started = [tenant.status(name=name)["startedAt"] for name in names]
    assert started == sorted(started)
    assert all(each["reason"] == "Pending" for each in told)


def test_a_policy_that_asks_for_a_case_denies_a_run_without_one(controller: ControllerProcess, tenant: Tenant) -> None:
    tenant.settle_in()
    tenant.create(a_policy("cases", runs={"case": "Required"}))
    tenant.until("GatewayNotReady", "Policy", "cases")
    tenant.create(a_run())
    tenant.until("Denied")
    assert message(tenant).startswith(f"policy {tenant.name}/cases asks for a case: name it in spec.case.id; next: ")
    assert tenant.pods() == []
