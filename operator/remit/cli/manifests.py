"""What `remit install` applies: the manifests of the tree, with the images and the namespace of this installation."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from remit.api.names import INSTALL_NAMESPACE

Manifest = dict[str, Any]
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The same, and ten times faster where libyaml is there."""
FILES = ("namespace", "rbac", "admission", "network", "controller", "gateway")
HARNESS_VARIABLE = "REMIT_HARNESS_IMAGE"
PREPARATION = frozenset({"Namespace", "CustomResourceDefinition"})
"""Kinds that the others stand on."""
KEPT = frozenset({"Namespace", "CustomResourceDefinition", "PersistentVolumeClaim", "ConfigMap"})
"""Kinds that hold what people made or what was proven: only a purge takes them."""

WHO_ASKS = "remit-run-requester"
"""Admission policies that stand as long as the kinds do: a run made without them could name anyone as its requester."""


class Scope(StrEnum):
    """What an installation looks after."""

    ALL = "Cluster"
    NAMESPACE = "Namespace"


class ManifestsError(Exception):
    """The manifests are not where they should be."""


@dataclass(frozen=True, slots=True)
class Images:
    """References of the three images of an installation."""

    controller: str
    gateway: str
    harness: str


def find_root() -> Path:
    """Return the folder with crds/ and manifests/: that of this checkout."""
    root = Path(__file__).resolve().parents[3]
    if not (root / "manifests" / "base").is_dir():
        raise ManifestsError(f"no manifests at {root}: run from a checkout of the project")
    return root


def release(images: Images, namespace: str = INSTALL_NAMESPACE, scope: Scope = Scope.ALL) -> list[Manifest]:
    """Return every manifest of an installation, in the order to apply."""
    manifests = [manifest for path in files(find_root(), scope) for manifest in read(path, namespace)]
    for manifest in manifests:
        if manifest["kind"] == "Deployment":
            set_images(manifest, images)
    return manifests


def files(root: Path, scope: Scope) -> list[Path]:
    """Return the files of an installation; those of one namespace are an admin's and its owner's."""
    folder = root / "manifests"
    if scope is Scope.NAMESPACE:
        return [folder / "install-admin.yaml", folder / "install-namespaced.yaml"]
    return [*sorted((root / "crds").glob("*s.yaml")), *(folder / "base" / f"{name}.yaml" for name in FILES)]


def read(path: Path, namespace: str) -> Iterator[Manifest]:
    """Yield a file's manifests; CEL rules name the namespace too, so it is replaced in the text."""
    text = path.read_text().replace(INSTALL_NAMESPACE, namespace)
    yield from (manifest for manifest in yaml.load_all(text, Loader=LOADER) if manifest)


def set_images(deployment: Manifest, images: Images) -> None:
    """Put the images of this installation into a Deployment."""
    references = {"controller": images.controller, "gateway": images.gateway}
    for container in deployment["spec"]["template"]["spec"]["containers"]:
        container["image"] = references[container["name"]]
        for variable in container.get("env", []):
            if variable["name"] == HARNESS_VARIABLE:
                variable["value"] = images.harness


def guards_runs(manifest: Manifest) -> bool:
    """Tell whether a manifest is about who asks for a run."""
    return "AdmissionPolicy" in manifest["kind"] and manifest["metadata"]["name"] == WHO_ASKS


def deployments(manifests: Iterable[Manifest]) -> list[str]:
    """Return the names of the Deployments."""
    return [manifest["metadata"]["name"] for manifest in manifests if manifest["kind"] == "Deployment"]


def to_stream(manifests: Iterable[Manifest]) -> str:
    """Return the manifests as kubectl reads them."""
    return yaml.safe_dump_all(list(manifests), sort_keys=False)
