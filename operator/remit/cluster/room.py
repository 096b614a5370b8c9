"""The room a cluster lives in: one process whose namespaces hold all else.

When that process ends, the kernel ends every process in the room and takes its mounts, network
devices, routes, firewall rules and address sets away. So taking a cluster down needs no list of
what it made, and cannot miss anything or touch what is not its own.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from remit.cluster.commands import run
from remit.cluster.errors import StartError
from remit.cluster.layout import Layout
from remit.cluster.processes import Identity, identify, is_alive, kill, load, save, wait_until

HERE = Path(__file__).parent
SYSCTLS = {
    "vm.overcommit_memory": "1",
    "vm.panic_on_oom": "0",
    "kernel.panic": "10",
    "kernel.panic_on_oops": "1",
    "kernel.keys.root_maxkeys": "1000000",
    "kernel.keys.root_maxbytes": "25000000",
}
"""What the kubelet insists on for the whole machine; in the room it only seems so."""


def identity_file(layout: Layout) -> Path:
    """Give the file that says who the room's first process is."""
    return layout.run / "room.json"


def current(layout: Layout) -> Identity | None:
    """Find the room's first process if it lives."""
    identity = load(identity_file(layout))
    return identity if is_alive(identity) else None


def make(layout: Layout, kept: Sequence[Path]) -> Identity:
    """Make the room; `kept` are folders that the cluster needs to see where they are."""
    sysctls = layout.config / "sysctl"
    sysctls.mkdir(parents=True, exist_ok=True)
    for name, value in SYSCTLS.items():
        (sysctls / name).write_text(f"{value}\n")
    fifo = layout.run / "known"
    fifo.unlink(missing_ok=True)
    os.mkfifo(fifo, 0o600)
    log = layout.logs / "room.log"
    script = ["sh", str(HERE / "room.sh"), str(layout.private), str(sysctls), str(fifo)]
    identity = identify(_start("new", log, [*script, *map(str, kept)]))
    save(identity_file(layout), identity)
    _announce(fifo, identity, log)
    return identity


def _announce(fifo: Path, identity: Identity, log: Path) -> None:
    """Tell the room that it is written down; it opens the pipe once all else is set."""
    handle = -1

    def reader_is_there() -> bool:
        nonlocal handle
        if not is_alive(identity):
            raise StartError(f"the cluster's room failed: {last_lines(log)}")
        try:
            handle = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return False
        return True

    wait_until(reader_is_there, "the cluster's room", seconds=20)
    os.write(handle, b"known\n")
    os.close(handle)
    wait_until(lambda: _sleeps(identity), "the cluster's room to settle", seconds=5)
    fifo.unlink()


def _sleeps(identity: Identity) -> bool:
    return Path(f"/proc/{identity.pid}/comm").read_text().strip() == "sleep"


def start(room: Identity, log: Path, arguments: Sequence[str], recipe: str) -> Identity:
    """Start a program in the room."""
    return identify(_start(str(room.pid), log, arguments), recipe)


def _start(where: str, log: Path, arguments: Sequence[str]) -> int:
    log.parent.mkdir(parents=True, exist_ok=True)
    enter = (sys.executable, "-I", "-S", str(HERE / "enter.py"), where, str(log))
    return int(run(*enter, *arguments, error=StartError))


def end(layout: Layout) -> None:
    """End the room and with it all that is in it."""
    kill(load(identity_file(layout)))


def last_lines(log: Path, lines: int = 12) -> str:
    """Give the end of a log, for an error message."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return "(no log)"
