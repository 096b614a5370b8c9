"""`python -m benchmarks [NAME…] [--cold]`: runs the benchmarks, prints their rows and keeps them."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from benchmarks import (
    api_writes,
    cluster_up,
    cold_start,
    controller_cpu,
    gateway_cpu,
    pod_dead,
    revocation,
    scale,
    setting,
    warm_start,
)
from benchmarks.machine import RESULTS, ROOT, commit
from benchmarks.options import Options
from benchmarks.processes import BenchmarkError
from benchmarks.rows import Comparison, row_of, store, table
from remit.cli.demo.stage import SceneError
from remit.cluster import ClusterError

Benchmark = Callable[[Options], list[Comparison]]
BENCHMARKS: Mapping[str, Benchmark] = {
    "cluster-up": cluster_up.measure,
    "cold-start": cold_start.measure,
    "gateway-cpu": gateway_cpu.measure,
    "api-writes": api_writes.measure,
    "revocation": revocation.measure,
    "pod-dead": pod_dead.measure,
    "warm-start": warm_start.measure,
    "controller-cpu": controller_cpu.measure,
    "scale": scale.measure,
}


def main(arguments: Sequence[str]) -> int:
    """Run what is asked for; 1 when a row is not ok, 2 when a benchmark could not be run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all without any")
    parser.add_argument("--cold", action="store_true", help="cluster-up also builds everything anew: many minutes")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of each comparison; 0: as the benchmark has it")
    parser.add_argument("--small", action="store_true", help="as small as it runs at all: to try the benchmark itself")
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.names if name not in BENCHMARKS]:
        parser.error(f"no benchmark {', '.join(unknown)}: there are {', '.join(BENCHMARKS)}")
    options = Options(cold=given.cold, rounds=given.rounds, small=given.small)
    try:
        return max(run(name, options) for name in given.names or BENCHMARKS)
    finally:
        setting.leave()


def run(name: str, options: Options) -> int:
    """Run one benchmark; a fault of one does not keep the others from running."""
    print(f"\n{name}", flush=True)
    started, before = time.monotonic(), commit()
    try:
        comparisons = BENCHMARKS[name](options)
    except (BenchmarkError, ClusterError, SceneError, OSError) as error:
        print(f"  could not be run: {error}", flush=True)
        return 2
    rows = [row_of(each, before) for each in comparisons]
    if not options.small:
        store(RESULTS, rows)
    print(table(rows))
    kept = "nothing is kept" if options.small else f"rows are in {RESULTS.relative_to(ROOT)}"
    print(f"  took {time.monotonic() - started:.0f} s; {kept}", flush=True)
    return int(any(row["ok"] is False for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
