"""The kind that the rivals look after, and the writes that each of them makes for it."""

from __future__ import annotations

from typing import Any, Final

GROUP: Final = "bench.remit.dev"
API_VERSION: Final = f"{GROUP}/v1"
LABEL: Final = f"{GROUP}/work"
MANAGER: Final = "bench-rival"

Object = dict[str, Any]


def crd() -> Object:
    """Return the kind's definition: a spec and a status of any form."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": anything, "status": anything}}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"works.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": "Work", "plural": "works", "singular": "work"},
            "versions": [version],
        },
    }


def work(name: str, namespace: str) -> Object:
    """Return one piece of work."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": API_VERSION, "kind": "Work", "metadata": metadata, "spec": {"purpose": "bench"}}


def pod_of(thing: Any) -> Object:
    """Return the pod of a piece of work."""
    metadata = thing["metadata"]
    owner = {"apiVersion": API_VERSION, "kind": "Work", "name": metadata["name"], "uid": metadata["uid"]}
    container = {"name": "work", "image": "bench.invalid/none:1"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": {LABEL: metadata["name"]},
            "ownerReferences": [{**owner, "controller": True}],
        },
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }


def status(namespace: str, name: str, reason: str, **more: Any) -> Object:
    """Return a status to apply."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": API_VERSION, "kind": "Work", "metadata": metadata, "status": {"reason": reason, **more}}
