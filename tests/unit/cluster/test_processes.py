"""Who a process is: never only a pid."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from remit.cluster import processes
from remit.cluster.errors import StartError
from remit.cluster.processes import Identity, identify, is_alive, is_gone, kill, load, parse_stat, save

NO_PID = 2**22 + 1
"""Above the kernel's largest pid."""


def stat_line(state: str, flags: int, started: int, name: str = "sleep") -> str:
    numbers = " ".join(["1"] * 12)
    return f"42 ({name}) {state} 1 42 42 0 -1 {flags} {numbers} {started} 0 0"


def test_the_start_time_is_read_behind_a_name_full_of_traps() -> None:
    read = parse_stat(stat_line("S", 0x400000, 777, name="a) R 1 (b"))
    assert read is not None
    assert (read.start_ticks, read.is_exiting) == (777, False)


def test_a_process_that_the_kernel_still_clears_away_is_exiting() -> None:
    read = parse_stat(stat_line("D", 0x4, 777))
    assert read is not None
    assert read.is_exiting


@pytest.mark.parametrize("state", ["Z", "X"])
def test_a_zombie_is_nobody(state: str) -> None:
    assert parse_stat(stat_line(state, 0, 777)) is None


def test_this_process_is_alive() -> None:
    assert is_alive(identify(os.getpid()))


@pytest.mark.parametrize("change", [{"start_ticks": 1}, {"boot": "another boot"}, {"pid": NO_PID}])
def test_a_pid_that_another_process_has_by_now_is_gone(change: dict[str, object]) -> None:
    other = replace(identify(os.getpid()), **change)  # type: ignore[arg-type]
    assert (is_alive(other), is_gone(other)) == (False, True)


def test_the_wrong_process_is_never_killed() -> None:
    kill(replace(identify(os.getpid()), start_ticks=1))


def test_nobody_is_not_alive() -> None:
    assert not is_alive(None)


def test_a_pid_of_nobody_cannot_be_identified() -> None:
    with pytest.raises(StartError, match="ended at once"):
        identify(NO_PID)


def test_an_identity_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    identity = Identity(42, 777, "boot", "recipe")
    save(tmp_path / "run" / "etcd.json", identity)
    assert load(tmp_path / "run" / "etcd.json") == identity


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', '{"process": 1}', "null"])
def test_a_broken_identity_file_is_nobody(tmp_path: Path, content: str) -> None:
    file = tmp_path / "etcd.json"
    file.write_text(content)
    assert load(file) is None


def test_what_never_holds_is_an_error_that_names_it() -> None:
    with pytest.raises(StartError, match="the moon"):
        processes.wait_until(lambda: False, "the moon", seconds=0, poll_seconds=0)
