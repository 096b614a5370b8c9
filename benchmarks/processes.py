"""Processes of a side: started, waited for, ended by their own id, and what CPU they used."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
START_SECONDS = 30.0
STOP_SECONDS = 10.0
POLL_SECONDS = 0.02


class BenchmarkError(Exception):
    """A benchmark could not be run; the text says what is missing or went wrong."""


def free_port() -> int:
    """Return a port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def output_of(
    line: Sequence[str | Path],
    *,
    seconds: float,
    given: str = "",
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a program to its end and return what it printed; raises BenchmarkError when it fails or takes too long."""
    name = " ".join(Path(str(each)).name for each in line[:4])
    try:
        done = subprocess.run(
            [str(each) for each in line],
            input=given,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            cwd=folder,
            env={**os.environ, **(environment or {})},
        )
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"{name} took longer than {seconds:.0f} s") from error
    if done.returncode != 0:
        raise BenchmarkError(f"{name} failed: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


@contextmanager
def running(
    line: Sequence[str | Path], *, log: Path, port: int, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server while the block runs; it is up when its port answers."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(each) for each in line],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )
    try:
        wait_for_port(process, port, log)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until a process listens."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise BenchmarkError(f"{process.args!r} ended with {process.returncode}: {tail(log)}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(POLL_SECONDS)
    raise BenchmarkError(f"{process.args!r} does not listen on {port}: {tail(log)}")


def tail(log: Path, size: int = 2000) -> str:
    """Return the end of a log."""
    return log.read_text(errors="replace")[-size:]


def parse_stat(text: str) -> tuple[int, float]:
    """Read /proc/PID/stat: the parent's id, and the user and system seconds of it and its reaped children."""
    # The name stands in parentheses and may hold spaces and parentheses itself.
    fields = text.rpartition(")")[2].split()
    return int(fields[1]), sum(int(fields[index]) for index in (11, 12, 13, 14)) / TICKS_PER_SECOND


def family(root: int, parents: Mapping[int, int]) -> set[int]:
    """Return a process and all its descendants, given every process's parent."""
    found = {root}
    while True:
        grown = found | {pid for pid, parent in parents.items() if parent in found}
        if grown == found:
            return found
        found = grown


def cpu_seconds(root: int) -> float:
    """Return the user and system seconds that a process and its descendants have used so far."""
    stats: dict[int, tuple[int, float]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            stats[int(path.parent.name)] = parse_stat(path.read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue
    own = family(root, {pid: parent for pid, (parent, _) in stats.items()})
    return sum(stats[pid][1] for pid in own if pid in stats)
