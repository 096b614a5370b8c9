"""The embedded cluster of the apiserver and e2e tiers: one per session, brought up when first asked for.

It is taken down at the end. REMIT_KEEP_CLUSTER=1 keeps it, for a look and for a faster next session; a cluster named
by REMIT_TEST_CLUSTER that was there before is somebody's and is kept too.
"""

import os
from collections.abc import Iterator

import pytest
from tests.support.status_watch import watched_statuses

from remit.cluster import Cluster

NAME = "remit-test"


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, campaigns: list[str]) -> Iterator[Cluster]:
    """A running cluster named $REMIT_TEST_CLUSTER, else remit-test; every status in it is linted."""
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
