"""What a benchmark is asked to do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """`rounds` 0 leaves the number to the benchmark; `small` is to see that it runs, not what it measures."""

    cold: bool = False
    rounds: int = 0
    small: bool = False

    def rounds_or(self, usual: int) -> int:
        """Return the number of rounds."""
        return self.rounds or usual

    def say(self, text: str) -> None:
        """Tell how it goes on."""
        print(f"  {text}", flush=True)
