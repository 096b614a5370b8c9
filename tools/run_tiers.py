"""Runs test tiers one after another and prints the counts; the last line is `N passed, N failed`.

A skipped test, an expected failure or an empty tier counts as failed: nothing may hide.
"""

import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "build" / "test-results"
TIERS = ("unit", "property", "golden", "dataplane", "apiserver", "e2e")
# These share nothing with each other and load one core each, so they run side by side.
PURE = ("unit", "property", "golden")
# The order of tests is shuffled, and the same for everybody: what passed here passes there. Another seed finds more.
SEED = os.environ.get("REMIT_TEST_SEED", "1")


@dataclass(frozen=True)
class Count:
    """What one tier came to."""

    tier: str
    passed: int
    failed: int
    skipped: int
    seconds: float

    @property
    def not_passed(self) -> int:
        """Failures, errors and skips; an empty tier is one failure."""
        return self.failed + self.skipped or int(self.passed == 0)


def count(tier: str, report: Path, exit_code: int, seconds: float) -> Count:
    """Read pytest's junit report; no report, or an unexplained exit code, is one failure."""
    if not report.exists():
        return Count(tier, 0, 1, 0, seconds)
    total = failed = skipped = 0
    # The report was written a moment ago by our own pytest: there is no hostile XML here.
    for suite in ET.parse(report).getroot().iter("testsuite"):  # noqa: S314
        total += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    passed = max(total - failed - skipped, 0)
    if exit_code != 0 and failed == 0:
        failed = 1
    return Count(tier, passed, failed, skipped, seconds)


def run(tier: str) -> Count:
    """Run one tier in a pytest of its own; what a pure tier says is shown when it is done."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    report = RESULTS / f"{tier}.xml"
    report.unlink(missing_ok=True)
    started = time.monotonic()
    command = (sys.executable, "-m", "pytest", f"tests/{tier}", "-q", f"--junitxml={report}", f"--randomly-seed={SEED}")
    if tier in PURE:
        quiet = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
        print(f"== {tier}\n{quiet.stdout}{quiet.stderr}", flush=True)
        exit_code = quiet.returncode
    else:
        print(f"== {tier}", flush=True)
        exit_code = subprocess.run(command, cwd=ROOT, check=False).returncode
    return count(tier, report, exit_code, time.monotonic() - started)


def run_all(tiers: Sequence[str]) -> list[Count]:
    """Run the pure tiers two at a time, then the others, which need the machine to themselves."""
    pure = [tier for tier in tiers if tier in PURE]
    with ThreadPoolExecutor(max_workers=2) as pool:
        counts = list(pool.map(run, pure))
    return counts + [run(tier) for tier in tiers if tier not in PURE]


def show(counts: list[Count], results: Path = RESULTS) -> None:
    """Print a table, then the sum as the last line, and keep the sum for .ci/run."""
    results.mkdir(parents=True, exist_ok=True)
    print(f"\n{'tier':<12}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}")
    for each in counts:
        row = f"{each.passed:>8}{each.failed:>8}{each.skipped:>9}{each.seconds:>9.1f}"
        note = "  (a skip is a failure)" if each.skipped else ""
        print(f"{each.tier:<12}{row}{note}")
    passed = sum(each.passed for each in counts)
    summary = f"{passed} passed, {sum(each.not_passed for each in counts)} failed"
    (results / "summary").write_text(summary + "\n")
    print(summary)


def main(wanted: list[str]) -> int:
    """Run the named tiers, or all of them, also after a failure."""
    if unknown := set(wanted) - set(TIERS):
        print(f"no such tier: {', '.join(sorted(unknown))}; there are {', '.join(TIERS)}")
        return 2
    counts = run_all(wanted or TIERS)
    show(counts)
    return 1 if any(each.not_passed for each in counts) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
