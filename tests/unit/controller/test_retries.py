"""Another pod when the infrastructure failed one: after a pause, under another name, as often as the run allows."""

import pytest
from tests.support.controlled import AGENT, POD, RUN, Controlled
from tests.support.fake_cluster import CrashedError, CrashPlan, Place
from tests.support.objects import NAMESPACE
from tests.support.started import ended, started

from remit.ports import ClusterError

SECOND: Place = ("Pod", NAMESPACE, "dispute-1-1-r1")
THIRD: Place = ("Pod", NAMESPACE, "dispute-1-1-r2")


async def with_retries(limit: int = 2, backoff: int = 10, **spec: object) -> Controlled:
    return await started(retry={"limit": limit, "backoffSeconds": backoff}, **spec)


async def test_a_pod_that_is_gone_is_tried_again_after_a_pause() -> None:
    team = await with_retries()
    first = team.status()["pod"]
    await team.delete(POD)

    assert team.status()["reason"] == "Pending"
    assert "pod" not in team.status()
    assert team.status()["tries"][0]["pod"] == first
    assert "try 2 of 3 after 10 s" in team.condition(RUN, "Ready")["message"]
    await team.later(9)
    assert not team.has(SECOND)

    await team.later(1)

    assert team.has(SECOND)
    assert team.status()["reason"] == "Starting"
    assert team.status()["pod"]["uid"] != first["uid"]


async def test_the_pause_doubles_and_the_tries_end() -> None:
    team = await with_retries(limit=2)
    started_at = team.status()["startedAt"]
    await team.delete(POD)
    await team.later(10)
    await team.delete(SECOND)
    await team.later(19)
    assert not team.has(THIRD)
    await team.later(1)
    assert team.has(THIRD)
    await team.delete(THIRD)

    assert team.status()["reason"] == "Failed"
    assert "try 3 of 3" in team.condition(RUN, "Ready")["message"]
    assert len(team.status()["tries"]) == 2
    assert team.status()["startedAt"] == started_at


@pytest.mark.parametrize("seconds", [0, 10])
async def test_a_pod_that_failed_is_tried_again_once_the_gateway_had_its_say(seconds: int) -> None:
    team = await with_retries()
    await team.say(POD, **ended(137))
    await team.later(seconds)
    assert team.status()["reason"] == "Running"

    await team.later(16)
    assert team.status()["reason"] == "Pending"
    await team.later(11)

    assert team.status()["reason"] == "Starting"
    assert team.has(POD), "kept for its logs until the run's time is over"


async def test_what_an_agent_did_of_its_own_will_is_not_tried_again() -> None:
    team = await with_retries()
    await team.say(POD, **ended(0))
    await team.later(16)

    assert team.status()["reason"] == "Failed"
    assert "tries" not in team.status()


async def test_the_agents_own_word_is_not_tried_again() -> None:
    team = await with_retries()
    await team.say(RUN, outcome={"reason": "Failed", "message": "the agent could not"})
    await team.delete(POD)

    assert team.status()["reason"] == "Failed"


async def test_a_pod_on_a_lost_node_is_given_up() -> None:
    team = await with_retries()
    team.cluster.objects[POD]["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:01Z"
    await team.say(POD, phase="Running", reason="NodeLost")
    assert team.status()["reason"] == "Running"

    await team.later(17)
    assert team.status()["reason"] == "Pending"
    assert "does not end" in team.status()["tries"][0]["message"]
    await team.later(10)

    assert team.has(SECOND)


async def test_every_pod_of_a_run_goes_in_its_time() -> None:
    team = await with_retries(ttlSecondsAfterFinished=60)
    await team.say(POD, **ended(137))
    await team.later(16)
    await team.later(11)
    await team.say(RUN, outcome={"reason": "Succeeded", "message": "done"})
    assert team.has(POD)
    assert team.has(SECOND)

    await team.later(61)

    assert not team.has(POD)
    assert not team.has(SECOND)


async def test_the_deadline_holds_between_two_tries() -> None:
    team = await with_retries(backoff=3600, deadlineSeconds=100)
    await team.delete(POD)
    await team.later(101)

    assert team.status()["reason"] == "DeadlineExceeded"
    assert "the pod is gone" in team.condition(RUN, "Ready")["message"]


async def test_a_run_that_is_stopped_between_two_tries_is_cancelled() -> None:
    team = await with_retries()
    await team.delete(POD)
    await team.change(RUN, desired="Stopped")

    assert team.status()["reason"] == "Cancelled"


async def test_a_run_that_loses_its_authority_between_two_tries_is_revoked() -> None:
    team = await with_retries()
    await team.delete(POD)
    await team.change(AGENT, lifecycle="Suspended")

    assert team.status()["reason"] == "Revoked"


async def test_a_run_that_is_suspended_between_two_tries_gets_its_pod_when_it_is_resumed() -> None:
    team = await with_retries()
    await team.change(RUN, desired="Suspended")
    await team.delete(POD)
    assert team.status()["reason"] == "Suspended"
    assert len(team.status()["tries"]) == 1
    await team.later(30)
    assert not team.has(SECOND)

    await team.change(RUN, desired="Running")

    assert team.has(SECOND)


async def test_a_new_try_runs_under_the_revision_of_the_first() -> None:
    team = await with_retries()
    pinned = team.status()["revision"]
    await team.delete(POD)
    await team.change(AGENT, instructions={"inline": "Something else."}, sandbox={"memoryMiB": 1024})
    assert team.status(AGENT)["revision"] != pinned
    await team.later(10)

    assert team.status()["revision"] == pinned
    limits = team.cluster.objects[SECOND]["spec"]["containers"][0]["resources"]["limits"]
    assert limits["memory"] != "1Gi"


async def test_a_pod_that_only_a_stale_view_misses_is_not_given_up() -> None:
    team = await with_retries()
    pod = team.cluster.objects.pop(POD)
    team.restart()
    team.cluster.objects[POD] = pod
    await team.settle()

    assert team.status()["reason"] == "Running"
    assert "tries" not in team.status()


async def test_a_run_is_not_ended_while_nobody_can_say_whether_its_pod_is_there() -> None:
    team = await started()
    team.cluster.refusals["get Pod"] = ClusterError("away", "Unreachable")
    await team.delete(POD)
    assert team.status()["reason"] == "Running"

    team.cluster.refusals.clear()
    await team.later(1)

    assert team.status()["reason"] == "Failed"


async def test_a_new_try_whose_status_a_crash_lost_is_adopted() -> None:
    team = await with_retries()
    await team.delete(POD)
    team.clock.seconds += 10
    team.cluster.crash = CrashPlan(len(team.cluster.writes) + 1, after=True)
    with pytest.raises(CrashedError):
        await team.later(0)
    assert team.has(SECOND)
    team.cluster.crash = CrashPlan()
    team.restart()
    await team.settle()

    assert team.status()["pod"]["name"] == SECOND[2]
    assert len(team.status()["tries"]) == 1
    assert [write for write in team.cluster.writes if write == f"create Pod {SECOND[2]}"] == [f"create Pod {SECOND[2]}"]


async def test_a_controller_that_starts_anew_waits_no_longer_and_no_shorter() -> None:
    team = await with_retries()
    await team.delete(POD)
    before = len(team.cluster.writes)
    team.clock.seconds += 5
    team.restart()
    await team.settle()
    assert team.cluster.writes[before:] == []

    await team.later(5)

    assert team.has(SECOND)
