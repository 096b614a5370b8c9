"""The loop ends for a reason of its own each time, and hands over what it has."""

import json

import pytest
from tests.support.fake_gateway import ScriptedGateway, an_order, calls, refuses, says

from remit.api import wire
from remit.api.reasons import StopReason
from remit.harness.client import Answer
from remit.harness.dialects import OpenAiDialect
from remit.harness.loop import work


def test_an_answer_without_tool_calls_is_handed_in_as_the_result() -> None:
    gateway = ScriptedGateway(an_order(), [says('{"credited": 100}')])
    assert work(gateway) is StopReason.ANSWERED
    assert gateway.bodies(wire.RESULT_PATH) == [
        {"outcome": "Succeeded", "result": {"credited": 100}, "stop": "Answered"}
    ]


def test_plain_text_becomes_a_result_with_a_text() -> None:
    gateway = ScriptedGateway(an_order(), [says("Done.")])
    work(gateway)
    assert gateway.bodies(wire.RESULT_PATH)[0]["result"] == {"text": "Done."}


def test_an_answer_that_is_only_an_error_is_the_agents_word_that_it_could_not() -> None:
    gateway = ScriptedGateway(an_order(), [says('{"error": {"reason": "NoProgress"}}')])
    work(gateway)
    report = gateway.bodies(wire.RESULT_PATH)[0]
    assert (report["outcome"], report["message"]) == ("Failed", '{"reason": "NoProgress"}')


def test_a_tool_call_goes_through_mcp_with_an_id_of_its_own_and_its_answer_comes_back() -> None:
    gateway = ScriptedGateway(an_order(), [calls("look", '{"at": "A-1"}'), says("Done.")])
    work(gateway)
    call = gateway.bodies(wire.MCP_PATH)[1]["params"]
    assert (call["name"], call["arguments"], call["_meta"][wire.META_CALL_ID]) == (
        "look",
        {"at": "A-1"},
        "turn-1.0.c1",
    )
    told = gateway.bodies(OpenAiDialect.path)[1]["messages"][-1]
    assert told == {"role": "tool", "tool_call_id": "c1", "content": '{"found": 1}'}


def test_arguments_that_are_no_json_come_back_to_the_model_and_go_nowhere_else() -> None:
    gateway = ScriptedGateway(an_order(), [calls("look", "{"), says("Done.")])
    work(gateway)
    assert [body["method"] for body in gateway.bodies(wire.MCP_PATH)] == ["tools/list"]
    assert "InvalidArguments" in gateway.bodies(OpenAiDialect.path)[1]["messages"][-1]["content"]


def test_a_model_call_that_the_budget_refuses_leads_to_a_ring_fenced_hand_over() -> None:
    gateway = ScriptedGateway(an_order(), [calls("look", "{}"), refuses("BudgetExhausted"), says("Half done.")])
    assert work(gateway) is StopReason.BUDGET_LOW
    assert gateway.sent[-2][2][wire.HEADER_HANDOVER] == "true"
    assert gateway.bodies(wire.HANDOVER_PATH) == [{"partial": {"summary": "Half done."}, "stop": "BudgetLow"}]


def test_without_a_summary_the_last_thing_said_is_handed_over() -> None:
    talk = calls("look", "{}")
    talk["choices"][0]["message"]["content"] = "Looking."
    gateway = ScriptedGateway(an_order(), [talk, refuses("BudgetExhausted"), refuses("HandedOver")])
    work(gateway)
    assert gateway.bodies(wire.HANDOVER_PATH)[0]["partial"] == {"summary": "Looking."}


def test_a_stop_is_noticed_at_the_next_turn() -> None:
    gateway = ScriptedGateway(an_order(), [says("Half done.")])
    gateway.answers[wire.STEP_PATH] = [Answer(200, {}, b'{"desired": "Stopped", "budget": "ok"}')]
    assert work(gateway) is StopReason.STOP_REQUESTED
    assert gateway.bodies(wire.HANDOVER_PATH)[0]["stop"] == "StopRequested"


def test_too_many_turns_end_in_a_hand_over() -> None:
    gateway = ScriptedGateway(an_order(maxIterations=2), [calls("look", "{}"), calls("look", "{}"), says("So far.")])
    assert work(gateway) is StopReason.ITERATIONS


def test_a_refused_result_is_told_to_the_model_and_it_may_try_again() -> None:
    gateway = ScriptedGateway(an_order(), [says("Done."), says('{"ok": true}')])
    gateway.answers[wire.RESULT_PATH] = [refuses("ResultRefused", "'ok' is required")]
    assert work(gateway) is StopReason.ANSWERED
    assert "'ok' is required" in gateway.bodies(OpenAiDialect.path)[1]["messages"][-1]["content"]


@pytest.mark.parametrize("reply", [refuses("PolicyDenied"), {"choices": []}, {"answer": 1}])
def test_a_model_that_refuses_or_answers_garbage_fails_the_run(reply: Answer | dict[str, object]) -> None:
    gateway = ScriptedGateway(an_order(), [reply])
    assert work(gateway) is StopReason.REFUSED
    assert gateway.bodies(wire.RESULT_PATH)[0]["outcome"] == "Failed"


@pytest.mark.parametrize("reason", ["RunNotActive", "RunAlreadyExecuted"])
def test_a_run_that_is_over_at_the_gateway_needs_no_telling(reason: str) -> None:
    gateway = ScriptedGateway(an_order(), [refuses(reason)])
    gateway.answers[wire.RESULT_PATH] = [refuses(reason)]
    assert work(gateway) is StopReason.REFUSED


def test_a_pod_that_starts_again_goes_on_after_the_last_known_step() -> None:
    gateway = ScriptedGateway(an_order(step=3), [says("Done.")])
    work(gateway)
    assert gateway.bodies(wire.STEP_PATH) == [{"step": 4}]


def test_the_output_schema_is_told_with_the_instructions() -> None:
    schema = {"type": "object", "required": ["ok"]}
    gateway = ScriptedGateway(an_order(outputSchema=schema), [says('{"ok": true}')])
    work(gateway)
    assert json.dumps(schema, sort_keys=True) in gateway.bodies(OpenAiDialect.path)[0]["messages"][0]["content"]


def test_the_anthropic_dialect_carries_the_same_turn() -> None:
    model = {"api": "Anthropic", "name": "m", "maxOutputTokens": 100}
    use = {"content": [{"type": "tool_use", "id": "t1", "name": "look", "input": {"at": "A-1"}}]}
    gateway = ScriptedGateway(an_order(model=model), [use, {"content": [{"type": "text", "text": "Done."}]}])
    assert work(gateway) is StopReason.ANSWERED
    told = gateway.bodies(wire.ANTHROPIC_BASE_PATH + "/v1/messages")[1]["messages"][-1]
    assert told["content"][0] == {
        "type": "tool_result",
        "tool_use_id": "t1",
        "content": '{"found": 1}',
        "is_error": False,
    }
