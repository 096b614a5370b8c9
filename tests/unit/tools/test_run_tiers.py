"""The counts of `make test` hide nothing: skips, errors, empty tiers and crashes are failures."""

from pathlib import Path

import pytest
from tools.run_tiers import Count, count, main, show

REPORT = (
    '<testsuites><testsuite tests="{tests}" failures="{failures}" errors="{errors}" skipped="{skipped}"/></testsuites>'
)


def a_report(folder: Path, **given: int) -> Path:
    """Write a junit report with the given counts; what is not given is 0."""
    numbers = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0, **given}
    path = folder / "tier.xml"
    path.write_text(REPORT.format(**numbers))
    return path


def test_passed_is_what_neither_failed_nor_was_skipped(tmp_path: Path) -> None:
    report = a_report(tmp_path, tests=10, failures=1, errors=2, skipped=3)
    assert count("unit", report, 1, 0.0) == Count("unit", passed=4, failed=3, skipped=3, seconds=0.0)


def test_a_skip_is_a_failure(tmp_path: Path) -> None:
    assert count("unit", a_report(tmp_path, tests=5, skipped=1), 0, 0.0).not_passed == 1


def test_an_empty_tier_is_a_failure(tmp_path: Path) -> None:
    assert count("unit", a_report(tmp_path), 0, 0.0).not_passed == 1


def test_a_crash_without_a_report_is_a_failure(tmp_path: Path) -> None:
    assert count("unit", tmp_path / "none.xml", -9, 0.0).not_passed == 1


def test_a_bad_exit_that_the_report_does_not_explain_is_a_failure(tmp_path: Path) -> None:
    assert count("unit", a_report(tmp_path, tests=5), 3, 0.0).not_passed == 1


def test_the_last_line_is_the_sum(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show([Count("unit", 10, 0, 0, 1.0), Count("e2e", 3, 1, 1, 2.0)], tmp_path)
    assert capsys.readouterr().out.splitlines()[-1] == "13 passed, 2 failed"
    assert (tmp_path / "summary").read_text() == "13 passed, 2 failed\n"


def test_an_unknown_tier_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["untit"]) == 2
    assert "no such tier: untit" in capsys.readouterr().out
