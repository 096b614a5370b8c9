"""What the sides of a benchmark are made of: a bare pod, a Job, an estate, and the moment that a run is measured by."""

from pathlib import Path
from typing import Any

import pytest
from benchmarks.api_writes import is_complete
from benchmarks.cold_start import bare_pod, first_tool_intent
from benchmarks.estate import AGENT, Estate, estate, token_of
from benchmarks.gateway_cpu import MARK, chat_completion, tools_call
from benchmarks.processes import BenchmarkError, output_of

from remit.adapters.cel import CelEngine
from remit.adapters.schemas import JsonSchemaEngine

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "01-bank-dispute"


def an_entry(kind: str, time: str, call: str = "tool") -> dict[str, Any]:
    predicate = {"time": f"2026-11-21T13:00:{time}Z", "call": {"kind": call}}
    return {"predicateType": f"https://remit.dev/evidence/{kind}/v1", "predicate": predicate}


def test_a_run_is_measured_by_its_first_intent_of_a_tools_call() -> None:
    found = [
        an_entry("bundle", "01.000"),
        an_entry("intent", "02.000", "model"),
        an_entry("outcome", "03.000"),
        an_entry("intent", "04.250"),
        an_entry("intent", "05.000"),
    ]
    assert first_tool_intent(found) % 60 == pytest.approx(4.25)


def test_a_run_without_a_tools_call_is_not_measured() -> None:
    with pytest.raises(BenchmarkError):
        first_tool_intent([an_entry("intent", "02.000", "model")])


def test_a_bare_pod_differs_from_a_runs_only_in_account_node_and_whom_it_calls() -> None:
    container: dict[str, Any] = {
        "name": "harness",
        "image": "i",
        "env": [{"name": "REMIT_GATEWAY_URL", "value": "http://gateway"}],
    }
    spec = {
        "nodeName": "node-0",
        "serviceAccount": "a",
        "serviceAccountName": "a",
        "dnsPolicy": "None",
        "containers": [container],
    }
    made = bare_pod("bare", spec, "http://host/bare")["spec"]
    assert made == {
        "serviceAccountName": "default",
        "dnsPolicy": "None",
        "containers": [{**container, "env": [{"name": "REMIT_GATEWAY_URL", "value": "http://host/bare"}]}],
    }
    assert container["env"][0]["value"] == "http://gateway"


@pytest.mark.parametrize(
    ("conditions", "complete"),
    [([], False), ([{"type": "Complete", "status": "False"}], False), ([{"type": "Complete", "status": "True"}], True)],
    ids=["none", "not yet", "complete"],
)
def test_a_job_is_complete_when_it_says_so(conditions: list[dict[str, str]], *, complete: bool) -> None:
    assert is_complete({"status": {"conditions": conditions}}) is complete


@pytest.fixture(scope="module")
def granted() -> Estate:
    return estate(EXAMPLE, "127.0.0.1:9", 2, (CelEngine(), JsonSchemaEngine()))


def test_the_estate_is_one_agent_with_its_runs(granted: Estate) -> None:
    assert [each["metadata"]["name"] for each in granted.by_kind["Agent"]] == [AGENT]
    assert len(granted.by_kind["AgentRun"]) == len(granted.by_kind["Pod"]) == 2
    assert granted.secrets


def test_a_token_speaks_for_its_runs_pod(granted: Estate) -> None:
    status = granted.review(token_of(1))
    assert status["authenticated"] is True
    assert "pod-uid-1" in str(status["user"]["extra"])
    assert granted.review("another-1")["authenticated"] is False


def test_every_call_has_an_id_of_its_own_on_both_operations() -> None:
    for operation in (tools_call(), chat_completion()):
        assert MARK in operation.body or any(MARK in value for value in operation.headers.values())


def test_a_program_that_fails_or_hangs_ends_the_benchmark() -> None:
    assert output_of(["echo", "hello"], seconds=5) == "hello\n"
    with pytest.raises(BenchmarkError, match="failed"):
        output_of(["false"], seconds=5)
    with pytest.raises(BenchmarkError, match="longer"):
        output_of(["sleep", "60"], seconds=0.05)
