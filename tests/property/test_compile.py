"""Canonical bytes and compiled bundles, for any values."""

import json
from typing import Any

import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from tests.support.bundles import (
    a_bundle,
    a_grant,
    a_model_grant,
    a_policy,
    a_rule,
    a_tool,
    compiled,
)

from remit.adapters.cel import CelEngine
from remit.adapters.schemas import JsonSchemaEngine
from remit.core.compile import load_bundle
from remit.core.digest import canonical
from remit.core.prepare import CompiledBundle

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
NUMBERS = st.one_of(
    st.integers(-(2**53) + 1, 2**53 - 1),
    st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: not 2**53 <= abs(x) < 1e21),
    st.floats(-100, 100, width=32),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)),
    max_leaves=20,
)
NAMES = st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True)
GRANT_NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?(\.[a-z0-9]{1,10})?", fullmatch=True)


@given(VALUES)
def test_the_fast_path_writes_what_the_standard_says(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@given(VALUES)
def test_canonical_bytes_are_read_back_and_written_the_same(value: Any) -> None:
    assert canonical(json.loads(canonical(value))) == canonical(value)


@given(st.dictionaries(GRANT_NAMES, st.lists(NAMES, min_size=1, max_size=5, unique=True), min_size=1, max_size=4))
def test_every_tool_has_one_name_for_the_agent(grants: dict[str, list[str]]) -> None:
    written = [a_grant(name, *(a_tool(tool) for tool in tools)) for name, tools in grants.items() if name != "provider"]
    bundle = a_bundle(None, [*written, a_model_grant()])
    expected = {(name, tool) for name, tools in grants.items() if name != "provider" for tool in tools}
    assert {(entry.grant.ref.name, entry.name) for entry in bundle.shown.values()} == expected
    assert all(0 < len(name) <= 64 for name in bundle.shown)


@given(st.permutations([a_grant("a"), a_grant("b"), a_grant("c"), a_model_grant()]))
def test_a_bundle_does_not_depend_on_the_order_of_events(grants: Any) -> None:
    bundle = a_bundle(None, grants, [a_policy(a_rule())])
    assert bundle.digest == a_bundle(None, sorted(grants, key=lambda g: g["metadata"]["name"])).digest


@given(VALUES)
def test_a_bundle_is_read_back_as_it_was(schema_note: Any) -> None:
    schema = {"type": "object", "default": schema_note}
    outcome = compiled(None, [a_grant("core", a_tool(inputSchema=schema)), a_model_grant()])
    assert isinstance(outcome, CompiledBundle)
    again = load_bundle(json.loads(outcome.document), rules=CelEngine(), schemas=JsonSchemaEngine())
    assert isinstance(again, CompiledBundle)
    assert again.document == outcome.document
