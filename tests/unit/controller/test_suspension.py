"""A run that is suspended: its pod stays, none is made for it, and time goes on."""

import pytest
from tests.support.controlled import AGENT, POD, RUN, Controlled, a_team
from tests.support.objects import a_run
from tests.support.started import RUNNING, ended, started


async def test_a_suspended_run_keeps_its_pod_and_says_so() -> None:
    team = await started()
    uid = team.status()["pod"]["uid"]
    await team.change(RUN, desired="Suspended")

    assert team.status()["reason"] == "Suspended"
    assert team.condition(RUN, "Ready")["status"] == "Unknown"
    assert team.condition(RUN, "Reconciling")["status"] == "True"
    assert "its calls wait at the gateway" in team.condition(RUN, "Ready")["message"]
    assert team.cluster.objects[POD]["metadata"]["uid"] == uid


async def test_a_resumed_run_goes_on_where_its_pod_is() -> None:
    team = await started()
    await team.change(RUN, desired="Suspended")
    await team.change(RUN, desired="Running")

    assert team.status()["reason"] == "Running"
    assert [write for write in team.cluster.writes if "create Pod" in write] == ["create Pod dispute-1-1"]


async def test_a_run_that_is_suspended_before_it_starts_waits_without_a_pod() -> None:
    team = await a_team()
    await team.apply(a_run(desired="Suspended"))
    assert team.status()["reason"] == "Suspended"
    assert not team.has(POD)

    await team.change(RUN, desired="Running")

    assert team.status()["reason"] == "Starting"


async def test_a_suspension_stops_no_clock() -> None:
    team = await started(deadlineSeconds=100)
    await team.change(RUN, desired="Suspended")
    await team.later(101)

    assert team.status()["reason"] == "DeadlineExceeded"
    assert not team.has(POD)


async def test_the_pod_of_a_run_that_ended_while_suspended_goes_in_its_time() -> None:
    team = await started(ttlSecondsAfterFinished=60)
    await team.change(RUN, desired="Suspended")
    await team.say(POD, **ended(1))
    assert team.status()["reason"] == "Suspended"
    await team.later(16)
    assert team.status()["reason"] == "Failed"
    assert team.has(POD)

    await team.later(61)

    assert not team.has(POD)


@pytest.mark.parametrize(("desired", "reason"), [("Terminated", "Cancelled"), ("Stopped", "Running")])
async def test_a_suspended_run_can_be_ended(desired: str, reason: str) -> None:
    team = await started()
    await team.change(RUN, desired="Suspended")
    await team.change(RUN, desired=desired)

    assert team.status()["reason"] == reason


async def test_a_suspended_run_loses_its_authority_like_any_other() -> None:
    team = await started()
    await team.change(RUN, desired="Suspended")
    await team.change(AGENT, lifecycle="Suspended")

    assert team.status()["reason"] == "Revoked"


async def test_a_suspended_run_that_never_began_is_denied() -> None:
    team = await a_team()
    await team.apply(a_run(desired="Suspended"))
    await team.change(AGENT, lifecycle="Retired")

    assert team.status()["reason"] == "Denied"


async def test_a_controller_that_starts_anew_writes_nothing_about_a_suspended_run() -> None:
    team = await started()
    await team.change(RUN, desired="Suspended")
    before = len(team.cluster.writes)

    team.restart()
    await team.settle()

    assert team.cluster.writes[before:] == []


async def test_an_outcome_from_the_ledger_ends_a_run_without_any_pod() -> None:
    team = Controlled()
    await team.apply(a_run())
    outcome = {"reason": "Succeeded", "message": "recorded: done at noon", "recordedFrom": "uid-of-the-first"}
    await team.say(RUN, outcome=outcome)

    assert team.status()["reason"] == "Succeeded"
    assert "uid-of-the-first" in team.condition(RUN, "Succeeded")["message"]
    assert "recorded: done at noon" in team.condition(RUN, "Succeeded")["message"]


async def test_the_pod_of_a_run_that_shows_anothers_outcome_is_not_left() -> None:
    team = await a_team()
    await team.apply(a_run())
    assert team.has(POD)
    await team.say(RUN, outcome={"reason": "Succeeded", "message": "recorded", "recordedFrom": "uid-of-the-first"})

    assert team.status()["reason"] == "Succeeded"
    assert not team.has(POD)


async def test_a_suspended_run_whose_pod_is_late_to_start_stays_suspended() -> None:
    team = await a_team()
    await team.apply(a_run())
    await team.change(RUN, desired="Suspended")
    await team.say(POD, **RUNNING)

    assert team.status()["reason"] == "Suspended"
