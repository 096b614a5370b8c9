"""The children of a run and an agent, whole, as YAML: a change of a sandbox is seen in review, line by line.

To take over what is made now: REMIT_UPDATE_GOLDEN=1 pytest tests/golden/children; then look at the diff.
"""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from remit.api.agent import AgentSpec
from remit.api.agentrun import AgentRunSpec
from remit.core.children import SandboxSettings, agent_account, agent_policy, agent_revision, run_pod, standing_deny

CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/in.yaml"))
SETTINGS = SandboxSettings("remit.dev/harness@sha256:" + "1" * 64, "10.96.0.8")


def children(given: dict[str, Any]) -> list[dict[str, Any]]:
    agent, run = given["agent"], given["run"]
    return [
        standing_deny(agent["metadata"]["namespace"]),
        agent_policy(agent, "remit-system"),
        agent_account(agent),
        agent_revision(agent, {"version": "remit.dev/bundle/v1"}, "sha256:" + "a" * 64, 7),
        run_pod(run, AgentRunSpec.model_validate(run["spec"]), AgentSpec.model_validate(agent["spec"]), SETTINGS),
    ]


class Plain(yaml.SafeDumper):
    """YAML without anchors: the same part twice stands there twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_children_are_as_reviewed(case: Path) -> None:
    made = children(yaml.safe_load((case / "in.yaml").read_text()))
    reviewed = case / "out.yaml"
    # a golden file is written only when asked for
    if os.environ.get("REMIT_UPDATE_GOLDEN") == "1":
        reviewed.write_text(yaml.dump_all(made, Dumper=Plain, sort_keys=True, width=120))

    assert made == list(yaml.safe_load_all(reviewed.read_text()))


def pods() -> list[dict[str, Any]]:
    return [children(yaml.safe_load((case / "in.yaml").read_text()))[-1]["spec"] for case in CASES]


@pytest.mark.parametrize("spec", pods())
def test_every_container_is_restricted_and_bounded(spec: dict[str, Any]) -> None:
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        security = container["securityContext"]
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert security["readOnlyRootFilesystem"]
        assert not security["allowPrivilegeEscalation"]
        assert set(container["resources"]["limits"]) == {"cpu", "memory", "ephemeral-storage"}
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}


@pytest.mark.parametrize("spec", pods())
def test_only_what_speaks_to_the_gateway_holds_the_token(spec: dict[str, Any]) -> None:
    holders = [
        container["name"]
        for container in (*spec.get("initContainers", ()), *spec["containers"])
        if any(mount["name"] == "gateway-token" for mount in container["volumeMounts"])
    ]

    assert holders in (["harness"], ["remit-sidecar"])
    assert not spec["automountServiceAccountToken"]
    tokens = [source for volume in spec["volumes"] for source in volume.get("projected", {}).get("sources", ())]
    assert [list(source) for source in tokens] == [["serviceAccountToken"]]


@pytest.mark.parametrize("spec", pods())
def test_there_is_no_dns_and_no_secret_by_environment(spec: dict[str, Any]) -> None:
    assert spec["dnsPolicy"] == "None"
    assert spec["dnsConfig"] == {"nameservers": ["127.0.0.1"]}
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        assert "envFrom" not in container
        assert all("valueFrom" not in variable for variable in container["env"])


def test_runs_do_not_share_a_user_nor_does_the_sidecar() -> None:
    given = yaml.safe_load((Path(__file__).parent / "container" / "in.yaml").read_text())
    other = {**given, "run": {**given["run"], "metadata": {**given["run"]["metadata"], "uid": "another"}}}
    users = []
    for case in (given, other):
        spec = children(case)[-1]["spec"]
        users += [spec["securityContext"]["runAsUser"], spec["initContainers"][0]["securityContext"]["runAsUser"]]

    assert len(set(users)) == 4
    assert all(1_000_000 <= user < 2**31 for user in users)
