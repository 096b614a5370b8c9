"""Knows processes by pid and start time, so that a reused pid is never taken for one of ours."""

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from remit.cluster.errors import StartError

PROC = Path("/proc")
POLL_SECONDS = 0.02
PF_EXITING = 0x4


@dataclass(frozen=True, slots=True)
class Identity:
    """One process of one boot of the machine; `recipe` is the digest of what it was started as."""

    pid: int
    start_ticks: int
    boot: str
    recipe: str = ""


def boot_id() -> str:
    """Give the kernel's name for this boot: pids and start times mean nothing in another one."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


@dataclass(frozen=True, slots=True)
class Stat:
    """What /proc/PID/stat says of a process that is not a zombie yet."""

    start_ticks: int
    is_exiting: bool
    """It got its death, but the kernel still clears away what it held: ports, files, children."""


def look(pid: int) -> Stat | None:
    """Look at a process; None when it is gone or a zombie."""
    try:
        line = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return parse_stat(line)


def parse_stat(line: str) -> Stat | None:
    """Read a line of /proc/PID/stat; the name in it may hold anything."""
    fields = line[line.rindex(")") + 2 :].split()
    state, flags, started = fields[0], int(fields[6]), int(fields[19])
    return None if state in {"Z", "X"} else Stat(started, bool(flags & PF_EXITING))


def identify(pid: int, recipe: str = "") -> Identity:
    """Take down who this pid is now.

    Raises:
        StartError: the process is already gone.

    """
    there = look(pid)
    if there is None:
        raise StartError(f"process {pid} ended at once")
    return Identity(pid, there.start_ticks, boot_id(), recipe)


def is_alive(identity: Identity | None) -> bool:
    """Tell whether this very process still runs, and is not on its way out."""
    there = _look_at(identity)
    return there is not None and not there.is_exiting


def is_gone(identity: Identity | None) -> bool:
    """Tell whether nothing is left of this very process."""
    return _look_at(identity) is None


def _look_at(identity: Identity | None) -> Stat | None:
    if identity is None or identity.boot != boot_id():
        return None
    there = look(identity.pid)
    return there if there is not None and there.start_ticks == identity.start_ticks else None


def age_seconds(identity: Identity) -> float:
    """Tell how long ago the process was started."""
    uptime = float((PROC / "uptime").read_text().split()[0])
    return uptime - identity.start_ticks / os.sysconf("SC_CLK_TCK")


def started_at(identity: Identity) -> float:
    """Give the time of day of the process's start, to the second that the kernel keeps."""
    lines = (PROC / "stat").read_text().splitlines()
    booted = next(int(line.split()[1]) for line in lines if line.startswith("btime "))
    return booted + identity.start_ticks / os.sysconf("SC_CLK_TCK")


def save(path: Path, identity: Identity) -> None:
    """Write an identity file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(identity)))
    fresh.rename(path)


def load(path: Path) -> Identity | None:
    """Read an identity file; a missing or broken one is nobody."""
    try:
        return Identity(**json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def kill(identity: Identity | None, *, timeout_seconds: float = 20.0) -> None:
    """End this very process with SIGKILL and wait until it is gone.

    Raises:
        StartError: the kernel did not let it go in time.

    """
    if identity is None or is_gone(identity):
        return
    try:
        handle = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return
    try:
        if is_alive(identity):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        os.close(handle)
    wait_until(lambda: is_gone(identity), f"process {identity.pid} to end", seconds=timeout_seconds)


def wait_until(holds: Callable[[], bool], what: str, *, seconds: float, poll_seconds: float = POLL_SECONDS) -> None:
    """Wait until something holds.

    Raises:
        StartError: it did not within the time given.

    """
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise StartError(f"waited {seconds:g} s for {what}")
        time.sleep(poll_seconds)
