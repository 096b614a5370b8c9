"""An installation of the time before leases, queues and warm pods is upgraded while its runs are under way.

before/tree.tar.xz is the project as it was then: `git archive` of commit 5550cc8, without the pins of the embedded
cluster's programs and with today's uv.lock. What a released version was, an upgrade test must keep.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from tests.support.installed import Place
from tests.support.polling import eventually

from remit.cli.evidence import fetch_export, read_export, verifier_key, verify_export
from remit.cli.install import install
from remit.cli.manifests import find_root

BEFORE = Path(__file__).parent / "before" / "tree.tar.xz"
MOST_BYTES = 500_000
HOME = "upgraded"
TENANTS_KINDS = "controllerrevisions,serviceaccounts,networkpolicies,pods"
LEFT = "clusterroles,clusterrolebindings,validatingadmissionpolicies,mutatingadmissionpolicies,crd,namespaces"


class Old:
    """The project as it was, and its command line."""

    def __init__(self, folder: Path, place: Place) -> None:
        with tarfile.open(BEFORE) as archive:
            archive.extractall(folder, filter="data")
        shutil.copy(find_root() / "uv.lock", folder / "uv.lock")
        self.folder = folder
        self.place = place

    def remit(self, *arguments: str) -> str:
        """Run `remit` of that time."""
        done = subprocess.run(
            [sys.executable, "-P", "-m", "remit.cli", *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(self.folder / "operator")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def install(self) -> None:
        """Build its images, load them and install it."""
        built = self.remit(
            "images", "build", "controller", "gateway", "harness", "--load-into", self.place.cluster.name
        )
        references = [line.split()[0] for line in built.splitlines()]
        where = (
            "--kubeconfig",
            str(self.place.cluster.kubeconfig_path),
            "--kubectl",
            str(self.place.cluster.kubectl_path),
        )
        names = (
            f"--{name}-image={each}"
            for name, each in zip(("controller", "gateway", "harness"), references, strict=True)
        )
        self.remit("install", *names, *where)


def proof(place: Place, run: str, folder: Path) -> bool:
    """Tell whether the evidence of a run holds."""
    path, kubectl = place.cluster.kubeconfig_path, str(place.cluster.kubectl_path)
    export = folder / f"export-{run}-{len(list(folder.iterdir()))}"
    fetch_export(path, HOME, run, export, kubectl=kubectl)
    return verify_export(read_export(export), verifier_key(path, kubectl)).ok


def test_the_snapshot_stays_small() -> None:
    assert BEFORE.stat().st_size <= MOST_BYTES


def test_runs_survive_an_upgrade_and_what_was_proven_stays_proven(place: Place, tmp_path: Path) -> None:
    Old(tmp_path / "old", place).install()
    place.kubectl("create", "namespace", HOME)
    place.settle_in(HOME)
    for name in ("finished", "under-way"):
        place.start(name, HOME)
    stop(place, "finished")
    assert proof(place, "finished", tmp_path)
    before = {name: place.get("agentrun", name, "-n", HOME) for name in ("finished", "under-way")}

    path, kubectl = place.cluster.kubeconfig_path, str(place.cluster.kubectl_path)
    said: list[str] = []
    install(path, place.images, kubectl=kubectl, say=said.append)

    assert "the gateway keeps its signing key" in said
    assert any("of the version before are stopped" in line for line in said)
    eventually(place.lacks, lambda lacking: lacking == [], within_seconds=60, why="nothing is missing")
    after = {name: place.get("agentrun", name, "-n", HOME) for name in before}
    assert after["under-way"]["status"]["pod"] == before["under-way"]["status"]["pod"]
    assert after["under-way"]["status"]["reason"] == "Running"
    told = {field: value for field, value in after["finished"]["status"].items() if field != "enforced"}
    assert told == before["finished"]["status"], "all that it said, and what its gateway says it enforced"
    assert proof(place, "finished", tmp_path), "the ledger has it still, and its key verifies it"

    place.start("since", HOME)
    for name in ("under-way", "since"):
        stop(place, name)
        assert proof(place, name, tmp_path)

    kept_and_gone(place)


def stop(place: Place, name: str) -> None:
    """Have a run terminated, and wait for its end."""
    wanted = json.dumps({"spec": {"desired": "Terminated"}})
    place.kubectl("patch", "agentrun", name, "-n", HOME, "--type=merge", "-p", wanted)
    place.until("Cancelled", name, HOME)
    eventually(
        lambda: place.get("agentrun", name, "-n", HOME)["status"].get("evidence"),
        within_seconds=60,
        why="the gateway closes its evidence",
    )


def kept_and_gone(place: Place) -> None:
    """Uninstall leaves what it says that it leaves; a purge leaves nothing."""
    said = place.take(purge=False)[-1]
    assert said.startswith("kept: the objects and their kinds")
    assert len(place.names("agentruns", "-n", HOME)) == 3
    assert place.names("deployments,services,roles,rolebindings", "-n", "remit-system") == set()
    kept = place.names("secrets,configmaps,pvc", "-n", "remit-system")
    assert {
        "secret/remit-gateway-signing-key",
        "configmap/remit-verifier-key",
        "persistentvolumeclaim/remit-ledger",
    } <= kept

    place.take(purge=True)
    eventually(
        lambda: {name for name in place.names(LEFT) | place.names(TENANTS_KINDS, "-n", HOME) if "remit" in name},
        lambda left: left == set(),
        within_seconds=90,
        why="a purge leaves nothing",
    )
    place.kubectl("delete", "namespace", HOME, "--wait=false")


@pytest.fixture(autouse=True)
def _home_is_gone(place: Place) -> None:
    """The namespace of an interrupted trial is no more."""
    place.kubectl("delete", "namespace", HOME, "--ignore-not-found")
