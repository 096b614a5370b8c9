"""What admission checks, checked again: objections and things to wait for, in their order."""

from typing import Any

import pytest
from tests.support.objects import a_grant, a_run, an_agent

from remit.core.admission import Disallowed, Subject, Wait, agent_is_not_ready, review

NOW = 1_795_000_000.0


def ready_agent(reason: str = "Ready", status: str = "True", **metadata: Any) -> dict[str, Any]:
    agent = an_agent()
    agent["metadata"] |= {"generation": 1, "creationTimestamp": "2026-11-21T12:00:00Z", **metadata}
    condition = {"type": "Ready", "status": status, "reason": reason, "message": "as it is"}
    agent["status"] = {"observedGeneration": 1, "conditions": [condition], "revision": {"name": "r", "digest": "d"}}
    return agent


def a_subject(agent: Any = None, grant: Any = None, started: str = "", **spec: Any) -> Subject:
    run = a_run(**spec)
    run["status"] = {"startedAt": started} if started else {}
    return Subject(run, agent, grant, NOW)


def test_a_run_of_a_ready_agent_may_start() -> None:
    assert review(a_subject(ready_agent(), a_grant())) is None


LATER = "2026-11-21T12:30:00Z"


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        (a_subject(requester={"username": ""}), "nobody is named"),
        (a_subject(None, started=LATER), "was deleted"),
        (a_subject(ready_agent(deletionTimestamp=LATER)), "is being deleted"),
        (a_subject(ready_agent(creationTimestamp="2026-11-21T12:31:00Z"), started=LATER), "is another"),
        (a_subject(an_agent(lifecycle="Retired")), "is Retired"),
        (a_subject(ready_agent(), purpose="marketing"), "purpose marketing"),
        (a_subject(ready_agent(), a_grant(suspended=True)), "grant provider is suspended"),
        (a_subject(ready_agent(), a_grant(notAfter="2020-01-01T00:00:00Z")), "expired at 2020"),
        (a_subject(ready_agent("NoPolicy", "False"), started=LATER), "as it is"),
    ],
)
def test_what_forbids_a_run(subject: Subject, words: str) -> None:
    objection = review(subject)

    assert isinstance(objection, Disallowed)
    assert words in objection.message


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        (a_subject(None), "does not exist yet"),
        (a_subject(an_agent()), "was not looked at yet"),
        (a_subject(ready_agent(generation=2)), "was not looked at yet"),
        (a_subject(ready_agent("Progressing", "Unknown")), "is not ready: Progressing: as it is"),
    ],
)
def test_what_a_run_waits_for(subject: Subject, words: str) -> None:
    wait = review(subject)

    assert isinstance(wait, Wait)
    assert words in wait.message


def test_a_run_under_way_goes_on() -> None:
    assert review(a_subject(ready_agent(), a_grant(), started=LATER)) is None


def test_a_rule_that_broke_under_way_leaves_the_run_to_the_gateway() -> None:
    assert isinstance(review(a_subject(ready_agent("InvalidRule", "False"), started=LATER)), Wait)


def test_an_agent_that_is_missing_is_another_matter_than_one_that_is_not_ready() -> None:
    assert agent_is_not_ready(a_subject(None)) is None
