"""Evidence entries, version 1: in-toto Statements (v1) whose canonical JSON bytes (RFC 8785) are final.

Contents are never in an entry: arguments, results and answers stand there by SHA-256 of their canonical JSON.
"""

from typing import Any, Final, Literal, NotRequired, TypedDict

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_PREFIX: Final = "https://remit.dev/evidence/"
EXPORT_VERSION: Final = "remit.dev/evidence-export/v1"
MAX_ENTRY_BYTES: Final = 65_535
"""Bound of one entry (C2SP tlog-tiles: entries have a 16-bit length)."""

EntryKind = Literal["bundle", "intent", "outcome", "denial", "run-end"]
"""Kinds of a run's entries."""
ACKNOWLEDGEMENT: Final = "acknowledgement"
"""The kind of entry that says which state of an object is enforced from here on; it belongs to no run."""

View = dict[str, int]
"""How far the gateway had seen each kind of object that gives or takes authority: kind → resourceVersion."""


def predicate_type(kind: EntryKind | Literal["acknowledgement"]) -> str:
    """Return the predicate type URI of an entry kind."""
    return f"{PREDICATE_PREFIX}{kind}/v1"


class DigestSet(TypedDict):
    """in-toto DigestSet: lower-case hex."""

    sha256: str


class Subject(TypedDict):
    """in-toto ResourceDescriptor: `call/RUN_UID/CALL_ID`, `run/RUN_UID` or `bundle/DIGEST`."""

    name: str
    digest: DigestSet


class RunFacts(TypedDict):
    """Which run, on whose authority."""

    namespace: str
    name: str
    uid: str
    attempt: int
    agent: str
    agentUID: str
    owner: str
    purpose: str
    requester: dict[str, Any]
    case: NotRequired[dict[str, str]]


class CallFacts(TypedDict):
    """Which call: digests only."""

    id: str
    kind: Literal["tool", "model"]
    grant: str
    tool: str
    risk: str
    argumentsDigest: str
    idempotencyKey: str


class DecisionFacts(TypedDict):
    """What was decided, by which rule of which policy, under which bundles (`sha256:HEX`)."""

    effect: Literal["Allow", "Deny"]
    reason: str
    rule: str
    policy: str
    message: str
    pinnedBundle: str
    liveBundle: str
    view: NotRequired[View]
    """What the gateway had seen when it decided."""


class AmountFacts(TypedDict):
    """An amount of each budgeted quantity."""

    tokens: int
    toolCalls: int
    costMicroUSD: int


class Predicate(TypedDict):
    """The predicate of every entry; which optional parts it has depends on the kind.

    `sequence` counts the run's entries from 0; `time` is RFC 3339 UTC with milliseconds; `previous` is the
    SHA-256 (hex) of the run's previous entry, empty for the first.
    """

    sequence: int
    time: str
    previous: str
    run: RunFacts
    call: NotRequired[CallFacts]
    decision: NotRequired[DecisionFacts]
    held: NotRequired[AmountFacts]
    """intent: what was reserved."""
    intent: NotRequired[int]
    """outcome: sequence of its intent."""
    status: NotRequired[Literal["ok", "error", "unknown"]]
    """outcome: ok, error (the upstream answered with an error: nothing more to settle) or unknown."""
    reason: NotRequired[str]
    """outcome, run-end: a CallReason or RunReason."""
    resultDigest: NotRequired[str]
    spent: NotRequired[AmountFacts]
    overrun: NotRequired[AmountFacts]
    bundle: NotRequired[str]
    """bundle: `sha256:HEX` of the bundle that came into force for the run."""
    records: NotRequired[int]
    """run-end: number of the run's entries, this one included."""
    view: NotRequired[View]
    """outcome: what the gateway had seen, and the call was still allowed under; absent for one that was cut or lost."""
    recordedFrom: NotRequired[str]
    """run-end: UID of the run that did this very work before; this one executed nothing."""


class Statement(TypedDict):
    """in-toto Statement v1."""

    _type: str
    subject: list[Subject]
    predicateType: str
    predicate: Predicate


class ObjectFacts(TypedDict):
    """Which object that gives or takes authority, and which state of it is enforced."""

    kind: str
    namespace: str
    name: str
    uid: str
    generation: int
    state: Literal["Enforced", "Gone"]


class AcknowledgementPredicate(TypedDict):
    """What an acknowledgement says; `sequence` and `previous` chain those of one namespace."""

    sequence: int
    time: str
    previous: str
    object: ObjectFacts
    view: View


class AcknowledgementStatement(TypedDict):
    """in-toto Statement v1 of an acknowledgement."""

    _type: str
    subject: list[Subject]
    predicateType: str
    predicate: AcknowledgementPredicate
