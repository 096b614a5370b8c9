"""The base of every kind's model, and the field types that all kinds share."""

from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP = "remit.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
CATEGORY = "remit"
ANNOTATION_REVISION = f"{GROUP}/revision"
"""On every CRD: which of its revisions it is. A newer one holds all that an older one did."""
CRD_REVISION = 2
"""Counts the releases that changed a kind: what needs these kinds refuses to be installed beside older ones."""

MAX_SAFE_INTEGER = 2**53 - 1
"""The largest integer that every JSON reader keeps exact (API conventions, "Primitive types")."""


def _alias(name: str) -> str:
    """Kubernetes' camelCase, with acronyms as the API conventions write them."""
    camel = to_camel(name)
    for plain, acronym in (
        ("Usd", "USD"),
        ("Url", "URL"),
        ("Uid", "UID"),
        ("Cpu", "CPU"),
        ("Mib", "MiB"),
        ("Kib", "KiB"),
    ):
        camel = camel.replace(plain, acronym)
    return camel


class ApiModel(BaseModel):
    """A part of an API object: camelCase outside, unknown fields refused, never changed after parsing."""

    model_config = ConfigDict(
        alias_generator=_alias,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )

    def to_json(self) -> dict[str, Any]:
        """Return the object as the apiserver stores it: aliases, no absent fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def list_map(*keys: str) -> dict[str, Any]:
    """Mark a list of objects as a map by `keys`, so that server-side apply merges it per entry."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


LIST_SET: dict[str, Any] = {"x-kubernetes-list-type": "set"}
LIST_ATOMIC: dict[str, Any] = {"x-kubernetes-list-type": "atomic"}
FREE_FORM: dict[str, Any] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
"""An object whose shape is the user's; its size is bounded by the gateway and the apiserver's request limit."""


def cel(rule: str, message: str, **more: str) -> dict[str, str]:
    """One `x-kubernetes-validations` entry."""
    return {"rule": rule, "message": message, **more}


def validations(*rules: dict[str, str]) -> dict[str, Any]:
    """CEL rules that the apiserver checks on the node that carries them."""
    return {"x-kubernetes-validations": list(rules)}


DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"

RFC3339 = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})$"


def _real_moment(text: str) -> str:
    """The apiserver refuses the 30th of February, too."""
    datetime.fromisoformat(text)
    return text


def _real_address(url: str) -> str:
    """Every reader of the URL must find the same host and port, or none of them any."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    if not host or parts.port == 0 or parts.netloc.lower() not in {host, f"{host}:{parts.port}"}:
        raise ValueError("must have a host, and a port from 1 to 65535 if any")
    return url


AgentName = Annotated[str, Field(min_length=1, max_length=50, pattern=DNS_LABEL)]
"""Agents are at most 50 characters, so that the names of their children fit into a label."""
ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=DNS_SUBDOMAIN)]
ShortName = Annotated[str, Field(min_length=1, max_length=63, pattern=DNS_LABEL)]
ToolName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")]
ModelName = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_./:@-]+$")]
Purpose = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
Expression = Annotated[str, Field(min_length=1, max_length=4096)]
Message = Annotated[str, Field(min_length=1, max_length=512)]
HttpUrl = Annotated[
    str,
    Field(min_length=8, max_length=512, pattern=r"^https?://[A-Za-z0-9._:\[\]-]+(/[!$-;=@-~]*)?$"),
    AfterValidator(_real_address),
]
"""A URL without user info, query and fragment: none of them is the grant's business."""
Timestamp = Annotated[
    str,
    Field(max_length=32, pattern=RFC3339, json_schema_extra={"format": "date-time"}),
    AfterValidator(_real_moment),
]
Digest = Annotated[str, Field(max_length=71, pattern=r"^sha256:[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER)]
MicroUSD = Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER)]
"""Money in millionths of a US dollar."""
Seconds = Annotated[int, Field(ge=1, le=31_536_000)]


class Condition(ApiModel):
    """metav1.Condition: the six fields of the Kubernetes API conventions."""

    type: Annotated[str, Field(max_length=316)]
    """Name of the condition in CamelCase."""
    status: Literal["True", "False", "Unknown"]
    """True, False or Unknown."""
    reason: Annotated[str, Field(min_length=1, max_length=1024)]
    """One CamelCase word from the table of reasons in docs/spec."""
    message: Annotated[str, Field(max_length=32768)]
    """What a person should know, and what to do about it."""
    last_transition_time: Timestamp
    """When status last changed."""
    observed_generation: Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER)]
    """The metadata.generation that the condition was computed from."""


Conditions = Annotated[list[Condition], Field(max_length=16, json_schema_extra=list_map("type"))]


class AgentSelector(ApiModel):
    """Chooses agents of the same namespace, by name or by labels; exactly one of the two."""

    names: Annotated[list[AgentName] | None, Field(min_length=1, max_length=64, json_schema_extra=LIST_SET)] = None
    """Names of agents."""
    match_labels: Annotated[
        dict[str, Annotated[str, Field(max_length=63)]] | None,
        Field(min_length=1, max_length=16, json_schema_extra={"maxProperties": 16}),
    ] = None
    """Labels that an agent must all carry."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "has(self.names) != has(self.matchLabels)",
                "must have exactly one of names and matchLabels",
            )
        )
    )


class ObservedStatus(ApiModel):
    """What the status of every kind has."""

    observed_generation: Annotated[int, Field(ge=-1, le=MAX_SAFE_INTEGER)] = -1
    """The generation that the controller last acted on; -1 before its first visit."""
    conditions: Conditions = []
    """Ready, Reconciling and Stalled by the kstatus convention, and the kind's own."""


class Enforcement(ApiModel):
    """The gateway's word on what it enforces now: the acknowledgement of a change. Written by the gateway only."""

    generation: Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER)]
    """The metadata.generation that the gateway enforces."""
    reason: Annotated[str, Field(min_length=1, max_length=64)]
    """Ready, or why calls under this object are refused."""
    message: Annotated[str, Field(max_length=2048)]
    """What to do about it."""
    log_index: Annotated[int | None, Field(ge=0, le=MAX_SAFE_INTEGER)] = None
    """Index in the evidence log of the entry that acknowledges this generation: nothing older is forwarded after it."""
