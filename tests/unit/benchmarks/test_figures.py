"""Statistics of samples, and what processes say of the CPU they used."""

from pathlib import Path

import pytest
from benchmarks.figures import control_difference, percentile, spread
from benchmarks.machine import file_system
from benchmarks.processes import TICKS_PER_SECOND, family, parse_stat


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)], ids=["p50", "p99", "the most", "the least"]
)
def test_a_percentile_is_one_of_the_samples(share: float, expected: float) -> None:
    assert percentile(range(100, 0, -1), share) == expected


def test_the_spread_of_equal_samples_is_nothing() -> None:
    assert spread([2.0, 2.0, 2.0]) == 0.0
    assert spread([2.0]) == 0.0


def test_the_spread_is_the_quartiles_distance_by_the_median() -> None:
    assert spread([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(2 / 3)


def test_a_control_that_is_the_same_does_not_differ() -> None:
    assert control_difference([1.0, 2.0, 3.0], [2.0]) == 0.0
    assert control_difference([2.0], [1.0]) == pytest.approx(0.5)


def test_the_name_of_a_process_may_hold_anything() -> None:
    text = f"7 (a) b (c)) S 3 {' '.join(['0'] * 9)} {TICKS_PER_SECOND} {2 * TICKS_PER_SECOND} 0 {TICKS_PER_SECOND} 20 0"
    assert parse_stat(text) == (3, 4.0)


def test_a_family_is_a_process_and_all_below_it() -> None:
    assert family(2, {1: 0, 2: 1, 3: 2, 4: 3, 5: 1}) == {2, 3, 4}


MOUNTS = """\
21 1 252:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
25 21 0:20 / /run rw - tmpfs tmpfs rw
26 25 252:1 / /run/disk rw master:3 - xfs /dev/vdb rw
27 21 0:22 / /home rw - ext4 /dev/vdc rw
28 21 0:23 / /home rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("/srv/x", "ext4"), ("/run/x", "tmpfs"), ("/run/disk/x", "xfs"), ("/running", "ext4"), ("/home/x", "tmpfs")],
)
def test_the_file_system_is_that_of_the_deepest_and_latest_mount(folder: str, kind: str) -> None:
    assert file_system(Path(folder), MOUNTS) == kind
