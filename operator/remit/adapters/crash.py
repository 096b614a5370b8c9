"""Named crash points: where a test kills the process to prove that any crash is survived. Off unless asked for."""

import os
import signal

VARIABLE = "REMIT_CRASH_AT"


def _parse(wanted: str) -> tuple[str, int]:
    name, _, count = wanted.partition(":")
    return name, int(count or "1")


_NAME, _REMAINING = _parse(os.environ.get(VARIABLE, ""))


def crash_point(name: str) -> None:
    """Kill this process, at once and without any clean-up, when it is the n-th time that it passes `name`.

    `REMIT_CRASH_AT=NAME` or `NAME:N`; without it this is one comparison.
    """
    global _REMAINING  # noqa: PLW0603 - a count down to the kill, which ends the process
    if not _NAME or name != _NAME:
        return
    _REMAINING -= 1
    if _REMAINING == 0:
        os.kill(os.getpid(), signal.SIGKILL)
