"""Which NetworkPolicies of others would open a sandbox."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.objects import a_container, a_run, an_agent

from remit.api.agent import AgentSpec
from remit.api.agentrun import AgentRunSpec
from remit.core.children import SandboxSettings, run_pod
from remit.core.openings import opening
from remit.core.plan import is_in_place

LABELS = {"remit.dev/sandbox": "harness", "remit.dev/agent": "teller"}
DNS: list[dict[str, Any]] = [{"ports": [{"protocol": "UDP", "port": 53}]}]


def policy(selector: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "dns"}, "spec": {"podSelector": selector, **spec}}


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    "selector",
    [
        {},
        {"matchLabels": {"remit.dev/agent": "teller"}},
        expression("remit.dev/sandbox", "Exists"),
        expression("remit.dev/agent", "In", "other", "teller"),
        expression("remit.dev/agent", "NotIn", "other"),
        expression("app", "DoesNotExist"),
        expression("app", "NotIn", "web"),
        expression("app", "Unheard"),
        {"matchLabels": {"topology.kubernetes.io/zone": "a"}},
    ],
    ids=str,
)
def test_a_policy_that_selects_a_sandbox_opens_it(selector: dict[str, Any]) -> None:
    assert opening([policy(selector, egress=DNS)], LABELS, ()) == "dns"
    assert opening([policy(selector, ingress=[{}])], LABELS, ()) == "dns"


@pytest.mark.parametrize(
    "selector",
    [
        {"matchLabels": {"app": "web"}},
        {"matchLabels": {"remit.dev/agent": "other"}},
        expression("remit.dev/sandbox", "DoesNotExist"),
        expression("remit.dev/agent", "NotIn", "teller"),
        expression("remit.dev/agent", "In", "other"),
        expression("app", "Exists"),
    ],
    ids=str,
)
def test_a_policy_of_other_pods_does_not(selector: dict[str, Any]) -> None:
    assert opening([policy(selector, egress=DNS)], LABELS, ()) == ""


def test_a_policy_without_rules_closes_and_ours_is_ours() -> None:
    assert opening([policy({}, policyTypes=["Egress"]), policy({}, egress=[], ingress=[])], LABELS, ()) == ""
    assert opening([policy({}, egress=DNS)], LABELS, {"dns"}) == ""


Change = Callable[[dict[str, Any]], Any]
WIDER: dict[str, Change] = {
    "the host's network": lambda pod: pod["spec"].update(hostNetwork=True),
    "the host's processes": lambda pod: pod["spec"].update(hostPID=True),
    "one process table": lambda pod: pod["spec"].update(shareProcessNamespace=True),
    "another label": lambda pod: pod["metadata"]["labels"].update(app="web"),
    "a privileged container": lambda pod: pod["spec"]["containers"][0]["securityContext"].update(privileged=True),
    "a capability": lambda pod: pod["spec"]["containers"][0]["securityContext"]["capabilities"].update(add=["NET_RAW"]),
    "a privileged sidecar": lambda pod: pod["spec"]["initContainers"][0]["securityContext"].update(privileged=True),
    "a port of the host": lambda pod: pod["spec"]["containers"][0].update(ports=[{"hostPort": 80}]),
    "a second network": lambda pod: (
        pod["metadata"].setdefault("annotations", {}).update({"k8s.v1.cni.cncf.io/networks": "open"})
    ),
    "more groups": lambda pod: pod["spec"]["securityContext"].update(supplementalGroups=[0]),
    "names to search": lambda pod: pod["spec"]["dnsConfig"].update(searches=["svc.cluster.local"]),
    "a device": lambda pod: pod["spec"].update(resourceClaims=[{"name": "gpu"}]),
    "a limit of a device": lambda pod: pod["spec"]["containers"][0]["resources"]["limits"].update(
        {"example.com/fuse": "1"}
    ),
    "a probe": lambda pod: pod["spec"]["containers"][0].update(livenessProbe={"exec": {"command": ["sh"]}}),
    "a part of a volume": lambda pod: pod["spec"]["containers"][0]["volumeMounts"][0].update(subPath="etc"),
    "one more container": lambda pod: pod["spec"]["containers"].append(pod["spec"]["containers"][0]),
    "one more volume": lambda pod: pod["spec"]["volumes"].append({"name": "host", "hostPath": {"path": "/"}}),
}
AS_EVER: dict[str, Change] = {
    "nothing": lambda pod: pod,
    "labels of its node": lambda pod: pod["metadata"]["labels"].update({"topology.kubernetes.io/zone": "a"}),
    "quarantine": lambda pod: pod["metadata"]["labels"].update({"remit.dev/quarantine": "odd"}),
    "defaults": lambda pod: pod["spec"].update(hostNetwork=False, schedulerName="default-scheduler", tolerations=[{}]),
}


def a_pod() -> dict[str, Any]:
    run = a_run()
    run["metadata"] |= {"namespace": "bank", "uid": "1"}
    agent = AgentSpec.model_validate(an_agent(runtime=a_container())["spec"])
    return run_pod(run, AgentRunSpec.model_validate(run["spec"]), agent, SandboxSettings("harness:1", "10.96.0.10"))


@pytest.mark.parametrize("change", WIDER.values(), ids=WIDER)
def test_a_pod_that_was_widened_on_its_way_is_no_sandbox(change: Change) -> None:
    seen = copy.deepcopy(a_pod())
    change(seen)
    assert not is_in_place(a_pod(), seen)


@pytest.mark.parametrize("change", AS_EVER.values(), ids=AS_EVER)
def test_a_pod_with_what_everyone_gets_is_one(change: Change) -> None:
    seen = copy.deepcopy(a_pod())
    change(seen)
    assert is_in_place(a_pod(), seen)
