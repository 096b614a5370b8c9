"""Which revision of an agent is in force, which earlier ones stay and are listed, and when they go."""

from typing import Any

import pytest
from tests.support.controlled import AGENT, RUN, Controlled, a_team
from tests.support.objects import NAMESPACE, a_run

from remit.core.digest import digest_of
from remit.core.revisions import GRACE_SECONDS, MOST_UNNEEDED

GRANT = ("ToolGrant", NAMESPACE, "provider")
POLICY = ("Policy", NAMESPACE, "rules")


def revisions(team: Controlled) -> list[str]:
    """Names of the revisions that are there, oldest first."""
    found = [thing for (kind, _, _), thing in team.cluster.objects.items() if kind == "ControllerRevision"]
    return [thing["metadata"]["name"] for thing in sorted(found, key=lambda thing: int(thing["revision"]))]


def in_force(team: Controlled) -> Any:
    return team.status(AGENT)["revision"]


def listed(team: Controlled) -> list[str]:
    return [each["name"] for each in team.status(AGENT).get("revisions", [])]


async def edit(team: Controlled, number: int) -> None:
    await team.change(GRANT, purposes=["card-dispute", f"purpose-{number}"])


async def test_earlier_revisions_are_listed_newest_first_with_their_digests() -> None:
    team = await a_team()
    for number in range(3):
        await edit(team, number)

    assert listed(team) == list(reversed(revisions(team)[:-1]))
    assert in_force(team)["name"] == revisions(team)[-1]
    for each in team.status(AGENT)["revisions"]:
        held = team.cluster.objects["ControllerRevision", NAMESPACE, each["name"]]
        assert each["digest"] == digest_of(held["data"])


async def test_old_revisions_go_a_moment_after_nobody_needs_them() -> None:
    team = await a_team()
    for number in range(3):
        await edit(team, number)
    await team.later(GRACE_SECONDS - 1)
    assert len(revisions(team)) == 4

    await team.later(1)

    assert revisions(team) == [in_force(team)["name"]]
    assert "revisions" not in team.status(AGENT)


async def test_a_revision_stays_as_long_as_a_run_is_pinned_to_it() -> None:
    team = await a_team()
    await team.apply(a_run())
    pinned = team.status(RUN)["revision"]["name"]
    for number in range(6):
        await edit(team, number)
    await team.later(GRACE_SECONDS)
    assert revisions(team) == [pinned, in_force(team)["name"]]
    assert listed(team) == [pinned]

    await team.say(RUN, outcome={"reason": "Succeeded", "message": "done"})
    await team.later(GRACE_SECONDS)
    assert pinned in revisions(team)
    await team.later(GRACE_SECONDS)

    assert revisions(team) == [in_force(team)["name"]]
    assert listed(team) == []


async def test_a_controller_that_starts_anew_gives_them_their_moment_again() -> None:
    team = await a_team()
    await edit(team, 1)
    await team.later(GRACE_SECONDS - 1)
    team.restart()
    await team.settle()
    await team.later(2)
    assert len(revisions(team)) == 2

    await team.later(GRACE_SECONDS)

    assert len(revisions(team)) == 1


async def test_many_edits_at_once_leave_a_bounded_number() -> None:
    team = await a_team()
    for number in range(MOST_UNNEEDED + 5):
        await edit(team, number)

    assert len(revisions(team)) == MOST_UNNEEDED + 1


async def test_a_revision_in_force_that_goes_comes_back() -> None:
    team = await a_team()
    before = in_force(team)
    await team.delete(("ControllerRevision", NAMESPACE, before["name"]))

    assert revisions(team) == [before["name"]]
    assert in_force(team) == before


async def test_what_was_collected_and_is_in_force_again_is_made_anew() -> None:
    team = await a_team()
    first = in_force(team)
    rules = team.cluster.objects[GRANT]["spec"]["purposes"]
    await edit(team, 1)
    await team.later(GRACE_SECONDS)
    assert first["name"] not in revisions(team)
    await team.change(GRANT, purposes=rules)

    # the grant's generation is part of its bundle: the same words at another time are another revision
    assert in_force(team)["name"] == revisions(team)[-1]
    assert in_force(team) != first


async def test_scaling_the_pool_of_warm_pods_is_no_new_revision() -> None:
    team = await a_team()
    before = in_force(team)
    await team.change(AGENT, warm={"replicas": 2})

    assert in_force(team) == before
    assert revisions(team) == [before["name"]]
    held = team.cluster.objects["ControllerRevision", NAMESPACE, before["name"]]
    assert "warm" not in held["data"]["agent"]["spec"]


async def test_suspended_and_active_again_is_no_new_revision() -> None:
    team = await a_team()
    before = in_force(team)
    await team.change(AGENT, lifecycle="Suspended")
    assert in_force(team) == before
    await team.change(AGENT, lifecycle="Active")

    assert in_force(team) == before
    assert team.condition(AGENT, "Ready")["message"] == f"revision {before['name']} is in force"


async def test_a_change_of_the_agent_itself_is_a_new_revision() -> None:
    team = await a_team()
    before = in_force(team)
    await team.change(AGENT, instructions={"inline": "Do something else."})

    assert in_force(team) != before
    assert listed(team) == [before["name"]]


async def test_an_agent_that_no_longer_compiles_keeps_its_revision_and_starts_no_run() -> None:
    team = await a_team()
    before = in_force(team)
    rule = dict(team.cluster.objects[POLICY]["spec"]["rules"][0])
    await team.change(POLICY, rules=[{**rule, "when": "1 +"}])
    await team.apply(a_run())
    await team.later(GRACE_SECONDS + 1)

    assert in_force(team) == before
    assert revisions(team) == [before["name"]]
    assert team.status(RUN)["reason"] == "Pending"
    assert not team.has(("Pod", NAMESPACE, "dispute-1-1"))


@pytest.mark.parametrize("lifecycle", ["Active", "Suspended", "Draft"])
async def test_an_agent_that_was_retired_stays_so(lifecycle: str) -> None:
    team = await a_team()
    before = in_force(team)
    await team.change(AGENT, lifecycle="Retired")
    assert team.condition(AGENT, "Stalled")["reason"] == "Retired"
    await team.change(AGENT, lifecycle=lifecycle)  # no admission on this cluster
    await team.change(GRANT, purposes=["card-dispute", "more"])

    assert team.condition(AGENT, "Ready")["reason"] == "Retired"
    assert in_force(team) == before


async def test_a_status_without_change_is_not_written() -> None:
    team = await a_team()
    await edit(team, 1)
    before = len(team.cluster.writes)
    team.restart()
    await team.settle()

    assert team.cluster.writes[before:] == []
