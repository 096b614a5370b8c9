"""Every reason of a run is reached by a test on the fake cluster, and by one with a real apiserver or gateway.

A new reason without its two tests fails here; so does a row whose test is gone or does not speak of the reason.
"""

import ast
from pathlib import Path

import pytest

from remit.api.reasons import RunReason

TESTS = Path(__file__).parents[2]
UNIT, REAL = "unit", frozenset({"apiserver", "dataplane", "e2e"})
COURSE, ENDS = "apiserver/controller/test_controller.py", "unit/controller/test_run_ends.py"
CONTRACT, TOOLS = "dataplane/gateway/test_run_contract.py", "dataplane/gateway/test_tool_calls.py"
LIFE, RUNS = "apiserver/controller/test_run_lifecycle.py", "unit/controller/test_runs.py"
GIVEN = f"{RUNS}::test_the_gateways_word_is_the_runs_end"

REACHED: dict[RunReason, tuple[str, str]] = {
    RunReason.PENDING: (
        f"{RUNS}::test_a_run_waits_for_its_agent_and_starts_when_it_comes",
        f"{LIFE}::test_runs_take_turns_in_the_order_of_their_making",
    ),
    RunReason.STARTING: (
        f"{RUNS}::test_a_run_gets_its_pod_in_one_create_and_one_status",
        f"{COURSE}::test_a_node_without_room_is_said",
    ),
    RunReason.RUNNING: (
        "unit/controller/test_suspension.py::test_a_resumed_run_goes_on_where_its_pod_is",
        f"{COURSE}::test_a_run_gets_a_pod_that_runs_and_ends_by_the_gateways_word",
    ),
    RunReason.SUSPENDED: (
        "unit/controller/test_suspension.py::test_a_suspended_run_keeps_its_pod_and_says_so",
        f"{LIFE}::test_a_suspended_run_keeps_its_pod_and_goes_on_in_it",
    ),
    RunReason.SUCCEEDED: (
        f"{RUNS}::test_a_finished_run_stays_as_it_is",
        f"{COURSE}::test_a_run_gets_a_pod_that_runs_and_ends_by_the_gateways_word",
    ),
    RunReason.FAILED: (
        f"{ENDS}::test_a_pod_that_is_gone_fails_the_run",
        f"{COURSE}::test_a_pod_that_somebody_deletes_fails_the_run",
    ),
    RunReason.DENIED: (
        f"{RUNS}::test_what_is_not_allowed_is_denied_without_a_pod",
        f"{LIFE}::test_a_policy_that_asks_for_a_case_denies_a_run_without_one",
    ),
    RunReason.POLICY_VIOLATION: (GIVEN, f"{TOOLS}::test_too_many_refused_calls_end_the_run"),
    RunReason.BUDGET_EXHAUSTED: (GIVEN, f"{CONTRACT}::test_an_exhausted_budget_ends_in_a_hand_over_that_is_kept"),
    RunReason.DEADLINE_EXCEEDED: (
        f"{ENDS}::test_the_deadline_ends_a_run_and_takes_the_pod",
        f"{COURSE}::test_an_image_that_is_not_there_is_said_and_the_deadline_ends_it",
    ),
    RunReason.REVOKED: (
        f"{ENDS}::test_an_agent_taken_back_under_way_revokes_its_runs",
        f"{COURSE}::test_suspending_the_agent_revokes_the_run_and_kills_the_pod",
    ),
    RunReason.CANCELLED: (
        f"{ENDS}::test_terminated_ends_at_once_and_takes_the_pod",
        f"{COURSE}::test_a_stopped_run_is_cancelled_after_its_grace_and_terminated_at_once",
    ),
    RunReason.OUTCOME_UNKNOWN: (GIVEN, f"{TOOLS}::test_a_lost_answer_to_a_write_ends_the_run_and_names_the_call"),
}
ROWS = [(reason, test) for reason, tests in REACHED.items() for test in tests]


def words_of(test: str) -> set[str]:
    """Return every text that the named test, its parameters included, mentions; none where it is gone."""
    path, _, name = test.partition("::")
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse((TESTS / path).read_text())
    found = [node for node in tree.body if isinstance(node, functions) and node.name == name]
    nodes = [inner for node in found for inner in ast.walk(node)]
    return {str(node.value) for node in nodes if isinstance(node, ast.Constant)}


def test_every_reason_has_its_tests() -> None:
    assert set(REACHED) == set(RunReason)


def test_one_stands_on_the_fake_cluster_and_one_on_something_real() -> None:
    tiers = [(faked.partition("/")[0], real.partition("/")[0]) for faked, real in REACHED.values()]
    assert [pair for pair in tiers if pair[0] != UNIT or pair[1] not in REAL] == []


@pytest.mark.parametrize(("reason", "test"), ROWS)
def test_the_named_test_speaks_of_the_reason(reason: RunReason, test: str) -> None:
    assert str(reason) in words_of(test)
