"""Functions of at most 50 lines, files of at most 400, kopf handlers of at most 10."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("operator", "tests", "tools", "examples", "benchmarks", "campaigns")
FILE_LINES = 400
BODY_LINES = 50
HANDLER_LINES = 10

Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources() -> list[Path]:
    """Return every Python file of the tree."""
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def functions(path: Path) -> Iterator[Function]:
    """Return every function of a file, methods and inner ones too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, Function):
            yield node


def body_lines(function: Function) -> int:
    """Count lines from the first statement after the docstring to the end."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_and_its_functions_are_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= FILE_LINES
    wall = HANDLER_LINES if path.name == "handlers.py" else BODY_LINES
    too_long = {each.name: body_lines(each) for each in functions(path) if body_lines(each) > wall}
    assert not too_long
