"""What can be left behind on a machine, taken down before and compared after."""

import re
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from remit.cluster import Cluster, registry
from remit.cluster.cgroups import hierarchies
from remit.cluster.processes import look

SYSCTLS = (
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/rp_filter",
    "net/netfilter/nf_conntrack_max",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)
FOLDERS = (
    "/",
    "/etc",
    "/opt",
    "/run",
    "/run/containerd",
    "/run/netns",
    "/usr",
    "/usr/libexec",
    "/var",
    "/var/cache",
    "/var/lib",
    "/var/log",
)


@dataclass(frozen=True)
class Snapshot:
    """The machine, as far as a cluster could change it."""

    mounts: list[str]
    links: list[str]
    routes: list[str]
    namespaces: list[str]
    rules: str
    sets: str
    tables: list[str]
    cgroups: list[str]
    sysctls: dict[str, str]
    files: list[str]

    def differences(self, other: "Snapshot") -> dict[str, set[str]]:
        """Name what only one of both has."""
        mine, theirs = asdict(self), asdict(other)
        found = {name: lines(mine[name]) ^ lines(theirs[name]) for name in mine}
        return {name: only for name, only in found.items() if only}


def lines(value: object) -> set[str]:
    """Split whatever was seen into what can be compared one by one."""
    match value:
        case dict():
            return {f"{name}={each}" for name, each in value.items()}
        case list():
            return set(value)
        case _:
            return set(str(value).splitlines())


def take(*, besides: str) -> Snapshot:
    """Look at the machine; what belongs to clusters of another name than `besides` comes and goes by itself."""
    mine = re.compile(rf"{besides}\b")

    def counts(line: str) -> bool:
        return "remit" not in line or mine.search(line) is not None

    return Snapshot(
        mounts=[line for line in Path("/proc/self/mounts").read_text().splitlines() if counts(line)],
        links=[line.split(":")[1] for line in said("ip", "-o", "link").splitlines() if counts(line)],
        routes=[line for line in said("ip", "route", "show", "table", "all").splitlines() if counts(line)],
        namespaces=said("ip", "netns", "list").splitlines(),
        rules=re.sub(r"^#.*$", "", said("iptables-save"), flags=re.MULTILINE),
        sets=said("ipset", "list", "-n"),
        tables=[line for line in said("nft", "list", "tables").splitlines() if counts(line)],
        cgroups=sorted(filter(counts, all_cgroups())),
        sysctls={name: (Path("/proc/sys") / name).read_text() for name in SYSCTLS},
        files=sorted(str(path) for folder in FOLDERS for path in listed(folder)),
    )


def all_cgroups() -> list[str]:
    """List the cgroups right below the top, where ours are; deeper ones of others come and go."""
    return [str(path) for top in hierarchies() for path in top.iterdir() if path.is_dir()]


def listed(folder: str) -> list[Path]:
    """List a folder that may not exist, less what clusters of other names are kept in."""
    return [path for path in Path(folder).glob("*") if path != Path("/var/lib/remit")]


def said(*command: str) -> str:
    """Give what a command prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def processes_of(cluster: Cluster) -> set[int]:
    """List the processes in the cluster's room, its pods' included."""
    room = (cluster.layout.run / "room.json").read_text()
    pid = int(re.findall(r'"pid": (\d+)', room)[0])
    network = inside(pid)
    return {each for each in pids() if inside(each) == network} | {pid}


def mentions(path: Path) -> set[int]:
    """List the processes whose command line or environment mentions a path."""
    wanted = str(path).encode()
    return {pid for pid in pids() if wanted in content(pid, "cmdline")}


def content(pid: int, file: str) -> bytes:
    """Read a file of a process that may be gone."""
    try:
        return Path(f"/proc/{pid}/{file}").read_bytes()
    except OSError:
        return b""


def inside(pid: int) -> str:
    """Name the mount namespace of a process that may be gone."""
    try:
        return str(Path(f"/proc/{pid}/ns/mnt").readlink())
    except OSError:
        return f"gone {pid}"


def pids() -> set[int]:
    """List all processes but zombies, which wait for the machine's first process."""
    everything = (int(path.name) for path in Path("/proc").glob("[0-9]*"))
    return {pid for pid in everything if look(pid) is not None}


def link_of(cluster: Cluster) -> str:
    """Name the host's end of the cluster's link."""
    record = registry.read(cluster.layout)
    assert record is not None
    return f"remit{record.index}"
