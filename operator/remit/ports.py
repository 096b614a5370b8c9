"""The ports: what the shells need of the outside world, as Protocols. Adapters implement them, fakes too.

Every port has one contract suite under tests/, which the real adapter and the fake both pass.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from remit.core.budget import Account
from remit.core.engines import (
    CompiledRule,
    CompiledSchema,
    InvalidRuleError,
    InvalidSchemaError,
    RemitError,
    RuleEngine,
    RuleError,
    SchemaEngine,
)

__all__ = [
    "CallRecord",
    "Clock",
    "Cluster",
    "ClusterError",
    "CompiledRule",
    "CompiledSchema",
    "Identity",
    "IdentityUnavailableError",
    "InvalidRuleError",
    "InvalidSchemaError",
    "Ledger",
    "LedgerTransaction",
    "LedgerUnavailableError",
    "LogEntry",
    "PodIdentity",
    "RemitError",
    "RuleEngine",
    "RuleError",
    "RunExport",
    "RunRecord",
    "SchemaEngine",
    "SecretNotReadableError",
    "SecretReader",
    "SecretUnavailableError",
    "Upstream",
    "UpstreamAnswer",
    "UpstreamError",
    "UpstreamLostError",
    "UpstreamNotSentError",
    "UpstreamRequest",
    "UpstreamStream",
]

Result = TypeVar("Result")


class Clock(Protocol):
    """Time. Only adapters/clock.py reads the real one."""

    def now(self) -> float:
        """Return wall-clock seconds since the epoch, UTC."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""


@dataclass(frozen=True, slots=True)
class CallRecord:
    """What the ledger knows of one call, by its idempotency key.

    `state`: held (intent durable, outcome not), done, failed (certainly without effect or an upstream error),
    unknown (lost answer to a write). `answer` is the recorded answer of a finished write, else empty.
    """

    key: str
    run_uid: str
    state: str
    arguments_digest: str
    intent_sequence: int
    hold: Mapping[str, int]
    kind: str
    grant: str
    tool: str
    risk: str
    call_id: str
    answer: bytes = b""
    facts: bytes = b""
    """Canonical JSON of the intent's predicate: what a recovery needs to write the outcome."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What the ledger knows of one run, by its UID: account, chain of entries, contract state."""

    uid: str
    namespace: str
    name: str
    account: Account
    sequence: int = 0
    """Entries so far."""
    previous: str = ""
    """SHA-256 (hex) of the last entry."""
    pinned_bundle: str = ""
    step: int = 0
    model_calls: int = 0
    refused_calls: int = 0
    handed_over: bool = False
    """The ring-fenced hand-over call was made."""
    outcome_reason: str = ""
    outcome_message: str = ""
    result: bytes = b""
    """Canonical JSON of the result, empty while there is none."""
    partial: bytes = b""
    ended: bool = False
    """The run-end entry is written: nothing may follow."""
    facts: bytes = b""
    """Canonical JSON of the RunFacts: what an entry that no caller makes says of the run."""
    work: str = ""
    """Which piece of work it does (core/work.py); empty for a copy, which does nothing."""
    ended_at: float = 0.0
    """Epoch seconds of its end; 0 before, and where nobody wrote it down."""
    recorded_from: str = ""
    """UID of the run that did this work before: this one is a copy, and executed nothing."""
    pod_uid: str = ""
    """UID of the pod that it was served to last."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry of the log: its index in the log, its run, its final bytes."""

    index: int
    run_uid: str
    body: bytes


class LedgerTransaction(Protocol):
    """One unit of work: all of it becomes durable, or nothing."""

    def run(self, uid: str) -> RunRecord | None:
        """Return the run's record."""

    def put_run(self, record: RunRecord) -> None:
        """Store the run's record."""

    def call(self, key: str) -> CallRecord | None:
        """Return the call's record."""

    def put_call(self, record: CallRecord) -> None:
        """Store the call's record."""

    def open_calls(self, run_uid: str) -> list[CallRecord]:
        """Return the run's calls in state held, oldest first."""

    def calls(self, run_uid: str) -> list[CallRecord]:
        """Return all the run's calls, oldest first."""

    def open_runs(self) -> list[RunRecord]:
        """Return the runs that have not ended."""

    def runs_of(self, work: str) -> list[RunRecord]:
        """Return the runs that do this piece of work, oldest first; none for an empty one."""

    def has_bundle(self, digest: str) -> bool:
        """Tell whether the bytes of the bundle are kept."""

    def bundle(self, digest: str) -> bytes | None:
        """Return the canonical bytes of a bundle that is kept."""

    def put_bundle(self, digest: str, document: bytes) -> None:
        """Keep a bundle's canonical bytes by their digest; the same digest again is no change."""

    def append(self, run_uid: str, body: bytes) -> int:
        """Append an entry to the log and return its index; its bytes are final."""

    def last_entry(self, run_uid: str) -> bytes | None:
        """Return the newest entry under this owner: a run's UID, or whose acknowledgements it is of."""


@dataclass(frozen=True, slots=True)
class RunExport:
    """All that proves one run: entries with inclusion proofs under one checkpoint, and the bundles they name."""

    checkpoint: str
    """C2SP signed checkpoint."""
    entries: tuple[LogEntry, ...]
    proofs: tuple[tuple[bytes, ...], ...]
    """RFC 6962 inclusion proof of each entry, leaf's sibling first."""
    bundles: Mapping[str, bytes]
    acknowledgements: tuple[LogEntry, ...] = ()
    """What was acknowledged while the run was under way, and shortly before."""
    acknowledgement_proofs: tuple[tuple[bytes, ...], ...] = ()


class Ledger(Protocol):
    """Holds, calls, runs, bundles and evidence under one transaction with one writer."""

    async def transact(self, work: Callable[[LedgerTransaction], Result]) -> Result:
        """Run `work` and return its result once all that it wrote is durable and under a signed checkpoint.

        `work` runs when the writer comes to it, perhaps more than once: it must be quick and pure but for the
        transaction. If it raises, nothing of it remains and the exception is raised here. Raises
        LedgerUnavailableError when it cannot be made durable.
        """

    async def read(self, work: Callable[[LedgerTransaction], Result]) -> Result:
        """Run `work` on a snapshot of what is durable; its writes are refused."""

    async def export(self, run_uid: str, owners: Sequence[str] = ()) -> RunExport:
        """Return all that proves the run, under the latest checkpoint; `owners` are whose acknowledgements it takes."""

    async def checkpoint(self) -> str:
        """Return the latest signed checkpoint (C2SP)."""

    async def find_run(self, namespace: str, name: str) -> RunRecord | None:
        """Return the newest run of that name that is no copy of an earlier one."""

    async def close(self) -> None:
        """Finish what is queued and close."""


@dataclass(frozen=True, slots=True)
class PodIdentity:
    """Who a token speaks for: what TokenReview says."""

    namespace: str
    service_account: str
    pod_name: str
    pod_uid: str


class Identity(Protocol):
    """Authenticates tokens."""

    async def authenticate(self, token: str) -> PodIdentity | None:
        """Return whose token it is, None when it is not good; raises IdentityUnavailableError when nobody can say."""

    def forget(self, pod_uid: str) -> None:
        """Drop every cached token of the pod at once."""


class SecretReader(Protocol):
    """Reads single Secrets by name."""

    async def read(self, namespace: str, name: str) -> tuple[Mapping[str, bytes], Mapping[str, str]] | None:
        """Return data and annotations; None when absent; raises SecretNotReadableError when it may not be read."""


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """One HTTP request to an upstream; `headers` may hold secrets: never log or store it."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class UpstreamAnswer:
    """An upstream's whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class UpstreamStream(Protocol):
    """An upstream's answer as it comes."""

    status: int
    headers: Mapping[str, str]

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes; raises UpstreamError when it breaks off."""

    async def close(self) -> None:
        """Let the connection go; cuts the call when it is not at its end."""


class Upstream(Protocol):
    """Sends requests; follows no redirect; bounds every answer."""

    async def send(self, request: UpstreamRequest) -> UpstreamAnswer:
        """Send and read the whole answer.

        Raises UpstreamNotSentError when certainly nothing reached the upstream, UpstreamLostError when the request
        may have been acted on and the answer is lost.
        """

    async def stream(self, request: UpstreamRequest) -> UpstreamStream:
        """Send and return once the answer's head is there; raises as `send`."""


class Cluster(Protocol):
    """The verbs on Kubernetes objects, as plain dictionaries."""

    async def get(self, api_version: str, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """Return the object, None when there is none."""

    async def list(self, api_version: str, kind: str, namespace: str, selector: str = "") -> list[dict[str, Any]]:
        """Return the objects; an empty namespace means all."""

    async def apply(self, manifest: Mapping[str, Any], manager: str) -> dict[str, Any]:
        """Server-side apply, forced; returns the object as stored. Raises ClusterError with a reason."""

    async def create(self, manifest: Mapping[str, Any], manager: str) -> dict[str, Any]:
        """Create; when it exists already, return what exists."""

    async def patch(self, api_version: str, kind: str, patch: Mapping[str, Any], manager: str) -> dict[str, Any]:
        """Merge a patch (RFC 7386) into the object of its `metadata`: name, namespace, and the state that it is for.

        `metadata.resourceVersion` and `metadata.uid` are preconditions: ClusterError 409 when the object is in
        another state, 404 when it is gone. Returns the object as stored.
        """

    async def delete(  # noqa: PLR0917 (a full address)
        self, api_version: str, kind: str, namespace: str, name: str, uid: str
    ) -> None:
        """Delete exactly the object with this UID; absent is success."""

    async def apply_status(self, manifest: Mapping[str, Any], manager: str) -> dict[str, Any]:
        """Server-side apply of the status subresource, forced."""

    def watch(self, api_version: str, kind: str, selector: str = "") -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Yield (type, object): first every object as ADDED, then SYNCED with {}, then changes, and BOOKMARKs.

        Ends or raises when the connection does; the caller starts again.
        """


# Errors of the ports. Adapters translate into them at the border.


class LedgerUnavailableError(RemitError):
    """Nothing can be made durable now."""


class ReadOnlyTransactionError(RemitError):
    """A work given to `Ledger.read` tried to write."""


class IdentityUnavailableError(RemitError):
    """Nobody can say whose token it is now."""


class SecretNotReadableError(RemitError):
    """The Secret may not be read; the text says what to apply."""


class SecretUnavailableError(SecretNotReadableError):
    """Nobody can say now what the Secret holds: waiting helps."""


class UpstreamError(RemitError):
    """An upstream failed."""


class UpstreamNotSentError(UpstreamError):
    """Certainly nothing reached the upstream."""


class UpstreamLostError(UpstreamError):
    """The request may have been acted on, and its answer is lost."""


class ClusterError(RemitError):
    """The apiserver refused or could not be reached; `reason` is its own word, `code` its HTTP status (0: none)."""

    def __init__(self, message: str, reason: str = "", code: int = 0) -> None:
        """Keep the apiserver's reason beside the text."""
        super().__init__(message)
        self.reason = reason
        self.code = code
