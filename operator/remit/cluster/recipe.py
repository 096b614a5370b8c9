"""What is built and how: the pinned modules, their programs and flags. Pure."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

KUBERNETES = "v1.36.3"
CALICO = "github.com/projectcalico/calico"
MODULES = Path(__file__).parent / "modules"
"""One folder for each set of pins: go.mod and go.sum, and for CoreDNS a main.go that picks its plugins."""


@dataclass(frozen=True, slots=True)
class Product:
    """One program, built from a package of a pinned module."""

    name: str
    pins: str
    package: str
    tags: str = ""
    linker: str = "-s -w"
    c_compiler: bool = False


def _kubernetes_linker() -> str:
    """Name the version, else everything reports v0.0.0."""
    major, minor, _ = KUBERNETES.removeprefix("v").split(".")
    named = {"gitVersion": KUBERNETES, "gitMajor": major, "gitMinor": minor}
    return "-s -w " + " ".join(
        f"-X {package}.{key}={value}"
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        for key, value in named.items()
    )


def _kubernetes(name: str) -> Product:
    return Product(name, "k8s", f"k8s.io/kubernetes/cmd/{name}", linker=_kubernetes_linker())


def _containerd(name: str) -> Product:
    package = f"github.com/containerd/containerd/v2/cmd/{name}"
    return Product(name, "runtime", package, tags="no_btrfs no_devmapper no_zfs")


Lanes = tuple[tuple[Product, ...], ...]

LANES: Lanes = (
    tuple(
        _kubernetes(name)
        for name in (
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "kubelet",
            "kube-proxy",
            "kubectl",
        )
    ),
    (
        Product("calico-felix", "calico", f"{CALICO}/felix/cmd/calico-felix"),
        Product("calico", "calico", f"{CALICO}/cni-plugin/cmd/calico"),
        Product("coredns", "coredns", "remit.dev/embedded/coredns"),
        _containerd("containerd"),
        _containerd("containerd-shim-runc-v2"),
        _containerd("ctr"),
        Product("etcd", "runtime", "go.etcd.io/etcd/server/v3"),
        Product("runc", "runtime", "github.com/opencontainers/runc", tags="seccomp", c_compiler=True),
    ),
)
"""Two lanes built side by side: one's linking, which uses one core, meets the other's compiling."""


GVISOR = (
    Product("runsc", "gvisor", "gvisor.dev/gvisor/runsc"),
    Product("containerd-shim-runsc-v1", "gvisor", "gvisor.dev/gvisor/shim"),
)
"""Built only for a machine on which pods can run in it."""


def lanes(*, sandboxed: bool) -> Lanes:
    """List what is built on this kind of machine."""
    first, second = LANES
    return (first, (*second, *GVISOR)) if sandboxed else LANES


def products(wanted: Lanes) -> tuple[Product, ...]:
    """List the programs of all lanes."""
    return tuple(product for lane in wanted for product in lane)


def pins(wanted: Lanes, folder: Path = MODULES) -> dict[str, str]:
    """Read every file that these are built from: its path → its digest."""
    names = sorted({product.pins for product in products(wanted)})
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for name in names
        for path in sorted((folder / name).iterdir())
    }


def digest(wanted: Lanes, pinned: Mapping[str, str], toolchain: str, machine: str) -> str:
    """Name the products by all that goes into them."""
    recipe = {
        "pins": dict(pinned),
        "products": [asdict(product) for product in products(wanted)],
        "toolchain": toolchain,
        "machine": machine,
    }
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:20]
