"""ToolGrant: one upstream, given to chosen agents for chosen purposes. A model is a tool, too."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from remit.api.meta import (
    FREE_FORM,
    LIST_ATOMIC,
    LIST_SET,
    AgentSelector,
    ApiModel,
    Enforcement,
    Expression,
    HttpUrl,
    Message,
    MicroUSD,
    ModelName,
    ObjectName,
    ObservedStatus,
    Purpose,
    Timestamp,
    ToolName,
    cel,
    list_map,
    validations,
)


class Risk(StrEnum):
    """What a call can do at worst."""

    READ_ONLY = "ReadOnly"
    WRITE = "Write"
    FINANCIAL = "Financial"
    DESTRUCTIVE = "Destructive"


class ModelApi(StrEnum):
    """The wire protocol of a model provider."""

    OPENAI = "OpenAI"
    ANTHROPIC = "Anthropic"


class McpUpstream(ApiModel):
    """A Model Context Protocol server over streamable HTTP."""

    url: HttpUrl
    """Its endpoint."""


class PricedModel(ApiModel):
    """One model and what it costs; a model without a price cannot be granted."""

    name: ModelName
    """Name as the provider knows it."""
    input_micro_usd_per_million_tokens: MicroUSD
    """Price of input, rounded up."""
    output_micro_usd_per_million_tokens: MicroUSD
    """Price of output, rounded up."""
    tokens_per_kib: Annotated[int, Field(ge=1, le=1024)] = 1024
    """Bound of input tokens per KiB of request body, for the hold; 1024 is what no tokenizer exceeds."""


class ModelUpstream(ApiModel):
    """A model provider."""

    api: ModelApi
    """Wire protocol."""
    base_url: HttpUrl
    """What the protocol's paths are appended to, as the provider's SDK wants it."""
    models: Annotated[list[PricedModel], Field(min_length=1, max_length=64, json_schema_extra=list_map("name"))]
    """The models that may be used."""


class Upstream(ApiModel):
    """Where calls go; exactly one."""

    mcp: McpUpstream | None = None
    """An MCP server."""
    model: ModelUpstream | None = None
    """A model provider."""

    model_config = ConfigDict(
        json_schema_extra=validations(cel("has(self.mcp) != has(self.model)", "must have exactly one of mcp and model"))
    )


class Credential(ApiModel):
    """A Secret's value that the gateway adds to the upstream request; the agent never sees it."""

    header: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9-]+$")]
    """Header that carries it."""
    secret_name: ObjectName
    """Secret in the grant's namespace; its annotation remit.dev/hosts names where it may go."""
    secret_key: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
    """Key in the Secret."""
    prefix: Annotated[str, Field(max_length=32)] = ""
    """Put before the value, for example "Bearer "."""


class Constraint(ApiModel):
    """A rule over the arguments that every call must meet."""

    expression: Expression
    """CEL over `arguments` and the other names of docs/spec/policy.md; only true passes."""
    message: Message
    """What the agent is told when it does not."""


class Tool(ApiModel):
    """One tool of an MCP server."""

    name: ToolName
    """Name as the server knows it."""
    description: Annotated[str, Field(max_length=1024)] = ""
    """What the agent is told about the tool."""
    risk: Risk
    """What a call can do at worst."""
    input_schema: Annotated[dict[str, Any], Field(json_schema_extra=FREE_FORM)]
    """JSON Schema (2020-12) of the arguments; at most 32 KiB, references only within itself."""
    constraints: Annotated[list[Constraint], Field(max_length=16, json_schema_extra=LIST_ATOMIC)]
    """Rules over the arguments; an empty list says that there are none."""
    price_micro_usd: MicroUSD = 0
    """Cost of one call."""
    timeout_seconds: Annotated[int, Field(ge=1, le=600)] = 30
    """How long the gateway waits for the answer."""


class ToolGrantSpec(ApiModel):
    """Desired state of a ToolGrant."""

    agents: AgentSelector
    """Who may use it."""
    purposes: Annotated[list[Purpose], Field(min_length=1, max_length=32, json_schema_extra=LIST_SET)]
    """What for: a run's purpose must be among them."""
    not_after: Timestamp | None = None
    """End of the grant."""
    suspended: bool = False
    """Takes the grant back for now."""
    upstream: Upstream
    """Where calls go."""
    credentials: Annotated[list[Credential], Field(max_length=8, json_schema_extra=list_map("header"))] = []
    """What the gateway adds to a call after the decision."""
    tools: Annotated[list[Tool], Field(max_length=64, json_schema_extra=list_map("name"))] = []
    """The tools that are granted; for a model upstream its models are."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "has(self.upstream.mcp) == (has(self.tools) && self.tools.size() > 0)",
                "tools must be given for an mcp upstream, and for that only",
            )
        )
    )


class ToolGrantStatus(ObservedStatus):
    """Observed state of a ToolGrant."""

    enforced: Enforcement | None = None
    """What the gateway enforces."""


__all__ = [
    "Constraint",
    "Credential",
    "McpUpstream",
    "ModelApi",
    "ModelUpstream",
    "PricedModel",
    "Risk",
    "Tool",
    "ToolGrantSpec",
    "ToolGrantStatus",
    "Upstream",
]
