"""The files that an installation is applied from: one for the whole cluster, two for a single namespace. Pure."""

from collections.abc import Callable, Iterable
from typing import Any, Final

import yaml

from remit.api.kinds import KINDS
from remit.codegen.admission import admission_manifests
from remit.codegen.crd import crd
from remit.codegen.rbac import rbac_manifests
from remit.codegen.render import to_yaml
from remit.codegen.scoped import admin_manifests, namespaced_manifests

Manifest = dict[str, Any]
Read = Callable[[str], str]
BASE: Final = "manifests/base"
WATCH_HOME: Final = {
    "name": "REMIT_WATCH_NAMESPACE",
    "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}},
}
PARTS: Final = ("network", "controller", "gateway")
"""Manifests that people write; all others are made."""


def release_files(read: Read) -> dict[str, str]:
    """Return the single files."""
    kinds = [crd(kind) for kind in KINDS]
    home, parts = written(read, ("namespace",)), written(read, PARTS)
    whole = [*home, *kinds, *rbac_manifests(), *admission_manifests(), *parts]
    return {
        "manifests/install.yaml": to_yaml(whole),
        "manifests/install-admin.yaml": to_yaml([*home, *kinds, *admin_manifests()]),
        "manifests/install-namespaced.yaml": to_yaml([*namespaced_manifests(), *map(at_home, parts)]),
    }


def written(read: Read, names: Iterable[str]) -> list[Manifest]:
    """Return the manifests of the files that people write."""
    streams = (yaml.safe_load_all(read(f"{BASE}/{name}.yaml")) for name in names)
    return [manifest for stream in streams for manifest in stream if manifest]


def at_home(manifest: Manifest) -> Manifest:
    """Return a manifest whose program, if it is one of ours, looks after its own namespace only."""
    if manifest["kind"] != "Deployment":
        return manifest
    template = manifest["spec"]["template"]
    containers = [{**each, "env": [*each["env"], WATCH_HOME]} for each in template["spec"]["containers"]]
    pod = {**template["spec"], "containers": containers}
    return {**manifest, "spec": {**manifest["spec"], "template": {**template, "spec": pod}}}
