"""Which piece of work a run does: what makes a run that is deleted and made again the same one. Pure.

GitOps deletes runs and applies them again, a namespace or all of etcd is restored: the API then has a new run, with a
new UID, for work that was done. The identity of the work is what a person wrote, without what may change under way
and without who applied it: namespace, name, attempt, and the spec as far as it says more than the defaults. (Fields
that a later version adds have defaults: the identity of work that the ledger knows stays as it is.)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from remit.api.agentrun import AgentRunSpec
from remit.core.digest import sha256_hex

NOT_THE_WORK: Final = frozenset({"attempt", "desired", "ttl_seconds_after_finished", "requester", "retry"})
"""Fields of the spec that do not say what is to be done; the attempt stands beside the spec."""
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
"""Total, unlike RFC 8785: an input may hold numbers that not every reader keeps exact."""


def work_of(namespace: str, name: str, spec: AgentRunSpec) -> str:
    """Return the identity of a run's work, `sha256:HEX`."""
    said = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=set(NOT_THE_WORK))
    whole = {"namespace": namespace, "name": name, "attempt": spec.attempt, "spec": said}
    return f"sha256:{sha256_hex(_encode(whole).encode())}"


def unnamed_work(namespace: str, name: str) -> str:
    """Return what stands for the work of a run that an older ledger kept by its name alone."""
    return f"name:{namespace}/{name}"


def is_named(work: str) -> bool:
    """Tell whether the identity says what the work was."""
    return work.startswith("sha256:")


def may_be_the_same(facts: Mapping[str, Any], spec: AgentRunSpec) -> bool:
    """Tell whether nothing that an older ledger kept of a run speaks against its work being that of this spec."""
    case = spec.case.to_json() if spec.case is not None else None
    known = (facts.get("attempt"), facts.get("agent"), facts.get("purpose"), facts.get("case"))
    return known == (spec.attempt, spec.agent, spec.purpose, case)
