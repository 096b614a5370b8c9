"""How a run ends when not by its own result: stop, deadline, authority taken back, a pod that failed or is gone."""

from typing import Any

import pytest
from tests.support.controlled import AGENT, POD, RUN, Controlled
from tests.support.fake_cluster import CrashedError, CrashPlan
from tests.support.objects import NAMESPACE, a_grant, a_run, an_agent
from tests.support.started import ended, started


async def test_terminated_ends_at_once_and_takes_the_pod() -> None:
    team = await started()
    await team.change(RUN, desired="Terminated")

    assert team.status()["reason"] == "Cancelled"
    assert not team.has(POD)


async def test_stopped_leaves_time_for_the_hand_over() -> None:
    team = await started()
    await team.change(RUN, desired="Stopped")
    assert team.status()["reason"] == "Running"
    assert team.condition(RUN, "Stopping")["status"] == "True"
    team.restart()
    await team.later(29)
    assert team.has(POD)

    await team.later(2)

    assert team.status()["reason"] == "Cancelled"
    assert not team.has(POD)


async def test_stopped_with_a_hand_over_ends_by_the_gateways_word() -> None:
    team = await started()
    await team.change(RUN, desired="Stopped")
    await team.say(RUN, outcome={"reason": "Cancelled", "message": "stopped; the partial result is kept"})

    assert team.condition(RUN, "Finished")["message"] == "stopped; the partial result is kept"
    assert team.condition(RUN, "Stopping") == {}


async def test_a_run_that_is_stopped_before_it_starts_is_cancelled() -> None:
    team = Controlled()
    await team.apply(a_run(desired="Stopped"))

    assert team.status()["reason"] == "Cancelled"


async def test_the_deadline_ends_a_run_and_takes_the_pod() -> None:
    team = await started(deadlineSeconds=100)
    await team.later(99)
    assert team.status()["reason"] == "Running"

    await team.later(1)

    assert team.status()["reason"] == "DeadlineExceeded"
    assert not team.has(POD)


@pytest.mark.parametrize("lifecycle", ["Suspended", "Retired", "Draft"])
async def test_an_agent_taken_back_under_way_revokes_its_runs(lifecycle: str) -> None:
    team = await started()
    await team.change(AGENT, lifecycle=lifecycle)

    assert team.status()["reason"] == "Revoked"
    assert not team.has(POD)


async def test_a_deleted_agent_revokes_its_runs_though_one_of_its_name_comes_back() -> None:
    team = await started()
    team.clock.seconds += 5
    team.cluster.remove(AGENT)
    await team.apply(an_agent())

    assert team.status()["reason"] == "Revoked"
    assert not team.has(POD)


async def test_losing_every_policy_revokes_the_runs() -> None:
    team = await started()
    await team.delete(("Policy", NAMESPACE, "rules"))

    assert team.status()["reason"] == "Revoked"
    assert "no Policy is for this agent" in team.condition(RUN, "Ready")["message"]


@pytest.mark.parametrize("change", [{"suspended": True}, {"notAfter": "2026-11-21T11:00:00Z"}])
async def test_the_models_grant_taken_back_revokes_the_run(change: dict[str, Any]) -> None:
    team = await started()
    await team.change(("ToolGrant", NAMESPACE, "provider"), **change)

    assert team.status()["reason"] == "Revoked"


async def test_a_tools_grant_taken_back_leaves_the_run_going() -> None:
    team = await started()
    tools = a_grant("core", upstream={"mcp": {"url": "http://core.example/mcp"}})
    tools["spec"]["tools"] = [{"name": "read", "risk": "ReadOnly", "inputSchema": {}, "constraints": []}]
    await team.apply(tools)
    await team.change(("ToolGrant", NAMESPACE, "core"), suspended=True)
    await team.delete(("ToolGrant", NAMESPACE, "core"))

    assert team.status()["reason"] == "Running"


async def test_a_pod_that_failed_fails_the_run_after_the_gateway_had_its_say() -> None:
    team = await started()
    await team.say(POD, **ended(137))
    assert team.status()["reason"] == "Running"

    await team.later(16)

    assert team.status()["reason"] == "Failed"
    assert "container harness ended with exit code 137" in team.condition(RUN, "Ready")["message"]


async def test_an_exit_code_of_nought_is_no_success() -> None:
    team = await started()
    await team.say(POD, **ended(0))
    await team.later(16)

    assert team.status()["reason"] == "Failed"
    assert "handed no result in" in team.condition(RUN, "Ready")["message"]


async def test_a_pod_that_ended_waits_for_a_gateway_that_is_starting() -> None:
    team = await started()
    await team.say(POD, **ended(0))
    await team.later(10)
    await team.say(RUN, outcome={"reason": "Succeeded", "message": "done"})

    assert team.status()["reason"] == "Succeeded"


async def test_a_pod_that_is_gone_fails_the_run() -> None:
    team = await started()
    await team.delete(POD)

    assert team.status()["reason"] == "Failed"
    assert "the pod is gone" in team.condition(RUN, "Ready")["message"]


async def test_a_deletion_that_no_watch_told_of_is_found_by_listing() -> None:
    team = await started()
    team.cluster.listeners.clear()
    team.cluster.remove(AGENT)
    await team.settle()
    assert team.status()["reason"] == "Running"

    team.controller.take("Agent", await team.cluster.list("remit.dev/v1alpha1", "Agent", ""), team.cluster.version)
    await team.settle()

    assert team.status()["reason"] == "Revoked"


async def test_a_pod_is_deleted_once() -> None:
    team = await started()
    await team.change(RUN, desired="Terminated")

    assert [write for write in team.cluster.writes if write.startswith("delete Pod")] == ["delete Pod dispute-1-1"]


async def test_a_pod_of_a_finished_run_that_a_crash_left_is_deleted() -> None:
    team = await started()
    team.cluster.crash = CrashPlan(len(team.cluster.writes) + 2)
    with pytest.raises(CrashedError):
        await team.change(RUN, desired="Terminated")
    assert team.status()["reason"] == "Cancelled"
    assert team.has(POD)

    team.cluster.crash = CrashPlan()
    team.restart()
    await team.settle()

    assert not team.has(POD)
