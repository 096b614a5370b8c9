"""What writing and checking evidence entries have in common. Pure.

Each run has a chain of its own inside the log: an entry says how many came before it and the SHA-256 of the one
right before, so that an entry taken out, put in or moved shows in the run's entries alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from remit.api.evidence import CallFacts, ObjectFacts, RunFacts, Subject, predicate_type
from remit.core.digest import canonical, sha256_hex


@dataclass(frozen=True, slots=True)
class Chain:
    """Where the run's next entry goes: how many there are, and the SHA-256 (hex) of the last."""

    sequence: int = 0
    previous: str = ""

    def after(self, entry: bytes) -> Chain:
        """Return the place behind an entry."""
        return Chain(self.sequence + 1, sha256_hex(entry))


def bundles_named(entry: bytes) -> tuple[str, ...]:
    """Return the digests (`sha256:HEX`) of the bundles that an entry rests on."""
    predicate = json.loads(entry).get("predicate", {})
    decision = predicate.get("decision", {})
    named = (predicate.get("bundle"), decision.get("pinnedBundle"), decision.get("liveBundle"))
    return tuple(digest for digest in named if digest)


def is_run_end(entry: bytes) -> bool:
    """Tell whether an entry is its run's last."""
    return bool(json.loads(entry)["predicateType"] == predicate_type("run-end"))


def bundle_subject(digest: str) -> Subject:
    """What a bundle entry is about."""
    return _subject(f"bundle/{digest}", digest)


def call_subject(run: RunFacts, call: CallFacts) -> Subject:
    """What an entry about a call is about: the call, by the digest of its arguments."""
    return _subject(f"call/{run['uid']}/{call['id']}", call["argumentsDigest"])


def run_subject(run: RunFacts) -> Subject:
    """What a run-end entry is about: the run, by the digest of its facts."""
    return _subject(f"run/{run['uid']}", sha256_hex(canonical(run)))


def object_subject(about: ObjectFacts) -> Subject:
    """What an acknowledgement is about: the object, by the digest of what is said of it."""
    return _subject(f"object/{about['uid']}", sha256_hex(canonical(about)))


def _subject(name: str, digest: str) -> Subject:
    """An in-toto resource descriptor."""
    return {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}
