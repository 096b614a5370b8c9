"""Which lines of the apiserver's audit log count as object writes of our components."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from benchmarks.audit import Log, Sort, Span, count, writes

OURS = frozenset({"system:serviceaccount:remit-system:remit-controller"})
START = datetime(2026, 11, 21, 13, 0, 0, tzinfo=UTC).timestamp()


def an_event(
    *, user: str = "remit-controller", resource: str = "pods", subresource: str = "", at: str = "00.500000", **more: Any
) -> str:
    event = {
        "stage": "ResponseComplete",
        "verb": "patch",
        "user": {"username": f"system:serviceaccount:remit-system:{user}"},
        "objectRef": {"resource": resource, "subresource": subresource, "name": "a"},
        "responseStatus": {"code": 200},
        "requestReceivedTimestamp": f"2026-11-21T13:00:{at}Z",
    }
    return json.dumps(event | more)


@pytest.mark.parametrize(
    ("resource", "subresource", "sort"),
    [
        ("pods", "", Sort.OBJECT),
        ("agentruns", "status", Sort.OBJECT),
        ("events", "", Sort.EVENT),
        ("leases", "", Sort.LEASE),
        ("tokenreviews", "", Sort.REVIEW),
        ("subjectaccessreviews", "", Sort.REVIEW),
        ("serviceaccounts", "token", Sort.REVIEW),
        ("serviceaccounts", "", Sort.OBJECT),
    ],
)
def test_writes_are_told_apart(resource: str, subresource: str, sort: Sort) -> None:
    (write,) = writes([an_event(resource=resource, subresource=subresource)])
    assert write.sort is sort


def test_reads_unfinished_requests_and_broken_lines_are_passed_over() -> None:
    lines = [an_event(verb="get"), an_event(stage="RequestReceived"), '{"kind":"Eve', ""]
    assert list(writes(lines)) == []


def test_only_our_object_writes_within_the_span_count() -> None:
    lines = [
        an_event(at="00.100000"),
        an_event(at="00.200000", resource="agentruns", subresource="status"),
        an_event(at="00.300000", resource="events"),
        an_event(at="00.400000", user="somebody"),
        an_event(at="00.600000", resource="tokenreviews"),
        an_event(at="02.000000", verb="delete"),
    ]
    counted = count(writes(lines), OURS, Span(START, START + 1))
    assert [write.text() for write in counted.within] == ["patch pods", "patch agentruns/status"]
    assert (counted.after, counted.apart, counted.everybody) == (1, 2, 4)


def test_what_came_before_the_creation_does_not_count() -> None:
    counted = count(writes([an_event(at="00.100000")]), OURS, Span(START + 0.2, START + 1))
    assert counted.within == ()
    assert counted.text() == "none"


def test_a_refused_write_counts_and_is_told() -> None:
    counted = count(writes([an_event(responseStatus={"code": 409})]), OURS, Span(START, START + 1))
    assert counted.text() == "1 x patch pods (409)"


def test_a_log_is_read_from_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_text(an_event(resource="secrets") + "\n")
    log = Log(path)
    with path.open("a") as file:
        file.write(an_event() + "\n")
    assert [write.resource for write in log.writes()] == ["pods"]


def test_a_log_that_was_turned_over_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_text(an_event(resource="secrets") + "\n" + an_event() + "\n")
    log = Log(path)
    path.write_text(an_event(resource="nodes") + "\n")
    assert [write.resource for write in log.writes()] == ["nodes"]
