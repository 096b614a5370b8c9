"""Holds what happened against the example's expect.yaml: the bank's books, the status, the evidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from remit.cli.demo.records import Call, calls_of
from remit.cli.demo.stage import Stage, condition, expect


def expectation(stage: Stage, run: str) -> dict[str, Any]:
    """Return what the example says of a run."""
    found: dict[str, Any] = yaml.safe_load((stage.example / "expect.yaml").read_text())["runs"][run]
    return found


def check_run(stage: Stage, run: str, status: Mapping[str, Any]) -> None:
    """Compare a finished run with what the example says; raises SceneError at the first difference."""
    wanted = expectation(stage, run)
    check_status(run, wanted["status"], status)
    check_bank(run, wanted["bank"], stage.bank_effects(wanted["account"]))
    check_evidence(run, wanted["evidence"], calls_of(stage, run))


def check_status(run: str, wanted: Mapping[str, Any], status: Mapping[str, Any]) -> None:
    """Compare reason, conditions and results."""
    expect(status["reason"] == wanted["reason"], f"{run} ended as {status['reason']}, not {wanted['reason']}: {status}")
    for kind, value in wanted["conditions"].items():
        seen = condition(status, kind) or "False"
        expect(seen == value, f"{run}: condition {kind} is {seen}, not {value}")
    for part in ("result", "partial"):
        if part in wanted:
            expect(contains(status.get(part), wanted[part]), f"{run}: {part} is {status.get(part)}")


def check_bank(run: str, wanted: Mapping[str, Any], books: Mapping[str, Any]) -> None:
    """Compare the rows of each table: what is listed is all there is."""
    for table, rows in wanted.items():
        seen = books[table]
        same = len(seen) == len(rows) and all(map(contains, seen, rows))
        expect(same, f"{run}: the bank's {table} are {seen}, not {rows}")


def check_evidence(run: str, wanted: Mapping[str, Any], calls: list[Call]) -> None:
    """Compare the recorded calls with the expected ones, in their order."""
    tools = [call for call in calls if call.kind == "tool"]
    if "tool_calls" in wanted:
        seen = [call.as_expected() for call in tools]
        same = len(seen) == len(wanted["tool_calls"]) and all(map(contains, seen, wanted["tool_calls"]))
        expect(same, f"{run}: the evidence has the tool calls {seen}")
    if "model_calls" in wanted:
        count = len([call for call in calls if call.kind == "model"])
        expect(count == wanted["model_calls"], f"{run}: the evidence has {count} model calls")
    if "only_tool" in wanted:
        expect({call.tool for call in tools} == {wanted["only_tool"]}, f"{run}: other tools were called: {tools}")
        expect(len(tools) >= wanted["at_least"], f"{run}: only {len(tools)} calls")


def contains(seen: object, wanted: object) -> bool:
    """Tell whether `seen` has all that `wanted` names; what is not named may be anything."""
    if isinstance(wanted, Mapping):
        return isinstance(seen, Mapping) and all(contains(seen.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, Iterable) and not isinstance(wanted, str):
        return isinstance(seen, list) and len(seen) == len(list(wanted)) and all(map(contains, seen, wanted))
    return seen == wanted
