"""Policy: the rules and budgets for chosen agents. An agent without a policy may do nothing."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from remit.api.meta import (
    LIST_SET,
    AgentSelector,
    ApiModel,
    Count,
    Enforcement,
    Expression,
    Message,
    MicroUSD,
    ObjectName,
    ObservedStatus,
    Seconds,
    ShortName,
    list_map,
)


class Effect(StrEnum):
    """What a matching rule does; Deny beats RequireApproval beats Allow."""

    ALLOW = "Allow"
    DENY = "Deny"
    REQUIRE_APPROVAL = "RequireApproval"


class RiskSelector(StrEnum):
    """Risks that a rule is about."""

    READ_ONLY = "ReadOnly"
    WRITE = "Write"
    FINANCIAL = "Financial"
    DESTRUCTIVE = "Destructive"
    ANY = "Any"


class BudgetScope(StrEnum):
    """Whose spending a budget bounds."""

    RUN = "Run"


class ImageReferences(StrEnum):
    """How an agent's image may be named."""

    DIGEST = "Digest"
    TAG = "Tag"


ToolPattern = Annotated[str, Field(min_length=1, max_length=320, pattern=r"^(\*|[a-z0-9.-]+/(\*|[A-Za-z0-9_./:@-]+))$")]
"""`*`, `GRANT/*` or `GRANT/TOOL`."""


class Rule(ApiModel):
    """One rule. Nothing has a default: what is left out must not widen it."""

    name: ShortName
    """Unique in the policy; it stands in answers and evidence."""
    tools: Annotated[list[ToolPattern], Field(min_length=1, max_length=64, json_schema_extra=LIST_SET)]
    """What it is about: `*`, `GRANT/*` or `GRANT/TOOL` (for a model, `GRANT/MODEL`)."""
    risks: Annotated[list[RiskSelector], Field(min_length=1, max_length=5, json_schema_extra=LIST_SET)]
    """Risks that it is about, or Any. A model call is ReadOnly."""
    when: Expression
    """CEL; the rule matches on true. An error in any rule refuses the call."""
    effect: Effect
    """What a match does."""
    message: Message
    """What the agent is told."""


class Budget(ApiModel):
    """Bounds of spending. Every bound is required: what is left out must not be unlimited."""

    per: BudgetScope
    """Whose spending."""
    cost_micro_usd: MicroUSD
    """Money."""
    tokens: Count
    """Model tokens, input and output."""
    tool_calls: Count
    """Calls of tools."""
    wall_clock_seconds: Seconds
    """Time since the run started."""
    soft_percent: Annotated[int, Field(ge=1, le=99)] = 80
    """Share at which the agent is told that the budget is running out."""
    handoff_percent: Annotated[int, Field(ge=1, le=50)] = 5
    """Share of tokens and money that is kept for the hand-over call."""


class NodeAccess(StrEnum):
    """Whether runs may start where sandboxes reach their own node, which the NetworkPolicy standard allows."""

    WARN = "Warn"
    REFUSE = "Refuse"


class CaseRule(StrEnum):
    """Whether a run must name its case."""

    OPTIONAL = "Optional"
    REQUIRED = "Required"


class RunRules(ApiModel):
    """Which runs may start, and how many at once."""

    max_concurrent: Annotated[int | None, Field(ge=1, le=100_000)] = None
    """Runs at once, in one namespace, of all the agents that the policy is for; the others wait in order."""
    case: CaseRule = CaseRule.OPTIONAL
    """Whether a run must name its case; one that does not is Denied."""


class SandboxFloor(ApiModel):
    """What every sandbox must at least be."""

    images: ImageReferences = ImageReferences.DIGEST
    """Whether images of containers may be named by tag."""
    runtime_class_names: Annotated[
        list[ObjectName] | None, Field(min_length=1, max_length=16, json_schema_extra=LIST_SET)
    ] = None
    """RuntimeClasses of which the sandbox must name one, for example gvisor; absent: any, or none."""
    max_cpu_millis: Annotated[int | None, Field(ge=10, le=64_000)] = None
    """The most CPU that a sandbox may ask for."""
    max_memory_mib: Annotated[int | None, Field(ge=32, le=262_144)] = None
    """The most memory that a sandbox may ask for, in MiB."""
    node_access: NodeAccess = NodeAccess.WARN
    """Whether runs may start where the probe found that sandboxes reach their own node."""


class PolicySpec(ApiModel):
    """Desired state of a Policy."""

    agents: AgentSelector | None = None
    """Agents that it is for; absent: every agent."""
    namespace_selector: Annotated[
        dict[str, Annotated[str, Field(max_length=63)]] | None,
        Field(max_length=16, json_schema_extra={"maxProperties": 16}),
    ] = None
    """Labels of namespaces that it holds in, too; only in the install namespace: the platform's floor."""
    rules: Annotated[list[Rule], Field(max_length=64, json_schema_extra=list_map("name"))]
    """Rules; silence is a deny."""
    budgets: Annotated[list[Budget], Field(min_length=1, max_length=8, json_schema_extra=list_map("per"))]
    """Budgets; a run that no budget bounds does not start."""
    runs: RunRules = RunRules()
    """Which runs may start, and how many at once."""
    sandbox: SandboxFloor = SandboxFloor()
    """Floor for sandboxes."""
    revoked: Message | None = None
    """Takes all authority of the agents that the policy is for back, and says why: no call, and their runs end."""


class PolicyStatus(ObservedStatus):
    """Observed state of a Policy."""

    enforced: Enforcement | None = None
    """What the gateway enforces."""


__all__ = [
    "Budget",
    "BudgetScope",
    "CaseRule",
    "Effect",
    "ImageReferences",
    "NodeAccess",
    "PolicySpec",
    "PolicyStatus",
    "RiskSelector",
    "Rule",
    "RunRules",
    "SandboxFloor",
]
