"""What people are told: one Event for each reason of an object, counted, of the right type, with the status's words."""

from typing import Any

import pytest
from tests.support.controlled import AGENT, POD, RUN, Controlled, a_team
from tests.support.objects import a_run

from remit.api.agent import Lifecycle


def told(team: Controlled, place: tuple[str, str, str] = RUN) -> list[dict[str, Any]]:
    """Return the Events about an object, in the order of their first time."""
    uid = team.cluster.objects[place]["metadata"]["uid"]
    events = [thing for (kind, _, _), thing in team.cluster.objects.items() if kind == "Event"]
    return [event for event in events if event["involvedObject"]["uid"] == uid]


async def test_a_run_that_goes_well_is_told_of_twice() -> None:
    team = await a_team()
    await team.apply(a_run())
    await team.say(POD, phase="Running")
    await team.say(RUN, outcome={"reason": "Succeeded", "message": "the agent handed in its result"})

    assert [(event["type"], event["reason"], event["message"]) for event in told(team)] == [
        ("Normal", "Running", team_message(team, "Running")),
        ("Normal", "Succeeded", "the agent handed in its result"),
    ]


def team_message(team: Controlled, reason: str) -> str:
    """Return what the Event of a reason says."""
    return str(next(event["message"] for event in told(team) if event["reason"] == reason))


async def test_every_event_has_the_reason_and_the_words_of_the_condition() -> None:
    team = await a_team()
    await team.apply(a_run())
    await team.say(POD, phase="Running")
    await team.change(RUN, desired="Terminated")

    ready = team.condition(RUN, "Ready")
    last = told(team)[-1]
    assert (last["reason"], last["message"]) == (ready["reason"], ready["message"])


@pytest.mark.parametrize(
    ("lifecycle", "expected"), [("Suspended", "Normal"), ("Retired", "Normal")], ids=["suspended", "retired"]
)
async def test_what_somebody_chose_is_no_warning(lifecycle: str, expected: str) -> None:
    team = await a_team()
    await team.change(AGENT, lifecycle=lifecycle)

    assert told(team, AGENT)[-1]["type"] == expected


async def test_what_nobody_chose_is_a_warning() -> None:
    team = await a_team()
    team.cluster.remove(("Policy", "bank", "rules"))
    await team.settle()

    assert [(event["type"], event["reason"]) for event in told(team, AGENT)][-1] == ("Warning", "NoPolicy")


async def test_the_same_again_is_counted() -> None:
    team = await a_team()
    for lifecycle in [Lifecycle.SUSPENDED, Lifecycle.ACTIVE] * 3:
        await team.later(60)
        await team.change(AGENT, lifecycle=str(lifecycle))

    counts = {event["reason"]: event["count"] for event in told(team, AGENT)}
    assert (counts["Suspended"], counts["Ready"]) == (3, 4)
    ready = next(event for event in told(team, AGENT) if event["reason"] == "Ready")
    assert ready["firstTimestamp"] < ready["lastTimestamp"]


async def test_a_new_controller_goes_on_counting() -> None:
    team = await a_team()
    await team.change(AGENT, lifecycle="Suspended")
    team.restart()
    await team.later(60)
    await team.change(AGENT, lifecycle="Active")
    await team.change(AGENT, lifecycle="Suspended")

    counts = {event["reason"]: event["count"] for event in told(team, AGENT)}
    assert (counts["Suspended"], counts["Ready"]) == (2, 2)


async def test_what_keeps_a_pod_from_starting_is_a_warning() -> None:
    team = await a_team()
    await team.apply(a_run())
    full = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: cpu"}
    await team.say(POD, phase="Pending", conditions=[full])

    (event,) = told(team)
    assert (event["type"], event["reason"]) == ("Warning", "Starting")
    assert "no node has room for the pod" in event["message"]
