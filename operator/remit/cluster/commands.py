"""Runs other programs. Nothing else in this package starts a program that ends by itself."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from remit.cluster.errors import ClusterError

SHOWN_BYTES = 2000


def run(
    *arguments: str | Path,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    given: bytes | None = None,
    error: type[ClusterError] = ClusterError,
) -> str:
    """Run a program to its end and give what it printed.

    Raises:
        ClusterError: (or the class given as `error`) it is missing, or it failed; the message
            holds the end of what it said.

    """
    line = [str(argument) for argument in arguments]
    try:
        done = subprocess.run(
            line,
            env=None if environment is None else dict(environment),
            cwd=folder,
            input=given if given is not None else b"",
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as missing:
        raise error(f"{line[0]} is not on this machine") from missing
    if done.returncode != 0:
        said = (done.stderr + done.stdout).decode(errors="replace").strip()
        raise error(f"{_shown(line)} failed ({done.returncode}): {said[-SHOWN_BYTES:]}")
    return done.stdout.decode(errors="replace")


def _shown(line: Sequence[str]) -> str:
    text = " ".join(line)
    return text if len(text) <= SHOWN_BYTES // 10 else text[: SHOWN_BYTES // 10] + " …"


def found(program: str, path: str) -> bool:
    """Tell whether a program is on this search path."""
    return shutil.which(program, path=path) is not None
