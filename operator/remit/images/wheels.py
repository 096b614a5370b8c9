"""The middle layer: wheels from uv.lock, by hash, for the base's Python."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from remit.images.bytecode import compile_inside
from remit.images.layer import Layer, load_layer, unpack, write_layer
from remit.images.machine import this_machine
from remit.images.programs import run, uv_program
from remit.images.store import Store, builder_digest, cache_root, digest_of

FOLDER = "app/wheels"
PYTHON_VERSION = "3.11"
# Written by the installer: paths and times of the machine that installed.
INSTALLER_FILES = ("RECORD", "REQUESTED", "INSTALLER", "direct_url.json", "uv_cache.json")


def locked_requirements(source: Path, selection: tuple[str, ...]) -> str:
    """Return the requirements with their hashes, as uv.lock has them."""
    options = ("--frozen", "--no-emit-project", "--no-header", "--no-annotate", "--quiet")
    command = (uv_program(), "export", "--project", str(source), *options, *selection)
    return run(command, uv_environment())


def uv_environment() -> Mapping[str, str]:
    """Keep uv's downloads in our cache, and its hands off other interpreters."""
    cache = os.environ.get("UV_CACHE_DIR") or str(cache_root() / "uv-cache")
    return {**os.environ, "UV_CACHE_DIR": cache, "UV_PYTHON_DOWNLOADS": "never", "UV_SYSTEM_CERTS": "1"}


def wheels_layer(store: Store, base: Layer, requirements: str) -> Layer:
    """Return the layer of these requirements on this base."""
    key = digest_of(builder_digest("wheels", "bytecode", "layer", "machine"), base.digest, requirements)

    def make(target: Path) -> None:
        with store.scratch() as root:
            unpack(base, root)
            install(requirements, root / FOLDER)
            compile_inside(root, f"/{FOLDER}")
            write_layer(root, (FOLDER,), target)

    return load_layer(store.file(f"layers/wheels-{key[:24]}.tar", make))


def install(requirements: str, folder: Path) -> None:
    """Put the wheels into a folder and take out what is of this machine only."""
    folder.mkdir(parents=True)
    listed = folder / "requirements.txt"
    listed.write_text(requirements)
    run(
        (
            uv_program(), "pip", "install", "--quiet", "--require-hashes", "--no-deps",
            "--only-binary", ":all:", "--python-version", PYTHON_VERSION,
            "--python-platform", this_machine().wheels, "--link-mode", "copy",
            "--target", str(folder), "--requirements", str(listed),
        ),
        uv_environment(),
    )  # fmt: skip
    listed.unlink()
    (folder / ".lock").unlink(missing_ok=True)
    shutil.rmtree(folder / "bin", ignore_errors=True)
    for name in INSTALLER_FILES:
        for written in folder.glob(f"*.dist-info/{name}"):
            written.unlink()
