"""Whether a call that may have been made is made again."""

from dataclasses import dataclass

import pytest

from remit.core.idempotency import InFlight, KeyReused, Replay, Run, Unknown, Verdict, key_of, verdict


@dataclass(frozen=True)
class Known:
    """An earlier call."""

    state: str
    arguments_digest: str = "sha256:a"
    answer: bytes = b"answer"


def judged(state: str, risk: str = "Write", digest: str = "sha256:a") -> Verdict:
    return verdict(Known(state), digest, kind="tool", risk=risk)


def test_a_new_call_is_made() -> None:
    assert verdict(None, "sha256:a", kind="tool", risk="Write") == Run()


@pytest.mark.parametrize(
    ("state", "expected"),
    [("held", InFlight()), ("done", Replay(b"answer")), ("failed", Run()), ("unknown", Unknown())],
)
def test_a_known_write_is_made_again_only_if_it_certainly_had_no_effect(state: str, expected: Verdict) -> None:
    assert judged(state) == judged(state, "Financial") == judged(state, "Destructive") == expected


@pytest.mark.parametrize("state", ["done", "failed", "unknown"])
def test_a_read_is_made_again(state: str) -> None:
    assert judged(state, "ReadOnly") == Run()
    assert verdict(Known(state), "sha256:a", kind="model", risk="ReadOnly") == Run()


def test_a_read_under_way_is_waited_for() -> None:
    assert judged("held", "ReadOnly") == InFlight()


@pytest.mark.parametrize("state", ["held", "done", "failed", "unknown"])
def test_an_id_stands_for_one_set_of_arguments(state: str) -> None:
    assert judged(state, digest="sha256:b") == judged(state, "ReadOnly", "sha256:b") == KeyReused()


def test_a_key_is_of_run_call_and_tool() -> None:
    keys = {
        key_of("run-1", "call-1", "core", "credit"),
        key_of("run-2", "call-1", "core", "credit"),
        key_of("run-1", "call-2", "core", "credit"),
        key_of("run-1", "call-1", "cards", "credit"),
        key_of("run-1", "call-1", "core", "debit"),
    }
    assert len(keys) == 5
    assert all(len(key) == 64 for key in keys)
