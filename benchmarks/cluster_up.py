"""`cluster-up`: how long `remit cluster up` takes to a Ready node, with its programs built, and from nothing."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import suppress

from benchmarks.figures import median
from benchmarks.machine import ROOT, circumstances, scratch
from benchmarks.options import Options
from benchmarks.processes import BenchmarkError, output_of
from benchmarks.rows import Bound, Comparison
from remit.cluster import Cluster, ClusterError, prepare

NAME = "remit-bench-up"
ROUNDS = 5
WARM_SECONDS = 10.0
COLD_MINUTES = 12.0
BY_HAND_SECONDS = 7.0
BY_HAND_COLD_MINUTES = 8.2
MAX_SECONDS = 120
MAX_COLD_SECONDS = 45 * 60
READY = 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}'


def measure(options: Options) -> list[Comparison]:
    """Measure the warm start, and the cold build when it is asked for."""
    try:
        return [warm(options), cold(options)]
    except ClusterError as error:
        raise BenchmarkError(str(error)) from error


def warm(options: Options) -> Comparison:
    """Bring a cluster of a fresh name up, as a command of its own, again and again."""
    prepare(options.say)
    disk = circumstances(scratch("cluster-up"))
    taken, again, downs = [], [], []
    for number in range(options.rounds_or(ROUNDS)):
        seconds, idle, down = one_round(f"{NAME}{number}")
        taken.append(seconds)
        again.append(idle)
        downs.append(down)
        options.say(f"up {seconds:.2f} s; up again, nothing to do {idle:.2f} s; down {down:.2f} s")
    return Comparison(
        name="cluster-up/warm",
        peer="the same components started by hand, as recorded in 2026 (not run here)",
        unit="s",
        bound=Bound("figure", WARM_SECONDS),
        ours=taken,
        peers=[BY_HAND_SECONDS],
        notes=[
            "from `remit cluster up` typed to the node seen Ready: Python's start and kubectl's look are in it",
            f"no-op control: up when all is well {median(again):.2f} s; down {median(downs):.2f} s",
            "not done: building the programs, pulling images; etcd does not wait for the disk in this cluster",
            disk,
        ],
    )


def one_round(name: str) -> tuple[float, float, float]:
    """Return the seconds to a Ready node, of an `up` with nothing to do, and of `down`."""
    cluster = Cluster(name)
    if cluster.exists:
        cluster.down()
    try:
        started = time.monotonic()
        command(name, {}, MAX_SECONDS, "up")
        if "True" not in cluster.kubectl("get", "nodes", "-o", READY):
            raise BenchmarkError(f"`remit cluster up` of {name} ended before its node was Ready")
        ready = time.monotonic()
        command(name, {}, MAX_SECONDS, "up")
        again = time.monotonic()
        command(name, {}, MAX_SECONDS, "down")
        return ready - started, again - ready, time.monotonic() - again
    finally:
        with suppress(ClusterError):
            cluster.down()


def command(name: str, environment: dict[str, str], seconds: float, verb: str) -> None:
    """Run `remit cluster VERB` on the cluster of that name."""
    line = [sys.executable, "-m", "remit.cli", "cluster", verb]
    output_of(line, seconds=seconds, folder=ROOT, environment={**environment, "REMIT_CLUSTER": name})


def cold(options: Options) -> Comparison:
    """Build everything from an empty cache and bring it up; only when asked for."""
    minutes: list[float] = []
    load = os.getloadavg()[0]
    notes = ["from an empty $REMIT_CACHE to a Ready node: modules are downloaded and every program is compiled"]
    if options.cold:
        options.say("building from an empty cache: many minutes")
        minutes.append(cold_seconds() / 60)
        notes.append(f"load {load:.1f} on {os.cpu_count()} cores before it; the bound is for 2 idle cores")
    else:
        notes.append("not measured in this run: `make bench ARGS='cluster-up --cold'` does it")
    return Comparison(
        name="cluster-up/cold",
        peer="the same build by hand, as recorded in 2026 (not run here)",
        unit="min",
        bound=Bound("figure", COLD_MINUTES),
        ours=minutes,
        peers=[BY_HAND_COLD_MINUTES],
        notes=notes,
    )


def cold_seconds() -> float:
    """Return the seconds from nothing to a Ready node."""
    name = f"{NAME}c"
    with tempfile.TemporaryDirectory(dir=scratch("cold"), ignore_cleanup_errors=True) as cache:
        environment = {"REMIT_CACHE": cache}
        try:
            started = time.monotonic()
            command(name, environment, MAX_COLD_SECONDS, "up")
            return time.monotonic() - started
        finally:
            with suppress(ClusterError):
                Cluster(name).down()
