"""Which clusters stand on this machine. Holds the lock under which addresses are given out."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from remit.cluster import network
from remit.cluster.errors import ClusterError
from remit.cluster.layout import Addresses, Layout, free_index


class Record(BaseModel):
    """What is written down about one cluster."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: int
    products: str
    """Folder of the programs it was last started with."""


def read(layout: Layout) -> Record | None:
    """Read a cluster's record; None when there is no such cluster.

    Raises:
        ClusterError: the record is there but broken.

    """
    try:
        return Record.model_validate_json(layout.record.read_text())
    except FileNotFoundError:
        return None
    except ValidationError as broken:
        raise ClusterError(f"{layout.record} cannot be read: {broken}") from broken


def write(layout: Layout, record: Record) -> None:
    """Write a cluster's record in one step."""
    fresh = layout.record.with_suffix(".new")
    fresh.write_text(record.model_dump_json())
    fresh.rename(layout.record)


def clusters(state: Path) -> tuple[str, ...]:
    """List the names of all clusters of this state folder."""
    return tuple(sorted(path.parent.name for path in state.glob("*/cluster.json")))


def enrol(layout: Layout, products: Path) -> Addresses:
    """Give the cluster its addresses: those it has, or the first that are free."""
    with locked(layout.root.parent):
        if (known := read(layout)) is not None:
            write(layout, known.model_copy(update={"products": str(products)}))
            return Addresses(known.index)
        taken = [_index(path) for path in layout.root.parent.glob("*/cluster.json")]
        index = free_index(taken, network.routes())
        layout.root.mkdir(mode=0o711, exist_ok=True)
        layout.root.chmod(0o711)
        write(layout, Record(index=index, products=str(products)))
        return Addresses(index)


def _index(record: Path) -> int:
    return int(json.loads(record.read_text())["index"])


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for this process alone; it is made when it is not there."""
    handle = _lock(folder)
    try:
        yield
    finally:
        os.close(handle)


def _lock(folder: Path) -> int:
    while True:
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(handle, fcntl.LOCK_EX)
        # Whoever held it may have removed the folder: then this lock holds nothing.
        with suppress(FileNotFoundError):
            if folder.stat().st_ino == os.fstat(handle).st_ino:
                return handle
        os.close(handle)
