"""What makes two runs the same piece of work."""

from typing import Any

import pytest

from remit.api.agentrun import AgentRunSpec
from remit.core.work import is_named, may_be_the_same, unnamed_work, work_of

SPEC: dict[str, Any] = {"agent": "clerk", "purpose": "dispute", "input": {"id": "D-1", "cents": [1250, 1e300, 2**60]}}


def work(name: str = "run-1", namespace: str = "bank", **changes: Any) -> str:
    return work_of(namespace, name, AgentRunSpec.model_validate(SPEC | changes))


def test_the_identity_is_what_it_is_in_every_version() -> None:
    """A change of these digests would have every run of every ledger done again."""
    assert work() == "sha256:25916dd84ccd61158ee68abe24fdcc3223b933639396ab365776f2be4279df52"
    assert (
        work(case={"id": "C-1"}, budget={"tokens": 5}, attempt=3)
        == "sha256:86b8588858774a8e8497ab86bfc616d8c0691a237b3c6f6d12bde1fbc1656709"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"desired": "Terminated"},
        {"ttlSecondsAfterFinished": 1},
        {"requester": {"username": "argo"}},
        {"retry": {"limit": 2}},
        {"deadlineSeconds": 3600},
        {"budget": {}},
    ],
    ids=str,
)
def test_it_does_not_change_with(changes: dict[str, Any]) -> None:
    assert work(**changes) == work()


@pytest.mark.parametrize(
    "changes",
    [
        {"attempt": 2},
        {"agent": "other"},
        {"purpose": "refund"},
        {"input": {"id": "D-1", "cents": [1250, 1e300, 2**60 + 1]}},
        {"case": {"id": "C-1"}},
        {"budget": {"tokens": 5}},
        {"deadlineSeconds": 60},
    ],
    ids=str,
)
def test_it_changes_with(changes: dict[str, Any]) -> None:
    assert work(**changes) != work()


def test_it_is_of_one_name_in_one_namespace() -> None:
    assert len({work(), work("run-2"), work(namespace="other")}) == 3


def test_the_order_of_keys_is_nothing() -> None:
    one, other = ({"input": dict.fromkeys(keys, 1)} for keys in ("ab", "ba"))
    assert one == other


def test_a_work_that_is_known_by_name_is_not_named() -> None:
    assert is_named(work())
    assert not is_named(unnamed_work("bank", "run-1"))


@pytest.mark.parametrize(
    ("changes", "same"),
    [({}, True), ({"attempt": 2}, False), ({"agent": "other"}, False), ({"case": {"id": "C-1"}}, False)],
    ids=str,
)
def test_what_an_older_ledger_kept_speaks_against_it(changes: dict[str, Any], same: bool) -> None:  # noqa: FBT001
    facts = {"attempt": 1, "agent": "clerk", "purpose": "dispute"}
    assert may_be_the_same(facts, AgentRunSpec.model_validate(SPEC | changes)) is same
