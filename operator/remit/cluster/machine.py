"""What the machine must have before a cluster can stand on it, and how it gets it."""

import os
import platform
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from remit.cluster import cgroups
from remit.cluster.commands import run
from remit.cluster.configs import Machine
from remit.cluster.errors import MachineError

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CAP_SYS_RESOURCE = 24
NEEDED_CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_PTRACE": 19, "CAP_SYS_ADMIN": 21}

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Need:
    """One thing the machine must have: the Debian package, and a sign that it is there."""

    package: str
    program: str = ""
    file: str = ""

    def is_met(self, path: str = SEARCH_PATH) -> bool:
        """Tell whether the sign is there."""
        if self.program:
            return shutil.which(self.program, path=path) is not None
        return Path(self.file).exists()


TO_RUN = (
    Need("iproute2", program="ip"),
    Need("iptables", program="iptables"),
    Need("ipset", program="ipset"),
    Need("conntrack", program="conntrack"),
    Need("util-linux", program="nsenter"),
    Need("mount", program="mount"),
    Need("procps", program="sysctl"),
    Need("busybox-static", program="busybox"),
    Need("containernetworking-plugins", file="/usr/lib/cni/host-local"),
    Need("ca-certificates", file="/etc/ssl/certs/ca-certificates.crt"),
)
TO_BUILD = (
    Need("gcc", program="gcc"),
    Need("libc6-dev", file="/usr/include/stdio.h"),
    Need("pkg-config", program="pkg-config"),
    Need("libseccomp-dev", file="/usr/include/seccomp.h"),
)
"""runc is the one program that needs a C compiler."""
FOR_INTERNET = (Need("nftables", program="nft"),)


def require(needs: Iterable[Need], say: Say) -> None:
    """Make sure that these are there; install what is missing where that is possible.

    Raises:
        MachineError: it is not; the message names what is missing and the command that adds it.

    """
    missing = [need.package for need in needs if not need.is_met()]
    if not missing:
        return
    command = f"apt-get install -y --no-install-recommends {' '.join(missing)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise MachineError(f"missing: {', '.join(missing)}. On Debian or Ubuntu: sudo {command}")
    say(f"installing Debian packages: {' '.join(missing)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        run(*command.split(), environment=environment, error=MachineError)
    except MachineError:
        run("apt-get", "update", environment=environment, error=MachineError)
        run(*command.split(), environment=environment, error=MachineError)


def require_root() -> None:
    """Raise MachineError unless this is root on a Linux of a known kind."""
    if platform.system() != "Linux" or platform.machine() not in {"x86_64", "aarch64"}:
        raise MachineError(
            f"the embedded cluster needs Linux on x86_64 or aarch64, not {platform.platform()};"
            " give KUBECONFIG to use another cluster"
        )
    if os.geteuid() != 0:
        raise MachineError(
            "the embedded cluster makes namespaces and cgroups, so it needs root:"
            ' put `sudo -E env "PATH=$PATH"` before the same command'
        )
    if lacking := [name for name, bit in NEEDED_CAPABILITIES.items() if not has_capability(bit)]:
        raise MachineError(
            f"this root may not make namespaces: {', '.join(lacking)} are missing (a container?);"
            " use a virtual machine, or a container with --privileged"
        )


def look() -> Machine:
    """Find out what differs on this machine."""
    version = run("iptables", "--version", environment={"PATH": SEARCH_PATH}, error=MachineError)
    return Machine(
        can_lower_oom_score=has_capability(CAP_SYS_RESOURCE),
        iptables_backend="NFT" if "nf_tables" in version else "Legacy",
        cgroups=cgroups.version(),
    )


def can_sandbox() -> bool:
    """Tell whether pods can run under gVisor: its shim lowers its own OOM score."""
    return has_capability(CAP_SYS_RESOURCE)


def has_capability(number: int, status: str | None = None) -> bool:
    """Tell whether this process has a capability, by /proc/self/status."""
    text = status if status is not None else Path("/proc/self/status").read_text()
    line = next(line for line in text.splitlines() if line.startswith("CapEff:"))
    return bool(int(line.split()[1], 16) >> number & 1)
