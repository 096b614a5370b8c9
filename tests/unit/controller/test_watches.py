"""A watch proves that it lives; what stays silent, and what kopf listed again, is listed by us."""

import pytest
from tests.support.controlled import StillClock

from remit.controller.kinds import WATCHED
from remit.controller.watches import Watches

RUNS = "/apis/remit.dev/v1alpha1/agentruns"
PODS = "/api/v1/pods"


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def watches(clock: StillClock) -> Watches:
    return Watches(WATCHED, clock)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (RUNS, "AgentRun"),
        (PODS, "Pod"),
        ("/api/v1/namespaces", "Namespace"),
        ("/api/v1/namespaces/bank/pods", "Pod"),
        ("/apis/apps/v1/namespaces/bank/controllerrevisions", "ControllerRevision"),
        ("/behind/a/path/apis/remit.dev/v1alpha1/agents", "Agent"),
        ("/api/v1/namespaces/bank/pods/dispute-1", ""),
        ("/apis/remit.dev/v1alpha1", ""),
        ("/api/v1/secrets", ""),
        ("/version", ""),
    ],
)
def test_a_path_says_which_kind_it_is_about(watches: Watches, path: str, kind: str) -> None:
    assert watches.kind_of(path) == kind


def test_a_watch_that_speaks_needs_no_list(watches: Watches, clock: StillClock) -> None:
    watches.answered(RUNS, watching=False)
    for _ in range(10):
        clock.seconds += 15
        watches.answered(RUNS, watching=True)

    assert watches.due() == []
    assert watches.silent() == []


def test_one_silent_watch_has_its_kind_listed_until_it_speaks(watches: Watches, clock: StillClock) -> None:
    for path in (RUNS, PODS):
        watches.answered(path, watching=False)
    clock.seconds += 26
    watches.hear("Pod")
    assert watches.due() == ["AgentRun"]

    watches.listed("AgentRun")
    assert watches.due() == []
    clock.seconds += 15
    watches.hear("Pod")
    assert watches.due() == ["AgentRun"]
    watches.answered(RUNS, watching=True)
    assert watches.due() == []


def test_a_watch_that_stays_silent_makes_the_process_unwell(watches: Watches, clock: StillClock) -> None:
    watches.answered(RUNS, watching=False)
    clock.seconds += 61

    assert watches.silent() == ["AgentRun"]


def test_what_kopf_lists_again_is_listed_by_us_too(watches: Watches) -> None:
    watches.answered(RUNS, watching=False)
    assert watches.due() == []

    watches.answered(RUNS, watching=False)
    assert watches.due() == ["AgentRun"]
    watches.listed("AgentRun")
    assert watches.due() == []


def test_when_not_one_speaks_they_are_begun_anew_and_given_their_time(watches: Watches, clock: StillClock) -> None:
    watches.answered(RUNS, watching=False)
    seen = []
    for seconds in (29, 2):
        clock.seconds += seconds
        seen.append(watches.are_deaf)
    watches.begin()
    seen.append(watches.are_deaf)
    clock.seconds += 31
    seen.append(watches.are_deaf)

    assert seen == [False, True, False, True]
