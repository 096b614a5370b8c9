"""Pools: never too many, never one made from something else, nothing well goes without need, and all come to rest."""

from hypothesis import example, given
from hypothesis import strategies as st

from remit.core.pool import (
    FIRST_PAUSE_SECONDS,
    LONG_AGO,
    LONGEST_DELAY_SECONDS,
    LONGEST_PAUSE_SECONDS,
    MOST_STARTING,
    REFILL_DELAY_SECONDS,
    PodState,
    PoolFacts,
    PoolPlan,
    Trail,
    WarmPod,
    claimable,
    claimed,
    decide,
    follow,
    refill_begins_at,
)

NOW = 1_000.0
STATES = st.sampled_from(PodState)
TIMES = st.floats(NOW - 400, NOW)
TRAILS = st.builds(
    Trail,
    claimed_at=st.just(LONG_AGO) | TIMES,
    short_since=st.just(LONG_AGO) | TIMES,
    failures=st.integers(0, 40),
    failed_at=st.just(LONG_AGO) | TIMES,
)


@st.composite
def pods(draw: st.DrawFn) -> tuple[WarmPod, ...]:
    drawn = draw(st.lists(st.tuples(st.sampled_from(["now", "before"]), STATES, TIMES), max_size=12))
    return tuple(
        WarmPod(f"pod-{number}", f"uid-{number}", mark, state, made_at)
        for number, (mark, state, made_at) in enumerate(drawn)
    )


FACTS = st.builds(
    PoolFacts,
    wanted=st.none() | st.integers(0, 10),
    mark=st.just("now"),
    pods=pods(),
    now=st.just(NOW),
    trail=TRAILS,
    room=st.integers(0, 8),
)


def after(facts: PoolFacts, plan: PoolPlan) -> tuple[WarmPod, ...]:
    """Return the pods once the plan was followed."""
    kept = tuple(pod for pod in facts.pods if pod.name not in plan.delete)
    number = len(facts.pods)
    return kept + tuple(
        WarmPod(f"pod-{number + more}", f"uid-{number + more}", facts.mark, PodState.STARTING, facts.now)
        for more in range(plan.make)
    )


def well(standing: tuple[WarmPod, ...]) -> list[WarmPod]:
    return [pod for pod in standing if pod.state in {PodState.STARTING, PodState.READY}]


@given(FACTS)
def test_never_more_stand_than_are_wanted_and_none_that_is_made_from_something_else(facts: PoolFacts) -> None:
    standing = well(after(facts, decide(facts)))
    if facts.wanted is not None:
        assert len(standing) <= facts.wanted
        assert {pod.mark for pod in standing} <= {"now"}


@given(FACTS)
def test_what_is_broken_goes_and_what_is_leaving_is_left_to_leave(facts: PoolFacts) -> None:
    gone = set(decide(facts).delete)
    assert gone >= {pod.name for pod in facts.pods if pod.state is PodState.BROKEN}
    assert not gone & {pod.name for pod in facts.pods if pod.state is PodState.LEAVING}


@given(FACTS)
def test_a_pod_that_is_well_goes_only_when_it_is_foreign_or_too_many(facts: PoolFacts) -> None:
    gone = set(decide(facts).delete)
    own = [pod for pod in well(facts.pods) if pod.mark == "now"]
    taken = [pod for pod in own if pod.name in gone]
    if facts.wanted is None:
        assert not gone & {pod.name for pod in well(facts.pods)}
    else:
        assert len(taken) == max(0, len(own) - facts.wanted)
        left = [pod for pod in own if pod.name not in gone]
        assert not any(pod.state is PodState.READY for pod in taken) or all(pod.state is PodState.READY for pod in left)


@given(FACTS)
def test_few_start_at_a_time_and_none_while_nobody_can_say_what_is_wanted(facts: PoolFacts) -> None:
    plan = decide(facts)
    starting = [pod for pod in well(after(facts, plan)) if pod.state is PodState.STARTING]
    assert plan.make <= facts.room
    assert plan.make == 0 or (facts.wanted is not None and len(starting) <= MOST_STARTING)
    assert plan.make == 0 or facts.now >= refill_begins_at(facts.trail)


@given(FACTS)
def test_a_plan_that_makes_too_few_says_when_to_look_again(facts: PoolFacts) -> None:
    plan = decide(facts)
    standing = well(after(facts, plan))
    if facts.wanted is not None and len(standing) < facts.wanted:
        some_start = any(pod.state is PodState.STARTING for pod in standing)
        assert plan.look_at is not None or some_start  # one that starts tells by an event


@given(FACTS.filter(lambda facts: facts.wanted is not None))
@example(PoolFacts(0, "now", (WarmPod("pod-0", "uid-0", "now", PodState.LEAVING, 600.0),), 1000.0))
def test_a_pool_that_is_left_alone_comes_to_what_is_wanted_and_rests(facts: PoolFacts) -> None:
    now, standing, trail = facts.now, facts.pods, facts.trail
    for _ in range(40):
        whole = PoolFacts(facts.wanted, "now", standing, now, trail)
        plan = decide(whole)
        if not plan.delete and not plan.make and len(well(standing)) == facts.wanted:
            break
        moved = after(whole, plan)
        standing = tuple(WarmPod(f"{pod.name}", pod.uid, pod.mark, PodState.READY, pod.made_at) for pod in well(moved))
        now = max(now + 1, plan.look_at or 0)
    left = well(standing)  # what is leaving goes without us
    assert len(left) == facts.wanted
    assert {pod.mark for pod in left} <= {"now"}
    assert decide(PoolFacts(facts.wanted, "now", standing, now, trail)).make == 0


@given(TRAILS, st.lists(st.floats(0, 30), min_size=1, max_size=60))
def test_claims_put_the_refill_off_but_never_for_long(trail: Trail, pauses: list[float]) -> None:
    trail, now, first = Trail(), NOW, NOW
    for pause in pauses:
        now += pause
        trail = claimed(trail, now)
        assert refill_begins_at(trail) <= first + pauses[0] + LONGEST_DELAY_SECONDS
        assert refill_begins_at(trail) <= now + REFILL_DELAY_SECONDS


@given(st.integers(1, 60))
def test_failures_in_a_row_put_it_off_longer_and_longer_up_to_a_bound(failures: int) -> None:
    trail = Trail()
    pauses = []
    for number in range(failures):
        broken = WarmPod("pod", f"uid-{number}", "now", PodState.BROKEN, NOW)
        trail = follow(trail, [broken], 1, NOW)
        assert follow(trail, [broken], 1, NOW) == trail, "seen twice, counted once"
        pauses.append(refill_begins_at(trail) - NOW)
    assert pauses == sorted(pauses)
    assert pauses[0] == FIRST_PAUSE_SECONDS
    assert pauses[-1] <= LONGEST_PAUSE_SECONDS


@given(pods())
def test_only_pods_that_are_ready_and_made_from_the_same_are_claimed_oldest_first(
    standing: tuple[WarmPod, ...],
) -> None:
    names = claimable(standing, "now")
    by_name = {pod.name: pod for pod in standing}
    chosen = [by_name[name] for name in names]
    assert all(pod.state is PodState.READY and pod.mark == "now" for pod in chosen)
    assert [pod.made_at for pod in chosen] == sorted(pod.made_at for pod in chosen)
