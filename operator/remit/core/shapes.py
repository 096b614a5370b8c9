"""Whether a JSON value has the shape that a TypedDict says. Pure.

pydantic could tell, but on Python 3.11 it asks for another TypedDict than the standard library's, and it loads slowly.
"""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin, get_type_hints, is_typeddict


def fits(value: Any, shape: Any) -> bool:
    """Tell whether the value has the shape: no name too many, none missing, every value of exactly its type."""
    if shape is Any:
        return True
    if is_typeddict(shape):
        return _fits_names(value, shape)
    origin, arguments = get_origin(shape), get_args(shape)
    if origin is Literal:
        return value in arguments
    if origin is list:
        return type(value) is list and all(fits(each, arguments[0]) for each in value)
    if origin is dict:
        return type(value) is dict and all(fits(each, arguments[1]) for each in value.values())
    return type(value) is shape


def _fits_names(value: Any, shape: Any) -> bool:
    """Tell whether an object has the names of a TypedDict."""
    if type(value) is not dict:
        return False
    hints = get_type_hints(shape)
    return shape.__required_keys__ <= value.keys() <= hints.keys() and all(
        fits(each, hints[name]) for name, each in value.items()
    )
