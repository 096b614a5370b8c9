"""The stage of the demo on the tier's cluster: Remit installed, the bank's systems running, the agents ready."""

import pytest

from remit.cli.demo.setting import furnish, own_cluster
from remit.cli.demo.stage import Stage
from remit.cluster import Cluster


@pytest.fixture(scope="session")
def stage(cluster: Cluster) -> Stage:
    """The furnished cluster; runs of a test need names and accounts of their own."""
    made = own_cluster(cluster.name, print)
    furnish(made, print)
    return made
