"""AgentRun: one piece of work of one agent, on someone's authority."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from remit.api.agent import Revision
from remit.api.meta import (
    FREE_FORM,
    LIST_ATOMIC,
    MAX_SAFE_INTEGER,
    AgentName,
    ApiModel,
    Count,
    Enforcement,
    MicroUSD,
    ObservedStatus,
    Purpose,
    Seconds,
    Timestamp,
    cel,
    validations,
)


class Desired(StrEnum):
    """What the user wants of the run. Suspended holds its calls back; Stopped lets the agent hand over."""

    RUNNING = "Running"
    SUSPENDED = "Suspended"
    STOPPED = "Stopped"
    TERMINATED = "Terminated"


class Case(ApiModel):
    """The case that the run works on."""

    id: Annotated[str, Field(min_length=1, max_length=128)]
    """Identifier in its system."""
    system: Annotated[str, Field(max_length=128)] = ""
    """System of record."""
    step: Annotated[str, Field(max_length=128)] = ""
    """Step of the case's own process."""


class Requester(ApiModel):
    """The authenticated user who made the run: stamped and checked by admission, never changed."""

    username: Annotated[str, Field(min_length=1, max_length=512)]
    """User name as the apiserver authenticated it."""
    uid: Annotated[str, Field(max_length=256)] = ""
    """UID as the apiserver authenticated it; may be empty."""
    groups: Annotated[
        list[Annotated[str, Field(max_length=512)]], Field(max_length=256, json_schema_extra=LIST_ATOMIC)
    ] = []
    """Groups as the apiserver authenticated them."""


class RunBudget(ApiModel):
    """Bounds of this run; a policy's lower bound holds."""

    cost_micro_usd: MicroUSD | None = None
    """Money."""
    tokens: Count | None = None
    """Model tokens."""
    tool_calls: Count | None = None
    """Calls of tools."""
    wall_clock_seconds: Seconds | None = None
    """Time since the run started."""


class Retry(ApiModel):
    """What to do when the infrastructure fails: pod lost, evicted, not started. Never for what the agent did."""

    limit: Annotated[int, Field(ge=0, le=10)] = 0
    """How many more pods may be tried. A run whose agent already wrote is never started again."""
    backoff_seconds: Annotated[int, Field(ge=1, le=3600)] = 10
    """Pause before the first new try; it doubles with each."""


class AgentRunSpec(ApiModel):
    """Desired state of an AgentRun. Only `desired` and `ttlSecondsAfterFinished` may change."""

    agent: AgentName
    """The agent, of the same namespace."""
    purpose: Purpose
    """What for: one of the agent's purposes."""
    case: Case | None = None
    """The case that it works on."""
    input: Annotated[dict[str, Any], Field(json_schema_extra=FREE_FORM)] = {}
    """What the agent works on; handed over by the run contract."""
    requester: Requester | None = None
    """Stamped by admission."""
    budget: RunBudget = RunBudget()
    """Bounds of this run, at most the policy's."""
    deadline_seconds: Seconds = 3600
    """Time from creation to the end."""
    attempt: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """A new attempt of the same name is a new run."""
    retry: Retry = Retry()
    """What to do when the infrastructure fails."""
    desired: Desired = Desired.RUNNING
    """What the user wants of it."""
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=31_536_000)] = 300
    """How long the pod of a finished run is kept; the run itself is never deleted."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            *(
                cel(
                    f"has(self.{field}) == has(oldSelf.{field}) && "
                    f"(!has(self.{field}) || self.{field} == oldSelf.{field})",
                    f"{field} must not change: make a new AgentRun",
                    fieldPath=f".{field}",
                )
                for field in ("case", "requester", "budget", "input", "retry")
            ),
            *(
                cel(
                    f"self.{field} == oldSelf.{field}",
                    f"{field} must not change: make a new AgentRun",
                    fieldPath=f".{field}",
                )
                for field in ("agent", "purpose", "attempt", "deadlineSeconds")
            ),
            cel(
                "oldSelf.desired in ['Running', 'Suspended'] || self.desired == oldSelf.desired"
                " || self.desired == 'Terminated'",
                "desired must not go back: a stopped run cannot be started again",
                fieldPath=".desired",
            ),
        )
    )


class Usage(ApiModel):
    """What a run spent."""

    cost_micro_usd: MicroUSD = 0
    """Money."""
    tokens: Count = 0
    """Model tokens."""
    tool_calls: Count = 0
    """Calls of tools."""
    refused_calls: Count = 0
    """Calls that were refused."""


class RunPod(ApiModel):
    """The pod of a run: the gateway serves the run to this UID only."""

    name: Annotated[str, Field(max_length=253)]
    """Pod name."""
    uid: Annotated[str, Field(max_length=64)]
    """Pod UID."""


class FailedTry(ApiModel):
    """A pod of the run that the infrastructure failed."""

    pod: RunPod
    """The pod."""
    ended_at: Timestamp
    """When it was given up."""
    message: Annotated[str, Field(max_length=1024)]
    """Why."""


class Outcome(ApiModel):
    """How the run ended at the gateway, from the ledger. Written by the gateway only."""

    reason: Annotated[str, Field(max_length=64)]
    """One of the run's final reasons."""
    message: Annotated[str, Field(max_length=2048)]
    """What happened."""
    recorded_from: Annotated[str, Field(max_length=64)] | None = None
    """UID of the earlier run that did this very work: the run itself executed nothing."""


class EvidenceHead(ApiModel):
    """Where the run's evidence stands. Written by the gateway only."""

    records: Count
    """Entries of this run."""
    log_size: Count
    """Size of the log that covers them all."""
    log_root: Annotated[str, Field(max_length=64)]
    """Root hash of the log at that size, base64."""


class AgentRunStatus(ObservedStatus):
    """Observed state of an AgentRun."""

    reason: Annotated[str, Field(max_length=64)] = "Pending"
    """Reason of the leading condition: one word for columns and field selectors."""
    pod: RunPod | None = None
    """The run's pod."""
    revision: Revision | None = None
    """The agent's revision that the run is pinned to."""
    started_at: Timestamp | None = None
    """When the pod was made."""
    finished_at: Timestamp | None = None
    """When the run finished."""
    tries: Annotated[list[FailedTry], Field(max_length=10, json_schema_extra=LIST_ATOMIC)] = []
    """Pods that the infrastructure failed, oldest first."""
    enforced: Enforcement | None = None
    """The generation of the run that the gateway enforces. Written by the gateway, when a change took authority."""
    step: Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER)] | None = None
    """Turn that the agent is in. Written by the gateway."""
    usage: Usage | None = None
    """What it spent. Written by the gateway."""
    outcome: Outcome | None = None
    """How it ended. Written by the gateway."""
    result: Annotated[dict[str, Any] | None, Field(json_schema_extra=FREE_FORM)] = None
    """What the agent handed in, when small. Written by the gateway."""
    partial: Annotated[dict[str, Any] | None, Field(json_schema_extra=FREE_FORM)] = None
    """What the agent handed over before its end. Written by the gateway."""
    evidence: EvidenceHead | None = None
    """Where its evidence stands. Written by the gateway."""


__all__ = [
    "AgentRunSpec",
    "AgentRunStatus",
    "Case",
    "Desired",
    "EvidenceHead",
    "FailedTry",
    "Outcome",
    "Requester",
    "Retry",
    "RunBudget",
    "RunPod",
    "Usage",
]
