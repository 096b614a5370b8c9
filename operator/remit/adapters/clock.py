"""Time and random ids. The one place that reads the real clock."""

import time
import uuid


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Return wall-clock seconds since the epoch, UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()


def random_id() -> str:
    """Return an id that nobody has seen before."""
    return uuid.uuid4().hex
