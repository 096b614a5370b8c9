"""The table of a run's transitions: total, final reasons are never left, every reason can be reached."""

from hypothesis import given
from hypothesis import strategies as st

from remit.api.agentrun import Desired
from remit.api.reasons import FINAL_RUN_REASONS, RunReason
from remit.core.conditions import Standing, run_conditions, standing_of_run, violations
from remit.core.lifecycle import (
    TRANSITIONS,
    PodFacts,
    RunEvent,
    RunFacts,
    Tries,
    find,
    next_look,
    step,
    without_pod,
)

REASONS = st.sampled_from(list(RunReason))
MOMENTS = st.floats(0, 1e9)
PODS = st.builds(
    PodFacts,
    phase=st.sampled_from(["Pending", "Running", "Succeeded", "Failed"]),
    trouble=st.sampled_from(["", "image x cannot be pulled"]),
    failure=st.just("the pod failed"),
    ended_at=st.none() | MOMENTS,
    gave_up=st.booleans(),
    leaves_at=st.none() | MOMENTS,
)
TRIES = st.builds(
    Tries,
    failed=st.integers(0, 10),
    limit=st.integers(0, 10),
    backoff=st.floats(1, 3600),
    last_at=MOMENTS,
    last_failure=st.just("the pod is gone"),
)
FACTS = st.builds(
    RunFacts,
    reason=REASONS,
    now=MOMENTS,
    deadline=MOMENTS,
    desired=st.sampled_from(list(Desired)),
    stop_seen_at=st.none() | MOMENTS,
    disallowed=st.sampled_from(["", "agent is Suspended"]),
    waiting_for=st.sampled_from(["", "agent does not exist yet"]),
    had_pod=st.booleans(),
    pod=st.none() | PODS,
    tries=TRIES,
    outcome=st.none() | st.sampled_from(sorted(FINAL_RUN_REASONS)),
    outcome_message=st.just("as the ledger says"),
)


def test_the_table_is_total() -> None:
    assert set(TRANSITIONS) == {(reason, event) for reason in RunReason for event in RunEvent}


def test_every_reason_is_reached_from_pending() -> None:
    reached, fresh = set(), {RunReason.PENDING}
    while fresh:
        reached |= fresh
        fresh = {TRANSITIONS[reason, event] for reason in fresh for event in RunEvent} - reached

    assert reached == set(RunReason)


@given(FACTS)
def test_a_final_reason_is_never_left(facts: RunFacts) -> None:
    reason, _ = step(facts)
    if facts.reason in FINAL_RUN_REASONS:
        assert reason is facts.reason


@given(FACTS)
def test_a_run_goes_back_only_without_a_pod_or_held(facts: RunFacts) -> None:
    order = [RunReason.PENDING, RunReason.STARTING, RunReason.RUNNING]
    reason, _ = step(facts)
    if reason in order and facts.reason in order and order.index(reason) < order.index(facts.reason):
        assert reason is RunReason.PENDING
        assert find(facts).failure or (facts.pod is None and not facts.had_pod)


@given(FACTS)
def test_the_gateways_word_is_taken_from_a_run_under_way(facts: RunFacts) -> None:
    if facts.outcome is None or facts.reason in FINAL_RUN_REASONS:
        return
    reason, message = step(facts)
    assert message == "as the ledger says"
    assert reason is facts.outcome


@given(FACTS)
def test_no_authority_no_start_and_a_run_that_began_is_revoked(facts: RunFacts) -> None:
    if not facts.disallowed or facts.reason in FINAL_RUN_REASONS or facts.outcome is not None:
        return
    reason, _ = step(facts)
    if facts.desired is not Desired.TERMINATED:
        assert reason is (RunReason.REVOKED if facts.began else RunReason.DENIED)


@given(FACTS)
def test_a_suspended_run_gets_no_pod_and_keeps_the_one_it_has(facts: RunFacts) -> None:
    if facts.desired is not Desired.SUSPENDED or facts.reason in FINAL_RUN_REASONS:
        return
    finding, (reason, _) = find(facts), step(facts)
    assert finding.event is not RunEvent.READY
    if reason not in FINAL_RUN_REASONS and facts.pod is not None and not finding.failure:
        assert finding.event in {RunEvent.HELD, RunEvent.POD_ENDED}


@given(FACTS)
def test_there_are_never_more_tries_than_allowed(facts: RunFacts) -> None:
    if find(facts).failure:
        assert facts.tries.failed < facts.tries.limit
        assert facts.desired in {Desired.RUNNING, Desired.SUSPENDED}
        assert find(without_pod(facts, "gone")).event is not RunEvent.READY


@given(FACTS)
def test_every_step_says_something_and_makes_an_honest_status(facts: RunFacts) -> None:
    reason, message = step(facts)
    conditions = run_conditions(
        reason, message, generation=1, now="2026-11-21T12:00:00Z", stopping=facts.desired is Desired.STOPPED
    )
    status = {"conditions": conditions, "observedGeneration": 1, "reason": str(reason)}
    if standing_of_run(reason) is not Standing.RECONCILING:
        status["finishedAt"] = "2026-11-21T12:00:00Z"

    assert violations(status) == ()


@given(FACTS)
def test_time_alone_changes_nothing_before_the_next_look(facts: RunFacts) -> None:
    look = next_look(facts)
    if facts.now < look and facts.now + 0.001 < look:
        between = facts.now + (look - facts.now) / 2
        later = RunFacts(**{name: getattr(facts, name) for name in RunFacts.__slots__} | {"now": between})
        assert find(later).event == find(facts).event
