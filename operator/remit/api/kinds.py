"""The four kinds: names, columns and selectable fields that kubectl knows them by, beside their models."""

from dataclasses import dataclass
from typing import Final

from remit.api.agent import AgentSpec, AgentStatus
from remit.api.agentrun import AgentRunSpec, AgentRunStatus
from remit.api.meta import ApiModel, cel
from remit.api.policy import PolicySpec, PolicyStatus
from remit.api.toolgrant import ToolGrantSpec, ToolGrantStatus


@dataclass(frozen=True, slots=True)
class Column:
    """One column of `kubectl get`; a wide one shows with `-o wide` only."""

    title: str
    path: str
    type: str = "string"
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of group remit.dev."""

    name: str
    plural: str
    short: str
    summary: str
    spec: type[ApiModel]
    status: type[ApiModel]
    columns: tuple[Column, ...]
    selectable: tuple[str, ...]
    """Fields for `--field-selector`."""
    rules: tuple[dict[str, str], ...] = ()
    """CEL rules on the whole object, for what the spec alone cannot see."""


READY: Final = '.status.conditions[?(@.type=="Ready")]'
AGE: Final = Column("AGE", ".metadata.creationTimestamp", "date")
READY_COLUMN: Final = Column("READY", f"{READY}.status")
REASON_COLUMN: Final = Column("REASON", f"{READY}.reason")
MESSAGE_COLUMN: Final = Column("MESSAGE", f"{READY}.message", wide=True)

AGENT: Final = Kind(
    name="Agent",
    plural="agents",
    short="agt",
    summary="The persistent principal that acts under grants and policies.",
    spec=AgentSpec,
    status=AgentStatus,
    columns=(
        READY_COLUMN,
        REASON_COLUMN,
        Column("RUNS", ".status.activeRuns", "integer"),
        AGE,
        Column("LIFECYCLE", ".spec.lifecycle", wide=True),
        Column("WARM", ".status.warmPods", "integer", wide=True),
        Column("OWNER", ".spec.owner", wide=True),
        Column("REVISION", ".status.revision.name", wide=True),
        MESSAGE_COLUMN,
    ),
    selectable=(".spec.lifecycle", ".spec.owner", ".spec.model.grant"),
    rules=(
        cel(
            "self.metadata.name.size() <= 50 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
            "an agent's name must be at most 50 characters of a-z, 0-9 and -: its children's names are made of it",
        ),
    ),
)

TOOL_GRANT: Final = Kind(
    name="ToolGrant",
    plural="toolgrants",
    short="tgrant",
    summary="One upstream, given to chosen agents for chosen purposes. A model is a tool, too.",
    spec=ToolGrantSpec,
    status=ToolGrantStatus,
    columns=(
        READY_COLUMN,
        REASON_COLUMN,
        Column("EXPIRES", ".spec.notAfter"),
        AGE,
        Column("SUSPENDED", ".spec.suspended", "boolean", wide=True),
        Column("AGENTS", ".spec.agents", wide=True),
        Column("ENFORCED", ".status.enforced.generation", "integer", wide=True),
        MESSAGE_COLUMN,
    ),
    selectable=(".spec.suspended",),
)

POLICY: Final = Kind(
    name="Policy",
    plural="policies",
    short="agpol",
    summary="The rules and budgets for chosen agents. An agent without a policy may do nothing.",
    spec=PolicySpec,
    status=PolicyStatus,
    columns=(
        READY_COLUMN,
        REASON_COLUMN,
        AGE,
        Column("AGENTS", ".spec.agents", wide=True),
        Column("NAMESPACES", ".spec.namespaceSelector", wide=True),
        Column("ENFORCED", ".status.enforced.generation", "integer", wide=True),
        MESSAGE_COLUMN,
    ),
    selectable=(),
)

AGENT_RUN: Final = Kind(
    name="AgentRun",
    plural="agentruns",
    short="agrun",
    summary="One piece of work of one agent, on someone's authority.",
    spec=AgentRunSpec,
    status=AgentRunStatus,
    columns=(
        Column("AGENT", ".spec.agent"),
        Column("REASON", ".status.reason"),
        Column("SPENT", ".status.usage.costMicroUSD", "integer"),
        AGE,
        Column("SUCCEEDED", '.status.conditions[?(@.type=="Succeeded")].status', wide=True),
        Column("CASE", ".spec.case.id", wide=True),
        Column("REQUESTER", ".spec.requester.username", wide=True),
        Column("CALLS", ".status.usage.toolCalls", "integer", wide=True),
        Column("REFUSED", ".status.usage.refusedCalls", "integer", wide=True),
        Column("POD", ".status.pod.name", wide=True),
        Column("FINISHED", ".status.finishedAt", "date", wide=True),
        MESSAGE_COLUMN,
    ),
    selectable=(
        ".spec.agent",
        ".spec.purpose",
        ".spec.requester.username",
        ".spec.case.id",
        ".spec.desired",
        ".status.reason",
    ),
)

KINDS: Final = (AGENT, TOOL_GRANT, POLICY, AGENT_RUN)
