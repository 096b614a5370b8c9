"""One governed call, from its arrival to its settlement, and the values that its links exchange."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from remit.api.agent import AgentSpec
from remit.api.agentrun import AgentRunSpec, Desired
from remit.api.evidence import RunFacts, View
from remit.api.reasons import CallReason
from remit.api.toolgrant import Risk
from remit.api.wire import BudgetWord
from remit.core.budget import Limits
from remit.core.policy import Decision, narrowest
from remit.core.prepare import CompiledBundle, GrantedTool
from remit.core.pricing import ModelUse
from remit.gateway.authority import Compiled
from remit.ports import CallRecord, RunRecord

WAITING_HELPS: Final = frozenset({CallReason.AUTHORITY_STALE, CallReason.LEDGER_UNAVAILABLE, CallReason.RUN_SUSPENDED})
STATUS_OF: Final[Mapping[CallReason, int]] = {
    CallReason.UNAUTHENTICATED: 401,
    CallReason.RUN_NOT_FOUND: 401,
    CallReason.AUTHORITY_STALE: 503,
    CallReason.LEDGER_UNAVAILABLE: 503,
    CallReason.RUN_SUSPENDED: 503,
    CallReason.BUNDLE_MISSING: 403,
    CallReason.MALFORMED: 400,
    CallReason.TOO_LARGE: 413,
    CallReason.HEADER_MISMATCH: 400,
    CallReason.UNSUPPORTED_VERSION: 400,
    CallReason.UNKNOWN_METHOD: 404,
    CallReason.INVALID_ARGUMENTS: 422,
    CallReason.RESULT_REFUSED: 422,
    CallReason.UNBOUNDED_CONTENT: 422,
    CallReason.KEY_REUSED: 409,
    CallReason.UPSTREAM_UNREACHABLE: 502,
    CallReason.UPSTREAM_MALFORMED: 502,
    CallReason.UPSTREAM_REDIRECTED: 502,
    CallReason.UPSTREAM_ERROR: 502,
    CallReason.UPSTREAM_TIMEOUT: 504,
    CallReason.OUTCOME_UNKNOWN: 502,
}
"""HTTP status of a refusal; what is not here is 403: the client's library must not try it again."""
FORBIDDEN: Final = 403
UNAVAILABLE: Final = 503


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a call ends here."""

    reason: CallReason
    message: str
    rule: str = ""
    policy: str = ""
    recorded: bool = True
    """Whether the refusal is evidence: not before the caller's run is known, and not while waiting would help."""
    come_again: bool = False
    """Whether asking again helps, though the reason alone does not say so."""

    @property
    def status(self) -> int:
        """HTTP status."""
        return UNAVAILABLE if self.come_again else STATUS_OF.get(self.reason, FORBIDDEN)


@dataclass(frozen=True, slots=True)
class Run:
    """A run as its object says it."""

    namespace: str
    name: str
    uid: str
    attempt: int
    spec: AgentRunSpec
    started_at: float
    reason: str
    """The controller's word on where it stands."""

    @property
    def is_stopping(self) -> bool:
        """Tell whether the run was asked to end: one that is suspended goes on later."""
        return self.spec.desired in {Desired.STOPPED, Desired.TERMINATED}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the run of the pod of the token, and the two bundles that its calls must pass."""

    run: Run
    stored: Mapping[str, Any] = field(repr=False)
    """The run's object as it was when all this was found out."""
    pod_uid: str
    facts: RunFacts
    limits: Limits
    """The least of the pinned bundle's, the live one's and the run's own."""
    pinned: CompiledBundle
    live: Compiled
    work: str
    """Which piece of work the run does, by its spec as it is now."""

    @property
    def max_iterations(self) -> int:
        """The run's bound of model calls: the lower of what was admitted and what is granted now."""
        return min(agent.loop.max_iterations for agent in self._agents())

    @property
    def max_output_tokens(self) -> int:
        """Bound of a model call's output: the lower of what was admitted and what is granted now."""
        return min(agent.model.max_output_tokens for agent in self._agents())

    def _agents(self) -> list[AgentSpec]:
        bundles = (self.pinned, self.live)
        return [bundle.bundle.agent.spec for bundle in bundles if isinstance(bundle, CompiledBundle)]


@dataclass(frozen=True, slots=True)
class Answered:
    """The upstream's part of a call: ok, error (it answered so, or was certainly not reached) or unknown."""

    status: Literal["ok", "error", "unknown"]
    reason: CallReason
    message: str = ""
    body: bytes = b""
    """The answer, free of secrets: bytes of the protocol's own result."""
    result: Mapping[str, Any] | None = None
    """A tool's answer as a value; None for one that comes from the record."""
    use: ModelUse | None = None
    """Tokens of a model call as the provider counted them; None when it did not say."""
    acted: bool = True
    """False when certainly nothing was done at the upstream: the hold is released."""
    digest: str = ""
    """SHA-256 (hex) of a streamed answer."""
    rest: bytes = b""
    """The end of a streamed answer: it goes out when the call is settled."""
    tool_calls: tuple[tuple[str, str, str], ...] = ()
    """(shown tool name, digest of the arguments, call id) of what a model asked for."""


class Sink(Protocol):
    """Where a streamed answer goes as it comes."""

    async def start(self, headers: Mapping[str, str]) -> None:
        """Begin the answer."""

    async def send(self, chunk: bytes) -> None:
        """Send a part of it."""


@dataclass(slots=True, eq=False)
class Call:
    """One governed call. The links fill it in, in their order; each reads only what those before it found."""

    kind: Literal["tool", "model"]
    token: str = field(repr=False)
    peer: str
    name: str
    """What the agent calls the tool or model."""
    arguments: Mapping[str, Any] = field(repr=False)
    arguments_digest: str
    """Hex of the SHA-256 of the arguments' canonical JSON."""
    given_id: str = ""
    """The caller's id of this call, empty when it gave none."""
    hand_over: bool = False
    parsed: Any = None
    """The request as its protocol's translator parsed it."""
    api: str = ""
    """Of a model call: OpenAI or Anthropic."""
    body_bytes: int = 0
    choices: int = 1
    asked_tokens: int = 0
    """Of a model call: the bound of output that the agent asks for."""
    fault: Refused | None = None
    """What is wrong with the request itself."""
    sink: Sink | None = None
    caller: Caller | None = None
    tool: GrantedTool | None = None
    call_id: str = ""
    key: str = ""
    decision: Decision | None = None
    approved: bool = False
    intent: CallRecord | None = None
    max_tokens: int = 0
    """Of a model call: the bound of output that the budget affords."""
    credentials: dict[str, str] | None = field(default=None, repr=False)
    """Headers with secrets: never logged, never stored."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    claims_write: bool = False
    """Whether this call is the first to make its write: what it then does not do is forgotten again."""
    narrowed: GrantedTool | None = None
    """What `current` found."""
    answered: Answered | None = None
    record: RunRecord | None = None
    cut: Refused | None = None
    """Set when authority went while the call was under way."""
    view: View = field(default_factory=dict)
    """What had been seen of what is granted when the call was decided the last time before its intent."""
    judged_run: Mapping[str, Any] | None = field(default=None, repr=False)
    judged_live: Compiled | None = None
    """The run's object and the live bundle that the call was last held against, and allowed."""
    place: int = 0
    """Its place in the order of arrival."""
    task: asyncio.Task[Any] | None = None
    """While the call is at its upstream: what a cut interrupts."""
    done: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the call is settled or refused."""
    budget: BudgetWord = "ok"

    @property
    def run(self) -> Run:
        """The caller's run; only after it was identified."""
        if self.caller is None:
            raise LookupError("the caller is not identified yet")
        return self.caller.run

    @property
    def granted(self) -> GrantedTool:
        """The tool; only after it was found."""
        if self.tool is None:
            raise LookupError("the tool is not known yet")
        return self.tool

    @property
    def current(self) -> GrantedTool:
        """The tool as it is granted now, within the bounds that it was admitted with."""
        if self.narrowed is None:
            self.narrowed = narrowed(self.granted, self.caller)
        return self.narrowed

    @property
    def write(self) -> tuple[str, str, str]:
        """What a write does: grant, tool and arguments."""
        return self.granted.grant.ref.name, self.granted.name, self.arguments_digest

    @property
    def risk(self) -> Risk:
        """What the call can do at worst, as it was admitted and as it is said to be now."""
        return self.current.risk

    @property
    def only_reads(self) -> bool:
        """Tell whether making the call twice changes nothing."""
        return self.kind == "model" or self.risk is Risk.READ_ONLY


def narrowed(admitted: GrantedTool, caller: Caller | None) -> GrantedTool:
    """Return a tool as it may be called by what is granted now."""
    live = caller.live if caller is not None else None
    if caller is None or not isinstance(live, CompiledBundle) or live.digest == caller.pinned.digest:
        return admitted
    current = live.tools.get((admitted.grant.ref.name, admitted.name))
    return admitted if current is None else narrowest(admitted, current)
