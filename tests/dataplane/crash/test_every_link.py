"""The gateway is killed before and after every link of every call of example 01, and at every commit.

After each: the run Succeeded, or ended as OutcomeUnknown and names the call; the bank shows each effect once; the
evidence verifies. A crash that was asked for and did not happen fails the test.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.crash_world import WRITES, CrashWorld, Ended, crash_world
from tests.support.memory_ledger import signer_for_tests

from remit.cli.evidence import verify_export
from remit.gateway.chain import LINKS

CALLS = 13
"""Model calls and tool calls of the example's dispute, in turn: seven and six."""
MAY_BE_LOST = {"after-hold", "before-secret", "after-secret", "before-call", "after-call", "before-settle"}
"""Between a write's intent and its outcome nobody can tell what became of it."""
LINK_POINTS = tuple(f"{side}-{link.name}" for link in LINKS for side in ("before", "after"))
COMMIT_POINTS = ("before-commit", "after-commit")
MOST_COMMITS = 80


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, campaigns: list[str]) -> Iterator[CrashWorld]:
    """The bank and the model, shared by all trials; at the end the count is told."""
    with crash_world(tmp_path_factory.mktemp("crash")) as made:
        yield made
    campaigns.append(f"gateway killed -9 at {made.kills} named points in {made.trials} runs of example 01")


def judge(ended: Ended, crash_at: str) -> None:
    """Hold one trial against the promise."""
    verdict = verify_export(ended.files, signer_for_tests().verifier)
    assert verdict.ok, f"{crash_at}: {verdict.summary}"
    reason = ended.view["reason"]
    if reason == "Succeeded":
        assert ended.applied == list(WRITES), f"{crash_at}: {ended.applied}"
        return
    assert reason == "OutcomeUnknown", f"{crash_at}: {ended.view}"
    assert any(name in ended.view["message"] for name in WRITES), ended.view
    assert ended.applied == list(WRITES[: len(ended.applied)]), f"{crash_at}: {ended.applied}"


@pytest.mark.timeout(240)
@pytest.mark.parametrize("point", LINK_POINTS)
def test_a_kill_at_a_link_of_every_call_is_survived(world: CrashWorld, point: str) -> None:
    for number in range(1, CALLS + 1):
        crash_at = f"{point}:{number}"
        ended = world.trial(crash_at)
        assert ended.crashed, f"{crash_at} was never passed"
        judge(ended, crash_at)
        if point not in MAY_BE_LOST:
            assert ended.view["reason"] == "Succeeded", f"{crash_at}: {ended.view}"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("point", COMMIT_POINTS)
def test_a_kill_at_every_commit_is_survived(world: CrashWorld, point: str) -> None:
    for number in range(1, MOST_COMMITS + 1):
        ended = world.trial(f"{point}:{number}")
        judge(ended, f"{point}:{number}")
        if not ended.crashed:
            assert number > 2 * CALLS, f"only {number} commits: a call is two"
            return
    pytest.fail(f"more than {MOST_COMMITS} commits: raise the bound")
