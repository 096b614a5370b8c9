"""What a plan does, and when: at one write, by name and number, of the program behind the proxy. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """What happens at the write, or from it on."""

    NONE = "none"
    KILLED_BEFORE = "killed before"
    KILLED_AFTER = "killed after"
    ANSWER_LOST = "answer lost"
    CONFLICT = "409"
    TOO_MANY = "429"
    SERVER_ERROR = "500"
    CUT = "watches cut"
    FROZEN = "watches frozen"
    GONE = "watches 410, stale lists"
    TIME_TRAVEL = "killed, restarted in the past"
    HIDDEN = "events hidden"


AT_WRITE = (
    Fault.KILLED_BEFORE,
    Fault.KILLED_AFTER,
    Fault.ANSWER_LOST,
    Fault.CONFLICT,
    Fault.TOO_MANY,
    Fault.SERVER_ERROR,
)
"""Each write meets each of these."""
AT_VIEW = (Fault.CUT, Fault.FROZEN, Fault.GONE, Fault.TIME_TRAVEL, Fault.HIDDEN)
"""What the program sees from a write on."""


@dataclass(frozen=True, slots=True, order=True)
class Write:
    """One write of the trace: its name, and the how-manieth of that name it is."""

    name: str
    number: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """One fault at one write."""

    fault: Fault
    at: Write
    lag: int = 3
    """How many writes back stale views are."""

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.fault} at {self.at.name} #{self.at.number}"


NOTHING = Plan(Fault.NONE, Write("nothing"))
