"""The Merkle log inside the SQLite ledger: leaves and tiles as rows, the frontier in memory."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from remit.adapters.signing import CheckpointSigner
from remit.adapters.sqlite_schema import Connection
from remit.core.merkle import Frontier, append, frontier_of, inclusion_proof, leaf_hash, node_hash
from remit.core.notes import parse_checkpoint, parse_note
from remit.core.statements import bundles_named, is_run_end
from remit.ports import LedgerUnavailableError, LogEntry, RunExport

TILE_LEVELS = 8
"""A tile is a perfect subtree of 256 (C2SP tlog-tiles)."""

ACKNOWLEDGED_BEFORE = 64
"""How many acknowledgements from before a run's first entry go into its export."""
ALTERED = "it was altered outside"


class StoredNodes:
    """Perfect subtrees computed from leaves and tiles; keeps what it has seen, so use one per reading."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[tuple[int, int], bytes] = {}

    def __call__(self, level: int, index: int) -> bytes:
        """Return the hash of the perfect subtree at (level, index)."""
        known = self._known.get((level, index))
        if known is not None:
            return known
        stored = level - level % TILE_LEVELS
        if level == stored:
            self._load(level, index >> TILE_LEVELS)
        else:
            lower = level - 1
            self._known[level, index] = node_hash(self(lower, 2 * index), self(lower, 2 * index + 1))
        return self._known[level, index]

    def _load(self, level: int, tile: int) -> None:
        """Read one tile's worth of stored hashes."""
        first = tile << TILE_LEVELS
        bounds = (first, first + (1 << TILE_LEVELS))
        if level == 0:
            rows = self._connection.execute(
                "SELECT position, leaf FROM entries WHERE position >= ? AND position < ?", bounds
            ).fetchall()
        else:
            rows = self._connection.execute(
                "SELECT position, hash FROM tiles WHERE level = ? AND position >= ? AND position < ?", (level, *bounds)
            ).fetchall()
        self._known.update({(level, position): hashed for position, hashed in rows})


class SqliteLog:
    """The writer's view of the log. `frontier` runs ahead of what is durable within a group, never after it."""

    def __init__(self, connection: Connection, signer: CheckpointSigner) -> None:
        self._connection = connection
        self._signer = signer
        self.frontier = Frontier()
        self.note = ""

    def load(self) -> None:
        """Read the log's state, and refuse one that its own checkpoint does not cover."""
        try:
            self._load()
        except (TypeError, ValueError, LookupError) as error:
            raise LedgerUnavailableError(f"the ledger's evidence cannot be read, {ALTERED}: {error}") from error
        if not self._signed_by_this_key():
            self.seal()

    def _load(self) -> None:
        """Read size, frontier and checkpoint, and compare them."""
        size = self._connection.execute("SELECT coalesce(max(position) + 1, 0) FROM entries").fetchone()[0]
        self.frontier = frontier_of(size, StoredNodes(self._connection))
        row = self._connection.execute("SELECT note FROM checkpoints").fetchone()
        self.note = row[0] if row else ""
        if not row and size:
            raise LedgerUnavailableError(f"the ledger holds evidence but no checkpoint: {ALTERED}")
        if row:
            head = parse_checkpoint(parse_note(self.note)[0])
            if (head.size, head.root) != (size, self.frontier.root()):
                raise LedgerUnavailableError(f"the ledger's evidence does not match its checkpoint: {ALTERED}")

    def append(self, run_uid: str, body: bytes) -> int:
        """Add a leaf and return its index."""
        index = self.frontier.size
        leaf = leaf_hash(body)
        self._connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?)", (index, run_uid, leaf, body))
        self.frontier, completed = append(self.frontier, leaf)
        for node in completed:
            if node.level % TILE_LEVELS == 0:
                self._connection.execute("INSERT INTO tiles VALUES (?, ?, ?)", (node.level, node.index, node.hash))
        return index

    def seal(self) -> None:
        """Sign the log as it stands within the open transaction."""
        self.note = self._signer.sign(self.frontier.size, self.frontier.root())
        self._connection.execute("INSERT OR REPLACE INTO checkpoints VALUES (1, ?)", (self.note,))

    def _signed_by_this_key(self) -> bool:
        """Tell whether the checkpoint is there and under the key in use, which may have been rotated."""
        own = (self._signer.verifier.name, self._signer.verifier.key_id())
        return bool(self.note) and any((line.name, line.key_id) == own for line in parse_note(self.note)[1])


def export_run(connection: Connection, run_uid: str, owners: Sequence[str] = ()) -> RunExport:
    """Collect what proves a run, within one read transaction."""
    note = connection.execute("SELECT note FROM checkpoints").fetchone()[0]
    size = parse_checkpoint(parse_note(note)[0]).size
    rows = connection.execute(
        "SELECT position, body FROM entries WHERE run_uid = ? ORDER BY position", (run_uid,)
    ).fetchall()
    entries = tuple(LogEntry(position, run_uid, bytes(body)) for position, body in rows)
    nodes = StoredNodes(connection)
    proofs = tuple(inclusion_proof(entry.index, size, nodes) for entry in entries)
    named = sorted({digest for entry in entries for digest in bundles_named(entry.body)})
    beside = tuple(each for owner in owners for each in _acknowledgements(connection, owner, entries))
    return RunExport(
        note,
        entries,
        proofs,
        {digest: _bundle(connection, digest) for digest in named},
        beside,
        tuple(inclusion_proof(entry.index, size, nodes) for entry in beside),
    )


def _acknowledgements(connection: Connection, owner: str, entries: Sequence[LogEntry]) -> Sequence[LogEntry]:
    """Return what was acknowledged from shortly before the run's first entry to its end."""
    if not entries:
        return ()
    before = connection.execute(
        "SELECT position, body FROM entries WHERE run_uid = ? AND position < ? ORDER BY position DESC LIMIT ?",
        (owner, entries[0].index, ACKNOWLEDGED_BEFORE),
    ).fetchall()
    last = entries[-1]
    since = connection.execute(
        "SELECT position, body FROM entries WHERE run_uid = ? AND position BETWEEN ? AND ? ORDER BY position",
        (owner, entries[0].index, last.index if is_run_end(last.body) else sys.maxsize),
    ).fetchall()
    return [LogEntry(position, owner, bytes(body)) for position, body in (*reversed(before), *since)]


def _bundle(connection: Connection, digest: str) -> bytes:
    """Return a bundle that evidence names: it was stored no later than the entry."""
    row = connection.execute("SELECT document FROM bundles WHERE digest = ?", (digest,)).fetchone()
    if row is None:
        raise LedgerUnavailableError(f"the evidence names the bundle {digest}, which the ledger does not hold")
    return bytes(row[0])
