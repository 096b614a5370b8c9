"""Named crash points: where a test kills the process to prove that any crash is survived. Off unless asked for."""

import os
import signal

VARIABLE = "REMIT_CRASH_AT"

_name = ""
_remaining = 0


def arm(wanted: str) -> None:
    """Make this process die at a crash point: `NAME`, or `NAME:N` for the n-th pass. Empty: nowhere."""
    global _name, _remaining  # noqa: PLW0603 - one process, one death
    _name, _, count = wanted.partition(":")
    _remaining = int(count or "1")


def crash_point(name: str) -> None:
    """Kill this process, at once and without any clean-up, where it was armed to die; else one comparison."""
    global _remaining  # noqa: PLW0603 - a count down to the kill, which ends the process
    if not _name or name != _name:
        return
    _remaining -= 1
    if _remaining == 0:
        os.kill(os.getpid(), signal.SIGKILL)


arm(os.environ.get(VARIABLE, ""))
