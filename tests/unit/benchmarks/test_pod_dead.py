"""How long pods live on: which trials are made, which processes count, and what is said of them."""

from collections import Counter
from pathlib import Path
from random import Random

import pytest
from benchmarks.pod_dead import OLDEST_SECONDS, RUNTIMES, TRIALS, WAYS, Death, Trial, comparison, trials
from benchmarks.pod_processes import PodProcesses, cgroup_of_pod
from benchmarks.rows import row_of

EDITED = 1000.0


def test_every_runtime_is_taken_from_in_every_way_at_all_ages() -> None:
    made, again = (trials(TRIALS, Random(5)) for _ in range(2))  # noqa: S311 - to be repeated
    ages = sorted(each.age_seconds for each in made)

    assert set(Counter((each.runtime, each.way) for each in made).values()) == {TRIALS // (len(RUNTIMES) * len(WAYS))}
    assert made == again, "a seed repeats them"
    assert (ages[0] < 1.0, ages[-1] > OLDEST_SECONDS - 1.0) == (True, True)


def a_death(number: int, runtime: str, seconds: float) -> Death:
    return Death(Trial(number, runtime, "run terminated", 1.5), EDITED, seconds, "Cancelled")


@pytest.mark.parametrize(("longest", "ok"), [(2.9, True), (3.1, False)])
def test_the_longest_life_of_both_runtimes_is_judged(longest: float, *, ok: bool) -> None:
    deaths = [a_death(0, "harness", 0.25), a_death(1, "deaf container", longest)]
    row = row_of(comparison(deaths, {each.trial.pod: EDITED + 0.125 for each in deaths}), "")

    assert (row["figure"], row["ok"]) == (longest, ok)
    notes = "\n".join(row["notes"])
    assert "harness of 1: p50 0.25, p99 0.25, most 0.25 s" in notes
    assert f"deaf container of 1: p50 {longest:.2f}" in notes
    assert "pod's deletion received: of 2: p50 0.12" in notes
    assert f"{longest:.2f} s (ours 0.12): deaf container, 1.5 s old, run terminated" in notes
    assert "0 ended by themselves" in notes


def test_a_pod_that_nobody_deleted_is_nobodys_part() -> None:
    deaths = [a_death(0, "harness", 0.25), a_death(1, "harness", 2.0)]
    notes = "\n".join(comparison(deaths, {deaths[0].trial.pod: EDITED + 0.125}).notes)

    assert "pod's deletion received: of 1: p50 0.12" in notes
    assert "1 ended by themselves" in notes


def a_process(proc: Path, number: int, *words: str) -> None:
    (proc / str(number)).mkdir(parents=True)
    (proc / str(number) / "cmdline").write_text("".join(f"{word}\0" for word in words))


def test_whatever_runs_in_the_pods_containers_counts_and_what_holds_the_pod_does_not(tmp_path: Path) -> None:
    pod, proc = tmp_path / "fs" / "memory" / "cluster" / "kubepods" / "burstable" / "podabc", tmp_path / "proc"
    for container, processes in {"one": "11\n12\n", "two": "13\n", "sandbox": "14\n", "ended": ""}.items():
        (pod / container).mkdir(parents=True)
        (pod / container / "cgroup.procs").write_text(processes)
    a_process(proc, 11, "sleep", "3600")
    a_process(proc, 12, "sh")
    a_process(proc, 13, "python3.11", "-m", "remit.harness", "sidecar")
    a_process(proc, 14, "/pause")

    assert cgroup_of_pod("abc", "cluster", [tmp_path / "fs" / "none", tmp_path / "fs" / "memory"]) == pod
    assert cgroup_of_pod("abd", "cluster", [tmp_path / "fs" / "memory"]) is None
    found = PodProcesses(pod, proc)
    assert found.all() == {11, 12, 13}
    assert (found.has(b"sleep"), found.has(b"curl")) == (True, False)
