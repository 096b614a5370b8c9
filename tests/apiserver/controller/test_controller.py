"""A run's whole course on a real cluster: pod, status, clean-up; and deletions that leave nothing uncovered."""

from typing import Any

from tests.support.controller_process import ControllerProcess
from tests.support.objects import a_grant, a_policy, a_run, an_agent
from tests.support.polling import eventually
from tests.support.tenant import CLEANER, Tenant

from remit.core.conditions import find_condition


def test_a_run_gets_a_pod_that_runs_and_ends_by_the_gateways_word(
    controller: ControllerProcess, tenant: Tenant
) -> None:
    tenant.settle_in(a_run(ttlSecondsAfterFinished=2))
    tenant.until("Running")
    (pod,) = tenant.pods()
    assert tenant.status()["pod"] == {"name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
    assert tenant.status()["revision"] == tenant.status("Agent", "teller")["revision"]

    tenant.say(outcome={"reason": "Succeeded", "message": "done"}, usage={"toolCalls": 3})

    tenant.until("Succeeded")
    assert tenant.status()["usage"]["toolCalls"] == 3
    eventually(tenant.pods, lambda seen: seen == [], within_seconds=20, why="the pod goes in its time")
    assert tenant.reason() == "Succeeded"


def test_suspending_the_agent_revokes_the_run_and_kills_the_pod(controller: ControllerProcess, tenant: Tenant) -> None:
    tenant.settle_in(a_run())
    tenant.until("Running")
    tenant.kube.patch(tenant.path("Agent", "teller"), {"spec": {"lifecycle": "Suspended"}})

    tenant.until("Revoked")
    tenant.until("Suspended", "Agent", "teller")
    eventually(tenant.pods, lambda seen: seen == [], within_seconds=20)


def test_a_stopped_run_is_cancelled_after_its_grace_and_terminated_at_once(
    controller: ControllerProcess, tenant: Tenant
) -> None:
    tenant.settle_in(a_run(), a_run("dispute-2"))
    for name in ("dispute-1", "dispute-2"):
        tenant.until("Running", name=name)
    tenant.kube.patch(tenant.path("AgentRun", "dispute-1"), {"spec": {"desired": "Stopped"}})
    tenant.kube.patch(tenant.path("AgentRun", "dispute-2"), {"spec": {"desired": "Terminated"}})

    tenant.until("Cancelled", name="dispute-2")
    tenant.until("Cancelled")


def test_a_pod_that_somebody_deletes_fails_the_run(controller: ControllerProcess, tenant: Tenant) -> None:
    tenant.settle_in(a_run())
    tenant.until("Running")
    tenant.kube.delete(f"/api/v1/namespaces/{tenant.name}/pods/dispute-1-1")

    tenant.until("Failed")


def test_an_image_that_is_not_there_is_said_and_the_deadline_ends_it(
    controller: ControllerProcess, tenant: Tenant
) -> None:
    image = "nowhere.invalid/agent@sha256:" + "0" * 64
    agent = an_agent(runtime={"container": {"image": image}})
    tenant.create(a_policy(), a_grant(), agent, a_run(deadlineSeconds=12))

    eventually(
        lambda: (find_condition(tenant.status().get("conditions", ()), "Ready") or {}).get("message", ""),
        lambda message: "remit-sidecar does not start" in message or f"image {image} cannot be pulled" in message,
        within_seconds=30,
    )
    tenant.until("DeadlineExceeded")


def test_a_node_without_room_is_said(controller: ControllerProcess, tenant: Tenant) -> None:
    tenant.create(a_policy(), a_grant(), an_agent(sandbox={"memoryMiB": 262_144}), a_run())

    eventually(
        lambda: (find_condition(tenant.status().get("conditions", ()), "Ready") or {}).get("message", ""),
        lambda message: "no node has room for the pod" in message,
        within_seconds=30,
    )
    assert tenant.reason() == "Starting"


def test_the_standing_policy_outlives_its_deletion_while_there_is_a_sandbox(
    controller: ControllerProcess, tenant: Tenant
) -> None:
    tenant.settle_in(a_run())
    tenant.until("Running")
    deny = tenant.policy("remit-sandbox-deny")
    first = tenant.kube.get(deny).body["metadata"]["uid"]
    gone = tenant.kube.acting_as(CLEANER, "system:masters").delete(deny)
    assert gone.code == 200, gone.message
    assert tenant.kube.get(deny).body["metadata"]["uid"] == first
    assert tenant.reason() == "Running"

    tenant.kube.delete(tenant.path("AgentRun", "dispute-1"))

    def look() -> str:
        seen = tenant.kube.get(deny)
        assert seen.code == 200 or not tenant.pods(), "a pod stood without the standing policy"
        return str(seen.body.get("metadata", {}).get("uid", first))

    eventually(look, lambda uid: uid != first, within_seconds=30, every_seconds=0.02, why="a new standing policy")


def test_a_namespace_that_goes_leaves_no_pod_uncovered(controller: ControllerProcess, tenant: Tenant) -> None:
    tenant.settle_in(a_run())
    tenant.until("Running")
    tenant.kube.delete(f"/api/v1/namespaces/{tenant.name}")

    def look() -> bool:
        pods = tenant.pods()
        deny = tenant.kube.get(tenant.policy("remit-sandbox-deny"))
        if pods and deny.code == 404:  # between the two looks the pods may have gone
            uncovered.extend(tenant.pods())
        return tenant.kube.get(f"/api/v1/namespaces/{tenant.name}").code == 404

    uncovered: list[dict[str, Any]] = []
    eventually(look, within_seconds=60, every_seconds=0.02, why="the namespace is gone")
    assert not uncovered, "a pod stood without the standing policy"


def test_a_new_controller_writes_nothing(controller: ControllerProcess, tenant: Tenant) -> None:
    tenant.settle_in(a_run())
    tenant.until("Running")
    kinds = (("Agent", "teller"), ("ToolGrant", "provider"), ("Policy", "rules"), ("AgentRun", "dispute-1"))

    def versions() -> list[str]:
        return [tenant.kube.get(tenant.path(*kind)).body["metadata"]["resourceVersion"] for kind in kinds]

    before = versions()
    controller.stop()
    controller.start()
    tenant.create(a_run("marker"))
    tenant.until("Running", name="marker")

    assert versions() == before
