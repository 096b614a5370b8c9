"""An auditor finds from evidence alone what was let through under a state that was acknowledged as replaced."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.support.evidence_facts import NOW, call_facts, decision_facts, run_facts
from tests.support.evidence_runs import HELD, RUN, SPENT, tree_root
from tests.support.memory_ledger import nodes_of, signer_for_tests

from remit.adapters.signing import ed25519_holds
from remit.api.evidence import ObjectFacts
from remit.core.acknowledgements import acknowledgement_entry, read_acknowledgement
from remit.core.budget import Amount
from remit.core.digest import canonical, digest_of
from remit.core.evidence import Chain, OutcomeStatus, Spot, bundle_entry, intent_entry, outcome_entry, run_end_entry
from remit.core.export import Proof, export_files
from remit.core.merkle import inclusion_proof, leaf_hash
from remit.core.verify import Report, verify

View = dict[str, int]
KEY = signer_for_tests().verifier


def document(generation: int) -> dict[str, Any]:
    grant = {"ref": {"namespace": "bank", "name": "core-banking", "uid": "grant-1", "generation": generation}}
    return {"version": "remit.dev/bundle/v1", "agent": {}, "grants": [grant], "policies": []}


BUNDLES = {digest_of(document(number)): canonical(document(number)) for number in (1, 2)}
FIRST, SECOND = BUNDLES
OLD, NEW = {"ToolGrant": 10, "Agent": 4}, {"ToolGrant": 20, "Agent": 4}


def grant(generation: int = 2, uid: str = "grant-1", **more: Any) -> ObjectFacts:
    about: ObjectFacts = {
        "kind": "ToolGrant",
        "namespace": "bank",
        "name": "core-banking",
        "uid": uid,
        "generation": generation,
        "state": "Enforced",
    }
    return {**about, **more}  # type: ignore[typeddict-item]


@dataclass
class Log:
    """A log that one run and the acknowledgements of its namespace are written into, in the order of the calls."""

    leaves: list[tuple[str, bytes]] = field(default_factory=list)
    chain: Chain = field(default_factory=Chain)
    last: bytes | None = None

    def record(self, make: Callable[[Spot], bytes]) -> Log:
        entry = make(Spot(self.chain, NOW, run_facts()))
        self.chain = self.chain.after(entry)
        self.leaves.append(("run", entry))
        return self

    def begin(self) -> Log:
        return self.record(lambda spot: bundle_entry(spot, FIRST))

    def intent(self, view: View | None = None, live: str = FIRST) -> Log:
        decision = {**decision_facts(), "pinnedBundle": FIRST, "liveBundle": live}
        decision |= {} if view is None else {"view": view}
        return self.record(lambda spot: intent_entry(spot, call_facts(), decision, HELD))  # type: ignore[arg-type]

    def outcome(self, view: View | None, status: OutcomeStatus = "ok", reason: str = "Allowed") -> Log:
        return self.record(
            lambda spot: outcome_entry(
                spot,
                call_facts(),
                intent=1,
                status=status,
                reason=reason,
                spent=SPENT,
                overrun=Amount(),
                view=view,
            )
        )

    def end(self) -> Log:
        return self.record(lambda spot: run_end_entry(spot, reason="Succeeded", spent=SPENT, overrun=Amount()))

    def acknowledge(self, about: ObjectFacts, view: View) -> Log:
        self.last = acknowledgement_entry(self.last, NOW, about, view)
        self.leaves.append(("acknowledgement", self.last))
        return self

    def files(self) -> dict[str, bytes]:
        leaves = [leaf_hash(entry) for _, entry in self.leaves]
        note = signer_for_tests().sign(len(leaves), tree_root(leaves))
        proven = [
            (owner, (entry, Proof(place, inclusion_proof(place, len(leaves), nodes_of(leaves)), note)))
            for place, (owner, entry) in enumerate(self.leaves)
        ]
        mine = [each for owner, each in proven if owner == "run"]
        beside = [each for owner, each in proven if owner == "acknowledgement"]
        named = {digest: body for digest, body in BUNDLES.items() if any(digest.encode() in each[0] for each in mine)}
        return export_files(RUN, note, mine, named, acknowledgements=beside)

    def checked(self) -> Report:
        return verify(self.files(), KEY, ed25519_holds)


GOOD: Mapping[str, Log] = {
    "nothing was taken back": Log().begin().intent(OLD).outcome(OLD).end(),
    "all was over before": Log().begin().intent(OLD).outcome(OLD).acknowledge(grant(), NEW).end(),
    "decided under the new state": Log().begin().acknowledge(grant(), NEW).intent(NEW, SECOND).outcome(NEW).end(),
    "still allowed when it ended": Log().begin().intent(OLD).acknowledge(grant(), NEW).outcome(NEW).end(),
    "cut, and over only then": (
        Log().begin().intent(OLD).acknowledge(grant(), NEW).outcome(None, "error", "GrantSuspended").end()
    ),
    "evidence from before there were acknowledgements": Log().begin().intent().outcome(None).end(),
    "another grant of the same generation is older": (
        Log().begin().acknowledge(grant(7, "grant-2"), NEW).intent(NEW, FIRST).outcome(NEW).end()
    ),
}


@pytest.mark.parametrize("log", GOOD.values(), ids=GOOD)
def test_what_is_in_order_is_good(log: Log) -> None:
    report = log.checked()
    assert report.fault is None
    assert report.acknowledged == sum(owner == "acknowledgement" for owner, _ in log.leaves)


BREACHES: Mapping[str, tuple[Log, str]] = {
    "decided by an older view": (
        Log().begin().acknowledge(grant(), NEW).intent(OLD, SECOND).outcome(NEW).end(),
        "decided under an older state of ToolGrant bank/core-banking",
    ),
    "decided without saying by what": (
        Log().begin().acknowledge(grant(), NEW).intent(None, SECOND).outcome(NEW).end(),
        "decided under an older state",
    ),
    "the bundle is made of the older generation": (
        Log().begin().acknowledge(grant(), NEW).intent(NEW, FIRST).outcome(NEW).end(),
        "rests on an older generation",
    ),
    "the bundle is made of what is gone": (
        Log().begin().acknowledge(grant(1, state="Gone"), NEW).intent(NEW, FIRST).outcome(NEW).end(),
        "rests on an older generation",
    ),
    "it ended well by an older view": (
        Log().begin().intent(OLD).acknowledge(grant(), NEW).outcome(OLD).end(),
        "ended well under an older state",
    ),
    "it ended well without saying by what": (
        Log().begin().intent(OLD).acknowledge(grant(), NEW).outcome(None).end(),
        "ended well under an older state",
    ),
    "acknowledged before the run began": (
        Log().acknowledge(grant(), NEW).begin().intent(OLD).outcome(OLD).end(),
        "decided under an older state",
    ),
}


@pytest.mark.parametrize(("log", "problem"), BREACHES.values(), ids=BREACHES)
def test_a_breach_is_found_with_its_record(log: Log, problem: str) -> None:
    fault = log.checked().fault
    assert fault is not None
    assert problem in fault.problem
    assert fault.record in {1, 2}


def many() -> dict[str, bytes]:
    log = Log().begin()
    for generation in (2, 3, 4):
        log.acknowledge(grant(generation), {"ToolGrant": 10 * generation})
    return log.end().files()


TAMPERED: Mapping[str, tuple[Callable[[dict[str, bytes]], Any], str]] = {
    "the last one is cut off": (
        lambda files: [files.pop(f"acknowledgements/0002.{end}") for end in ("json", "tlog-proof")],
        "does not describe the records",
    ),
    "one is missing": (lambda files: files.pop("acknowledgements/0001.tlog-proof"), "the file is missing"),
    "one is altered": (
        lambda files: files.update(
            {"acknowledgements/0001.json": files["acknowledgements/0001.json"].replace(b':3,"kind"', b':2,"kind"')}
        ),
        "subject is not what it is about",
    ),
    "one is moved": (
        lambda files: files.update(
            {f"acknowledgements/0001.{end}": files[f"acknowledgements/0002.{end}"] for end in ("json", "tlog-proof")}
        ),
        "does not follow",
    ),
    "one is not JSON": (lambda files: files.update({"acknowledgements/0001.json": b"{"}), "not JSON"),
    "one is something else": (
        lambda files: files.update({"acknowledgements/0001.json": files["entries/0000.json"]}),
        "form of an acknowledgement",
    ),
    "a proof is left over": (
        lambda files: files.update({"acknowledgements/0007.tlog-proof": files["acknowledgements/0001.tlog-proof"]}),
        "belongs to no acknowledgement",
    ),
}


@pytest.mark.parametrize(("tamper", "problem"), TAMPERED.values(), ids=TAMPERED)
def test_tampering_with_acknowledgements_shows(tamper: Callable[[dict[str, bytes]], Any], problem: str) -> None:
    files = many()
    tamper(files)
    fault = verify(files, KEY, ed25519_holds).fault
    assert fault is not None
    assert problem in fault.problem


@pytest.mark.parametrize(
    "change",
    [
        lambda statement: statement.update(predicateType="https://remit.dev/evidence/intent/v1"),
        lambda statement: statement.update(_type="another"),
        lambda statement: statement["predicate"].update(more=1),
    ],
    ids=["another kind", "another type", "a part too many"],
)
def test_an_acknowledgement_has_one_form(change: Callable[[dict[str, Any]], Any]) -> None:
    statement = json.loads(acknowledgement_entry(None, NOW, grant(), NEW))
    change(statement)
    assert isinstance(read_acknowledgement(canonical(statement)), str)
