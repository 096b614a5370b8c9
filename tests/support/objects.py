"""Objects of the controller's tests, as the apiserver stores them: builders with the relevant fields only."""

from collections.abc import Mapping
from typing import Any

from tests.support.bundles import a_budget, a_rule

from remit.api.meta import API_VERSION

Object = dict[str, Any]
NAMESPACE = "bank"
PURPOSE = "card-dispute"
CREATED = "2026-11-21T12:00:00Z"


def an_object(kind: str, name: str, spec: Mapping[str, Any], **metadata: Any) -> Object:
    """Return an object of Remit's API group."""
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"namespace": NAMESPACE, "name": name, **metadata},
        "spec": dict(spec),
    }


def an_agent(name: str = "teller", *, labels: Mapping[str, str] | None = None, **spec: Any) -> Object:
    """Return an active agent with the harness."""
    whole = {
        "owner": "disputes@example.com",
        "purposes": [PURPOSE],
        "lifecycle": "Active",
        "runtime": {"harness": {}},
        "instructions": {"inline": "Resolve the dispute."},
        "model": {"grant": "provider", "name": "small"},
        **spec,
    }
    return an_object("Agent", name, whole, labels=dict(labels or {"team": "disputes"}))


def a_container(image: str = "agents.example/teller@sha256:" + "0" * 64, **fields: Any) -> Object:
    """Return the runtime of an agent of the user's own image."""
    return {"container": {"image": image, **fields}}


def a_grant(name: str = "provider", **spec: Any) -> Object:
    """Return the grant of a priced model to every agent of the team."""
    model = {"name": "small", "inputMicroUSDPerMillionTokens": 150_000, "outputMicroUSDPerMillionTokens": 600_000}
    whole = {
        "agents": {"matchLabels": {"team": "disputes"}},
        "purposes": [PURPOSE],
        "upstream": {"model": {"api": "OpenAI", "baseURL": "http://model.example/v1", "models": [model]}},
        **spec,
    }
    return an_object("ToolGrant", name, whole)


def a_policy(name: str = "rules", namespace: str = NAMESPACE, **spec: Any) -> Object:
    """Return a policy for every agent of its namespace."""
    policy = an_object("Policy", name, {"rules": [a_rule()], "budgets": [a_budget()], **spec})
    policy["metadata"]["namespace"] = namespace
    return policy


def a_run(name: str = "dispute-1", **spec: Any) -> Object:
    """Return a run as admission lets it through."""
    whole = {
        "agent": "teller",
        "purpose": PURPOSE,
        "requester": {"username": "ann", "uid": "u-1", "groups": ["tellers"]},
        "attempt": 1,
        "desired": "Running",
        "deadlineSeconds": 3600,
        "ttlSecondsAfterFinished": 300,
        **spec,
    }
    return an_object("AgentRun", name, whole)


def a_namespace(name: str = NAMESPACE, **labels: str) -> Object:
    """Return a namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def a_gateway_service(namespace: str = "remit-system", address: str = "10.96.0.8") -> Object:
    """Return the gateway's Service."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": namespace, "name": "remit-gateway"},
        "spec": {"clusterIP": address},
    }
