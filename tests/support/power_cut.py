"""A disk that loses power: an SQLite VFS that records every write and sync, and rebuilds what a cut would leave.

What was synced is there. Of what was written since, any part may be: a write is kept, lost, or torn at a sector.
Locking is exclusive, since the shared memory that WAL uses otherwise is no file of this VFS.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import apsw

SECTOR = 512
Action = Literal["write", "truncate", "sync", "delete", "mark"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened to the disk; a mark is what the test was told at this moment."""

    action: Action
    file: str = ""
    offset: int = 0
    data: bytes = b""
    mark: Any = None


@dataclass
class Disk:
    """The record, and the faults that are switched on."""

    steps: list[Step] = field(default_factory=list)
    bytes_left: int | None = None
    """What fits before the disk is full; None for as much as there is."""
    failing_syncs: int = 0
    """How many syncs fail from now on."""

    def mark(self, what: Any) -> None:
        """Note that `what` was acknowledged now."""
        self.steps.append(Step("mark", mark=what))


class _File(apsw.VFSFile):
    """A file whose changes are recorded."""

    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._disk = disk
        self._name = Path(name.filename() if isinstance(name, apsw.URIFilename) else name).name

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - the name is SQLite's
        if self._disk.bytes_left is not None:
            if len(data) > self._disk.bytes_left:
                raise apsw.FullError("disk full")
            self._disk.bytes_left -= len(data)
        self._disk.steps.append(Step("write", self._name, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - the name is SQLite's
        self._disk.steps.append(Step("truncate", self._name, newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802 - the name is SQLite's
        if self._disk.failing_syncs:
            self._disk.failing_syncs -= 1
            raise apsw.IOError("sync failed")
        self._disk.steps.append(Step("sync", self._name))
        super().xSync(flags)


class RecordingVFS(apsw.VFS):
    """Files of the real file system, with a record."""

    def __init__(self, disk: Disk, name: str) -> None:
        self.name = name
        self._disk = disk
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - the name is SQLite's
        if name is None:
            return apsw.VFSFile("", name, flags)
        return _File(self._disk, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802, FBT001 - the name is SQLite's
        self._disk.steps.append(Step("delete", Path(filename).name))
        super().xDelete(filename, syncdir)


class ApswConnection:
    """The ledger's Connection over APSW: the same statements as in production, through the recording VFS."""

    def __init__(self, path: Path, vfs: str, instead: dict[str, str]) -> None:
        self._connection = apsw.Connection(str(path), vfs=vfs)
        self._instead = instead
        self.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> apsw.Cursor:
        try:
            return self._connection.execute(self._instead.get(sql, sql), tuple(parameters))
        except apsw.IOError as error:
            raised = sqlite3.OperationalError(str(error))
            raised.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise raised from error
        except apsw.Error as error:
            raise sqlite3.OperationalError(str(error)) from error

    def close(self) -> None:
        self._connection.close()


def connect_through(
    vfs: RecordingVFS, *, synchronous: str = "FULL", checkpoint_pages: int = 20
) -> Callable[[Path], ApswConnection]:
    """Return a connection factory for the ledger; a small log makes SQLite write back often."""

    def connect(path: Path) -> ApswConnection:
        connection = ApswConnection(
            path, vfs.name, {"PRAGMA synchronous = FULL": f"PRAGMA synchronous = {synchronous}"}
        )
        connection.execute(f"PRAGMA wal_autocheckpoint = {checkpoint_pages}").fetchall()
        return connection

    return connect


class _Image:
    """A file as it stands on the disk, and what was done to it since its last sync."""

    def __init__(self) -> None:
        self.durable = bytearray()
        self.pending: list[Step] = []

    def sync(self) -> None:
        for step in self.pending:
            _apply(self.durable, step)
        self.pending.clear()

    def after_cut(self, chance: random.Random) -> bytes:
        content = bytearray(self.durable)
        keep = chance.choice((0.0, 0.5, 0.9, 1.0))
        for step in self.pending:
            if chance.random() < keep:
                _apply(content, _torn(step, chance) if chance.random() < 0.3 else step)
        return bytes(content)


def cuts(disk: Disk, places: Sequence[int], seed: int) -> Iterator[tuple[dict[str, bytes], list[Any]]]:
    """Yield, for a cut before each of the places in the record, the files it leaves and the marks before it."""
    chance = random.Random(seed)  # noqa: S311 - chance of a test, repeatable
    images: dict[str, _Image] = {}
    marks: list[Any] = []
    wanted = iter(sorted(places))
    place = next(wanted, None)
    for number, step in enumerate((*disk.steps, Step("mark"))):
        while place == number:
            yield {name: image.after_cut(chance) for name, image in images.items()}, list(marks)
            place = next(wanted, None)
        if step.action == "mark":
            marks.append(step.mark)
        elif step.action == "delete":
            images.pop(step.file, None)
        elif step.action == "sync":
            images.setdefault(step.file, _Image()).sync()
        else:
            images.setdefault(step.file, _Image()).pending.append(step)


def _apply(content: bytearray, step: Step) -> None:
    """Do a write or a truncation."""
    if step.action == "truncate":
        del content[step.offset :]
        return
    if len(content) < step.offset:
        content.extend(bytes(step.offset - len(content)))
    content[step.offset : step.offset + len(step.data)] = step.data


def _torn(step: Step, chance: random.Random) -> Step:
    """Keep a write's first sectors only."""
    sectors = len(step.data) // SECTOR
    return Step(step.action, step.file, step.offset, step.data[: chance.randint(0, sectors) * SECTOR])
