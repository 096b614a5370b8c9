"""The cluster's cgroups, on folders that stand for hierarchies of both versions."""

from pathlib import Path

import pytest

from remit.cluster import cgroups
from remit.cluster.errors import MachineError

MOUNTS = """
proc /proc proc rw 0 0
cgroup {root}/cpuset cgroup rw,relatime,cpuset 0 0
cgroup {root}/memory cgroup rw,relatime,memory 0 0
cgroup2 {root}/unified cgroup2 rw,relatime 0 0
"""


@pytest.fixture
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("cpuset", "memory", "unified"):
        (tmp_path / name).mkdir()
    (tmp_path / "cpuset" / "cpuset.cpus").write_text("0-1\n")
    (tmp_path / "unified" / "cgroup.controllers").write_text("cpu io\n")
    (tmp_path / "mounts").write_text(MOUNTS.format(root=tmp_path).strip())
    monkeypatch.setattr(cgroups, "MOUNTS", tmp_path / "mounts")
    return tmp_path


def test_every_hierarchy_of_either_version_is_found(top: Path) -> None:
    assert cgroups.hierarchies() == (top / "cpuset", top / "memory", top / "unified")


def test_the_version_is_that_of_the_controllers(top: Path) -> None:
    assert cgroups.version() == 1
    (top / "mounts").write_text(f"cgroup2 {top}/unified cgroup2 rw 0 0")
    assert cgroups.version() == 2


def test_the_group_is_made_everywhere_and_its_controllers_are_switched_on(top: Path) -> None:
    cgroups.make("remit-x")
    assert all((each / "remit-x").is_dir() for each in cgroups.hierarchies())
    assert (top / "unified" / "cgroup.subtree_control").read_text() == "+cpu +io"


def test_the_group_goes_with_all_below_it_and_nothing_else_does(top: Path) -> None:
    cgroups.make("remit-x")
    (top / "memory" / "remit-x" / "kubepods" / "pod1").mkdir(parents=True)
    (top / "memory" / "remit-xy").mkdir()
    cgroups.remove("remit-x")
    assert not list(top.glob("*/remit-x"))
    assert (top / "memory" / "remit-xy").is_dir()


def test_removing_what_is_not_there_is_no_error(top: Path) -> None:
    cgroups.remove("remit-x")


def test_cgroups_that_cannot_be_made_are_told_with_the_place(top: Path) -> None:
    (top / "memory" / "remit-x").write_text("in the way")
    with pytest.raises(MachineError, match=r"cgroups cannot be made in .*/memory"):
        cgroups.make("remit-x")


def test_a_machine_without_cgroups_is_told(top: Path) -> None:
    (top / "mounts").write_text("proc /proc proc rw 0 0")
    with pytest.raises(MachineError, match="no cgroup hierarchy"):
        cgroups.make("remit-x")
