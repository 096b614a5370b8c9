"""The run contract: input, step, result and hand-over, and what they leave in ledger and status."""

from typing import Any

import pytest
from tests.support.fake_authority import RUN_UID, a_policy, an_agent
from tests.support.gateway_process import Served, reason_of
from tests.support.governed import CHAT, a_chat, governed
from tests.support.polling import eventually_async

RESULT = "/run/v1/result"
GOOD = {"outcome": "Succeeded", "result": {"decision": "credit"}, "stop": "Answered"}


async def final_status(world: Served) -> Any:
    async def look() -> Any:
        return world.cluster.status_of("AgentRun", "run-1")

    return await eventually_async(look, lambda seen: "evidence" in seen, why="the run's last status")


async def test_the_input_says_what_the_run_is_about() -> None:
    async with governed() as (world, _):
        status, given = await world.get("/run/v1/input")
        assert status == 200
        assert given["version"] == "remit.dev/run/v1"
        assert given["run"] == {"namespace": "bank", "name": "run-1", "uid": RUN_UID, "attempt": 1}
        assert given["model"] == {"api": "OpenAI", "name": "scripted", "maxOutputTokens": 256}
        assert (given["purpose"], given["input"], given["case"]["id"]) == ("dispute", {"dispute": "D-1"}, "D-1")
        assert (given["instructions"], given["maxIterations"], given["step"]) == ("Resolve the dispute.", 20, 0)


async def test_a_step_is_kept_and_never_goes_back() -> None:
    async with governed() as (world, _):
        _, answer, headers = await world.post("/run/v1/step", {"step": 3})
        assert answer == {"desired": "Running", "budget": "ok"}
        assert headers["Remit-Budget"] == "ok"
        await world.post("/run/v1/step", {"step": 2})
        _, given = await world.get("/run/v1/input")
        assert given["step"] == 3


async def test_a_result_ends_the_run_with_evidence_and_status() -> None:
    async with governed() as (world, _):
        await world.call("credit", {"amount": 5}, "c1")
        status, answer, _ = await world.post(RESULT, GOOD)
        assert (status, answer) == (200, {"accepted": True, "reason": "Succeeded"})
        assert await world.kinds() == ["bundle", "intent", "outcome", "run-end"]
        told = await final_status(world)
        assert told["outcome"]["reason"] == "Succeeded"
        assert told["result"] == {"decision": "credit"}
        assert told["usage"] == {"costMicroUSD": 0, "tokens": 0, "toolCalls": 1, "refusedCalls": 0}
        assert told["evidence"]["records"] == 4
        assert told["evidence"]["logSize"] >= 4
        assert len([each for each in world.cluster.statuses if each["kind"] == "AgentRun"]) == 1


async def test_the_same_result_again_is_accepted_and_another_is_not() -> None:
    async with governed() as (world, _):
        await world.post(RESULT, GOOD)
        assert (await world.post(RESULT, GOOD))[1] == {"accepted": True, "reason": "Succeeded"}
        other = GOOD | {"result": {"decision": "refuse"}}
        assert (await world.post(RESULT, other))[1] == {"accepted": False, "reason": "Succeeded"}
        assert (await world.kinds()).count("run-end") == 1


async def test_the_same_result_is_accepted_also_when_the_controller_has_finished_the_run() -> None:
    async with governed() as (world, _):
        await world.post(RESULT, GOOD)
        world.cluster.set_status("AgentRun", "run-1", reason="Succeeded")
        answer = await eventually_async(lambda: world.post(RESULT, GOOD), lambda seen: seen[0] == 200)
        assert answer[1] == {"accepted": True, "reason": "Succeeded"}


async def test_an_agent_that_could_not_fails() -> None:
    async with governed() as (world, _):
        body = {"outcome": "Failed", "message": "no such account", "stop": "Answered"}
        assert (await world.post(RESULT, body))[1]["reason"] == "Failed"
        assert (await final_status(world))["outcome"] == {"reason": "Failed", "message": "no such account"}


async def test_a_result_that_fails_its_schema_is_refused_and_the_run_goes_on() -> None:
    schema = {"type": "object", "required": ["decision"], "properties": {"decision": {"enum": ["credit", "refuse"]}}}
    async with governed(an_agent(loop={"maxIterations": 5, "outputSchema": schema})) as (world, _):
        status, answer, _ = await world.post(RESULT, GOOD | {"result": {"decision": "maybe"}})
        assert (status, answer["error"]["reason"]) == (422, "ResultRefused")
        assert "decision" in answer["error"]["message"]
        assert (await world.post(RESULT, GOOD))[1]["accepted"] is True


async def test_success_without_a_result_is_refused() -> None:
    async with governed() as (world, _):
        status, answer, _ = await world.post(RESULT, {"outcome": "Succeeded", "stop": "Answered"})
        assert (status, answer["error"]["reason"]) == (422, "ResultRefused")


async def test_nothing_is_done_for_a_run_that_has_ended() -> None:
    async with governed() as (world, bank):
        await world.post(RESULT, GOOD)
        assert reason_of(await world.call("credit", {"amount": 5})) == "RunNotActive"
        assert (await world.post(CHAT, a_chat()))[1]["error"]["code"] == "RunNotActive"
        assert not bank.calls


async def test_a_run_that_was_asked_to_stop_may_hand_over_only() -> None:
    async with governed() as (world, _):
        world.cluster.change("AgentRun", "run-1", desired="Stopped")
        step = {"step": 1}
        await eventually_async(lambda: world.post("/run/v1/step", step), lambda seen: seen[1]["desired"] == "Stopped")
        assert reason_of(await world.call("look", {})) == "RunNotActive"
        status, _, _ = await world.post(CHAT, a_chat(), **{"Remit-Hand-Over": "true"})
        assert status == 200
        _, answer, _ = await world.post("/run/v1/hand-over", {"partial": {"done": 1}, "stop": "StopRequested"})
        assert answer == {"accepted": True, "reason": "Cancelled"}
        assert (await final_status(world))["partial"] == {"done": 1}


async def test_an_exhausted_budget_ends_in_a_hand_over_that_is_kept() -> None:
    async with governed(a_policy(toolCalls=1)) as (world, _):
        await world.call("look", {}, "c1")
        assert reason_of(await world.call("look", {}, "c2")) == "BudgetExhausted"
        _, answer, _ = await world.post("/run/v1/hand-over", {"partial": {"looked": 1}, "stop": "BudgetLow"})
        assert answer == {"accepted": True, "reason": "BudgetExhausted"}
        told = await final_status(world)
        assert told["outcome"]["reason"] == "BudgetExhausted"
        assert told["partial"] == {"looked": 1}


async def test_an_agent_that_never_hands_over_is_ended_after_its_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remit.gateway.sweeper.GRACE_SECONDS", 0.0)
    async with governed(a_policy(toolCalls=0)) as (world, _):
        assert reason_of(await world.call("look", {}, "c1")) == "BudgetExhausted"
        assert (await final_status(world))["outcome"]["reason"] == "BudgetExhausted"


async def test_a_wall_clock_that_is_over_ends_the_run_after_its_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remit.gateway.sweeper.GRACE_SECONDS", 0.0)
    async with governed(a_policy(wallClockSeconds=3)) as (world, _):
        await world.call("look", {}, "c1")
        told = await final_status(world)
        assert told["outcome"]["reason"] == "BudgetExhausted"
        assert "wall clock" in told["outcome"]["message"]


async def test_a_large_result_stands_in_the_status_by_digest() -> None:
    async with governed() as (world, _):
        await world.post(RESULT, GOOD | {"result": {"text": "x" * 20_000}})
        told = await final_status(world)
        assert told["result"]["digest"].startswith("sha256:")
        assert told["result"]["bytes"] > 20_000


@pytest.mark.parametrize("reason", ["Cancelled", "DeadlineExceeded", "Revoked", "Failed"])
async def test_an_end_that_the_controller_decides_closes_the_evidence(reason: str) -> None:
    async with governed() as (world, _):
        await world.call("look", {}, "c1")
        world.cluster.set_status("AgentRun", "run-1", reason=reason)
        told = await final_status(world)
        assert "outcome" not in told
        assert (await world.entries())[-1]["predicate"]["reason"] == reason
        assert told["evidence"]["records"] == 4


async def test_a_deleted_run_closes_its_evidence() -> None:
    async with governed() as (world, _):
        await world.call("look", {}, "c1")
        world.cluster.remove("AgentRun", "run-1")
        kinds = await eventually_async(world.kinds, lambda seen: seen[-1] == "run-end")
        assert kinds == ["bundle", "intent", "outcome", "run-end"]


async def test_a_status_that_is_not_accepted_is_written_later() -> None:
    async with governed() as (world, _):
        await world.call("look", {}, "c1")
        world.cluster.away = True
        await world.post(RESULT, GOOD)
        world.cluster.away = False
        assert (await final_status(world))["outcome"]["reason"] == "Succeeded"


BODIES = {
    "no JSON": b"{",
    "an unknown field": b'{"step": 1, "run": "other"}',
    "another type": b'{"step": "1"}',
    "a float": b'{"step": 1.5}',
    "a list": b"[]",
    "a negative step": b'{"step": -1}',
    "a name twice": b'{"step": 1, "step": 2}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_a_body_of_another_form_is_refused(body: bytes) -> None:
    async with governed() as (world, _):
        status, answer, _ = await world.post("/run/v1/step", body)
        assert (status, answer["error"]["reason"]) == (400, "Malformed")


async def test_a_hand_over_without_a_reason_that_the_gateway_knows_is_a_failure() -> None:
    async with governed() as (world, _):
        body = {"partial": {"done": 1}, "stop": "whatever"}
        assert (await world.post("/run/v1/hand-over", body))[1] == {"accepted": True, "reason": "Failed"}
        assert (await world.post("/run/v1/hand-over", body))[1] == {"accepted": True, "reason": "Failed"}
        told = await final_status(world)
        assert told["outcome"]["message"] == "the agent handed over before its end: another reason"


async def test_a_hand_over_after_the_last_turn_says_so() -> None:
    async with governed(an_agent(loop={"maxIterations": 1})) as (world, _):
        await world.post(CHAT, a_chat())
        body = {"partial": {}, "stop": "IterationsExhausted"}
        assert (await world.post("/run/v1/hand-over", body))[1]["reason"] == "BudgetExhausted"
        assert "1 model calls" in (await final_status(world))["outcome"]["message"]


@pytest.mark.parametrize("path", ["/run/v1/input", "/run/v1/step", RESULT, "/run/v1/hand-over"])
async def test_strangers_have_no_run(path: str) -> None:
    stranger = {"Authorization": "Bearer stolen"}
    async with governed() as (world, _):
        status = (await world.get(path, **stranger))[0] if path.endswith("input") else 0
        status = status or (await world.post(path, b"{", **stranger))[0]
        assert status == 401


async def test_an_outcome_of_another_name_is_refused() -> None:
    async with governed() as (world, _):
        status, answer, _ = await world.post(RESULT, GOOD | {"outcome": "Great"})
        assert (status, answer["error"]["reason"]) == (400, "Malformed")


async def test_a_step_of_a_run_that_has_ended_is_refused() -> None:
    async with governed() as (world, _):
        await world.post(RESULT, GOOD)
        status, answer, _ = await world.post("/run/v1/step", {"step": 9})
        assert (status, answer["error"]["reason"]) == (403, "RunNotActive")


@pytest.mark.parametrize(("case", "status"), [({"id": "D-1"}, 200), (None, 403)])
async def test_a_policy_that_asks_for_a_case_is_asked_again_at_the_gateway(case: Any, status: int) -> None:
    policy = a_policy()
    policy["spec"]["runs"] = {"case": "Required"}
    async with governed(policy) as (world, _):
        world.cluster.change("AgentRun", "run-1", case=case)
        found = await eventually_async(lambda: world.get("/run/v1/input"), lambda seen: seen[0] == status)
        assert status == 200 or found[1]["error"]["reason"] == "PolicyDenied"
