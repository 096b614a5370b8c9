"""The run contract, version 1: how a run gets its input and hands in its result. Standard library only.

All calls are HTTP at the gateway's agent port, with `Authorization: Bearer TOKEN` (the pod's projected token);
bodies are JSON. A refusal is `{"error": {"reason", "message", ...}}` with status 4xx or 5xx and, where waiting
helps, `Retry-After` in seconds.
"""

from typing import Any, Literal, NotRequired, TypedDict

CONTRACT_VERSION = "remit.dev/run/v1"

INPUT_PATH = "/run/v1/input"
STEP_PATH = "/run/v1/step"
RESULT_PATH = "/run/v1/result"
HANDOVER_PATH = "/run/v1/hand-over"
MCP_PATH = "/mcp"
OPENAI_BASE_PATH = "/openai/v1"
ANTHROPIC_BASE_PATH = "/anthropic"

HEADER_BUDGET = "Remit-Budget"
"""On every governed answer: `ok`, `soft` (running out) or `exhausted` (only the hand-over call is left)."""
HEADER_CALL_ID = "Remit-Call-Id"
"""On a model call: the caller's id of this call; the same id again is the same call."""
HEADER_HANDOVER = "Remit-Hand-Over"
"""On a model call: `true` asks for the ring-fenced hand-over call."""
META_CALL_ID = "remit.dev/call-id"
"""In `params._meta` of tools/call: the caller's id of this call."""
META_BUDGET = "remit.dev/budget"
"""In `_meta` of a tools/call result: the same word as HEADER_BUDGET."""
HEADER_IDEMPOTENCY_KEY = "Idempotency-Key"
"""On an upstream write: digest of run, call id and tool."""
META_IDEMPOTENCY_KEY = "remit.dev/idempotency-key"

BudgetWord = Literal["ok", "soft", "exhausted"]
DesiredWord = Literal["Running", "Stopped"]


class RunIdentity(TypedDict):
    """Which run this is."""

    namespace: str
    name: str
    uid: str
    attempt: int


class ModelSettings(TypedDict):
    """The model to use: `api` is OpenAI or Anthropic."""

    api: str
    name: str
    maxOutputTokens: int


class RunInput(TypedDict):
    """Answer of GET /run/v1/input."""

    version: str
    run: RunIdentity
    agent: str
    purpose: str
    case: NotRequired[dict[str, str]]
    input: dict[str, Any]
    instructions: str
    model: ModelSettings
    maxIterations: int
    outputSchema: NotRequired[dict[str, Any]]
    step: int
    """The last step that the ledger knows: a pod that starts again goes on after it."""


class StepReport(TypedDict):
    """Body of POST /run/v1/step: turn `step` begins."""

    step: int


class StepAnswer(TypedDict):
    """Answer of POST /run/v1/step."""

    desired: DesiredWord
    budget: BudgetWord


class ResultReport(TypedDict):
    """Body of POST /run/v1/result: the agent's own word on how it ended."""

    outcome: Literal["Succeeded", "Failed"]
    result: NotRequired[dict[str, Any]]
    message: NotRequired[str]
    stop: str
    """A StopReason."""


class HandOverReport(TypedDict):
    """Body of POST /run/v1/hand-over: what was done so far, before a budget, stop or deadline ends the run."""

    partial: dict[str, Any]
    stop: str


class Accepted(TypedDict):
    """Answer of result and hand-over: the run's final reason at the gateway."""

    accepted: bool
    reason: str


class ErrorBody(TypedDict):
    """What a refusal says: `reason` is a CallReason."""

    reason: str
    message: str
    rule: NotRequired[str]
    path: NotRequired[str]
