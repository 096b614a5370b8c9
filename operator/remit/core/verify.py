"""Checks an export offline: is it what the log's key vouches for, all of it, and in order? Pure and total.

The records are read in order and the first that is wrong ends the reading: its number is what an auditor needs. For
each record, in this order: it is in the log (before that nothing in it is believed), it has a statement's form, it
follows on the record before, and it makes sense after all before it: an outcome has its intent, a decision its
bundles, an end its count.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, cast

from remit.api.evidence import PREDICATE_PREFIX, STATEMENT_TYPE, Predicate, RunFacts, Statement, Subject
from remit.core.acknowledgements import Acknowledged, Recorded, breaches, read_acknowledgement
from remit.core.digest import canonical, sha256_hex
from remit.core.export import (
    CHECKPOINT,
    FILE_NAME,
    INDEX,
    acknowledgement_names,
    bundle_name,
    entry_name,
    index_file,
    parse_proof,
    proof_name,
)
from remit.core.merkle import inclusion_holds, leaf_hash
from remit.core.notes import Checkpoint, Ed25519Check, NoteError, VerifierKey, open_checkpoint
from remit.core.shapes import fits
from remit.core.statements import Chain, bundle_subject, bundles_named, call_subject, run_subject

_COMMON = frozenset({"sequence", "time", "previous", "run"})
_PARTS: Mapping[str, frozenset[str]] = {
    "bundle": frozenset({"bundle"}),
    "intent": frozenset({"call", "decision", "held"}),
    "outcome": frozenset({"call", "intent", "status", "reason", "spent", "overrun"}),
    "denial": frozenset({"call", "decision"}),
    "run-end": frozenset({"reason", "spent", "overrun", "records"}),
}
_OPTIONAL: Mapping[str, frozenset[str]] = {
    "outcome": frozenset({"resultDigest", "view"}),
    "run-end": frozenset({"resultDigest", "recordedFrom"}),
}
_EFFECTS = {"intent": "Allow", "denial": "Deny"}


@dataclass(frozen=True, slots=True)
class Fault:
    """The first thing that is wrong: which record (None: the export as a whole), in which file, and what."""

    record: int | None
    file: str
    problem: str


@dataclass(frozen=True, slots=True)
class RecordLine:
    """One good record, as a person reads it."""

    sequence: int
    time: str
    kind: str
    tool: str
    decision: str
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found. Good when there is no fault and the run has ended."""

    run: str
    uid: str
    lines: tuple[RecordLine, ...]
    ended: str
    """Reason of the run's end; empty while the evidence is open."""
    checkpoint: Checkpoint | None
    fault: Fault | None
    acknowledged: int = 0
    """How many acknowledgements of changed authority were held against the records."""


class _FaultError(Exception):
    """Ends the reading."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.problem)
        self.fault = fault


@dataclass(slots=True)
class _Reading:
    """What is known after the records read so far."""

    files: Mapping[str, bytes]
    count: int
    checkpoint: Checkpoint | None = None
    note: str = ""
    chain: Chain = field(default_factory=Chain)
    last_index: int = -1
    run: RunFacts | None = None
    open_intents: dict[int, Any] = field(default_factory=dict)
    settled_intents: set[int] = field(default_factory=set)
    bundles_in_force: set[str] = field(default_factory=set)
    bundles_named: set[str] = field(default_factory=set)
    bundles_seen: set[str] = field(default_factory=set)
    ended: str = ""
    lines: list[RecordLine] = field(default_factory=list)
    records: list[Recorded] = field(default_factory=list)
    acknowledged: int = 0


def verify(files: Mapping[str, bytes], key: VerifierKey, check: Ed25519Check) -> Report:
    """Check the files of an export against a key that did not come with it."""
    reading = _Reading(files, _count(files))
    fault = None
    try:
        _whole(reading, key, check)
        for number in range(reading.count):
            _record(reading, number)
        _acknowledgements(reading)
        _after_all(reading)
    except _FaultError as error:
        fault = error.fault
    run = reading.run
    return Report(
        run=f"{run['namespace']}/{run['name']}" if run else "",
        uid=run["uid"] if run else "",
        lines=tuple(reading.lines),
        ended=reading.ended,
        checkpoint=reading.checkpoint,
        fault=fault,
        acknowledged=reading.acknowledged,
    )


def _count(files: Mapping[str, bytes]) -> int:
    """Count the records by the highest number in a name, so that a hole shows at its place."""
    numbers = [name for name in files if FILE_NAME.fullmatch(name) and name.startswith(("entries/", "proofs/"))]
    return max((int(name.split("/")[1].split(".")[0]) + 1 for name in numbers), default=0)


def _whole(reading: _Reading, key: VerifierKey, check: Ed25519Check) -> None:
    """Check what is not about one record: names, checkpoint."""
    for name in sorted(reading.files):
        if FILE_NAME.fullmatch(name) is None:
            _refuse(None, name, "this file is no part of an export")
    for name in (INDEX, CHECKPOINT):
        if name not in reading.files:
            _refuse(None, name, "the file is missing")
    try:
        reading.note = reading.files[CHECKPOINT].decode()
        reading.checkpoint = open_checkpoint(reading.note, key, check)
    except UnicodeDecodeError:
        _refuse(None, CHECKPOINT, "the checkpoint is not text")
    except NoteError as error:
        _refuse(None, CHECKPOINT, str(error))
    if reading.count == 0:
        _refuse(None, INDEX, "there are no records")


def _record(reading: _Reading, number: int) -> None:
    """Check one record, and take it in."""
    name = entry_name(number)
    for file in (name, proof_name(number)):
        if file not in reading.files:
            _refuse(number, file, "the file is missing")
    entry = reading.files[name]
    _in_the_log(reading, number)
    predicate, kind, subject = _statement(number, name, entry)
    for problem in (*_order(reading, predicate), *_sense(reading, predicate, kind, subject)):
        _refuse(number, name, problem)
    _bundles(reading, number, entry)
    reading.chain = reading.chain.after(entry)
    reading.run = predicate["run"]
    reading.lines.append(_line(predicate, kind))
    reading.records.append(Recorded(number, reading.last_index, kind, predicate))


def _in_the_log(reading: _Reading, number: int) -> None:
    """Check that exactly these bytes stand in the log, behind the record before."""
    index = _place(reading, number, (entry_name(number), proof_name(number)))
    if index <= reading.last_index:
        _refuse(number, entry_name(number), "the record stands in the log before the one that it follows here")
    reading.last_index = index


def _place(reading: _Reading, number: int | None, names: tuple[str, str]) -> int:
    """Return where in the log the bytes of a file stand, by its proof."""
    name, proven = names
    try:
        proof = parse_proof(reading.files[proven].decode())
    except (NoteError, UnicodeDecodeError) as error:
        _refuse(number, proven, f"the proof cannot be read: {error}")
    if proof.checkpoint != reading.note:
        _refuse(number, proven, "the proof is under another checkpoint")
    head, leaf = cast("Checkpoint", reading.checkpoint), leaf_hash(reading.files[name])
    if not inclusion_holds(leaf, proof.index, head.size, proof=proof.hashes, root=head.root):
        _refuse(number, name, "these bytes are not in the log at this place: altered, moved or made up")
    return proof.index


def _statement(number: int, name: str, entry: bytes) -> tuple[Predicate, str, list[Subject]]:
    """Check the form of a record."""
    try:
        statement = json.loads(entry, parse_constant=_no_constant)
        is_canonical = canonical(statement) == entry
    except (ValueError, RecursionError):
        _refuse(number, name, "the record is not JSON")
    if not is_canonical:
        _refuse(number, name, "the record is not canonical JSON")
    if not fits(statement, Statement):
        _refuse(number, name, "the record is not an in-toto statement of this evidence")
    kind = statement["predicateType"].removeprefix(PREDICATE_PREFIX).removesuffix("/v1")
    if statement["_type"] != STATEMENT_TYPE or statement["predicateType"] != f"{PREDICATE_PREFIX}{kind}/v1":
        _refuse(number, name, "the record's type is not known")
    if kind not in _PARTS:
        _refuse(number, name, f"a record of the kind {kind} is not known")
    parts = frozenset(statement["predicate"])
    if not _COMMON | _PARTS[kind] <= parts <= _COMMON | _PARTS[kind] | _OPTIONAL.get(kind, frozenset()):
        _refuse(number, name, f"the record does not have the parts of a record of the kind {kind}")
    return statement["predicate"], kind, statement["subject"]


def _order(reading: _Reading, predicate: Predicate) -> Iterator[str]:
    """Find what breaks the run's chain."""
    expected = reading.chain
    if reading.ended:
        yield "there is a record after the run's end"
    if predicate["sequence"] != expected.sequence:
        yield (
            f"the record says that it is number {predicate['sequence']}, not {expected.sequence}: "
            "a record was removed, added or moved"
        )
    if predicate["previous"] != expected.previous:
        yield "the record does not follow on the one before: one of them was replaced"
    if reading.run is not None and _identity(predicate["run"]) != _identity(reading.run):
        yield "the record is of another run"


def _identity(run: RunFacts) -> dict[str, Any]:
    """What never changes about a run; its agent's owner may."""
    return {name: value for name, value in run.items() if name != "owner"}


def _sense(reading: _Reading, predicate: Predicate, kind: str, subject: list[Subject]) -> Iterator[str]:
    """Find what does not fit what came before; takes the record's effect in."""
    if subject != [_subject(predicate, kind)]:
        yield "the record's subject is not what it is about"
    if kind in _EFFECTS and predicate["decision"]["effect"] != _EFFECTS[kind]:
        yield f"a record of the kind {kind} cannot rest on {predicate['decision']['effect']}"
    if kind in _EFFECTS and predicate["decision"]["pinnedBundle"] not in reading.bundles_in_force:
        yield "the decision rests on a bundle that no earlier record brought into force"
    if kind == "bundle":
        reading.bundles_in_force.add(predicate["bundle"])
    elif kind == "intent":
        reading.open_intents[predicate["sequence"]] = predicate["call"]
    elif kind == "outcome":
        yield from _outcome(reading, predicate)
    elif kind == "run-end":
        yield from _end(reading, predicate)


def _subject(predicate: Predicate, kind: str) -> Subject:
    """What the record must be about."""
    if kind == "bundle":
        return bundle_subject(predicate["bundle"])
    if kind == "run-end":
        return run_subject(predicate["run"])
    return call_subject(predicate["run"], predicate["call"])


def _outcome(reading: _Reading, predicate: Predicate) -> Iterator[str]:
    """Find what is wrong with an outcome's intent."""
    intent = predicate["intent"]
    if intent in reading.settled_intents:
        yield f"the intent {intent} has an outcome already"
    elif intent not in reading.open_intents:
        yield f"there is no intent {intent} before this outcome"
    elif reading.open_intents.pop(intent) != predicate["call"]:
        yield f"the outcome is of another call than its intent {intent}"
    reading.settled_intents.add(intent)


def _end(reading: _Reading, predicate: Predicate) -> Iterator[str]:
    """Find what is wrong with the end."""
    reading.ended = predicate["reason"]
    if predicate["records"] != predicate["sequence"] + 1:
        yield f"the end counts {predicate['records']} records, and it is number {predicate['sequence']}"
    if "recordedFrom" in predicate and predicate["sequence"] > 0:
        yield "a run whose work was done before has a record of something else than that"
    if reading.open_intents:
        yield f"the run ended, and the intent {min(reading.open_intents)} has no outcome"


def _bundles(reading: _Reading, number: int, entry: bytes) -> None:
    """Check that the bundles that the record names are here."""
    for digest in bundles_named(entry):
        name = bundle_name(digest)
        reading.bundles_named.add(name)
        reading.bundles_seen.add(digest)
        if name not in reading.files:
            _refuse(number, name, f"the record rests on the bundle {digest}, which is missing")
        if f"sha256:{sha256_hex(reading.files[name])}" != digest:
            _refuse(number, name, f"the bundle is not the one that the record rests on: altered, not {digest}")


def _acknowledgements(reading: _Reading) -> None:
    """Check that nothing was let through after an acknowledgement under what it had replaced."""
    found: list[Acknowledged] = []
    chains: dict[str, Chain] = {}
    reading.acknowledged = sum(
        name.startswith("acknowledgements/") and name.endswith(".json") for name in reading.files
    )
    for number in range(reading.acknowledged):
        names = acknowledgement_names(number)
        for name in names:
            if name not in reading.files:
                _refuse(None, name, "the file is missing")
        said = read_acknowledgement(reading.files[names[0]])
        if isinstance(said, str):
            _refuse(None, names[0], said)
        expected = chains.get(said["object"]["namespace"])
        if expected is not None and (said["sequence"], said["previous"]) != (expected.sequence, expected.previous):
            _refuse(None, names[0], "it does not follow on the acknowledgement before: one was removed or moved")
        chains[said["object"]["namespace"]] = Chain(said["sequence"]).after(reading.files[names[0]])
        found.append(Acknowledged(_place(reading, None, names), said))
    bundles = {digest: json.loads(reading.files[bundle_name(digest)]) for digest in reading.bundles_seen}
    for number, problem in breaches(found, reading.records, bundles):
        _refuse(number, entry_name(number), problem)


def _after_all(reading: _Reading) -> None:
    """Check that nothing is left over, and that nothing was cut off."""
    beside = {name for number in range(reading.acknowledged) for name in acknowledgement_names(number)}
    for name in sorted(reading.files):
        if name.startswith("bundles/") and name not in reading.bundles_named:
            _refuse(None, name, "no record names this bundle")
        if name.startswith("acknowledgements/") and name not in beside:
            _refuse(None, name, "the file belongs to no acknowledgement")
    run = cast("RunFacts", reading.run)
    about = {"namespace": run["namespace"], "name": run["name"], "uid": run["uid"]}
    if reading.files[INDEX] != index_file(about, reading.count, reading.acknowledged):
        said = _records_said(reading.files[INDEX])
        if said is not None and said > reading.count:
            _refuse(reading.count, INDEX, f"{said} records were exported and {reading.count} are here: the tail is cut")
        _refuse(None, INDEX, "the file does not describe the records that are here")


def _records_said(index: bytes) -> int | None:
    """Read how many records the export says that it has."""
    try:
        said = json.loads(index)["records"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return said if isinstance(said, int) else None


def _line(predicate: Predicate, kind: str) -> RecordLine:
    """Put a record into words."""
    call = predicate.get("call")
    decision = predicate.get("decision")
    return RecordLine(
        sequence=predicate["sequence"],
        time=predicate["time"],
        kind=kind,
        tool=f"{call['grant']}/{call['tool']}" if call else "",
        decision=decision["effect"] if decision else predicate.get("status", ""),
        reason=decision["reason"] if decision else predicate.get("reason", predicate.get("bundle", "")),
    )


def _no_constant(word: str) -> NoReturn:
    """Refuse NaN and infinities, which are not JSON."""
    raise ValueError(word)


def _refuse(record: int | None, file: str, problem: str) -> NoReturn:
    """End the reading with a fault."""
    raise _FaultError(Fault(record, file, problem))
