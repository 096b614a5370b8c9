"""Writes file trees as tar layers whose bytes depend on names, modes and contents only."""

import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

EPOCH_SECONDS = 1_767_225_600  # 2026-01-01, when SOURCE_DATE_EPOCH says nothing else
STICKY = frozenset({"tmp", "var/tmp"})


@dataclass(frozen=True)
class Layer:
    """A finished layer: a plain tar, so that its digest is also its diff id."""

    digest: str
    path: Path


def epoch_seconds() -> int:
    """Return the one time stamp of every file."""
    return int(os.environ.get("SOURCE_DATE_EPOCH", EPOCH_SECONDS))


def load_layer(path: Path) -> Layer:
    """Digest a finished tar."""
    with path.open("rb") as file:
        return Layer(hashlib.file_digest(file, "sha256").hexdigest(), path)


def write_layer(root: Path, tops: tuple[str, ...], target: Path) -> None:
    """Write what is below `root/top` for each top, with the folders that lead there."""
    with (
        target.open("wb") as file,
        tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar,
    ):
        for name in sorted(names(root, tops)):
            add(tar, root, name)


def names(root: Path, tops: tuple[str, ...]) -> set[str]:
    """Name every entry of the layer, relative to the root of the file system."""
    found: set[str] = set()
    for top in tops:
        found.update(str(parent) for parent in Path(top).parents if str(parent) != ".")
        if top != ".":
            found.add(top)
        found.update(below(root, root / top))
    return found


def below(root: Path, top: Path) -> Iterator[str]:
    """Name what is below a folder; links are not followed."""
    for folder, folders, files in os.walk(top):
        for name in (*folders, *files):
            yield str((Path(folder) / name).relative_to(root))


def add(tar: tarfile.TarFile, root: Path, name: str) -> None:
    """Add one entry without owner, time and odd modes; set-uid bits are lost on purpose."""
    path = root / name
    status = path.lstat()
    entry = tarfile.TarInfo(name)
    entry.mtime = epoch_seconds()
    if stat.S_ISLNK(status.st_mode):
        entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, str(path.readlink()), 0o777
        tar.addfile(entry)
    elif stat.S_ISDIR(status.st_mode):
        entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name in STICKY else 0o755
        tar.addfile(entry)
    elif stat.S_ISREG(status.st_mode):
        entry.size = status.st_size
        entry.mode = 0o755 if status.st_mode & 0o111 else 0o644
        with path.open("rb") as content:
            tar.addfile(entry, content)


def add_bytes(tar: tarfile.TarFile, name: str, content: bytes | IO[bytes], size: int) -> None:
    """Add a file that is not on disk, or is to have another name."""
    entry = tarfile.TarInfo(name)
    entry.mtime, entry.size, entry.mode = epoch_seconds(), size, 0o644
    tar.addfile(entry, io.BytesIO(content) if isinstance(content, bytes) else content)


def unpack(layer: Layer, root: Path) -> None:
    """Unpack one of our own layers."""
    with tarfile.open(layer.path) as tar:
        # As an attribute, since the Python of Debian 12 does not know the argument yet.
        tar.extraction_filter = lambda entry, _: entry
        tar.extractall(root)  # noqa: S202 - written by write_layer
