"""The agents' port and the control port as ASGI applications: routes, and the border where failures become answers."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import structlog

from remit.api import wire
from remit.api.reasons import CallReason
from remit.gateway import runs
from remit.gateway.call import Refused
from remit.gateway.control import serve_control
from remit.gateway.gate import Gate
from remit.gateway.mcp_route import serve_mcp
from remit.gateway.model_route import serve_anthropic, serve_openai
from remit.gateway.web import Answer, Receive, RefusedError, Request, Scope, Send, answer, encode, refusal
from remit.ports import LedgerUnavailableError

Handler = Callable[[Gate, Request], Awaitable[Answer | None]]

AGENT_ROUTES: Final[Mapping[tuple[str, str], Handler]] = {
    ("GET", wire.INPUT_PATH): runs.give_input,
    ("POST", wire.STEP_PATH): runs.begin_step,
    ("POST", wire.RESULT_PATH): runs.take_result,
    ("POST", wire.HANDOVER_PATH): runs.take_hand_over,
    ("POST", wire.MCP_PATH): serve_mcp,
    ("POST", f"{wire.OPENAI_BASE_PATH}/chat/completions"): serve_openai,
    ("POST", f"{wire.ANTHROPIC_BASE_PATH}/v1/messages"): serve_anthropic,
}
AGENT_PATHS: Final = frozenset(path for _, path in AGENT_ROUTES)

MAX_PLACES: Final = 12

log = structlog.get_logger()


class App:
    """One listener's ASGI application."""

    def __init__(self, gate: Gate, handler: Handler) -> None:
        """Answer every request by the handler."""
        self._gate = gate
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive, send)
        try:
            given = await self._handler(self._gate, request)
        except RefusedError as error:
            given = refusal(error.refused)
        except LedgerUnavailableError:
            given = refusal(Refused(CallReason.LEDGER_UNAVAILABLE, "nothing can be recorded now; try again"))
        except Exception as error:  # noqa: BLE001 - the process border: one broken request must not end the others
            log.error(  # noqa: TRY400 - an exception's text may hold contents: only where it came from is told
                "request failed", error=type(error).__name__, at=places(error)
            )
            given = Answer(500, encode({"error": {"reason": "Internal", "message": "the gateway failed"}}))
        if given is not None:
            await answer(send, given)


async def serve_agents(gate: Gate, request: Request) -> Answer | None:
    """Answer one request of an agent."""
    handler = AGENT_ROUTES.get((request.method, request.path))
    if handler is not None:
        return await handler(gate, request)
    known = request.path in AGENT_PATHS
    message = "this method is not answered here" if known else "there is nothing at this path"
    refused = Refused(CallReason.UNKNOWN_METHOD, message, recorded=False)
    given = refusal(refused)
    return Answer(405 if known else 404, given.body, headers=given.headers)


def places(error: BaseException) -> list[str]:
    """Return where an error came from, without any value: its text may hold contents."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames[-MAX_PLACES:]]


def agent_app(gate: Gate) -> App:
    """Return the application of the agents' port."""
    return App(gate, serve_agents)


def control_app(gate: Gate) -> App:
    """Return the application of the control port."""
    return App(gate, serve_control)
