"""Acknowledgements as evidence: which state of an object is enforced from this place of the log on. Pure.

Nothing older is forwarded after one. That can be checked from the log alone, because each intent says what the gateway
had seen when it decided, and each outcome what the call was still allowed under when it was over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from remit.api.evidence import (
    ACKNOWLEDGEMENT,
    STATEMENT_TYPE,
    AcknowledgementPredicate,
    AcknowledgementStatement,
    ObjectFacts,
    Predicate,
    View,
    predicate_type,
)
from remit.core.digest import canonical
from remit.core.evidence import timestamp
from remit.core.shapes import fits
from remit.core.statements import Chain, object_subject

_OWNER: Final = "acknowledgements/"


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """One acknowledgement, and where it stands in the log."""

    index: int
    predicate: AcknowledgementPredicate


@dataclass(frozen=True, slots=True)
class Recorded:
    """One record of a run, and where it stands in the log."""

    number: int
    index: int
    kind: str
    predicate: Predicate


def owner_of(namespace: str) -> str:
    """Return what a namespace's acknowledgements are kept under in the log: no UID looks like it."""
    return f"{_OWNER}{namespace}"


def acknowledgement_entry(last: bytes | None, now: float, about: ObjectFacts, view: View) -> bytes:
    """Say which state of the object is enforced; `last` is the namespace's entry before. The bytes are final."""
    chain = chain_behind(last)
    predicate: AcknowledgementPredicate = {
        "sequence": chain.sequence,
        "time": timestamp(now),
        "previous": chain.previous,
        "object": about,
        "view": view,
    }
    statement: AcknowledgementStatement = {
        "_type": STATEMENT_TYPE,
        "subject": [object_subject(about)],
        "predicateType": predicate_type("acknowledgement"),
        "predicate": predicate,
    }
    return canonical(statement)


def chain_behind(last: bytes | None) -> Chain:
    """Return the place behind a namespace's newest acknowledgement."""
    if last is None:
        return Chain()
    return Chain(json.loads(last)["predicate"]["sequence"]).after(last)


def read_acknowledgement(entry: bytes) -> AcknowledgementPredicate | str:
    """Read an entry; a text says what is wrong with its form."""
    try:
        statement: Any = json.loads(entry)
    except (ValueError, RecursionError):
        return "the entry is not JSON"
    if not fits(statement, AcknowledgementStatement) or statement["_type"] != STATEMENT_TYPE:
        return "the entry has not the form of an acknowledgement"
    if statement["predicateType"] != predicate_type("acknowledgement") or canonical(statement) != entry:
        return f"the entry is no {ACKNOWLEDGEMENT} in canonical JSON"
    predicate: AcknowledgementPredicate = statement["predicate"]
    if statement["subject"] != [object_subject(predicate["object"])]:
        return "the entry's subject is not what it is about"
    return predicate


def breaches(
    acknowledged: Sequence[Acknowledged], records: Sequence[Recorded], bundles: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[int, str]]:
    """Find what was let through after an acknowledgement under what it had replaced: (record, what is wrong)."""
    for record in records:
        for entry in acknowledged:
            if entry.index < record.index:
                yield from ((record.number, problem) for problem in _breaches(entry, record, bundles))


def _breaches(entry: Acknowledged, record: Recorded, bundles: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    said = f"of {_named(entry.predicate['object'])}, acknowledged at {entry.index} of the log"
    if record.kind == "outcome" and record.predicate.get("status") == "ok":
        yield from _older(
            record.predicate.get("view"), entry.predicate, f"the call ended well under an older state {said}"
        )
    elif record.kind == "intent":
        decision = record.predicate["decision"]
        yield from _older(decision.get("view"), entry.predicate, f"the call was decided under an older state {said}")
        if _rests_on_older(bundles.get(decision["liveBundle"], {}), entry.predicate["object"]):
            yield f"the call rests on an older generation {said}"


def _older(view: View | None, entry: AcknowledgementPredicate, problem: str) -> Iterator[str]:
    """Compare what had been seen of the object's kind."""
    kind = entry["object"]["kind"]
    if view is None or view.get(kind, -1) < entry["view"].get(kind, 0):
        yield problem


def _rests_on_older(bundle: Mapping[str, Any], about: ObjectFacts) -> bool:
    """Tell whether a bundle is made of a state of the object that was replaced."""
    parts = [bundle.get("agent") or {}, *(bundle.get("grants") or ()), *(bundle.get("policies") or ())]
    for part in parts:
        ref = part.get("ref") or {}
        if ref.get("uid") == about["uid"] and (
            about["state"] == "Gone" or ref.get("generation", 0) < about["generation"]
        ):
            return True
    return False


def _named(about: ObjectFacts) -> str:
    return f"{about['kind']} {about['namespace']}/{about['name']}"
