"""People who install with kubectl get the same objects as `remit install` applies."""

import yaml

from remit.cli.manifests import Images, find_root, release
from remit.cluster import Cluster


def test_kustomize_builds_what_install_applies(cluster: Cluster) -> None:
    built = yaml.safe_load_all(cluster.kubectl("kustomize", str(find_root() / "manifests" / "base")))
    applied = {(made["kind"], made["metadata"]["name"]) for made in release(Images("c", "g", "h"))}
    assert {(made["kind"], made["metadata"]["name"]) for made in built} == applied
