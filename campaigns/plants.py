"""Bugs that are planted into a forked process, by name: each campaign has to catch its own.

They replace functions of our code in that process only; the product has no switch for any of them.
"""

from collections.abc import Callable, Mapping

PLANTS: dict[str, Callable[[], None]] = {}


def plant(name: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register what plants a bug."""

    def register(function: Callable[[], None]) -> Callable[[], None]:
        PLANTS[name] = function
        return function

    return register


def put(name: str) -> None:
    """Plant the bug of that name into this process; empty: none."""
    if name:
        PLANTS[name]()


def among(*names: str) -> Mapping[str, Callable[[], None]]:
    """Return the plants of these names, which must exist."""
    return {name: PLANTS[name] for name in names}
