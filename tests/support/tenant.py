"""A namespace as its users, and the gateway, see it on a real apiserver."""

from typing import Any

from tests.support.kube import Kube
from tests.support.objects import a_grant, a_policy, an_agent
from tests.support.polling import eventually

from remit.core.conditions import find_condition, violations

REMIT = "/apis/remit.dev/v1alpha1/namespaces"
GATEWAY = "system:serviceaccount:remit-system:remit-gateway"
CLEANER = "system:serviceaccount:kube-system:namespace-controller"
PLURALS = {"Agent": "agents", "ToolGrant": "toolgrants", "Policy": "policies", "AgentRun": "agentruns"}


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

    def settle_in(self, *more: dict[str, Any]) -> None:
        """Create an agent with all that it needs, and more."""
        self.create(a_policy(), a_grant(), an_agent(), *more)
