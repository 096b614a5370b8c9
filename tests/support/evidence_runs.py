"""Whole runs of evidence and their exports, for tests of the verifier: made without a ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from tests.support.evidence_facts import BUNDLE, BUNDLE_DIGEST, NOW, call_facts, decision_facts, run_facts
from tests.support.memory_ledger import nodes_of, signer_for_tests

from remit.adapters.signing import CheckpointSigner
from remit.core.budget import Amount
from remit.core.evidence import (
    Chain,
    Spot,
    bundle_entry,
    denial_entry,
    intent_entry,
    outcome_entry,
    run_end_entry,
)
from remit.core.export import Proof, export_files
from remit.core.merkle import inclusion_proof, leaf_hash

RUN = {"namespace": "bank", "name": "dispute-run-1", "uid": "run-1"}
HELD = Amount(tokens=9, tool_calls=1, cost_micro_usd=400)
SPENT = Amount(tokens=7, tool_calls=1, cost_micro_usd=390)


@dataclass
class Story:
    """A run's records, told one after the other."""

    uid: str = "run-1"
    entries: list[bytes] = field(default_factory=list)
    chain: Chain = field(default_factory=Chain)

    def add(self, make: Callable[[Spot], bytes]) -> Story:
        """Make an entry at the story's end."""
        return self.raw(make(Spot(self.chain, NOW + len(self.entries), run_facts(self.uid))))

    def raw(self, entry: bytes) -> Story:
        """Take bytes as they are."""
        self.entries.append(entry)
        self.chain = self.chain.after(entry)
        return self

    def bundle(self) -> Story:
        """Bring the one bundle into force."""
        return self.add(lambda spot: bundle_entry(spot, BUNDLE_DIGEST))

    def intent(self, call: str = "call-1") -> Story:
        """Intend a call."""
        return self.add(lambda spot: intent_entry(spot, call_facts(call), decision_facts(), HELD))

    def outcome(self, intent: int, call: str = "call-1") -> Story:
        """Say what came of it."""
        return self.add(
            lambda spot: outcome_entry(
                spot,
                call_facts(call),
                intent=intent,
                status="ok",
                reason="Allowed",
                spent=SPENT,
                overrun=Amount(),
                result_digest="ab" * 32,
            )
        )

    def denial(self, call: str = "call-1") -> Story:
        """Refuse a call."""
        return self.add(lambda spot: denial_entry(spot, call_facts(call), decision_facts("Deny")))

    def end(self) -> Story:
        """End the run."""
        return self.add(lambda spot: run_end_entry(spot, reason="Succeeded", spent=SPENT, overrun=Amount()))

    def calls(self, count: int) -> Story:
        """Intend and finish calls."""
        for number in range(count):
            name = f"call-{number}"
            self.intent(name).outcome(len(self.entries) - 1, name)
        return self


def good_story(calls: int = 3) -> Story:
    """A run as it should be: bundle, calls, a refusal, end."""
    return Story().bundle().calls(calls).denial("call-x").end()


def exported(
    entries: Sequence[bytes],
    *,
    before: int = 3,
    between: int = 1,
    signer: CheckpointSigner | None = None,
    bundles: Mapping[str, bytes] | None = None,
) -> dict[str, bytes]:
    """Return an export of the entries out of a log that holds others before, between and after them."""
    leaves = [leaf_hash(b"other %d" % number) for number in range(before)]
    places = []
    for entry in entries:
        places.append(len(leaves))
        leaves.append(leaf_hash(entry))
        leaves += [leaf_hash(b"next to %d" % len(leaves)) for _ in range(between)]
    nodes = nodes_of(leaves)
    note = (signer or signer_for_tests()).sign(len(leaves), tree_root(leaves))
    records = [
        (entry, Proof(place, inclusion_proof(place, len(leaves), nodes), note))
        for entry, place in zip(entries, places, strict=True)
    ]
    return export_files(RUN, note, records, {BUNDLE_DIGEST: BUNDLE} if bundles is None else bundles)


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes, by the definition of RFC 6962 §2.1."""
    if len(leaves) <= 1:
        return leaves[0] if leaves else sha256(b"").digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + tree_root(leaves[:split]) + tree_root(leaves[split:])).digest()
