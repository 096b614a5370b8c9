"""The docker-archive format: config, layers and a manifest in one tar."""

import hashlib
import json
import tarfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from remit.images.base import CERTIFICATES, USER_ID
from remit.images.layer import Layer, add_bytes, epoch_seconds
from remit.images.machine import this_machine
from remit.images.recipe import Recipe
from remit.images.wheels import FOLDER

PYTHON_PATH = f"/app:/{FOLDER}"
# Nothing is written beside the code, no user site, and the working directory is no import path.
ENVIRONMENT = (
    "PATH=/usr/bin",
    "LANG=C.UTF-8",
    f"PYTHONPATH={PYTHON_PATH}",
    "PYTHONDONTWRITEBYTECODE=1",
    "PYTHONNOUSERSITE=1",
    "PYTHONSAFEPATH=1",
    "PYTHONUNBUFFERED=1",
    f"SSL_CERT_FILE=/{CERTIFICATES}",
)


@dataclass(frozen=True)
class Image:
    """An image before it is written: its config names it."""

    config: bytes
    layers: tuple[Layer, ...]

    @property
    def id(self) -> str:
        """The digest of the config, and so of everything in the image."""
        return hashlib.sha256(self.config).hexdigest()


def image_of(recipe: Recipe, version: str, layers: tuple[Layer, ...]) -> Image:
    """Put layers and start-up settings together."""
    config: dict[str, Any] = {
        "architecture": this_machine().image,
        "os": "linux",
        "created": datetime.fromtimestamp(epoch_seconds(), UTC).isoformat(),
        "config": {
            "User": f"{USER_ID}:{USER_ID}",
            "Env": list(ENVIRONMENT),
            "Entrypoint": list(recipe.entrypoint),
            "WorkingDir": "/",
            "Labels": {
                "org.opencontainers.image.title": f"remit-{recipe.name}",
                "org.opencontainers.image.version": version,
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.digest}" for layer in layers]},
    }
    return Image(json.dumps(config, sort_keys=True, separators=(",", ":")).encode(), layers)


def write_archive(image: Image, reference: str, target: Path) -> None:
    """Write the image as a tar that `ctr images import` and `docker load` read."""
    manifest = [
        {
            "Config": f"{image.id}.json",
            "RepoTags": [reference],
            "Layers": [f"{layer.digest}.tar" for layer in image.layers],
        }
    ]
    with tarfile.open(target, mode="w", format=tarfile.GNU_FORMAT) as tar:
        add_bytes(tar, f"{image.id}.json", image.config, len(image.config))
        for layer in image.layers:
            with layer.path.open("rb") as content:
                add_bytes(tar, f"{layer.digest}.tar", content, layer.path.stat().st_size)
        listed = json.dumps(manifest, sort_keys=True).encode()
        add_bytes(tar, "manifest.json", listed, len(listed))
