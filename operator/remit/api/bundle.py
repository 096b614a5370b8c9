"""The bundle: an Agent with its grants and policies as one versioned, content-addressed, Kubernetes-free document.

The controller compiles and pins it, the gateway compiles the live one itself: a call must pass both.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from remit.api.agent import AgentSpec
from remit.api.meta import MAX_SAFE_INTEGER, ApiModel
from remit.api.policy import PolicySpec
from remit.api.toolgrant import ToolGrantSpec

BUNDLE_VERSION = "remit.dev/bundle/v1"


class ObjectReference(ApiModel):
    """Which object, and which state of it."""

    namespace: str
    name: str
    uid: str
    generation: Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER)]


class BundledAgent(ApiModel):
    """The agent."""

    ref: ObjectReference
    labels: dict[str, str]
    spec: AgentSpec


class BundledGrant(ApiModel):
    """A grant that chose the agent."""

    ref: ObjectReference
    spec: ToolGrantSpec


class BundledPolicy(ApiModel):
    """A policy that is for the agent: of its own namespace, or the platform's floor."""

    ref: ObjectReference
    spec: PolicySpec


class Bundle(ApiModel):
    """Everything that a decision about the agent rests on. Grants and policies are in order of namespace and name."""

    version: Literal["remit.dev/bundle/v1"] = "remit.dev/bundle/v1"
    agent: BundledAgent
    grants: list[BundledGrant]
    policies: list[BundledPolicy]

    def document(self) -> dict[str, Any]:
        """Return the JSON document whose canonical bytes (RFC 8785) are the bundle.

        How many pods stand ready says nothing about authority, and is not in it.
        """
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"agent": {"spec": {"warm"}}})

    def says_the_same(self, document: Mapping[str, Any]) -> bool:
        """Tell whether a document differs at most in the agent's generation, which counts its warm pods, too."""
        own = self.document()
        return _without_generation(own) == _without_generation(document)


def _without_generation(document: Mapping[str, Any]) -> dict[str, Any]:
    agent = document.get("agent") or {}
    ref = {field: value for field, value in (agent.get("ref") or {}).items() if field != "generation"}
    return {**document, "agent": {**agent, "ref": ref}}
