"""The embedded cluster of the apiserver and e2e tiers: one per session, brought up when first asked for.

It is taken down at the end. REMIT_KEEP_CLUSTER=1 keeps it, for a look and for a faster next session; a cluster named
by REMIT_TEST_CLUSTER that was there before is somebody's and is kept too. REMIT_TEST_KUBECONFIG and REMIT_TEST_KUBECTL
give an apiserver without nodes instead: what campaigns/kubernetes_floor.py does.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from tests.support.status_watch import watched_statuses

from remit.cluster import Cluster
from remit.cluster.commands import run

NAME = "remit-test"


@dataclass(frozen=True)
class Given:
    """An apiserver that somebody started: enough of a cluster for tests that need no node."""

    kubeconfig_path: Path
    kubectl_path: Path

    def kubectl(self, *arguments: str, given: str = "") -> str:
        """Run kubectl as its admin."""
        return run(self.kubectl_path, "--kubeconfig", self.kubeconfig_path, *arguments, given=given.encode())


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, campaigns: list[str]) -> Iterator[Cluster]:
    """A running cluster named $REMIT_TEST_CLUSTER, else remit-test; every status in it is linted."""
    if (kubeconfig := os.environ.get("REMIT_TEST_KUBECONFIG")) is not None:
        yield cast("Cluster", Given(Path(kubeconfig), Path(os.environ["REMIT_TEST_KUBECTL"])))
        return
    found = Cluster(os.environ.get("REMIT_TEST_CLUSTER", NAME))
    ours = found.name == NAME or not found.exists
    capture = request.config.pluginmanager.getplugin("capturemanager")
    assert capture is not None
    with capture.global_and_fixture_disabled():  # a cold build takes minutes: show that it moves
        found.up(lambda line: print(f"  cluster: {line}", flush=True))  # noqa: T201
    with watched_statuses(found.kubeconfig_path) as watch:
        yield found
    campaigns.append(f"statuses: {len(watch.seen)} of the controller's were watched and linted")
    if ours and os.environ.get("REMIT_KEEP_CLUSTER") != "1":
        found.down()
    assert not watch.faults, watch.faults
