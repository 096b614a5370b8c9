"""Which clusters stand on this machine. Holds the lock under which addresses are given out."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from remit.cluster import network, outbound
from remit.cluster.errors import ClusterError
from remit.cluster.layout import Addresses, Layout, free_index


class Record(BaseModel):
    """What is written down about one cluster."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: int
    products: str
    """Folder of the programs it was last started with."""
    internet: bool = False
    """Whether its pods have a way to the internet."""
    forwarding_before: str = "0"
    """What the machine's ip_forward was before a cluster changed it."""

    @property
    def addresses(self) -> Addresses:
        """Its addresses."""
        return Addresses(self.index)


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


def enrol(layout: Layout, products: Path, *, internet: bool | None) -> Record:
    """Write the cluster down with its addresses: those it has, or the first that are free.

    `internet` of None keeps what the cluster has, which is no way there at first.
    """
    with locked(layout.root.parent):
        known = read(layout) or _fresh(layout)
        wanted = known.internet if internet is None else internet
        changes: dict[str, object] = {"products": str(products), "internet": wanted}
        if wanted and not known.internet:
            changes["forwarding_before"] = _forwarding_before(layout)
        record = known.model_copy(update=changes)
        write(layout, record)
        return record


def _fresh(layout: Layout) -> Record:
    index = free_index([other.index for other in _others(layout)], network.routes())
    layout.root.mkdir(mode=0o711, exist_ok=True)
    layout.root.chmod(0o711)
    return Record(index=index, products="")


def _forwarding_before(layout: Layout) -> str:
    """Tell what forwarding was before the first cluster changed it."""
    changed = (other.forwarding_before for other in _others(layout) if other.internet)
    return next(changed, outbound.forwarding())


def _others(layout: Layout) -> list[Record]:
    state = layout.root.parent
    records = [read(Layout(name, state / name)) for name in clusters(state) if name != layout.name]
    return [record for record in records if record is not None]


def others_need_forwarding(layout: Layout) -> bool:
    """Tell whether another cluster has a way to the internet."""
    return any(other.internet for other in _others(layout))


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
