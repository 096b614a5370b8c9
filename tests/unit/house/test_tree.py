"""Rules of the tree that no linter knows."""

import ast
import operator
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
EXCUSES = frozenset({"skip", "skipif", "xfail", "importorskip"})
TEXT = ("*.md", "*.py", "*.toml", "*.yaml", "*.yml", "*.sh", "Makefile", "Dockerfile.*")
# Put together here so that this file does not contain what it looks for.
MACHINE_PATHS = tuple(f"/{name}/" for name in ("root", "work"))
IGNORED = frozenset({".venv", ".git", "build", "dist", ".hypothesis", "modules"})


def texts() -> list[Path]:
    """Return the text files of the tree, build products aside."""
    found = (path for pattern in TEXT for path in ROOT.rglob(pattern))
    return sorted(path for path in found if not IGNORED & set(path.relative_to(ROOT).parts) and path.is_file())


def test_operator_is_a_source_root_and_not_a_package() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()
    assert operator.__file__ is not None
    assert Path(operator.__file__).parent == Path(sysconfig.get_path("stdlib"))


def test_the_source_root_holds_one_package() -> None:
    found = {path.name for path in (ROOT / "operator").iterdir() if path.name != "__pycache__"}
    assert found == {"remit"}


def test_no_test_is_excused() -> None:
    excused = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.attr}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in EXCUSES
    ]
    assert excused == []


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "operator" / "remit").rglob("*.py"))
        if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_no_path_of_one_machine_is_in_the_tree() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in texts()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if any(machine in line for machine in MACHINE_PATHS)
    ]
    assert found == []


def test_uv_is_pinned_to_one_version() -> None:
    pinned = (ROOT / "tools" / "uv-requirements.txt").read_text()
    version = pinned.partition("uv==")[2].split()[0]
    assert f'"uv=={version}"' in (ROOT / "pyproject.toml").read_text()
