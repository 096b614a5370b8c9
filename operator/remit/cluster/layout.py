"""Where a cluster keeps its files and which addresses it uses. Pure: makes and reads nothing."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from remit.cluster.errors import InvalidNameError, MachineError

CLUSTER_LIMIT = 16
"""Each cluster takes a /20 of 10.244.0.0/16 and of 10.96.0.0/16: sixteen fit."""
NODE_NAME = "node-0"
API_PORT = 6443
PATH_LIMIT = 60
"""Unix sockets end at 107 bytes, and the kubelet adds up to 45 of its own."""

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,18}[a-z0-9])?")

Network = ipaddress.IPv4Network


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of one cluster, all derived from its index."""

    index: int

    @property
    def link(self) -> str:
        """Name of the host's end of the veth pair."""
        return f"remit{self.index}"

    @property
    def link_range(self) -> str:
        """The network of two addresses between host and cluster."""
        return f"10.200.{self.index}.0/30"

    @property
    def host(self) -> str:
        """The host's address, as the cluster sees it."""
        return f"10.200.{self.index}.1"

    @property
    def node(self) -> str:
        """The node's address: the apiserver and the kubelet listen here."""
        return f"10.200.{self.index}.2"

    @property
    def pods(self) -> str:
        """The range that pods get their addresses from."""
        return f"10.244.{self.index * 16}.0/20"

    @property
    def services(self) -> str:
        """The range that Services get their addresses from."""
        return f"10.96.{self.index * 16}.0/20"

    @property
    def kubernetes_service(self) -> str:
        """The address of the Service `kubernetes`: the first of its range."""
        return f"10.96.{self.index * 16}.1"

    @property
    def dns_service(self) -> str:
        """The address of the Service `kube-dns`: the tenth of its range, as everywhere."""
        return f"10.96.{self.index * 16}.10"

    @property
    def server(self) -> str:
        """The apiserver's URL."""
        return f"https://{self.node}:{API_PORT}"


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders and files of one cluster."""

    name: str
    root: Path

    @property
    def run(self) -> Path:
        """Who runs: one identity file for each process."""
        return self.root / "run"

    @property
    def logs(self) -> Path:
        """One log for each component."""
        return self.root / "logs"

    @property
    def pki(self) -> Path:
        """Keys, certificates and the components' kubeconfigs."""
        return self.root / "pki"

    @property
    def config(self) -> Path:
        """Rendered configuration files."""
        return self.root / "config"

    @property
    def volumes(self) -> Path:
        """What stands behind the PersistentVolumes."""
        return self.root / "volumes"

    @property
    def private(self) -> Path:
        """What the cluster sees as /var/lib and /var/log, so that the host's stay untouched."""
        return self.root / "private"

    @property
    def record(self) -> Path:
        """The cluster's index and what was there before it."""
        return self.root / "cluster.json"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, complete in one file."""
        return self.root / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        """One JSON line for each change that somebody asked the apiserver for."""
        return self.logs / "audit.log"

    @property
    def containerd_socket(self) -> Path:
        """Where containerd listens."""
        return self.root / "containerd.sock"

    @property
    def cgroup(self) -> str:
        """The cgroup that holds all pods, in every hierarchy."""
        return f"remit-{self.name}"


def layout_of(name: str, state: Path) -> Layout:
    """Find the layout of a cluster by its name.

    Raises:
        InvalidNameError: the name is not a short lower-case word, or the path gets too long.

    """
    if not _NAME.fullmatch(name):
        raise InvalidNameError(f"cluster name {name!r}: up to 20 of a-z, 0-9 and '-', a letter first")
    root = state / name
    if len(str(root)) > PATH_LIMIT:
        raise InvalidNameError(f"{root} is longer than {PATH_LIMIT} bytes: unix sockets would fail")
    return Layout(name, root)


def free_index(taken: Iterable[int], routes: Iterable[Network]) -> int:
    """Find the first index that no cluster has and no route of the machine overlaps."""
    used = set(taken)
    known = tuple(routes)
    for index in range(CLUSTER_LIMIT):
        if index not in used and not _overlaps(Addresses(index), known):
            return index
    raise MachineError(f"no addresses left: {len(used)} clusters stand, and the machine's routes cover the rest")


def _overlaps(addresses: Addresses, routes: tuple[Network, ...]) -> bool:
    own = [Network(each) for each in (addresses.link_range, addresses.pods, addresses.services)]
    return any(mine.overlaps(theirs) for mine in own for theirs in routes)


def state_folder(environment: Mapping[str, str]) -> Path:
    """Find where clusters keep their state: $REMIT_STATE or /var/lib/remit."""
    return Path(environment.get("REMIT_STATE") or "/var/lib/remit").absolute()


def cache_folder(environment: Mapping[str, str], home: Path) -> Path:
    """Find where built products are kept: $REMIT_CACHE or ~/.cache/remit."""
    return Path(environment.get("REMIT_CACHE") or home / ".cache" / "remit").absolute()


def default_name(environment: Mapping[str, str]) -> str:
    """Find the cluster's name: $REMIT_CLUSTER or `remit`."""
    return environment.get("REMIT_CLUSTER") or "remit"
