"""CEL behind its port: only the boolean true counts, and nothing of the call stands in a fault."""

import types
from typing import Any

import pytest

from remit.adapters.cel import NAMES, SAMPLE, CelEngine
from remit.ports import InvalidRuleError, RuleError

ENGINE = CelEngine()


def evaluated(expression: str, **variables: Any) -> bool:
    return ENGINE.compile(expression).evaluate({**SAMPLE, **variables})


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        pytest.param("", "1:1: Syntax error", id="empty"),
        pytest.param("amount >", "Syntax error", id="cut off"),
        pytest.param("true &&\n  nothing", "2:3: undeclared reference to 'nothing'", id="unknown name"),
        pytest.param("purpose.upper() == 'A'", "undeclared reference to 'upper'", id="unknown function"),
        pytest.param("purpose > 1", "found no matching overload", id="types that do not compare"),
        pytest.param("purpose", "must be a boolean, but is string", id="a string"),
        pytest.param("1", "must be a boolean, but is int", id="a number"),
        pytest.param("run.name", "must be a boolean", id="a field that is no boolean"),
        pytest.param("run.nmae == 'x'", "run has no field nmae", id="a misspelt field"),
        pytest.param("case.owner == 'x'", "case has no field owner", id="a field of another map"),
        pytest.param("arguments.a.matches('(')", "invalid regular expression", id="a pattern that is none"),
        pytest.param("matches(arguments.a, '[')", "invalid regular expression", id="as a function"),
        pytest.param("arguments.a.matches('(?=a)')", "invalid regular expression", id="look-around"),
        pytest.param("now < timestamp('soon')", "Timestamp", id="a time that is none"),
        pytest.param("now - now < duration('soon')", "Duration", id="a duration that is none"),
        pytest.param("true" + " && true" * 512, "longer than 4096", id="too long"),
        pytest.param("(" * 40 + "true" + ")" * 40, "recursion limit", id="too deep"),
    ],
)
def test_a_bad_expression_is_refused_with_its_place(expression: str, fault: str) -> None:
    with pytest.raises(InvalidRuleError) as caught:
        ENGINE.compile(expression)
    assert fault in str(caught.value)
    assert len(str(caught.value)) <= 400


@pytest.mark.parametrize(
    ("expression", "arguments", "cause"),
    [
        pytest.param("arguments.a == 1", {}, "a field that is not there", id="absent"),
        pytest.param("arguments.a", {"a": "yes"}, "not a boolean", id="a truthy text"),
        pytest.param("arguments.a", {"a": 1}, "not a boolean", id="a truthy number"),
        pytest.param("arguments.a", {"a": None}, "not a boolean", id="null"),
        pytest.param("arguments.a > 1", {"a": "planted"}, "does not fit the types", id="types"),
        pytest.param("arguments.a / 0 == 1", {"a": 1}, "division by zero", id="division"),
        pytest.param("arguments.a > 1", {"a": 2**70}, "too large", id="a huge number"),
        pytest.param("arguments.a + 1 > 1", {"a": 2**63 - 1}, "too large", id="overflow"),
        pytest.param("timestamp(arguments.a) < now", {"a": "planted"}, "error", id="a time of the agent's"),
        pytest.param("'a'.matches(arguments.a)", {"a": "(planted"}, "pattern", id="a pattern of the agent's"),
        pytest.param("arguments.a[5] == 1", {"a": [1]}, "", id="beyond a list"),
        pytest.param(
            "arguments.a.all(x, arguments.a.all(y, arguments.a.all(z, true)))",
            {"a": list(range(1000))},
            "too many steps",
            id="a bomb",
        ),
        pytest.param("arguments.a == 1", types.MappingProxyType({"a": 1}), "error", id="not plain data"),
    ],
)
def test_what_is_not_decided_is_an_error(expression: str, arguments: Any, cause: str) -> None:
    with pytest.raises(RuleError) as caught:
        evaluated(expression, arguments=arguments)
    assert cause in str(caught.value)
    assert "planted" not in str(caught.value)


def test_a_missing_variable_is_an_error() -> None:
    with pytest.raises(RuleError):
        ENGINE.compile("duplicate").evaluate({})


@pytest.mark.parametrize(
    ("expression", "variables"),
    [
        ("has(arguments.amount) && arguments.amount <= 100", {"arguments": {"amount": 99.5}}),
        ("arguments['from'] <= arguments.to", {"arguments": {"from": "2026-01-01", "to": "2026-02-01"}}),
        ("arguments.case.run == 1", {"arguments": {"case": {"run": 1}}}),
        ("requester.groups.exists(group, group == 'tellers')", {"requester": {"groups": ["tellers"]}}),
        ("tool == 'run.foo'", {"tool": "run.foo"}),
        ("arguments.a == null", {"arguments": {"a": None}}),
        ("arguments.a", {"arguments": {"a": True}}),
        ("true || arguments.absent", {}),
        ("agent.labels['team'] == 'disputes'", {"agent": {"labels": {"team": "disputes"}}}),
        ("size(arguments.list) == 3 && arguments.list[2].x == 'ü'", {"arguments": {"list": [1, 2.5, {"x": "ü"}]}}),
        ("now.getHours('UTC') == 0 && now < timestamp('2027-01-01T00:00:00Z')", {}),
    ],
)
def test_a_rule_says_true(expression: str, variables: dict[str, Any]) -> None:
    assert evaluated(expression, **variables) is True
    assert evaluated(f"!({expression})", **variables) is False


def test_a_sample_has_every_name() -> None:
    assert set(SAMPLE) == set(NAMES)


def test_the_same_text_is_compiled_once() -> None:
    assert ENGINE.compile("purpose == 'a'") is CelEngine().compile("purpose == 'a'")


def test_a_rule_looks_at_no_name_that_it_does_not_use() -> None:
    assert ENGINE.compile("step > 1 || 'run' == 'agent'").evaluate({"step": 2}) is True
