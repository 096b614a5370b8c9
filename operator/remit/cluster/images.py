"""Container images: the pause image made from the machine's busybox, and loading of archives."""

import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path

from remit.cluster.commands import run
from remit.cluster.configs import PAUSE_IMAGE
from remit.cluster.errors import StartError

BUSYBOX_IMAGE = "remit.dev/busybox:1"
BUSYBOX = Path("/bin/busybox")
APPLETS = ("cat", "env", "id", "ls", "nc", "sh", "sleep", "touch")
"""What the static busybox does without other files; its wget and nslookup crash without NSS."""
FOLDERS = {"bin": 0o755, "etc": 0o755, "tmp": 0o1777}
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def write_busybox_archive(archive: Path) -> None:
    """Write a docker-archive of one busybox, tagged as the pause image and as a plain one."""
    layer = _layer()
    digest = hashlib.sha256(layer).hexdigest()
    config = {
        "architecture": ARCHITECTURES[platform.machine()],
        "os": "linux",
        "config": {"Cmd": ["/bin/sleep", "2147483647"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    body = json.dumps(config).encode()
    name = f"{hashlib.sha256(body).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": [PAUSE_IMAGE, BUSYBOX_IMAGE], "Layers": ["layer.tar"]}]
    with tarfile.open(archive, "w") as tar:
        _add(tar, name, body)
        _add(tar, "layer.tar", layer)
        _add(tar, "manifest.json", json.dumps(manifest).encode())


def _layer() -> bytes:
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for name, mode in FOLDERS.items():
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, mode
            tar.addfile(folder)
        _add(tar, "bin/busybox", BUSYBOX.read_bytes(), mode=0o755)
        for applet in APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return layer.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def load(ctr: Path, socket: Path, archive: Path) -> None:
    """Load an image archive (docker-archive or OCI) so that pods can run it.

    Raises:
        StartError: the file is missing, or is no image archive.

    """
    if not archive.is_file():
        raise StartError(f"{archive} is not a file")
    run(*_ctr(ctr, socket), "images", "import", archive, error=StartError)


def names(ctr: Path, socket: Path) -> frozenset[str]:
    """List the images that are there."""
    return frozenset(run(*_ctr(ctr, socket), "images", "list", "-q", error=StartError).split())


def pin(ctr: Path, socket: Path, reference: str) -> str:
    """Name a loaded image by its digest, NAME@sha256:HEX, and return that name: pods can run it by it.

    Raises:
        StartError: no image of that name is loaded.

    """
    rows = run(*_ctr(ctr, socket), "images", "list", f"name=={reference}", error=StartError).splitlines()[1:]
    digest = next((word for row in rows for word in row.split() if word.startswith("sha256:")), None)
    if digest is None:
        raise StartError(f"{reference} is not loaded")
    path, _, _ = reference.rpartition(":")
    pinned = f"{path}@{digest}"
    if pinned not in names(ctr, socket):
        run(*_ctr(ctr, socket), "images", "tag", reference, pinned, error=StartError)
    return pinned


def _ctr(ctr: Path, socket: Path) -> tuple[str, ...]:
    return (str(ctr), "--address", str(socket), "--namespace", "k8s.io")
