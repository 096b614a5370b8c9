"""Programs of other people, built once from sources that are pinned by go.mod and go.sum: no download of binaries."""

import fcntl
import hashlib
import os
import platform
import subprocess
from pathlib import Path

from remit.cluster import build, toolchain
from remit.cluster.layout import cache_folder

HELM = Path(__file__).with_name("helm")


def helm() -> Path:
    """Return the helm program."""
    flags = "-s -w -X helm.sh/helm/v4/internal/version.version=v4.2.4"
    return build_program(HELM, "helm.sh/helm/v4/cmd/helm", flags)


def build_program(pins: Path, package: str, linker: str = "-s -w") -> Path:
    """Return the program of a package, built when these pins were not built here before."""
    store = cache_folder(os.environ, Path.home())
    go, version = toolchain.find_or_fetch(store, print)
    digest = hashlib.sha256(f"{version} {platform.machine()} {package} {linker}".encode())
    for name in ("go.mod", "go.sum"):
        digest.update((pins / name).read_bytes())
    folder = store / "programs"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{package.rpartition('/')[2]}-{digest.hexdigest()[:16]}"
    with (folder / f"{package.rpartition('/')[2]}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            _compile(target, [str(go), "build", "-ldflags", linker], package, (pins, build._environment(store, go)))
    return target


def _compile(target: Path, line: list[str], package: str, where: tuple[Path, dict[str, str]]) -> None:
    """Build the program; it is there whole, or not at all."""
    pins, environment = where
    partial = target.with_suffix(".partial")
    done = subprocess.run(
        [*line, "-o", str(partial), package],
        cwd=pins,
        env={**environment, "CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    partial.rename(target)
