"""docs/gitops.md shows the very files of gitops/, and its table is the one that is tested."""

import re
from pathlib import Path

import pytest
import yaml
from tests.apiserver.gitops.test_verdicts import FAILED, HELD, MEANT_SO, OF_OBJECTS, OF_RUNS, READY, WAITING

from remit.api.kinds import KINDS

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "gitops.md").read_text()
FILES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "gitops").rglob("*.yaml"))


@pytest.mark.parametrize("name", FILES)
def test_the_page_shows_the_file_to_paste(name: str) -> None:
    found = re.search(rf"<!-- file: {re.escape(name)} -->\n```yaml\n(.*?)```\n<!-- end -->", PAGE, re.DOTALL)
    assert found is not None
    assert found[1] == (ROOT / name).read_text()


def test_the_table_of_states_is_the_one_that_is_tested() -> None:
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|"))[1:] for line in PAGE.splitlines() if "|" in line]
    assert [row for row in rows if row[:1] and row[0] in {"Current", "InProgress", "Failed"}] == [
        READY,
        WAITING,
        HELD,
        MEANT_SO,
        FAILED,
        WAITING,
    ]


def test_the_reasons_that_the_table_names_stand_there_rightly() -> None:
    waiting = {
        str(reason) for table in (OF_RUNS, OF_OBJECTS) for reason, verdicts in table.items() if verdicts == WAITING
    }
    (line,) = [line for line in PAGE.splitlines() if line.startswith("| on its way: ")]
    assert set(line.split("|")[1].strip().removeprefix("on its way: ").split(", ")) == waiting


def test_field_selectors_on_the_page_are_selectable() -> None:
    selectable = {path.strip(".") for kind in KINDS for path in kind.selectable}
    named = re.findall(r"--field-selector (\S+)", PAGE)
    assert {pair.split("=")[0] for text in named for pair in text.split(",")} <= selectable


def test_the_files_are_yaml_of_the_kinds_they_are_for() -> None:
    kinds = {name: yaml.safe_load((ROOT / name).read_text())["kind"] for name in FILES}
    assert kinds == {
        "gitops/argocd/application.yaml": "Application",
        "gitops/argocd/argocd-cm.yaml": "ConfigMap",
        "gitops/flux/kustomization.yaml": "Kustomization",
    }
