"""Tiers: a test's tier is its directory. Nothing here may skip, deselect or excuse a test."""

import os
from pathlib import Path

import pytest
from hypothesis import settings
from tests.support.cluster import cluster

__all__ = ["cluster"]

# A busy machine is slow, not wrong: the tier's timeout bounds a property, not each example.
# The examples are the same for everybody: a gate says what changed, not who was lucky. `explore` looks for new ones.
settings.register_profile("remit", deadline=None, print_blob=True, derandomize=True)
settings.register_profile("explore", settings.get_profile("remit"), derandomize=False, max_examples=1000)
# Before a commit: fewer examples, so that `make check` stays below a minute; `make test` takes them all.
settings.register_profile("quick", settings.get_profile("remit"), max_examples=25)
settings.load_profile(os.environ.get("REMIT_HYPOTHESIS", "remit"))

TESTS = Path(__file__).parent

TIMEOUT_SECONDS = {
    "unit": 30,
    "property": 120,
    "golden": 30,
    "dataplane": 60,
    "apiserver": 180,
    "e2e": 600,
}


CAMPAIGNS = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def campaigns(pytestconfig: pytest.Config) -> list[str]:
    """What campaigns come to: each adds a line, and the lines are printed at the end of the tier."""
    return pytestconfig.stash.setdefault(CAMPAIGNS, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what campaigns came to."""
    for line in terminalreporter.config.stash.get(CAMPAIGNS, []):
        terminalreporter.write_line(f"campaign: {line}")


def tier_of(path: Path) -> str:
    """Return the directory below tests/ that holds the file."""
    return path.relative_to(TESTS).parts[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test with its tier and bound its time; a test outside a tier is an error."""
    for item in items:
        tier = tier_of(item.path)
        if tier not in TIMEOUT_SECONDS:
            raise pytest.UsageError(f"{item.path} is in no tier: {', '.join(TIMEOUT_SECONDS)}")
        item.add_marker(tier)
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TIMEOUT_SECONDS[tier]))
