"""What is generated is what is in the tree, and `--check` says so without git."""

import shutil
from pathlib import Path

import pytest

from remit.api.kinds import KINDS
from remit.codegen import __main__ as program
from remit.codegen.docs import MarkerError, with_tables
from remit.codegen.products import products
from remit.codegen.render import NOTICE


def test_the_tree_is_up_to_date() -> None:
    assert program.main(["--check"]) == 0


@pytest.fixture
def empty_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with pages that have markers and nothing else."""
    pages = tmp_path / "docs" / "spec"
    pages.mkdir(parents=True)
    for kind in KINDS:
        markers = "<!-- generated: spec -->\n<!-- end -->\n<!-- generated: status -->\n<!-- end -->\n"
        markers += "<!-- generated: lifecycle -->\n<!-- end -->\n"
        (pages / f"{kind.name.lower()}.md").write_text(f"# {kind.name}\n{markers}")
    sections = "".join(f"<!-- generated: {name} -->\n<!-- end -->\n" for name in ("accounts", "people", "admission"))
    (pages / "rights.md").write_text(sections)
    shutil.copytree(program.ROOT / "manifests" / "base", tmp_path / "manifests" / "base")
    for made in ("rbac", "admission"):
        (tmp_path / "manifests" / "base" / f"{made}.yaml").unlink()
    monkeypatch.setattr(program, "ROOT", tmp_path)
    return tmp_path


def test_check_shows_the_difference_and_writes_nothing(empty_tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--check"]) == 1
    shown = capsys.readouterr().out
    assert "+kind: CustomResourceDefinition" in shown
    assert not (empty_tree / "crds").exists()


def test_writing_twice_changes_nothing_the_second_time(empty_tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program.main([])
    capsys.readouterr()
    program.main([])
    assert (capsys.readouterr().out, program.main(["--check"])) == ("", 0)


def test_generated_manifests_say_so() -> None:
    texts = {path: text for path, text in products(program.present).items() if path.endswith(".yaml")}
    assert [path for path, text in texts.items() if not text.startswith(NOTICE)] == []


def test_what_people_write_on_a_page_stays() -> None:
    spec, status = "<!-- generated: spec -->\nold\n<!-- end -->\n", "<!-- generated: status -->\n<!-- end -->\n"
    page = f"before\n{spec}between\n{status}after\n"
    made = with_tables(KINDS[0], page)
    assert [word in made for word in ("before\n", "between\n", "after\n", "old\n")] == [True, True, True, False]


def test_a_page_without_a_place_for_the_table_is_an_error() -> None:
    with pytest.raises(MarkerError):
        with_tables(KINDS[0], "# Agent\n")
