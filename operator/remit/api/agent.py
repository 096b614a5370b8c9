"""Agent: the persistent principal that acts under grants and policies."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from remit.api.meta import (
    FREE_FORM,
    LIST_ATOMIC,
    LIST_SET,
    AgentName,
    ApiModel,
    Count,
    Digest,
    Enforcement,
    ModelName,
    ObjectName,
    ObservedStatus,
    Purpose,
    cel,
    list_map,
    validations,
)


class Lifecycle(StrEnum):
    """Whether an agent may act."""

    DRAFT = "Draft"
    ACTIVE = "Active"
    SUSPENDED = "Suspended"
    RETIRED = "Retired"


LIFECYCLE_CHANGES: Mapping[Lifecycle, tuple[Lifecycle, ...]] = {
    Lifecycle.DRAFT: (Lifecycle.ACTIVE, Lifecycle.RETIRED),
    Lifecycle.ACTIVE: (Lifecycle.SUSPENDED, Lifecycle.RETIRED),
    Lifecycle.SUSPENDED: (Lifecycle.ACTIVE, Lifecycle.RETIRED),
    Lifecycle.RETIRED: (),
}
"""What an agent may become. Retired is final: who answered for it may have gone, its name may mean something else."""
LIFECYCLE_RULE = cel(
    "self.lifecycle == oldSelf.lifecycle"
    + "".join(
        f" || (oldSelf.lifecycle == '{before}' && self.lifecycle in {[str(each) for each in after]})"
        for before, after in LIFECYCLE_CHANGES.items()
        if after
    ),
    "lifecycle goes from Draft to Active, between Active and Suspended, and from any to Retired, which is final",
    fieldPath=".lifecycle",
)


class HarnessRuntime(ApiModel):
    """The loop that Remit ships; it has no settings of its own."""


class ContainerRuntime(ApiModel):
    """Any image; a sidecar on 127.0.0.1 speaks to the gateway for it."""

    image: Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[!-~]+$")]
    """Image reference, by digest unless a policy allows tags."""
    command: Annotated[
        list[Annotated[str, Field(max_length=4096)]] | None, Field(max_length=64, json_schema_extra=LIST_ATOMIC)
    ] = None
    """Replaces the image's entry point."""
    args: Annotated[
        list[Annotated[str, Field(max_length=4096)]] | None, Field(max_length=64, json_schema_extra=LIST_ATOMIC)
    ] = None
    """Replaces the image's arguments."""


class Runtime(ApiModel):
    """What runs in the pod; exactly one."""

    harness: HarnessRuntime | None = None
    """Remit's own loop."""
    container: ContainerRuntime | None = None
    """An image of the user's."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel("has(self.harness) != has(self.container)", "must have exactly one of harness and container")
        )
    )


class Instructions(ApiModel):
    """What the agent is told before its input, in the manner of AGENTS.md."""

    inline: Annotated[str, Field(min_length=1, max_length=32768)]
    """The text itself."""


class ModelChoice(ApiModel):
    """The model that drives the agent."""

    grant: ObjectName
    """Name of the ToolGrant whose upstream is the model."""
    name: ModelName
    """Model name as the grant lists it."""
    max_output_tokens: Annotated[int, Field(ge=1, le=1_000_000)] = 4096
    """Bound of output tokens per call; what asks for more is cut."""


class Loop(ApiModel):
    """When the harness stops."""

    max_iterations: Annotated[int, Field(ge=1, le=1000)] = 50
    """Bound of model calls per run; the gateway refuses the one after."""
    output_schema: Annotated[dict[str, Any] | None, Field(json_schema_extra=FREE_FORM)] = None
    """JSON Schema (2020-12) that the result must satisfy to count as Succeeded."""


class Sandbox(ApiModel):
    """The pod's bounds."""

    runtime_class_name: ObjectName | None = None
    """RuntimeClass of the pod, for example gvisor."""
    cpu_millis: Annotated[int, Field(ge=10, le=64_000)] = 500
    """CPU limit in thousandths of a core."""
    memory_mib: Annotated[int, Field(ge=32, le=262_144)] = 256
    """Memory limit in MiB."""
    ephemeral_storage_mib: Annotated[int, Field(ge=16, le=262_144)] = 256
    """Limit of local ephemeral storage in MiB, scratch included."""
    scratch_mib: Annotated[int, Field(ge=1, le=262_144)] = 64
    """Size of the writable /scratch in MiB."""


class Warm(ApiModel):
    """Pods that stand ready, without a run and without authority."""

    replicas: Annotated[int, Field(ge=0, le=500)] = 0
    """How many; only for the harness runtime."""


class AgentSpec(ApiModel):
    """Desired state of an Agent."""

    owner: Annotated[str, Field(min_length=1, max_length=253)]
    """Accountable party: a person or team; it stands in every piece of evidence."""
    purposes: Annotated[list[Purpose], Field(min_length=1, max_length=32, json_schema_extra=LIST_SET)]
    """Purposes that the agent may act for; a run names one of them."""
    lifecycle: Lifecycle = Lifecycle.DRAFT
    """Runs start and calls pass only while Active."""
    runtime: Runtime
    """What runs in the pod."""
    instructions: Instructions
    """What the agent is told."""
    model: ModelChoice
    """The model that drives it."""
    loop: Loop = Loop()
    """When it stops."""
    sandbox: Sandbox = Sandbox()
    """Bounds of its pods."""
    warm: Warm = Warm()
    """Pods that stand ready for its runs."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "!has(self.warm) || !has(self.warm.replicas) || self.warm.replicas == 0 || has(self.runtime.harness)",
                "warm.replicas must be 0 unless runtime.harness is set: a container's image may not wait to be told",
                fieldPath=".warm.replicas",
            ),
            LIFECYCLE_RULE,
        )
    )


class Revision(ApiModel):
    """The bundle in force."""

    name: Annotated[str, Field(max_length=253)]
    """Name of the ControllerRevision that keeps it."""
    digest: Digest
    """SHA-256 of its canonical bytes."""


class EffectiveTool(ApiModel):
    """One tool as the agent has it now."""

    grant: ObjectName
    """The ToolGrant that gives it."""
    name: ModelName
    """Tool or model name."""
    reason: Annotated[str, Field(max_length=64)]
    """Ready, or why calls of it are refused: Expired, Suspended."""


class AgentStatus(ObservedStatus):
    """Observed state of an Agent."""

    revision: Revision | None = None
    """The last revision admitted while Active; new runs are pinned to it."""
    tools: Annotated[list[EffectiveTool], Field(max_length=512, json_schema_extra=list_map("grant", "name"))] = []
    """Effective tools."""
    revisions: Annotated[list[Revision], Field(max_length=64, json_schema_extra=LIST_ATOMIC)] = []
    """Earlier revisions that are still kept, newest first: runs are pinned to them, or may soon be."""
    active_runs: Count = 0
    """Runs that are not finished."""
    warm_pods: Count = 0
    """Pods that stand ready."""
    enforced: Enforcement | None = None
    """What the gateway enforces."""


__all__ = [
    "AgentName",
    "AgentSpec",
    "AgentStatus",
    "ContainerRuntime",
    "EffectiveTool",
    "HarnessRuntime",
    "Instructions",
    "Lifecycle",
    "Loop",
    "ModelChoice",
    "Revision",
    "Runtime",
    "Sandbox",
    "Warm",
]
