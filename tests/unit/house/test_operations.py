"""docs/operations.md against the code: settings and their defaults, metrics and their labels, and tests that exist."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric

from remit.adapters import telemetry as of_gateway
from remit.controller import settings as controller_settings
from remit.controller import telemetry as of_controller
from remit.gateway import settings as gateway_settings

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "operations.md").read_text()
CONTROLLER, GATEWAY = "Settings of the controller", "Settings of the gateway"
REGISTRIES = {"controller": of_controller.Metrics().registry, "gateway": of_gateway.Metrics().registry}
LABELS = frozenset({"kind", "outcome", "verb", "reason", "risk"})
"""Words of our own vocabulary only: no names, no namespaces, nothing that a caller chooses."""
NAME = re.compile(r"remit_(controller|gateway)_[a-z]+(_[a-z]+)*")
NEEDED = {CONTROLLER: {"REMIT_HARNESS_IMAGE": "h:1"}, GATEWAY: {}}
READERS = {CONTROLLER: controller_settings, GATEWAY: gateway_settings}


def rows(heading: str) -> Iterator[list[str]]:
    """Yield the cells of the rows of a section's table."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") or (line.startswith("| ") and len(cells) == 4 and "`test_" in cells[3]):
            yield cells


def plain(cell: str) -> str:
    """Return a cell without its back-ticks."""
    return cell.strip("`")


def defaults(heading: str) -> Mapping[str, str]:
    """Return each variable's default as the page tells it."""
    return {plain(variable): default for variable, default, _ in rows(heading)}


@pytest.mark.parametrize("heading", READERS)
def test_every_setting_is_told_and_no_other(heading: str) -> None:
    tree = ast.parse(Path(str(READERS[heading].__file__)).read_text())
    strings = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    assert set(defaults(heading)) == {text for text in strings if re.fullmatch(r"REMIT_[A-Z_]+", text)}


@pytest.mark.parametrize(
    ("heading", "variable"), [(heading, variable) for heading in READERS for variable in defaults(heading)]
)
def test_a_default_is_what_the_page_says(heading: str, variable: str) -> None:
    told = defaults(heading)[variable]
    if told in {"(required)", "(empty)"}:
        assert (told == "(required)") == (variable in NEEDED[heading])
        return
    read = READERS[heading].from_environment
    assert read({**NEEDED[heading], variable: plain(told)}) == read(NEEDED[heading])


def metrics(registry: CollectorRegistry) -> Iterator[tuple[Metric, tuple[str, ...]]]:
    """Yield each metric with its labels."""
    for collector in registry._collector_to_names:
        assert isinstance(collector, MetricWrapperBase)
        (found,) = collector.describe()
        yield found, tuple(collector._labelnames)


def test_every_metric_is_told_with_its_type_and_labels_and_no_other() -> None:
    told = {plain(name): (kind, labels) for name, kind, labels, _ in rows("Metrics")}
    there = {
        found.name + ("_total" if found.type == "counter" else ""): (found.type, ", ".join(labels))
        for registry in REGISTRIES.values()
        for found, labels in metrics(registry)
    }
    assert told == there


@pytest.mark.parametrize("part", REGISTRIES)
def test_names_follow_the_convention_and_labels_are_bounded(part: str) -> None:
    for found, labels in metrics(REGISTRIES[part]):
        assert NAME.fullmatch(found.name), found.name
        assert found.name.startswith(f"remit_{part}_")
        assert not found.name.endswith("_total")  # the client adds it to counters, and to nothing else
        assert found.type != "histogram" or found.name.endswith("_seconds")
        assert found.documentation.endswith(".")
        assert set(labels) <= LABELS


def test_every_row_of_what_may_be_away_names_a_test_that_exists() -> None:
    there = {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    named = [plain(test) for *_, test in rows("What happens when something is away")]
    assert len(named) > 20
    assert [name for name in named if name not in there] == []


def test_alerts_name_metrics_that_exist() -> None:
    there = {plain(name) for name, *_ in rows("Metrics")}
    assert set(re.findall(r"remit_(?:controller|gateway)_[a-z_]+", PAGE)) == there
