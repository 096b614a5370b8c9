"""The adapter keeps the contract of the port, on a real apiserver."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.cluster_contract import ClusterContract, Object, Seed
from tests.support.kube import Kube

from remit.adapters.access import Access, from_kubeconfig
from remit.adapters.cluster import KubernetesCluster
from remit.ports import ClusterError


class TestKubernetesCluster(ClusterContract):
    """The suite, on the apiserver."""

    @pytest.fixture
    def home(self, kube: Kube, namespace: str) -> str:
        """A namespace in which the suite may delete accounts, which the controller never does."""
        rules = [{"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["delete"]}]
        subject = {"kind": "ServiceAccount", "name": "remit-controller", "namespace": "remit-system"}
        ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "suite"}
        path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
        for kind, body in (("roles", {"rules": rules}), ("rolebindings", {"roleRef": ref, "subjects": [subject]})):
            made = kube.create(f"{path}/{kind}", {"metadata": {"name": "suite"}, **body})
            assert made.code in {201, 409}, made.message
        return namespace

    @pytest.fixture
    async def port(self, account: Path) -> AsyncIterator[KubernetesCluster]:
        async with KubernetesCluster(from_kubeconfig(account), watch_seconds=2) as cluster:
            yield cluster

    @pytest.fixture
    def seed(self, kube: Kube) -> Seed:
        async def store(thing: Object) -> Object:
            path = f"/apis/remit.dev/v1alpha1/namespaces/{thing['metadata']['namespace']}/agents"
            made = kube.create(path, thing)
            assert made.code == 201, made.message
            return made.body

        return store

    async def test_a_watch_that_is_renewed_says_that_it_lives_and_misses_nothing(
        self, port: KubernetesCluster, home: str
    ) -> None:
        marks = 0
        async for change, thing in port.watch("v1", "ServiceAccount", f"renewed={home}"):
            if change == "BOOKMARK":
                marks += 1
                metadata = {"name": "remit-agent-late", "namespace": home, "labels": {"renewed": home}}
                if marks == 3:
                    account = {"metadata": metadata, "automountServiceAccountToken": False}
                    await port.create({"apiVersion": "v1", "kind": "ServiceAccount", **account}, "m")
            if change == "ADDED":
                assert thing["metadata"]["name"] == "remit-agent-late"
                break

        assert marks >= 3

    async def test_an_unknown_token_is_unauthorized(self, account: Path, home: str) -> None:
        access = from_kubeconfig(account)
        stranger = Access(access.server, authority=access.authority, token="nobody")
        async with KubernetesCluster(stranger) as cluster:
            with pytest.raises(ClusterError) as refused:
                await cluster.get("v1", "ServiceAccount", home, "default")

        assert refused.value.code == 401

    async def test_what_is_served_is_known(self, port: KubernetesCluster) -> None:
        assert await port.served_kinds("remit.dev/v1alpha1") >= {"Agent", "ToolGrant", "Policy", "AgentRun"}
        assert await port.served_kinds("remit.dev/v9") == frozenset()

    async def test_an_apiserver_that_is_away_is_unreachable(self) -> None:
        async with KubernetesCluster(Access("http://127.0.0.1:9")) as cluster:
            with pytest.raises(ClusterError) as refused:
                await cluster.list("v1", "Pod", "")

        assert (refused.value.code, refused.value.reason) == (0, "Unreachable")
