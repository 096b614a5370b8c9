"""Entries: their bytes are RFC 8785 whatever the facts say, judged by an implementation that is not ours."""

from __future__ import annotations

import json

import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from tests.support.evidence_facts import call_facts, decision_facts, run_facts

from remit.api.evidence import CallFacts, RunFacts
from remit.core.budget import Amount
from remit.core.evidence import Chain, Spot, denial_entry, intent_entry, outcome_entry, run_end_entry, shown, timestamp

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
counts = st.integers(0, 2**53 - 1)
amounts = st.builds(Amount, counts, counts, counts)


@st.composite
def runs(draw: st.DrawFn) -> RunFacts:
    facts = run_facts()
    facts["owner"] = draw(texts)
    facts["requester"] = {"username": draw(texts), "uid": draw(texts), "groups": draw(st.lists(texts, max_size=3))}
    if draw(st.booleans()):
        del facts["case"]
    return facts


@st.composite
def spots(draw: st.DrawFn) -> Spot:
    chain = Chain(draw(st.integers(0, 2**53 - 2)), "ab" * 32)
    return Spot(chain, draw(st.floats(0, 4e9)), draw(runs()))


@st.composite
def calls(draw: st.DrawFn) -> CallFacts:
    return call_facts(shown(draw(st.text(max_size=300))), shown(draw(st.text(max_size=300))))


@given(spot=spots(), call=calls(), amount=amounts, message=texts)
def test_every_entry_is_canonical(spot: Spot, call: CallFacts, amount: Amount, message: str) -> None:
    decision = decision_facts()
    decision["message"] = message
    entries = (
        intent_entry(spot, call, decision, amount),
        denial_entry(spot, call, decision),
        outcome_entry(spot, call, intent=3, status="ok", reason=message, spent=amount, overrun=amount),
        run_end_entry(spot, reason="Failed", spent=amount, overrun=amount, result_digest="ab"),
    )
    for entry in entries:
        assert rfc8785.dumps(json.loads(entry)) == entry


@given(earlier=st.floats(0, 4e9), later=st.floats(0, 4e9))
def test_times_sort_as_texts(earlier: float, later: float) -> None:
    first, second = sorted((earlier, later))
    assert timestamp(first) <= timestamp(second)
