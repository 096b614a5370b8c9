"""A run's whole course on a real cluster: pod, status, clean-up; deletions in any order; kill -9 at every write."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.support.controller_process import ControllerProcess
from tests.support.kube import Kube
from tests.support.objects import a_grant, a_policy, a_run, an_agent
from tests.support.polling import eventually

from remit.core.conditions import find_condition, violations

REMIT = "/apis/remit.dev/v1alpha1/namespaces"
GATEWAY = "system:serviceaccount:remit-system:remit-gateway"
CLEANER = "system:serviceaccount:kube-system:namespace-controller"
PLURALS = {"Agent": "agents", "ToolGrant": "toolgrants", "Policy": "policies", "AgentRun": "agentruns"}
POINTS = [
    f"{side}-{write}"
    for write in (
        "apply-networkpolicy",
        "apply-serviceaccount",
        "create-controllerrevision",
        "status-agent",
        "create-pod",
        "status-agentrun",
    )
    for side in ("before", "after")
]


class Tenant:
    """A namespace as its users, and the gateway, see it."""

    def __init__(self, kube: Kube, name: str) -> None:
        self.kube = kube
        self.name = name

    def path(self, kind: str, name: str = "") -> str:
        return f"{REMIT}/{self.name}/{PLURALS[kind]}{f'/{name}' if name else ''}"

    def create(self, *things: dict[str, Any]) -> None:
        for thing in things:
            metadata = {**thing["metadata"], "namespace": self.name}
            spec = {key: value for key, value in thing["spec"].items() if key != "requester"}
            made = self.kube.create(self.path(thing["kind"]), {**thing, "metadata": metadata, "spec": spec})
            assert made.code == 201, made.message

    def status(self, kind: str = "AgentRun", name: str = "dispute-1") -> dict[str, Any]:
        found: dict[str, Any] = self.kube.get(self.path(kind, name)).body.get("status", {})
        if "conditions" in found:
            assert violations(found) == (), found
        return found

    def reason(self, kind: str = "AgentRun", name: str = "dispute-1") -> str:
        return str((find_condition(self.status(kind, name).get("conditions", ()), "Ready") or {}).get("reason", ""))

    def until(self, reason: str, kind: str = "AgentRun", name: str = "dispute-1") -> None:
        eventually(
            lambda: self.reason(kind, name), lambda seen: seen == reason, within_seconds=30, why=f"{name} is {reason}"
        )

    def pods(self) -> list[dict[str, Any]]:
        return list(self.kube.get(f"/api/v1/namespaces/{self.name}/pods").body.get("items", ()))

    def policy(self, name: str) -> str:
        return f"/apis/networking.k8s.io/v1/namespaces/{self.name}/networkpolicies/{name}"

    def say(self, **status: Any) -> None:
        """Write a part of the run's status as the gateway."""
        body = {"apiVersion": "remit.dev/v1alpha1", "kind": "AgentRun", "metadata": {"name": "dispute-1"}}
        answer = self.kube.acting_as(GATEWAY).send(
            "PATCH",
            f"{self.path('AgentRun', 'dispute-1')}/status?fieldManager=remit-gateway&force=true",
            {**body, "status": status},
            kind="application/apply-patch+yaml",
        )
        assert answer.code == 200, answer.message


@pytest.fixture
def tenant(kube: Kube, fresh_namespace: Callable[[], str]) -> Tenant:
    return Tenant(kube, fresh_namespace())


def a_team(tenant: Tenant, *more: dict[str, Any]) -> None:
    tenant.create(a_policy(), a_grant(), an_agent(), *more)


def test_a_run_gets_a_pod_that_runs_and_ends_by_the_gateways_word(
    controller: ControllerProcess, tenant: Tenant
) -> None:
    a_team(tenant, a_run(ttlSecondsAfterFinished=2))
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
    a_team(tenant, a_run())
    tenant.until("Running")
    tenant.kube.patch(tenant.path("Agent", "teller"), {"spec": {"lifecycle": "Suspended"}})

    tenant.until("Revoked")
    tenant.until("Suspended", "Agent", "teller")
    eventually(tenant.pods, lambda seen: seen == [], within_seconds=20)


def test_a_stopped_run_is_cancelled_after_its_grace_and_terminated_at_once(
    controller: ControllerProcess, tenant: Tenant
) -> None:
    a_team(tenant, a_run(), a_run("dispute-2"))
    for name in ("dispute-1", "dispute-2"):
        tenant.until("Running", name=name)
    tenant.kube.patch(tenant.path("AgentRun", "dispute-1"), {"spec": {"desired": "Stopped"}})
    tenant.kube.patch(tenant.path("AgentRun", "dispute-2"), {"spec": {"desired": "Terminated"}})

    tenant.until("Cancelled", name="dispute-2")
    tenant.until("Cancelled")


def test_a_pod_that_somebody_deletes_fails_the_run(controller: ControllerProcess, tenant: Tenant) -> None:
    a_team(tenant, a_run())
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


def test_the_standing_policy_comes_back_at_once(controller: ControllerProcess, tenant: Tenant) -> None:
    a_team(tenant, a_run())
    tenant.until("Running")
    first = tenant.kube.get(tenant.policy("remit-sandbox-deny")).body["metadata"]["uid"]
    gone = tenant.kube.acting_as(CLEANER, "system:masters").delete(tenant.policy("remit-sandbox-deny"))
    assert gone.code == 200, gone.message

    eventually(
        lambda: tenant.kube.get(tenant.policy("remit-sandbox-deny")).body.get("metadata", {}).get("uid", first),
        lambda uid: uid != first,
        within_seconds=5,
    )
    assert tenant.reason() == "Running"


def test_a_namespace_that_goes_leaves_no_pod_uncovered(controller: ControllerProcess, tenant: Tenant) -> None:
    a_team(tenant, a_run())
    tenant.until("Running")
    tenant.kube.delete(f"/api/v1/namespaces/{tenant.name}")

    def look() -> bool:
        pods = [pod for pod in tenant.pods() if not pod["metadata"].get("deletionTimestamp")]
        deny = tenant.kube.get(tenant.policy("remit-sandbox-deny"))
        if pods and deny.code == 404:  # between the two looks the pods may have gone
            still = [pod for pod in tenant.pods() if not pod["metadata"].get("deletionTimestamp")]
            uncovered.extend([*still] if still else [])
        return tenant.kube.get(f"/api/v1/namespaces/{tenant.name}").code == 404

    uncovered: list[dict[str, Any]] = []
    eventually(look, within_seconds=60, every_seconds=0.02, why="the namespace is gone")
    assert len(uncovered) <= 2, "a pod stood without the standing policy for longer than a reaction takes"


def test_a_new_controller_writes_nothing(controller: ControllerProcess, tenant: Tenant) -> None:
    a_team(tenant, a_run())
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


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_write_the_next_controller_makes_it_good(
    controller: ControllerProcess, tenant: Tenant, point: str
) -> None:
    controller.stop()
    controller.launch(crash_at=point)
    a_team(tenant, a_run())
    eventually(controller.killed, within_seconds=30, why=f"killed at {point}")

    controller.start()

    tenant.until("Running")
    tenant.until("Ready", "Agent", "teller")
    assert len(tenant.pods()) == 1
