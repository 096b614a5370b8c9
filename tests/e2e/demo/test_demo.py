"""The demo tells the truth: it holds on a healthy cluster, and ends badly on one whose network policies are gone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest
from typer.testing import CliRunner

from remit.api.names import DENY_POLICY, INSTALL_NAMESPACE, LABEL_MANAGED_BY, MANAGED_BY
from remit.cli import demo
from remit.cli.demo.scenes import HOSTILE, SCENES
from remit.cli.demo.setting import own_cluster
from remit.cli.demo.stage import BANK, Stage
from remit.cli.install import Images, install
from remit.cluster import Cluster

CONTROLLER = ("-n", INSTALL_NAMESPACE, "deployment/remit-controller")


@pytest.mark.timeout(900)
def test_every_scene_holds(cluster: Cluster) -> None:
    told = CliRunner().invoke(demo.app, ["--cluster", cluster.name])
    assert told.exit_code == 0, told.output
    assert f"All {len(SCENES)} scenes held" in told.output


@pytest.mark.timeout(600)
def test_a_demo_whose_network_policies_are_removed_fails(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = own_cluster(cluster.name, print)
    saboteur = Saboteur(stage.kubeconfig, stage.kubectl_path, stage.images, stage.example, stage.outside)
    monkeypatch.setattr(demo, "choose", lambda *_: saboteur)
    try:
        told = CliRunner().invoke(demo.app, ["--scene", HOSTILE])
    finally:
        repair(stage)
    assert told.exit_code == 1, told.output
    assert re.search(r"FAILED: attack [a-z-]+ succeeded", told.output), told.output


def repair(stage: Stage) -> None:
    """Put back what the saboteur took away."""
    images = Images(stage.images["controller"], stage.images["gateway"], stage.images["harness"])
    install(stage.kubeconfig, images, kubectl=stage.kubectl_path)


@dataclass(frozen=True)
class Saboteur(Stage):
    """Takes the network policies away while the hostile image is at work, and everyone who would put them back."""

    def finished(self, run: str, within_seconds: float = 120) -> dict[str, Any]:
        self.until(lambda: self.get("agentrun", run)["status"].get("pod"), bool, "the hostile pod is made")
        bindings = self.kubectl("get", "validatingadmissionpolicybinding", "-o", "name").split()
        self.kubectl("delete", *(each for each in bindings if "remit" in each))
        self.kubectl("scale", *CONTROLLER, "--replicas=0")
        everyone = ("-n", INSTALL_NAMESPACE, "-l", "app.kubernetes.io/name=remit-controller")
        self.kubectl("delete", "pods", *everyone, "--grace-period=0", "--force")
        self.until(self.without_policies, bool, "the network policies are removed")
        ended = self.until(
            lambda: dict(self.get("agentrun", run).get("status", {})),
            lambda status: "outcome" in status,
            "the gateway closes the hostile run",
            within_seconds,
        )
        return ended | {"reason": ended["outcome"]["reason"]}

    def without_policies(self) -> bool:
        """Delete every policy of ours; the guard may stand a moment longer than its binding."""
        self.kubectl("delete", "networkpolicy", "-n", BANK, "-l", f"{LABEL_MANAGED_BY}={MANAGED_BY}", "--wait=false")
        if DENY_POLICY in self.kubectl("get", "networkpolicy", "-n", BANK, "-o", "name"):
            held = '{"metadata": {"finalizers": null}}'
            self.kubectl("patch", "networkpolicy", DENY_POLICY, "-n", BANK, "--type=merge", "-p", held)
        return DENY_POLICY not in self.kubectl("get", "networkpolicy", "-n", BANK, "-o", "name")
