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


def start_ticks(pid: int) -> int | None:
    """Find when a process began, in clock ticks since boot; None when it is gone or a zombie."""
    try:
        stat = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return parse_start_ticks(stat)


def parse_start_ticks(stat: str) -> int | None:
    """Read the start time from a line of /proc/PID/stat; the name in it may hold anything."""
    fields = stat[stat.rindex(")") + 2 :].split()
    state, started = fields[0], fields[19]
    return None if state in {"Z", "X"} else int(started)


def identify(pid: int, recipe: str = "") -> Identity:
    """Take down who this pid is now.

    Raises:
        StartError: the process is already gone.

    """
    ticks = start_ticks(pid)
    if ticks is None:
        raise StartError(f"process {pid} ended at once")
    return Identity(pid, ticks, boot_id(), recipe)


def is_alive(identity: Identity | None) -> bool:
    """Tell whether this very process still runs."""
    if identity is None or identity.boot != boot_id():
        return False
    return start_ticks(identity.pid) == identity.start_ticks


def age_seconds(identity: Identity) -> float:
    """Tell how long ago the process was started."""
    uptime = float((PROC / "uptime").read_text().split()[0])
    return uptime - identity.start_ticks / os.sysconf("SC_CLK_TCK")


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


def kill(identity: Identity | None, *, timeout_seconds: float = 10.0) -> None:
    """End this very process with SIGKILL and wait until it is gone.

    Raises:
        StartError: the kernel did not let it go in time.

    """
    if identity is None or not is_alive(identity):
        return
    handle = os.pidfd_open(identity.pid)
    try:
        if is_alive(identity):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        os.close(handle)
    wait_until(lambda: not is_alive(identity), f"process {identity.pid} to end", seconds=timeout_seconds)


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
