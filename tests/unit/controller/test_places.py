"""Runs at once: a policy's bound holds, whoever came first starts first, and waiting costs one status write."""

from typing import Any

import pytest
from tests.support.controlled import RUN, Controlled, a_team
from tests.support.fake_cluster import CrashedError, CrashPlan, Place
from tests.support.objects import NAMESPACE, a_namespace, a_policy, a_run, an_agent

from remit.controller import places
from remit.core.admission import Subject
from remit.core.line import could_start
from remit.core.queue import rules_of
from remit.ports import ClusterError


def place_of(name: str, kind: str = "AgentRun") -> Place:
    return (kind, NAMESPACE, name)


async def a_bounded_team(limit: int = 1, **runs: Any) -> Controlled:
    team = await a_team()
    await team.apply(a_policy(runs={"maxConcurrent": limit, **runs}))
    return team


def reasons(team: Controlled, *names: str) -> list[str]:
    return [team.status(place_of(name))["reason"] for name in names]


def message(team: Controlled, name: str) -> str:
    return str(team.condition(place_of(name), "Ready")["message"])


async def finish(team: Controlled, name: str) -> None:
    await team.say(place_of(name), outcome={"reason": "Succeeded", "message": "done"})


async def test_runs_start_one_after_the_other_in_the_order_of_their_making() -> None:
    team = await a_bounded_team(1)
    for name in ("zeta", "alpha", "mike"):
        team.clock.seconds += 1
        await team.apply(a_run(name))
    assert reasons(team, "zeta", "alpha", "mike") == ["Starting", "Pending", "Pending"]
    assert message(team, "alpha").startswith("waiting for a place by policy bank/rules (1 at once)")
    assert "remit queue -n bank" in message(team, "alpha")

    await finish(team, "zeta")
    assert reasons(team, "zeta", "alpha", "mike") == ["Succeeded", "Starting", "Pending"]
    await finish(team, "alpha")
    assert reasons(team, "alpha", "mike") == ["Succeeded", "Starting"]


async def test_many_runs_through_few_places_are_told_once_and_pass_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Subject] = []

    def looked(subject: Subject) -> bool:
        looks.append(subject)
        return could_start(subject)

    monkeypatch.setattr(places, "could_start", looked)
    team = await a_bounded_team(5)
    names = [f"run-{number:03}" for number in range(60)]
    for name in names:
        team.cluster.put(a_run(name))
    await team.settle()
    started: list[str] = []
    for _ in range(60):
        going = [name for name in names if team.status(place_of(name))["reason"] == "Starting"]
        assert len(going) <= 5
        started += [name for name in going if name not in started]
        if going:
            await finish(team, going[0])

    assert started == names
    assert len(looks) <= 3 * len(names), "a start looks at who stands before it, not at everybody"
    for name in names[5:]:
        writes = [write for write in team.cluster.writes if write == f"status AgentRun {name}"]
        assert len(writes) == 3, "told that it waits, started, finished"
    assert len([write for write in team.cluster.writes if write.startswith("create Pod")]) == 60


async def test_a_run_that_waits_is_not_told_again_whatever_happens_around_it() -> None:
    team = await a_bounded_team(1)
    await team.apply(a_run("first"), a_run("second"))
    before = team.status(place_of("second"))

    await team.change(("Agent", NAMESPACE, "teller"), owner="someone@example.com")
    await team.later(31)
    team.restart()
    await team.settle()

    assert team.status(place_of("second")) == before


async def test_a_bound_that_grows_or_goes_lets_the_next_ones_start() -> None:
    team = await a_bounded_team(1)
    await team.apply(*(a_run(f"run-{number}") for number in range(4)))
    policy: Place = ("Policy", NAMESPACE, "rules")
    await team.change(policy, runs={"maxConcurrent": 2})
    assert reasons(team, "run-0", "run-1", "run-2", "run-3") == ["Starting"] * 2 + ["Pending"] * 2

    await team.change(policy, runs={})

    assert reasons(team, "run-2", "run-3") == ["Starting"] * 2


async def test_each_namespace_has_the_floors_places_for_itself() -> None:
    team = await a_team()
    team.cluster.put(a_namespace(NAMESPACE, tier="gold"))
    await team.apply(a_policy("floor", "remit-system", runs={"maxConcurrent": 1}, namespaceSelector={"tier": "gold"}))
    await team.apply(a_run("first"), a_run("second"))

    assert reasons(team, "first", "second") == ["Starting", "Pending"]
    assert "remit-system/floor (1 at once)" in message(team, "second")


async def test_agents_that_share_a_policy_share_its_places_and_others_do_not() -> None:
    team = await a_team()
    other = an_agent("clerk")
    free = an_agent("free")
    bound = a_policy("bound", agents={"names": ["teller", "clerk"]}, runs={"maxConcurrent": 1})
    await team.apply(other, free, bound)
    await team.apply(a_run("first"), a_run("second", agent="clerk"), a_run("third", agent="free"))

    assert reasons(team, "first", "second", "third") == ["Starting", "Pending", "Starting"]


async def test_the_narrowest_of_several_policies_holds_and_keeps_its_place_in_the_others() -> None:
    team = await a_team()
    await team.apply(
        an_agent("clerk"),
        a_policy("wide", runs={"maxConcurrent": 2}),
        a_policy("narrow", agents={"names": ["teller"]}, runs={"maxConcurrent": 1}),
    )
    await team.apply(a_run("t-1"), a_run("t-2"), a_run("c-1", agent="clerk"), a_run("u-1", agent="clerk"))
    # in order: c-1, t-1, t-2, u-1: the place that t-2 cannot take yet is kept for it
    assert reasons(team, "t-1", "t-2", "c-1", "u-1") == ["Starting", "Pending", "Starting", "Pending"]

    await finish(team, "c-1")
    assert reasons(team, "t-2", "u-1") == ["Pending", "Pending"]
    await finish(team, "t-1")
    assert reasons(team, "t-2", "u-1") == ["Starting", "Starting"]


async def test_an_agent_that_comes_has_nobody_elses_rules_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    team = await a_bounded_team(1)
    await team.apply(*(an_agent(f"agent-{number}") for number in range(5)))
    await team.apply(*(a_run(f"run-{number}", agent=f"agent-{number}") for number in range(5)))
    read: list[str] = []

    def counted(agent: dict[str, Any], policies: Any, **more: Any) -> Any:
        read.append(agent["metadata"]["name"])
        return rules_of(agent, policies, **more)

    monkeypatch.setattr(places, "rules_of", counted)
    await team.apply(an_agent("late"), a_run("last", agent="late"))

    assert read == ["late"]
    assert reasons(team, "last") == ["Pending"]


async def test_who_cannot_start_holds_nobody_up() -> None:
    team = await a_bounded_team(1)
    await team.apply(a_run("a-held", desired="Suspended"), a_run("b-lost", agent="nobody"), a_run("c-well"))

    assert reasons(team, "a-held", "b-lost", "c-well") == ["Suspended", "Pending", "Starting"]


async def test_the_next_one_starts_when_the_first_in_line_leaves() -> None:
    team = await a_bounded_team(1)
    await team.apply(a_run("a"), a_run("b"), a_run("c"))
    await team.change(place_of("b"), desired="Suspended")
    await finish(team, "a")
    assert reasons(team, "b", "c") == ["Suspended", "Starting"]

    await team.change(place_of("b"), desired="Running")
    assert reasons(team, "b", "c") == ["Pending", "Starting"]
    await team.delete(place_of("c"))
    assert reasons(team, "b") == ["Starting"]


async def test_a_suspended_run_with_a_pod_keeps_its_place() -> None:
    team = await a_bounded_team(1)
    await team.apply(a_run("a"), a_run("b"))
    await team.change(place_of("a"), desired="Suspended")

    assert reasons(team, "a", "b") == ["Suspended", "Pending"]


async def test_a_run_between_two_tries_gives_its_place_up_and_is_first_in_line() -> None:
    team = await a_bounded_team(1)
    await team.apply(a_run("a", retry={"limit": 1, "backoffSeconds": 10}), a_run("b"), a_run("c"))
    await team.delete(place_of("a-1", "Pod"))
    assert reasons(team, "a", "b", "c") == ["Pending", "Starting", "Pending"]
    await team.later(11)
    assert message(team, "a").startswith("waiting for a place")

    await finish(team, "b")

    assert reasons(team, "a", "c") == ["Starting", "Pending"]


async def test_a_crash_between_pod_and_status_costs_the_pod_no_place() -> None:
    team = await a_bounded_team(1)
    await team.apply(a_run("b"))
    await finish(team, "b")
    team.cluster.put(a_run("a"))
    team.cluster.put(a_run("c"))
    team.cluster.crash = CrashPlan(len(team.cluster.writes) + 1, after=True)
    try:
        await team.settle()
    except CrashedError:
        team.cluster.crash = CrashPlan()
    assert team.has(place_of("a-1", "Pod"))
    team.cluster.put(a_run("0-newer-by-name-only"))
    team.restart()
    await team.settle()

    assert reasons(team, "a", "c", "0-newer-by-name-only") == ["Starting", "Pending", "Pending"]


async def test_a_run_that_waits_for_something_else_gives_its_place_back() -> None:
    team = await a_bounded_team(1)
    team.cluster.refusals["create Pod"] = ClusterError("quota", "Forbidden", 403)
    await team.apply(a_run("a"))
    team.cluster.refusals.clear()
    await team.delete(place_of("a"))
    await team.apply(a_run("b"))

    assert reasons(team, "b") == ["Starting"]


async def test_the_deadline_of_a_run_in_line_says_that_it_waited() -> None:
    team = await a_bounded_team(1)
    await team.apply(a_run("a"), a_run("b", deadlineSeconds=60))
    await team.later(61)

    assert reasons(team, "b") == ["DeadlineExceeded"]
    assert "waiting for a place" in message(team, "b")


async def test_a_policy_that_asks_for_a_case_denies_a_run_without_one() -> None:
    team = await a_team()
    await team.apply(a_policy(runs={"case": "Required"}))
    await team.apply(a_run("a"), a_run("b", case={"id": "D-1"}))

    assert reasons(team, "a", "b") == ["Denied", "Starting"]
    assert message(team, "a").startswith("policy bank/rules asks for a case: name it in spec.case.id")


async def test_a_rule_that_comes_later_is_for_later_runs() -> None:
    team = await a_team()
    await team.apply(a_run())
    await team.apply(a_policy(runs={"case": "Required", "maxConcurrent": 1}))

    assert team.status(RUN)["reason"] == "Starting"
