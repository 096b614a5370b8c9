"""`api-writes`: object writes by our components per cold run, beside a batch/v1 Job, from the apiserver's audit log."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.audit import Count, Log, Span, count
from benchmarks.figures import Anchor
from benchmarks.machine import circumstances, scratch
from benchmarks.options import Options
from benchmarks.rows import Bound, Comparison
from benchmarks.setting import (
    BARE,
    PAYMENTS,
    RUNS,
    Setting,
    agent_run,
    furnished,
    our_accounts,
    until,
    wait_for_success,
)
from remit.adapters.clock import SystemClock

ROUNDS = 5
MOST_WRITES = 8
JOB_USERS = frozenset({"system:serviceaccount:kube-system:job-controller"})
JOBS = f"/apis/batch/v1/namespaces/{BARE}/jobs"
ANCHOR = Anchor(12, 12)
"""All mutating requests per Job under a tuned controller-manager and a fake kubelet, measured in 2026."""
DRAIN_SECONDS = 3.0
"""What comes within it after the finish is counted as clean-up."""


@dataclass
class Tally:
    """The counts of all rounds."""

    ours: list[Count] = field(default_factory=list)
    jobs: list[Count] = field(default_factory=list)
    again: list[Count] = field(default_factory=list)


def measure(options: Options) -> list[Comparison]:
    """Count the writes of runs and Jobs, one after the other, on a cluster that does nothing else."""
    made = furnished(options)
    tally = Tally()
    for number in range(min(options.rounds_or(ROUNDS), len(PAYMENTS))):
        tally.ours.append(one_run(made, number))
        tally.jobs.append(one_job(made, f"job-{number}-a"))
        tally.again.append(one_job(made, f"job-{number}-b"))
        options.say(f"run {len(tally.ours[-1].within)}; Job {len(tally.jobs[-1].within)} object writes")
    return [comparison(tally)]


def comparison(tally: Tally) -> Comparison:
    """Lay the counts beside each other."""
    requests = median(each.everybody for each in tally.jobs)
    return Comparison(
        name="api-writes",
        peer="batch/v1 Job, kube-controller-manager with qps 1000 and 50 syncs: writes of its job-controller",
        unit="writes/run",
        bound=Bound("figure", MOST_WRITES),
        ours=[len(each.within) for each in tally.ours],
        peers=[len(each.within) for each in tally.jobs],
        control=[len(each.within) for each in tally.again],
        anchor=ANCHOR,
        anchor_figure=requests,
        notes=[
            "object writes of controller and gateway from creation to finish, whatever they are about",
            f"ours, last round: {tally.ours[-1].text()}",
            f"Job, last round: {tally.jobs[-1].text()}",
            f"apart, ours within the run: {median(each.apart for each in tally.ours):g} Events, Leases and reviews",
            f"apart, ours after the finish: {median(each.after for each in tally.ours):g} object writes of clean-up",
            f"by everybody, Events too: {median(each.everybody for each in tally.ours):g} a run, {requests:g} a Job",
            "a Job does not: stamp a requester, decide, meter, keep evidence, or tell usage and a result in its status",
            circumstances(scratch("api-writes")),
        ],
    )


def one_run(made: Setting, number: int) -> Count:
    """Count what a cold run costs."""
    name, clock, log = f"bench-writes-{number}", SystemClock(), Log(made.cluster.audit_log_path)
    made.delete(f"{RUNS}/{name}")
    start = clock.now()
    made.create(RUNS, agent_run(name, PAYMENTS[number]))
    wait_for_success(made, name)
    return drained(log, our_accounts(), Span(start, clock.now()))


def one_job(made: Setting, name: str) -> Count:
    """Count what a Job costs that does nothing, in the same image."""
    clock, log = SystemClock(), Log(made.cluster.audit_log_path)
    made.delete(f"{JOBS}/{name}")
    start = clock.now()
    made.create(JOBS, job(name, made.stage.images["harness"]))
    until(lambda: is_complete(made.get(f"{JOBS}/{name}")), f"Job {name} is complete")
    counted = drained(log, JOB_USERS, Span(start, clock.now()))
    made.delete(f"{JOBS}/{name}")
    return counted


def drained(log: Log, users: frozenset[str], span: Span) -> Count:
    """Let the clean-up pass, and count."""
    time.sleep(DRAIN_SECONDS)
    return count(log.writes(), users, span)


def is_complete(found: dict[str, Any]) -> bool:
    """Tell whether a Job says that it is complete."""
    conditions = found.get("status", {}).get("conditions", [])
    return any(each["type"] == "Complete" and each["status"] == "True" for each in conditions)


def job(name: str, image: str) -> dict[str, Any]:
    """Return a Job of one pod that ends at once."""
    container = {
        "name": "work",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3.11", "-S", "-c", "pass"],
    }
    pod = {"restartPolicy": "Never", "containers": [container], "terminationGracePeriodSeconds": 2}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": BARE},
        "spec": {"backoffLimit": 0, "template": {"spec": pod}},
    }
