"""Renders the components' configuration files. Pure: settings in, text out."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from remit.cluster.layout import NODE_NAME, Addresses, Layout

PAUSE_IMAGE = "remit.dev/pause:1"
POD_PIDS_LIMIT = 512
POD_LIMIT = 250
CLUSTER_DOMAIN = "cluster.local"
DNS_HEALTH_PORT = 8181


@dataclass(frozen=True, slots=True)
class Machine:
    """What differs from machine to machine."""

    can_lower_oom_score: bool
    """CAP_SYS_RESOURCE: without it runc fails on pods that ask for a lower score."""
    iptables_backend: str
    """`NFT` or `Legacy`: what the machine's iptables writes."""
    cgroups: int = 1
    """Version of the cgroup hierarchies that hold the controllers."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All that the configuration of one cluster depends on."""

    layout: Layout
    addresses: Addresses
    products: Path
    """Folder of the built programs."""
    machine: Machine
    nameservers: tuple[str, ...] = ()
    """Who knows the names of the world outside; nobody where the cluster has no way there."""

    @property
    def sandboxed(self) -> bool:
        """Whether pods may run under gVisor: its shim lowers its own OOM score."""
        return self.machine.can_lower_oom_score


def files(settings: Settings) -> dict[str, str]:
    """Render every configuration file: path below the config folder → content."""
    return {
        "containerd.toml": containerd(settings),
        "kubelet.json": _json(kubelet(settings)),
        "audit.json": _json(AUDIT_POLICY),
        "Corefile": corefile(settings),
        "cni/10-calico.conflist": _json(cni(settings)),
    }


def corefile(settings: Settings) -> str:
    """Render CoreDNS's configuration: the cluster's own names, and those outside where there is a way out."""
    node = settings.addresses.node
    own = [
        f"{CLUSTER_DOMAIN} in-addr.arpa:53 {{",
        f"    bind {node}",
        "    errors",
        f"    ready {node}:{DNS_HEALTH_PORT}",
        f"    kubernetes {CLUSTER_DOMAIN} in-addr.arpa {{",
        f"        kubeconfig {settings.layout.pki}/dns.kubeconfig",
        "        ttl 5",
        "    }",
        "}",
    ]
    outside = [
        ".:53 {",
        f"    bind {node}",
        "    errors",
        f"    forward . {' '.join(settings.nameservers)}",
        "}",
    ]
    return "\n".join([*own, *(outside if settings.nameservers else ()), ""])


def containerd(settings: Settings) -> str:
    """Render containerd's configuration; its state lies in the room's own /run."""
    cri = "io.containerd.cri.v1"
    restrict = str(not settings.machine.can_lower_oom_score).lower()
    return "\n".join(
        [
            "version = 3",
            f'root = "{settings.layout.root}/containerd"',
            'state = "/run/containerd"',
            "[grpc]",
            f'address = "{settings.layout.containerd_socket}"',
            '[plugins."io.containerd.internal.v1.opt"]',
            f'path = "{settings.layout.root}/opt"',
            f'[plugins."{cri}.images".pinned_images]',
            f'sandbox = "{PAUSE_IMAGE}"',
            f'[plugins."{cri}.runtime"]',
            f"restrict_oom_score_adj = {restrict}",
            # Its profile would stay loaded in the machine's kernel when the cluster is gone.
            "disable_apparmor = true",
            f'[plugins."{cri}.runtime".containerd]',
            'default_runtime_name = "runc"',
            *_runtime("runc", "io.containerd.runc.v2"),
            *(_runtime("runsc", "io.containerd.runsc.v1") if settings.sandboxed else ()),
            f'[plugins."{cri}.runtime".cni]',
            f'bin_dirs = ["{settings.products}/bin", "/usr/lib/cni"]',
            f'conf_dir = "{settings.layout.config}/cni"',
            "",
        ]
    )


def _runtime(name: str, kind: str) -> tuple[str, str]:
    plugin = '"io.containerd.cri.v1.runtime"'
    return (
        f"[plugins.{plugin}.containerd.runtimes.{name}]",
        f'runtime_type = "{kind}"',
    )


def kubelet(settings: Settings) -> dict[str, Any]:
    """Build the kubelet's configuration."""
    pki = settings.layout.pki
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": settings.addresses.node,
        "healthzBindAddress": settings.addresses.node,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{settings.layout.cgroup}",
        "failCgroupV1": False,
        "containerRuntimeEndpoint": f"unix://{settings.layout.containerd_socket}",
        "tlsCertFile": f"{pki}/kubelet.crt",
        "tlsPrivateKeyFile": f"{pki}/kubelet.key",
        "volumePluginDir": f"{settings.layout.root}/flexvolumes",
        "resolvConf": "",
        "clusterDNS": [settings.addresses.dns_service],
        "clusterDomain": CLUSTER_DOMAIN,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {},
        "maxPods": POD_LIMIT,
        "podPidsLimit": POD_PIDS_LIMIT,
        "failSwapOn": False,
    }


def cni(settings: Settings) -> dict[str, Any]:
    """Build the network plugins' list: Calico's device and policy, addresses from a local file."""
    layout = settings.layout
    calico = {
        "type": "calico",
        "datastore_type": "kubernetes",
        "nodename": NODE_NAME,
        "nodename_file_optional": True,
        "log_level": "warning",
        "log_file_path": f"{layout.logs}/cni.log",
        "ipam": {
            "type": "host-local",
            "subnet": "usePodCidr",
            "dataDir": f"{layout.root}/addresses",
        },
        "policy": {"type": "k8s"},
        "kubernetes": {"kubeconfig": f"{layout.pki}/calico.kubeconfig"},
    }
    ports = {"type": "portmap", "snat": True, "capabilities": {"portMappings": True}}
    return {"name": "remit", "cniVersion": "0.3.1", "plugins": [calico, ports]}


AUDIT_POLICY: dict[str, Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "omitManagedFields": True,
    "rules": [
        {
            "level": "Metadata",
            "verbs": ["create", "update", "patch", "delete", "deletecollection"],
        },
        {"level": "Metadata", "userGroups": ["system:serviceaccounts:remit-system"]},
        {"level": "None"},
    ],
}
"""Who changed what, and all that Remit's own accounts ask: one line at the end of each such request."""


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2) + "\n"
