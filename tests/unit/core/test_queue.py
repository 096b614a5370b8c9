"""Who has a place, and where the others stand."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support.objects import a_policy, an_agent

from remit.core.queue import RunRule, Waiting, is_blocked, limits_in, places_in, rules_of, why_waiting

NARROW, WIDE = RunRule("bank/narrow", 1), RunRule("bank/wide", 3)
ANY = RunRule("bank/any", needs_case=True)


def nobody(_policy: str) -> int:
    return 0


def test_who_is_under_no_bound_waits_for_nobody() -> None:
    asker = Waiting("z", (ANY,))
    assert not is_blocked(asker, [Waiting("a", (NARROW,)), asker], nobody)


def test_the_first_has_the_place_and_the_second_has_not() -> None:
    line = [Waiting("a", (NARROW,)), Waiting("b", (NARROW,))]
    assert [is_blocked(each, line, nobody) for each in line] == [False, True]


def test_a_place_that_is_taken_is_nobodys() -> None:
    line = [Waiting("a", (NARROW, WIDE))]
    assert is_blocked(line[0], line, lambda policy: 1 if policy == NARROW.policy else 0)


def test_a_place_is_kept_for_who_waits_for_another_policy() -> None:
    line = [Waiting("a", (NARROW, WIDE)), Waiting("b", (WIDE,))]
    held = {NARROW.policy: 1, WIDE.policy: 2}
    assert [is_blocked(each, line, held.__getitem__) for each in line] == [True, True]


def test_the_line_says_where_each_stands() -> None:
    line = [Waiting("a", (NARROW, WIDE)), Waiting("b", (WIDE,)), Waiting("c", (NARROW,))]
    shown = {name: [(each.policy, each.place) for each in places] for name, places in places_in(line, nobody).items()}
    assert shown == {"a": [("bank/narrow", 1), ("bank/wide", 1)], "b": [("bank/wide", 2)], "c": [("bank/narrow", 2)]}


def test_no_run_starts_past_a_policy_that_cannot_be_read() -> None:
    agent, policy = an_agent(), a_policy(runs={"maxConcurrent": "many"})
    for thing in (agent, policy):
        thing["metadata"] |= {"uid": "u"}
    rules = rules_of(agent, [policy], namespace_labels={}, install_namespace="remit-system")
    asker = Waiting("a", rules)
    assert is_blocked(asker, [asker], nobody)
    assert "rules, which cannot be read" in why_waiting(rules, "bank")


def test_the_words_depend_on_the_rules_only() -> None:
    assert why_waiting((WIDE, ANY, NARROW), "bank") == (
        "waiting for a place by policy bank/narrow (1 at once), bank/wide (3 at once); "
        "`remit queue -n bank` shows the line"
    )


RULES = st.lists(st.sampled_from([NARROW, WIDE, ANY, RunRule("bank/two", 2)]), unique=True).map(tuple)


@given(st.lists(RULES, max_size=8), st.randoms(use_true_random=False))
def test_whatever_the_order_of_asking_the_bounds_hold_and_everyone_starts_in_the_end(
    rules: list[tuple[RunRule, ...]], chance: Any
) -> None:
    line = [Waiting(f"{number:02}", each) for number, each in enumerate(rules)]
    going: list[Waiting] = []

    def held(policy: str) -> int:
        return sum(policy in limits_in(each.rules) for each in going)

    for _ in range(2 * len(rules) + 1):
        for asker in chance.sample(line, len(line)):
            if not is_blocked(asker, line, held):
                line.remove(asker)
                going.append(asker)
        for each in going:
            assert all(held(policy) <= limit for policy, limit in each.limits().items())
        if going:
            going.remove(chance.choice(going))
    assert not line
