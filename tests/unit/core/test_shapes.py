"""Shapes of JSON values: every name, every type, nothing beside."""

from typing import Any, Literal, NotRequired, TypedDict

import pytest

from remit.core.shapes import fits


class Inner(TypedDict):
    """Part of a shape."""

    word: Literal["a", "b"]


class Outer(TypedDict):
    """A shape with one of each."""

    number: int
    inner: Inner
    names: list[str]
    counts: dict[str, int]
    anything: Any
    more: NotRequired[str]


GOOD: dict[str, Any] = {"number": 1, "inner": {"word": "a"}, "names": ["x"], "counts": {"y": 2}, "anything": [None]}


def test_a_value_of_the_shape_fits() -> None:
    assert fits(GOOD, Outer)
    assert fits(GOOD | {"more": "x"}, Outer)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "text",
        {name: value for name, value in GOOD.items() if name != "number"},
        GOOD | {"other": 1},
        GOOD | {"number": True},
        GOOD | {"number": 1.0},
        GOOD | {"number": "1"},
        GOOD | {"inner": {"word": "c"}},
        GOOD | {"inner": {}},
        GOOD | {"names": "x"},
        GOOD | {"names": [1]},
        GOOD | {"counts": {"y": "2"}},
        GOOD | {"counts": []},
        GOOD | {"more": None},
    ],
)
def test_anything_else_does_not(value: object) -> None:
    assert not fits(value, Outer)
