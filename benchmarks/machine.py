"""What a figure was measured on: commit, disk, load, programs. Nothing here is a path of one machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.processes import BenchmarkError, output_of
from remit.cluster import toolchain
from remit.cluster.layout import cache_folder

Say = Callable[[str], None]

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "latest.json"
PEERS = ROOT / "benchmarks" / "peers"
SCRATCH = ROOT / "build" / "benchmarks"
"""On the disk that holds the tree; $REMIT_BENCH_SCRATCH names another place."""
MEMORY_FILE_SYSTEMS = frozenset({"tmpfs", "ramfs"})
FSYNC_COUNT = 200
FSYNC_BYTES = 4096
BUILD_SECONDS = 300.0


def commit() -> str:
    """Return the commit that is measured, marked when the code differs from it; empty outside a clone."""
    if shutil.which("git") is None:
        return ""
    head = git("rev-parse", "HEAD").strip()
    changed = git("status", "--porcelain", "--", "operator", "images", "examples", "uv.lock").strip()
    return f"{head}-changed" if head and changed else head


def git(*arguments: str) -> str:
    """Return what git says of the tree, empty when it refuses."""
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False).stdout


def scratch(name: str) -> Path:
    """Return an empty folder on a real disk."""
    folder = Path(os.environ.get("REMIT_BENCH_SCRATCH") or SCRATCH).absolute() / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    kind = file_system(folder, Path("/proc/self/mountinfo").read_text())
    if kind in MEMORY_FILE_SYSTEMS:
        raise BenchmarkError(f"{folder} lies in memory ({kind}): name a folder on a disk in REMIT_BENCH_SCRATCH")
    return folder


def file_system(folder: Path, mountinfo: str) -> str:
    """Find the type of the file system that holds a folder, from the text of /proc/self/mountinfo."""
    best, kind = "", ""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        point = before.split()[4]
        # A later mount on the same point lies over the earlier one.
        if folder.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, after.split()[0]
    return kind


def fsync_milliseconds(folder: Path) -> float:
    """Return the median time of a write of 4 KiB made durable."""
    taken = []
    path = folder / "fsync"
    with path.open("wb", buffering=0) as file:
        for _ in range(FSYNC_COUNT):
            started = time.perf_counter()
            file.write(b"\0" * FSYNC_BYTES)
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter() - started) * 1000)
    path.unlink()
    return median(taken)


def circumstances(folder: Path) -> str:
    """Say what the disk and the load were."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    busy = "" if load < cores / 2 else ": BUSY, so figures are higher than on a quiet machine"
    return f"before it: fsync p50 {fsync_milliseconds(folder):.2f} ms, load {load:.1f} on {cores} cores{busy}"


def built_peer(name: str, into: Path, say: Say) -> Path:
    """Build one of the Go programs under benchmarks/peers and return it."""
    cache = cache_folder(os.environ, Path.home())
    go, _ = toolchain.find_or_fetch(cache, say)
    program = into / name
    environment = {
        "CGO_ENABLED": "0",
        "GOCACHE": str(cache / "go-build"),
        "GOFLAGS": "-mod=mod",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    line = [str(go), "build", "-trimpath", "-o", str(program), f"./{name}"]
    output_of(line, seconds=BUILD_SECONDS, folder=PEERS, environment=environment)
    return program
