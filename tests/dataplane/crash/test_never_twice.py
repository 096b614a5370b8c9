"""The gateway is killed, and while it is dead its run is deleted and made again, as after a restore of etcd.

Whatever the point: the bank shows each effect at most once, and never does the second run go on with the first one's
work. Its pod is the agent that lost its gateway: it goes on calling as hard as it can.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.crash_world import WRITES, CrashWorld, crash_world
from tests.support.fake_authority import POD_UID
from tests.support.memory_ledger import signer_for_tests

from remit.cli.evidence import verify_export

POINTS = (
    *(f"{name}:{call}" for call in (1, 6) for name in ("before-hold", "after-hold", "after-call", "after-settle")),
    *(f"{name}:{number}" for number in (1, 3, 8, 17) for name in ("before-commit", "after-commit")),
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, campaigns: list[str]) -> Iterator[CrashWorld]:
    """The bank and the model, shared by all trials; at the end the count is told."""
    with crash_world(tmp_path_factory.mktemp("twice")) as made:
        yield made
    campaigns.append(f"gateway killed -9 and its run made again meanwhile: {made.kills} times")


def make_again(folder: Path) -> None:
    """Delete the run and its pod, and make both anew under their names."""
    file = folder / "world.json"
    text = re.sub(r'"run-of-(\d+)"', r'"copy-of-\1"', file.read_text())
    file.write_text(text.replace(POD_UID, "pod-uid-2"))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("crash_at", POINTS)
def test_a_run_made_again_while_nobody_watched_does_nothing_twice(world: CrashWorld, crash_at: str) -> None:
    ended = world.trial(crash_at, make_again)
    assert ended.crashed, f"{crash_at} was never passed"
    verdict = verify_export(ended.files, signer_for_tests().verifier)
    assert verdict.ok, verdict.summary
    assert ended.applied == list(WRITES[: len(ended.applied)])
    if ended.view["uid"].startswith("copy-of-"):  # the first had not begun: no record of it was durable
        assert (ended.view["reason"], ended.applied) == ("Succeeded", list(WRITES))
        assert crash_at.endswith((":1", ":3")), crash_at
    else:
        assert ended.view["reason"] in {"Cancelled", "OutcomeUnknown"}, ended.view
        assert "deleted" in ended.view["message"] or any(name in ended.view["message"] for name in WRITES)
