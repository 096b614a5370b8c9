"""A cluster for the tests that break it; the tier's shared one stays out of this."""

import os
from collections.abc import Iterator

import pytest

from remit.cluster import Cluster, machine


@pytest.fixture(scope="session", autouse=True)
def packages() -> None:
    """Install what clusters and their tests need, before a test looks at the machine."""
    machine.require((*machine.TO_RUN, *machine.FOR_INTERNET), print)


@pytest.fixture(scope="session")
def own() -> Iterator[Cluster]:
    """A cluster of this test process."""
    cluster = Cluster(f"e2e-{os.getpid()}")
    cluster.up(print)
    yield cluster
    cluster.down()
