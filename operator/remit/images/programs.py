"""Runs the programs a build needs, and installs the one that Debian can bring."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from remit.images.errors import ImageError

TAIL_LINES = 20
APT_ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive"}


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """Run a program to its end and return its output; its last words are in the error."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-TAIL_LINES:])
        raise ImageError("ProgramFailed", f"{command[0]} ended with {done.returncode}:\n{tail}")
    return done.stdout


def run_inside(root: Path, command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Run a program of the image in its own file tree. Mounts nothing."""
    return run(("chroot", str(root), *command), environment)


def require_root() -> None:
    """Refuse early what would fail half-way: mmdebstrap and chroot need root."""
    if os.geteuid() != 0:
        raise ImageError("NotRoot", "building images without Docker needs root (chroot)")


def ensure_mmdebstrap() -> None:
    """Install mmdebstrap where apt can, or say what is missing."""
    if shutil.which("mmdebstrap"):
        return
    if not shutil.which("apt-get"):
        message = "mmdebstrap is missing and this is not Debian: use images/Dockerfile.* instead"
        raise ImageError("ProgramMissing", message)
    environment = {**os.environ, **APT_ENVIRONMENT}
    install = ("apt-get", "install", "-y", "-qq", "--no-install-recommends", "mmdebstrap")
    try:
        run(install, environment)
    except ImageError:
        run(("apt-get", "update", "-qq"), environment)
        run(install, environment)


def uv_program() -> str:
    """Find uv beside this interpreter (the dev group locks it) or on PATH."""
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise ImageError("ProgramMissing", "uv is missing: run tools/bootstrap")
    return found
