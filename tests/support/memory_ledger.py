"""The Ledger port in memory: what the gateway's tests use where durability is not their subject."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from remit.adapters.signing import CheckpointSigner, signer_of
from remit.core.merkle import Frontier, append, inclusion_proof, leaf_hash, node_hash
from remit.core.statements import bundles_named, is_run_end
from remit.ports import (
    CallRecord,
    LedgerTransaction,
    LedgerUnavailableError,
    LogEntry,
    ReadOnlyTransactionError,
    Result,
    RunExport,
    RunRecord,
)


def signer_for_tests() -> CheckpointSigner:
    """The same key in every test."""
    return signer_of("remit.dev/test", bytes(range(32)))


@dataclass
class _Books:
    """Everything that the ledger holds."""

    runs: dict[str, RunRecord] = field(default_factory=dict)
    calls: dict[str, CallRecord] = field(default_factory=dict)
    bundles: dict[str, bytes] = field(default_factory=dict)
    entries: list[LogEntry] = field(default_factory=list)

    def copy(self) -> _Books:
        return _Books(dict(self.runs), dict(self.calls), dict(self.bundles), list(self.entries))


class _Transaction:
    """LedgerTransaction over books that may be thrown away."""

    def __init__(self, books: _Books, *, writable: bool) -> None:
        self._books = books
        self._writable = writable

    def run(self, uid: str) -> RunRecord | None:
        return self._books.runs.get(uid)

    def put_run(self, record: RunRecord) -> None:
        self._require_writable()
        self._books.runs[record.uid] = record

    def call(self, key: str) -> CallRecord | None:
        return self._books.calls.get(key)

    def put_call(self, record: CallRecord) -> None:
        self._require_writable()
        self._books.calls[record.key] = record

    def open_calls(self, run_uid: str) -> list[CallRecord]:
        return [record for record in self.calls(run_uid) if record.state == "held"]

    def calls(self, run_uid: str) -> list[CallRecord]:
        return [record for record in self._books.calls.values() if record.run_uid == run_uid]

    def open_runs(self) -> list[RunRecord]:
        return [record for record in self._books.runs.values() if not record.ended]

    def runs_of(self, work: str) -> list[RunRecord]:
        return [record for record in self._books.runs.values() if work and record.work == work]

    def bundle(self, digest: str) -> bytes | None:
        return self._books.bundles.get(digest)

    def has_bundle(self, digest: str) -> bool:
        return digest in self._books.bundles

    def put_bundle(self, digest: str, document: bytes) -> None:
        self._require_writable()
        self._books.bundles.setdefault(digest, document)

    def last_entry(self, run_uid: str) -> bytes | None:
        return next((entry.body for entry in reversed(self._books.entries) if entry.run_uid == run_uid), None)

    def append(self, run_uid: str, body: bytes) -> int:
        self._require_writable()
        index = len(self._books.entries)
        self._books.entries.append(LogEntry(index, run_uid, body))
        return index

    def _require_writable(self) -> None:
        if not self._writable:
            raise ReadOnlyTransactionError("a reading cannot write")


class MemoryLedger:
    """Ledger that forgets with the process. `fail_with` makes every call fail, as a full disk does."""

    def __init__(self, signer: CheckpointSigner | None = None) -> None:
        self._signer = signer or signer_for_tests()
        self._books = _Books()
        self._note = self._sign()
        self._closed = False
        self.fail_with = ""

    async def transact(self, work: Callable[[LedgerTransaction], Result]) -> Result:
        self._require_available()
        books = self._books.copy()
        result = work(_Transaction(books, writable=True))
        self._books = books
        self._note = self._sign()
        return result

    async def read(self, work: Callable[[LedgerTransaction], Result]) -> Result:
        self._require_available()
        return work(_Transaction(self._books, writable=False))

    async def export(self, run_uid: str, owners: Sequence[str] = ()) -> RunExport:
        self._require_available()
        leaves = [leaf_hash(entry.body) for entry in self._books.entries]
        entries = tuple(entry for entry in self._books.entries if entry.run_uid == run_uid)
        named = sorted({digest for entry in entries for digest in bundles_named(entry.body)})
        for digest in named:
            if digest not in self._books.bundles:
                raise LedgerUnavailableError(f"the ledger does not hold the bundle {digest}")
        last = entries[-1].index if entries and is_run_end(entries[-1].body) else len(leaves)
        beside = tuple(e for owner in owners for e in self._books.entries if e.run_uid == owner and e.index < last)
        return RunExport(
            self._note,
            entries,
            tuple(inclusion_proof(entry.index, len(leaves), nodes_of(leaves)) for entry in entries),
            {digest: self._books.bundles[digest] for digest in named},
            beside,
            tuple(inclusion_proof(entry.index, len(leaves), nodes_of(leaves)) for entry in beside),
        )

    async def checkpoint(self) -> str:
        return self._note

    async def find_run(self, namespace: str, name: str) -> RunRecord | None:
        self._require_available()
        named = [run for run in self._books.runs.values() if (run.namespace, run.name) == (namespace, name)]
        found = [run for run in named if not run.recorded_from]
        return found[-1] if found else None

    async def close(self) -> None:
        self._closed = True

    def _sign(self) -> str:
        tree = Frontier()
        for entry in self._books.entries:
            tree, _ = append(tree, leaf_hash(entry.body))
        return self._signer.sign(tree.size, tree.root())

    def _require_available(self) -> None:
        if self.fail_with or self._closed:
            raise LedgerUnavailableError(self.fail_with or "the ledger is closed")


def nodes_of(leaves: list[bytes]) -> Callable[[int, int], bytes]:
    """Perfect subtrees over leaf hashes that are all in memory."""

    def node(level: int, index: int) -> bytes:
        if level == 0:
            return leaves[index]
        return node_hash(node(level - 1, 2 * index), node(level - 1, 2 * index + 1))

    return node
