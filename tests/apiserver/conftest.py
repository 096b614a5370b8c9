"""An apiserver with Remit's kinds, accounts and admission policies, and no controller: nothing acts by itself."""

from collections.abc import Iterator
from itertools import count

import pytest
from tests.support.guards import until_guards_stand
from tests.support.kube import Kube
from tests.support.polling import eventually

from remit.cli.manifests import Images, release, to_stream
from remit.cluster import Cluster

NUMBERS = count(1)


@pytest.fixture(scope="session")
def kube(cluster: Cluster) -> Kube:
    """The apiserver, once everything that is installed is in force."""
    stamps = '"MutatingAdmissionPolicy"' in cluster.kubectl("get", "--raw", "/apis/admissionregistration.k8s.io/v1")
    left_out = "Deployment" if stamps else ("Deployment", "MutatingAdmissionPolicy")
    parts = [manifest for manifest in release(Images("", "", "")) if not manifest["kind"].startswith(left_out)]
    kinds = [manifest for manifest in parts if manifest["kind"] in {"Namespace", "CustomResourceDefinition"}]
    apply = ("apply", "--server-side", "--force-conflicts", "--field-manager=remit-install", "-f", "-")
    cluster.kubectl(*apply, given=to_stream(kinds))
    crds = [f"crd/{kind['metadata']['name']}" for kind in kinds if kind["kind"] != "Namespace"]
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", *crds)
    cluster.kubectl(*apply, given=to_stream(parts))
    found = Kube(cluster.kubeconfig_path, stamps=stamps)
    until_guards_stand(found)
    return found


@pytest.fixture(scope="module")
def namespace(kube: Kube, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace for the module's tests."""
    module = request.module.__name__.rpartition(".")[2].replace("_", "-")

    def fresh() -> str:
        name = f"{module}-{next(NUMBERS)}"
        made = kube.create("/api/v1/namespaces", {"metadata": {"name": name}})
        assert made.code == 201, made.message
        return name

    name = eventually(fresh, why="a namespace of a new name")
    yield name
    kube.delete(f"/api/v1/namespaces/{name}")
