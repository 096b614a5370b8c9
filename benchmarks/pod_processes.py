"""The processes of one pod of the embedded cluster: processes of this machine, found by the pod's cgroup."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from remit.cluster.cgroups import hierarchies

PROC = Path("/proc")
PAUSE = b"/pause"
"""What holds the pod's namespaces: none of its containers, and it does nothing."""


def cgroup_of_pod(uid: str, cluster_cgroup: str, roots: Iterable[Path] | None = None) -> Path | None:
    """Return the pod's cgroup in a hierarchy that has it; None while the kubelet has not made it."""
    for root in hierarchies() if roots is None else roots:
        with suppress(FileNotFoundError, StopIteration):  # other pods' cgroups go while they are looked through
            return next((root / cluster_cgroup).rglob(f"pod{uid}"))
    return None


def command_of(process: int, proc: Path = PROC) -> list[bytes]:
    """Return the words of a process's command line; none when it is gone."""
    try:
        return (proc / str(process) / "cmdline").read_bytes().split(b"\0")[:-1]
    except OSError:
        return []


@dataclass(frozen=True, slots=True)
class PodProcesses:
    """Whatever runs in any container of the pod, sidecars and what they started included."""

    folder: Path
    proc: Path = PROC

    def all(self) -> frozenset[int]:
        """Return every process of the pod's containers."""
        found: set[int] = set()
        for path in self.folder.glob("*/cgroup.procs"):
            with suppress(OSError):  # a container that ends takes its cgroup along
                found.update(map(int, path.read_text().split()))
        return frozenset(each for each in found if command_of(each, self.proc)[:1] != [PAUSE])

    def has(self, word: bytes) -> bool:
        """Tell whether one of them was started with this word."""
        return any(word in command_of(each, self.proc) for each in self.all())
