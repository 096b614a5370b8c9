"""Compiles Python files with the image's own interpreter, so that a cold start compiles nothing."""

from pathlib import Path

from remit.images.programs import run_inside

PYTHON = "/usr/bin/python3.11"
# A fixed hash seed and one process: what the compiler writes then depends on the sources only. What the compiler itself
# imports must not be written as it goes: such bytecode carries the source's time, which the layer does not keep.
ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
}


def compile_inside(root: Path, folder: str) -> None:
    """Compile a folder of the image. Unchecked: the files are read-only, none can be stale."""
    options = ("-q", "-j", "1", "--invalidation-mode", "unchecked-hash")
    run_inside(root, (PYTHON, "-s", "-P", "-m", "compileall", *options, folder), ENVIRONMENT)


def import_inside(root: Path, modules: tuple[str, ...], python_path: str) -> None:
    """Import modules in the image: a missing library shows now, not in a pod."""
    for module in modules:
        run_inside(root, (PYTHON, "-P", "-c", f"import {module}"), {**ENVIRONMENT, "PYTHONPATH": python_path})
