"""The cluster's own cgroup in every hierarchy of the machine, of version 1 and 2."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from remit.cluster.errors import MachineError, StartError

MOUNTS = Path("/proc/self/mounts")
REMOVAL_SECONDS = 10.0


def hierarchies() -> tuple[Path, ...]:
    """List where cgroup hierarchies are mounted."""
    lines = (line.split() for line in MOUNTS.read_text().splitlines())
    return tuple(Path(fields[1]) for fields in lines if fields[2] in {"cgroup", "cgroup2"})


def version() -> int:
    """Tell which version the machine's controllers belong to."""
    lines = (line.split() for line in MOUNTS.read_text().splitlines())
    return 1 if any(fields[2] == "cgroup" and "memory" in fields[3] for fields in lines) else 2


def make(name: str) -> None:
    """Make the cgroup everywhere; the kubelet wants to find it.

    Raises:
        MachineError: the machine has no cgroups, or they cannot be written.

    """
    everywhere = hierarchies()
    if not everywhere:
        raise MachineError("no cgroup hierarchy is mounted on this machine")
    for hierarchy in everywhere:
        try:
            _make(hierarchy, name)
        except OSError as problem:
            raise MachineError(f"cgroups cannot be made in {hierarchy}: {problem}") from problem


def _make(hierarchy: Path, name: str) -> None:
    folder = hierarchy / name
    if (hierarchy / "cgroup.controllers").exists():
        _enable_controllers(hierarchy)
    folder.mkdir(exist_ok=True)
    for setting in ("cpuset.cpus", "cpuset.mems"):
        _inherit(hierarchy / setting, folder / setting)


def _enable_controllers(hierarchy: Path) -> None:
    if wanted := (hierarchy / "cgroup.controllers").read_text().split():
        (hierarchy / "cgroup.subtree_control").write_text(" ".join(f"+{each}" for each in wanted))


def _inherit(parent: Path, child: Path) -> None:
    """Version 1 starts a cpuset empty, and nothing can run in it."""
    if parent.exists() and child.exists() and not child.read_text().strip():
        child.write_text(parent.read_text())


def remove(name: str) -> None:
    """Remove the cgroup everywhere, children first.

    Raises:
        StartError: something still runs in it.

    """
    deadline = time.monotonic() + REMOVAL_SECONDS
    while left := [folder for folder in _folders(name) if not _removed(folder)]:
        if time.monotonic() > deadline:
            raise StartError(f"cgroup {left[0]} cannot be removed: something still runs in it")
        time.sleep(0.05)


def _folders(name: str) -> Iterator[Path]:
    for hierarchy in hierarchies():
        for path, _, _ in os.walk(hierarchy / name, topdown=False):
            yield Path(path)


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
