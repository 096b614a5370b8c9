"""Suspended and resumed, tried again in another pod, in line for a place: real agents on a real cluster."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from secrets import randbelow, token_hex
from typing import Any

import yaml
from typer.testing import CliRunner

from remit.cli.demo.records import calls_of
from remit.cli.demo.scenes import start
from remit.cli.demo.stage import BANK, Stage
from remit.cli.queue import app as queue

HELD_SECONDS = 4
"""Longer than any turn of the agent."""


def a_slow_run(stage: Stage, **spec: Any) -> str:
    """Start the agent that reads once a second; its name is new, for nothing is done twice."""
    run: dict[str, Any] = yaml.safe_load((stage.example / "runs" / "dispute-slow.yaml").read_text())
    run["metadata"]["name"] = f"slow-{token_hex(3)}"
    run["spec"] |= spec
    start(stage, run)
    return str(run["metadata"]["name"])


def change(stage: Stage, run: str, desired: str) -> int:
    """Change what is wanted of a run; return its generation then."""
    patch = f'{{"spec": {{"desired": "{desired}"}}}}'
    stage.kubectl("patch", "agentrun", run, "-n", BANK, "--type=merge", "-p", patch)
    return int(stage.get("agentrun", run)["metadata"]["generation"])


def status_of(stage: Stage, run: str) -> dict[str, Any]:
    return dict(stage.get("agentrun", run).get("status", {}))


def works(stage: Stage, run: str, more_than: int = 1) -> int:
    """Wait until a run has made more calls than so many; return how many it made."""
    return len(stage.until(lambda: calls_of(stage, run), lambda calls: len(calls) > more_than, f"{run} works"))


def reaches(stage: Stage, run: str, reason: str) -> dict[str, Any]:
    return stage.until(lambda: status_of(stage, run), lambda seen: seen.get("reason") == reason, f"{run} is {reason}")


def test_a_suspended_run_makes_no_call_and_goes_on_where_it_was(stage: Stage) -> None:
    run = a_slow_run(stage)
    works(stage, run)
    pod = status_of(stage, run)["pod"]
    change(stage, run, "Suspended")
    reaches(stage, run, "Suspended")
    under_way = stage.until(
        lambda: calls_of(stage, run), lambda calls: all(call.status for call in calls), "what was under way is settled"
    )
    since = time.monotonic()
    stage.until(time.monotonic, lambda now: now > since + HELD_SECONDS, "turns pass")
    assert calls_of(stage, run) == under_way

    change(stage, run, "Running")
    assert works(stage, run, len(under_way) + 1)
    assert reaches(stage, run, "Running")["pod"] == pod
    change(stage, run, "Stopped")
    ended = stage.finished(run)
    assert ended["reason"] == "Cancelled"
    assert ended["partial"]


def test_an_agent_that_only_read_goes_on_in_another_pod(stage: Stage) -> None:
    run = a_slow_run(stage, retry={"limit": 1, "backoffSeconds": 1})
    done = works(stage, run)
    first = status_of(stage, run)["pod"]
    stage.kubectl("delete", "pod", first["name"], "-n", BANK, "--grace-period=0", "--force")
    again = stage.until(
        lambda: status_of(stage, run), lambda seen: seen.get("pod", first) != first, "another pod", within_seconds=30
    )
    assert again["tries"][0]["pod"] == first
    assert works(stage, run, done + 2)
    change(stage, run, "Terminated")
    assert stage.finished(run)["reason"] == "Cancelled"


def test_an_agent_that_wrote_is_not_started_again(stage: Stage) -> None:
    number = f"9001{randbelow(50):02}"
    run = a_slow_run(
        stage,
        retry={"limit": 1, "backoffSeconds": 1},
        input={
            "account": f"ACC-{number}",
            "transaction_id": f"TXN-{number}",
            "reason": "unauthorized",
            "order": "open the dispute first",
        },
    )
    stage.until(
        lambda: calls_of(stage, run),
        lambda calls: any(call.tool == "open_dispute" and call.status == "ok" for call in calls),
        "the agent has written",
    )
    stage.kubectl("delete", "pod", status_of(stage, run)["pod"]["name"], "-n", BANK, "--grace-period=0", "--force")
    ended = stage.finished(run)
    assert ended["reason"] == "Failed"
    assert "it is not started again" in ended["outcome"]["message"]
    assert len(ended["tries"]) == 1


def test_three_runs_take_turns_in_one_place(stage: Stage) -> None:
    with one_at_a_time(stage):
        runs = [a_slow_run(stage) for _ in range(3)]
        by_age = sorted(runs, key=lambda run: (stage.get("agentrun", run)["metadata"]["creationTimestamp"], run))
        first = stage.until(
            lambda: [run for run in runs if status_of(stage, run).get("pod")], lambda seen: len(seen) == 1, "one starts"
        )
        waiting = [run for run in by_age if run not in first]
        shown = CliRunner().invoke(
            queue, ["-n", BANK, "--kubeconfig", str(stage.kubeconfig), "--kubectl", stage.kubectl_path]
        )
        assert [line.split()[:2] for line in shown.output.splitlines()[1:]] == [
            [str(place), run] for place, run in enumerate(waiting, 1)
        ]
        for going, following in [(first[0], waiting[0]), (waiting[0], waiting[1])]:
            reaches(stage, going, "Running")
            change(stage, going, "Terminated")
            assert "pod" not in status_of(stage, waiting[1]) or following == waiting[1]
            stage.until(lambda run=following: status_of(stage, run), lambda seen: "pod" in seen, f"{following} starts")  # type: ignore[misc]
        change(stage, waiting[1], "Terminated")


@contextmanager
def one_at_a_time(stage: Stage) -> Iterator[None]:
    """Let the slow agent have one run at once while the block runs."""
    policy: dict[str, Any] = yaml.safe_load((stage.example / "policy.yaml").read_text())
    policy["metadata"]["name"] = "one-at-a-time"
    policy["spec"] |= {"agents": {"names": ["dispute-plodder"]}, "runs": {"maxConcurrent": 1}}
    stage.apply([policy])
    stage.kubectl("wait", "-n", BANK, "policy.remit.dev/one-at-a-time", "--for=condition=Ready", "--timeout=30s")
    try:
        yield
    finally:
        stage.kubectl("delete", "policy.remit.dev", "one-at-a-time", "-n", BANK)
