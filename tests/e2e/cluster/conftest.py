"""A cluster for the tests that break it; the tier's shared one stays out of this."""

import os
from collections.abc import Iterator

import pytest

from remit.cluster import Cluster


@pytest.fixture(scope="session")
def own() -> Iterator[Cluster]:
    """A cluster of this test process."""
    cluster = Cluster(f"e2e-{os.getpid()}")
    cluster.up(print)
    yield cluster
    cluster.down()
