"""The cluster in memory keeps the contract of the port."""

import pytest
from tests.support.cluster_contract import ClusterContract, Object, Seed
from tests.support.fake_cluster import FakeCluster
from tests.support.objects import a_namespace


class TestFakeCluster(ClusterContract):
    """The suite, on the fake."""

    @pytest.fixture
    def home(self) -> str:
        return "bank"

    @pytest.fixture
    def port(self) -> FakeCluster:
        cluster = FakeCluster()
        cluster.put(a_namespace())
        return cluster

    @pytest.fixture
    def seed(self, port: FakeCluster) -> Seed:
        async def store(thing: Object) -> Object:
            return port.put(thing)

        return store
