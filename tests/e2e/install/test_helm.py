"""The charts with a real helm: what is wrong is refused with the remedy, and what proves the past stays."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.support.installed import Place, chart
from tests.support.polling import eventually
from tests.support.programs import helm

from remit.api.meta import ANNOTATION_REVISION, CRD_REVISION

HOME = "remit-system"


class Helm:
    """Helm on a cluster; `--wait` where it can."""

    def __init__(self, place: Place, folder: Path) -> None:
        self.program = helm()
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "KUBECONFIG": str(place.cluster.kubeconfig_path),
        }
        images = {
            "controller": place.images.controller,
            "gateway": place.images.gateway,
            "harness": place.images.harness,
        }
        self.images = [f"--set=images.{name}={reference}" for name, reference in images.items()]

    def run(self, *arguments: str) -> str:
        """Run it, and return what it said."""
        done = self.asked(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def refused(self, *arguments: str) -> str:
        """Run what must fail, and return what it said."""
        done = self.asked(*arguments)
        assert done.returncode != 0, done.stdout
        return done.stdout + done.stderr

    def asked(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it."""
        line = [str(self.program), *arguments]
        return subprocess.run(line, env=self.environment, capture_output=True, text=True, check=False)

    def main(self, verb: str, *more: str) -> tuple[str, ...]:
        """Return the command that installs or upgrades the main chart."""
        return (verb, "remit", str(chart("remit")), "-n", HOME, *self.images, "--wait", "--timeout=180s", *more)


def test_charts_install_upgrade_and_go(place: Place, tmp_path: Path) -> None:
    with_helm = Helm(place, tmp_path)
    with_helm.run("lint", "--strict", str(chart("remit-crds")))
    with_helm.run("lint", "--strict", str(chart("remit")), *with_helm.images)
    place.kubectl("create", "namespace", HOME)

    assert "remit-crds" in with_helm.refused(*with_helm.main("install")), "kinds come first"
    with_helm.run(*crds(older(tmp_path)))
    assert f"of revision 1, older than {CRD_REVISION}" in with_helm.refused(*with_helm.main("install"))
    with_helm.run(*crds(chart("remit-crds")))
    annotated = place.get("crd", "agents.remit.dev")["metadata"]["annotations"][ANNOTATION_REVISION]
    assert annotated == str(CRD_REVISION), "the chart upgrades its kinds"

    with_helm.run(*with_helm.main("install"))
    place.settle_in("default")
    place.govern("default")
    told = with_helm.run("test", "remit", "-n", HOME, "--timeout=90s")
    assert "Succeeded" in told
    assert place.names("pod,networkpolicy", "-n", HOME, "-l", "app.kubernetes.io/name=remit-test") == set()
    eventually(place.lacks, lambda lacking: lacking == [], within_seconds=60, why="nothing is missing")

    published = place.get("configmap", "remit-verifier-key", "-n", HOME)["data"]
    with_helm.run(*with_helm.main("upgrade", "--set=controller.replicas=1"))
    assert place.get("deployment", "remit-controller", "-n", HOME)["spec"]["replicas"] == 1
    assert place.get("configmap", "remit-verifier-key", "-n", HOME)["data"] == published
    place.govern("default", "after-the-upgrade")

    with_helm.run("uninstall", "remit", "-n", HOME, "--wait")
    with_helm.run("uninstall", "remit-crds", "-n", HOME, "--wait")
    assert place.names("deployments,services,roles", "-n", HOME) == set()
    kept = place.names("pvc,configmap", "-n", HOME)
    assert {"persistentvolumeclaim/remit-ledger", "configmap/remit-verifier-key"} <= kept
    assert place.names("agents", "-n", "default") == {"agent.remit.dev/teller"}


def crds(folder: Path) -> tuple[str, ...]:
    """Return the command that installs or upgrades the kinds."""
    return ("upgrade", "--install", "remit-crds", str(folder), "-n", HOME)


def older(folder: Path) -> Path:
    """Return a chart of kinds as they were a revision ago."""
    found = folder / "remit-crds"
    shutil.copytree(chart("remit-crds"), found)
    for template in (found / "templates").glob("*.yaml"):
        text = template.read_text()
        template.write_text(text.replace(f"{ANNOTATION_REVISION}: '{CRD_REVISION}'", f"{ANNOTATION_REVISION}: '1'"))
    return found


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("--set=scope=Everywhere", "scope"),
        ("--set=controller.replicas=0", "controller/replicas"),
        ("--set=ledger.size=much", "ledger/size"),
        ("--set=imagesPullPolicy=Always", "imagesPullPolicy"),
    ],
)
def test_values_that_mean_nothing_are_refused(loaded: Place, tmp_path: Path, given: str, said: str) -> None:
    with_helm = Helm(loaded, tmp_path)
    assert said in with_helm.refused("template", "remit", str(chart("remit")), *with_helm.images, given)


def test_without_images_it_says_so(loaded: Place, tmp_path: Path) -> None:
    said = Helm(loaded, tmp_path).refused("template", "remit", str(chart("remit")))
    assert re.search(r"images\.\w+ must name an image", said), said


def test_a_chart_without_a_cluster_is_the_same_objects(loaded: Place, tmp_path: Path) -> None:
    place, with_helm = loaded, Helm(loaded, tmp_path)
    newest = "--api-versions=admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"
    text = with_helm.run("template", "remit", str(chart("remit")), "-n", HOME, *with_helm.images, newest)
    made = place.kubectl("apply", "--dry-run=client", "-o", "json", "-f", "-", given=text)
    whole = place.kubectl("apply", "--dry-run=client", "-o", "json", "-f", "-", given=place.file("install.yaml"))
    known = {"CustomResourceDefinition", "Namespace"}

    def named(answer: str) -> set[tuple[str, str]]:
        return {(each["kind"], each["metadata"]["name"]) for each in json.loads(answer)["items"]}

    assert {each for each in named(whole) if each[0] not in known} == {
        each for each in named(made) if each[1] != "remit-test"
    }
