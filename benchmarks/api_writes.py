"""`api-writes`: what controller and gateway write for a run, cold and warm, beside a batch/v1 Job: by the audit log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
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
    SESSION,
    Setting,
    agent_run,
    furnished,
    our_accounts,
    until,
    wait_for_success,
)
from benchmarks.warm_start import REPLICAS, pool_is_full, resized
from remit.adapters.clock import SystemClock
from remit.api.names import INSTALL_NAMESPACE

ROUNDS = 4
"""Each takes a payment for a cold run and one for a warm run."""
MOST_WRITES, MOST_EVENTS, MOST_OF_A_JOB = 5, 3, 1.0
MOST_IDLE = 1.0
RESYNC_SECONDS = 5
IDLE_SECONDS = 20.0
JOB_USERS = frozenset({"system:serviceaccount:kube-system:job-controller"})
JOBS = f"/apis/batch/v1/namespaces/{BARE}/jobs"
ANCHOR = Anchor(12, 12)
"""All mutating requests per Job under a tuned controller-manager and a fake kubelet, measured in 2026."""
DRAIN_SECONDS = 3.0
"""What comes within it after the finish is counted as clean-up."""


@dataclass
class Tally:
    """The counts of all rounds."""

    cold: list[Count] = field(default_factory=list)
    warm: list[Count] = field(default_factory=list)
    jobs: list[Count] = field(default_factory=list)
    again: list[Count] = field(default_factory=list)
    resync: int = 0
    """Object writes while everything was listed anew, several times, and nothing had changed."""
    idle: float = 0.0
    """Writes of every sort in a second in which nothing happens."""


def measure(options: Options) -> list[Comparison]:
    """Count the writes of runs and Jobs, one after the other, on a cluster that does nothing else."""
    made = furnished(options)
    tally = Tally()
    rounds = min(options.rounds_or(ROUNDS), len(PAYMENTS) // 2)
    for number in range(rounds):
        tally.cold.append(one_run(made, f"cold-{number}", PAYMENTS[number]))
        tally.jobs.append(one_job(made, f"job-{number}-a"))
        tally.again.append(one_job(made, f"job-{number}-b"))
        options.say(f"cold run {len(tally.cold[-1].within)}; Job {len(tally.jobs[-1].within)} object writes")
    with resized(made, REPLICAS):
        for number in range(rounds):
            until(lambda: pool_is_full(made), "the agent's pool is full")
            tally.warm.append(one_run(made, f"warm-{number}", PAYMENTS[-1 - number]))
            options.say(f"warm run {len(tally.warm[-1].within)} object writes")
        tally.resync, tally.idle = at_rest(made)
        options.say(f"at rest {tally.resync} object writes on resyncs, {tally.idle:.2f} writes/s in all")
    return comparisons(tally)


def at_rest(made: Setting) -> tuple[int, float]:
    """Return what is written while nothing happens but that everything is listed anew, every few seconds."""
    with resyncing(made):
        time.sleep(2 * IDLE_SECONDS)  # what the new controller and the last run's clean-up still do
        log, start = Log(made.cluster.audit_log_path), SystemClock().now()
        time.sleep(IDLE_SECONDS)
        end = SystemClock().now()
        counted = count(log.writes(), our_accounts(), Span(start, end))
    return len(counted.within), counted.everything / (end - start)


@contextmanager
def resyncing(made: Setting) -> Iterator[None]:
    """Have the controller list everything anew every few seconds while the block runs."""
    where = ("-n", INSTALL_NAMESPACE, "deployment/remit-controller")
    made.stage.kubectl("set", "env", *where, f"REMIT_RESYNC_SECONDS={RESYNC_SECONDS}")
    made.stage.kubectl("rollout", "status", *where, "--timeout=120s")
    try:
        yield
    finally:
        made.stage.kubectl("set", "env", *where, "REMIT_RESYNC_SECONDS-")
        made.stage.kubectl("rollout", "status", *where, "--timeout=120s")


def comparisons(tally: Tally) -> list[Comparison]:
    """Lay the counts beside each other."""
    disk = circumstances(scratch("api-writes"))
    requests = [each.everybody for each in tally.jobs]
    again = [each.everybody for each in tally.again]
    peer = "batch/v1 Job, kube-controller-manager with qps 1000 and 50 syncs"
    rows = []
    for word, counts in (("cold", tally.cold), ("warm", tally.warm)):
        notes = [*said_of(counts, tally.jobs), disk]
        rows += [
            Comparison(
                name=f"api-writes/{word}",
                peer=f"{peer}: writes of its job-controller",
                unit="writes/run",
                bound=Bound("figure", MOST_WRITES),
                ours=[len(each.within) for each in counts],
                peers=[len(each.within) for each in tally.jobs],
                control=[len(each.within) for each in tally.again],
                anchor=ANCHOR,
                anchor_figure=median(requests),
                notes=notes,
            ),
            Comparison(
                name=f"api-writes/{word}-events",
                peer="none: a bound",
                unit="Events/run",
                bound=Bound("figure", MOST_EVENTS),
                ours=[each.events for each in counts],
                notes=["Events by controller and gateway, from creation to finish", disk],
            ),
            Comparison(
                name=f"api-writes/{word}-by-everybody",
                peer=f"{peer}: mutating requests of everybody",
                unit="requests/run",
                bound=Bound("ratio", MOST_OF_A_JOB),
                ours=[each.everybody for each in counts],
                peers=requests,
                control=again,
                anchor=ANCHOR,
                notes=["scheduler, kubelet, Events and the user's own creation included; no Leases, no reviews", disk],
            ),
        ]
    return [*rows, *rows_at_rest(tally, disk)]


def rows_at_rest(tally: Tally, disk: str) -> list[Comparison]:
    """Return what is written while nothing happens."""
    notes = [f"over {IDLE_SECONDS:.0f} s, with a warm pool standing and everything listed anew every few seconds", disk]
    return [
        Comparison(
            "api-writes/resync", "none: a bound", "writes", Bound("figure", 0), ours=[tally.resync], notes=notes
        ),
        Comparison(
            "api-writes/idle",
            "none: a bound",
            "writes/s",
            Bound("figure", MOST_IDLE),
            ours=[tally.idle],
            notes=["Leases, Events and reviews included", *notes],
        ),
    ]


def said_of(counts: list[Count], jobs: list[Count]) -> list[str]:
    """Return what stands beside a count."""
    return [
        "object writes of controller and gateway from creation to finish, whatever they are about",
        f"ours, last round: {counts[-1].text()}",
        f"Job, last round: {jobs[-1].text()}",
        f"apart, ours within the run: {median(each.apart for each in counts):g} Events, Leases and reviews",
        f"apart, ours after the finish: {median(each.after for each in counts):g} object writes of clean-up and refill",
        "a Job does not: stamp a requester, decide, meter, keep evidence, or tell usage and a result in its status",
    ]


def one_run(made: Setting, word: str, payment: tuple[str, str]) -> Count:
    """Count what a run costs."""
    name, clock, log = f"bench-writes-{word}-{SESSION}", SystemClock(), Log(made.cluster.audit_log_path)
    start = clock.now()
    made.create(RUNS, agent_run(name, payment))
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
