"""Sandboxes and what closes them, just as the controller makes them, for an apiserver without a controller."""

from typing import Any

from tests.support.kube import Kube
from tests.support.objects import a_container, a_run, an_agent

from remit.api.agent import AgentSpec
from remit.api.agentrun import AgentRunSpec
from remit.core.children import SandboxSettings, agent_account, agent_policy, run_pod, standing_deny, warm_pod

Object = dict[str, Any]
CONTROLLER = "system:serviceaccount:remit-system:remit-controller"
IMAGE = "remit.dev/busybox:1"
SETTINGS = SandboxSettings(IMAGE, "10.96.0.8")
COLLECTIONS = {
    "Pod": "/api/v1/namespaces/{}/pods",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
}


def make(what: str, namespace: str, agent_name: str = "teller") -> Object:
    """Return an object as the controller makes it: harness, container, warm, deny, policy or account."""
    agent = an_agent(agent_name)
    agent["metadata"] |= {"namespace": namespace, "uid": "agent-uid"}
    agent["status"] = {"revision": {"name": f"remit-agent-{agent_name}-1", "digest": "sha256:" + "0" * 64}}
    spec = AgentSpec.model_validate(agent["spec"])
    match what:
        case "harness" | "container":
            runtime = a_container() if what == "container" else {"harness": {}}
            run = a_run(agent=agent_name)
            run["metadata"] |= {"namespace": namespace, "uid": "run-uid"}
            run_spec = AgentRunSpec.model_validate(run["spec"])
            return run_pod(run, run_spec, AgentSpec.model_validate({**agent["spec"], "runtime": runtime}), SETTINGS)
        case "warm":
            return warm_pod(agent, spec, SETTINGS, mark="0123456789", name=f"{agent_name}-warm-0")
        case "deny":
            return standing_deny(namespace)
        case "policy":
            return agent_policy(agent, "remit-system")
        case _:
            return agent_account(agent)


def place(kube: Kube, thing: Object, *, owner: Object | None = None) -> Object:
    """Create it as the controller; without an owner that is there it would be collected, so it has this one or none."""
    metadata = {key: value for key, value in thing["metadata"].items() if key != "ownerReferences"}
    if owner is not None:
        reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "controller": True}
        metadata["ownerReferences"] = [reference | {key: owner["metadata"][key] for key in ("name", "uid")}]
    path = COLLECTIONS[thing["kind"]].format(metadata["namespace"])
    made = kube.acting_as(CONTROLLER, "system:masters").create(path, {**thing, "metadata": metadata})
    assert made.code == 201, made.message
    return made.body


def release(kube: Kube, namespace: str) -> None:
    """Let the namespace's standing policy go, as the controller does when the last sandbox is gone."""
    controller, path = kube.acting_as(CONTROLLER, "system:masters"), COLLECTIONS["NetworkPolicy"].format(namespace)
    controller.delete(f"{path}/remit-sandbox-deny")
    controller.patch(f"{path}/remit-sandbox-deny", {"metadata": {"finalizers": None}})
