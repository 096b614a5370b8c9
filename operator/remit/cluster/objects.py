"""The objects that every embedded cluster starts with: for its network, its volumes, its runtime.

Pure, but for `recycle`, which empties a volume that nobody claims any more.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from remit.cluster.api import Api
from remit.cluster.configs import Settings
from remit.cluster.errors import StartError
from remit.cluster.layout import NODE_NAME

STORAGE_CLASS = "remit-local"
VOLUME_SIZE = "2Gi"
VOLUMES = {"ReadWriteOncePod": 8, "ReadWriteOnce": 4}
"""Access mode → how many volumes are made ready."""
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
PERSISTENT_VOLUMES = "/api/v1/persistentvolumes"


@dataclass(frozen=True, slots=True)
class Placed:
    """An object with the collection it belongs to."""

    collection: str
    body: dict[str, Any]


def network(settings: Settings) -> tuple[Placed, ...]:
    """List the objects Felix wants to see before it starts."""
    ready = {"datastoreReady": True, "clusterType": "k8s,canal"}
    felix = {
        "ipipEnabled": False,
        "vxlanEnabled": False,
        "reportingInterval": "0s",
        "iptablesBackend": settings.machine.iptables_backend,
    }
    return (
        _calico("ClusterInformation", "clusterinformations", ready),
        _calico("FelixConfiguration", "felixconfigurations", felix),
    )


def _calico(kind: str, plural: str, spec: dict[str, Any]) -> Placed:
    group = "crd.projectcalico.org/v1"
    body = {"apiVersion": group, "kind": kind, "metadata": {"name": "default"}, "spec": spec}
    return Placed(f"/apis/{group}/{plural}", body)


def dns(settings: Settings) -> tuple[Placed, ...]:
    """List the Service `kube-dns` and where it leads: CoreDNS runs beside the kubelet, not in a pod."""
    meta = {"name": "kube-dns", "namespace": "kube-system"}
    ports = [{"name": name.lower(), "protocol": name, "port": 53} for name in ("UDP", "TCP")]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta,
        "spec": {"clusterIP": settings.addresses.dns_service, "ports": ports},
    }
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**meta, "labels": {"kubernetes.io/service-name": "kube-dns"}},
        "addressType": "IPv4",
        "ports": ports,
        "endpoints": [{"addresses": [settings.addresses.node], "conditions": {"ready": True}}],
    }
    return (
        Placed("/api/v1/namespaces/kube-system/services", service),
        Placed("/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices", endpoints),
    )


def storage(settings: Settings) -> tuple[Placed, ...]:
    """List the storage class and its volumes, which lie on the machine's own disk."""
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": STORAGE_CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Retain",
    }
    return (
        Placed("/apis/storage.k8s.io/v1/storageclasses", storage_class),
        *(
            Placed(PERSISTENT_VOLUMES, volume(name, mode, settings.layout.volumes / name))
            for name, mode in volume_modes().items()
        ),
    )


def volume_modes() -> dict[str, str]:
    """Name every volume, with its access mode."""
    return {f"{mode.lower()}-{number}": mode for mode, count in VOLUMES.items() for number in range(count)}


def volume(name: str, mode: str, path: Path) -> dict[str, Any]:
    """Build one PersistentVolume: a folder of this node."""
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE_NAME]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": VOLUME_SIZE},
            "accessModes": [mode],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": STORAGE_CLASS,
            "local": {"path": str(path)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    }


def runtime_class() -> Placed:
    """Build the RuntimeClass for pods under gVisor."""
    body = {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": "gvisor"},
        "handler": "runsc",
    }
    return Placed("/apis/node.k8s.io/v1/runtimeclasses", body)


def make_folders(settings: Settings) -> None:
    """Make the volumes' folders; any user of a pod may write in its own."""
    settings.layout.volumes.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in volume_modes():
        _make_folder(settings.layout.volumes / name)


def _make_folder(path: Path) -> None:
    path.mkdir(exist_ok=True)
    path.chmod(0o777)


def recycle(api: Api, settings: Settings) -> int:
    """Empty the volumes whose claim is gone and offer them again; tell how many.

    A volume stays the object that it is: one deleted lingers behind its finalizer, and cannot be made anew meanwhile.

    Raises:
        StartError: the apiserver does not let a volume be offered.

    """
    listed = api.get(PERSISTENT_VOLUMES).json()["items"]
    modes = volume_modes()
    released = [
        item["metadata"]["name"]
        for item in listed
        if item["metadata"]["name"] in modes and item["status"].get("phase") == "Released"
    ]
    for name in released:
        folder = settings.layout.volumes / name
        shutil.rmtree(folder)
        _make_folder(folder)
        offered = api.call("PATCH", f"{PERSISTENT_VOLUMES}/{name}", {"spec": {"claimRef": None}}, "merge-patch+json")
        if not offered.found:
            raise StartError(f"PersistentVolume/{name}: {offered.status} {offered.body.decode(errors='replace')}")
    return len(released)
