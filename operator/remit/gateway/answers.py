"""What an upstream's answer may be when it is none. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from remit.api.reasons import CallReason

MAX_ANSWER_BYTES: Final = 8 << 20
MAX_SHOWN_CHARACTERS: Final = 300
REDIRECTS: Final = range(300, 400)
CLIENT_ERRORS: Final = range(400, 500)
SERVER_ERRORS: Final = range(500, 600)


@dataclass(frozen=True, slots=True)
class AnswerFault:
    """An upstream's answer that is none.

    `settled` tells whether the upstream certainly did not act, or acted and said so: where it is False, a
    write may or may not have happened.
    """

    reason: CallReason
    message: str
    settled: bool


def redirected(status: int) -> AnswerFault:
    """Return the fault of an upstream that points elsewhere: nothing is followed."""
    return AnswerFault(
        CallReason.UPSTREAM_REDIRECTED,
        f"the upstream redirects (HTTP {status}); the grant must name where it is",
        settled=True,
    )


def unreadable(status: int, what: str) -> AnswerFault:
    """Judge an answer that cannot be read: a refusal by status did nothing, anything else may have."""
    if status in CLIENT_ERRORS:
        return AnswerFault(CallReason.UPSTREAM_ERROR, f"the upstream refuses (HTTP {status})", settled=True)
    if status in SERVER_ERRORS:
        return AnswerFault(CallReason.UPSTREAM_ERROR, f"the upstream fails (HTTP {status})", settled=False)
    return AnswerFault(CallReason.UPSTREAM_MALFORMED, f"the upstream's answer is unreadable: {what}", settled=False)
