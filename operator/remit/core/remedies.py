"""What a person does next about an object that is not well: said in its message, after why. Pure.

A reason whose messages say it themselves, with names and commands, has no row here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from remit.api.reasons import ObjectReason, RunReason

OF_RUNS: Final[Mapping[str, str]] = {
    RunReason.SUSPENDED: "set spec.desired to Running to let it go on",
    RunReason.FAILED: "mend what failed, then create the run anew with another attempt",
    RunReason.DENIED: "give what is missing, then create the run anew with another attempt",
    RunReason.POLICY_VIOLATION: "see in its evidence what was refused, and grant it, or mend the agent",
    RunReason.BUDGET_EXHAUSTED: "see status.partial; a new attempt may have a larger spec.budget, within the policy's",
    RunReason.DEADLINE_EXCEEDED: "see status.partial; a new attempt may have more spec.deadlineSeconds",
    RunReason.REVOKED: "give the authority back, then create the run anew with another attempt",
    RunReason.OUTCOME_UNKNOWN: "find out at the upstream what became of the call before any new attempt",
}
OF_OBJECTS: Final[Mapping[str, str]] = {
    ObjectReason.RETIRED: "create an Agent of another name",
    ObjectReason.EXPIRED: "set a later spec.notAfter, or delete it",
    ObjectReason.MODEL_NOT_GRANTED: "apply a ToolGrant that gives the agent its model",
    ObjectReason.REVOKED: "when it is safe again, take spec.revoked out of that Policy",
    ObjectReason.INVALID_RULE: "mend that place; remit lint checks it before it is applied",
    ObjectReason.INVALID_SCHEMA: "mend that place; remit lint checks it before it is applied",
    ObjectReason.INVALID_SPEC: "mend that place; remit lint checks it before it is applied",
    ObjectReason.SECRET_KEY_MISSING: "add it to the Secret, or name another key",
    ObjectReason.NAMESPACE_SELECTOR_NOT_ALLOWED: "leave spec.namespaceSelector out here",
    ObjectReason.GATEWAY_NOT_READY: "wait; if it lasts, see to the gateway: kubectl -n remit-system get pods",
    ObjectReason.NETWORK_POLICY_NOT_ENFORCED: "install a network plugin that enforces NetworkPolicy",
    ObjectReason.NODE_REACHABLE: "close the node to pods, or set sandbox.nodeAccess of that policy to Warn",
}
_MARK: Final = "; next: "


def with_remedy(message: str, remedy: str | None, limit: int) -> str:
    """Return the message with what to do next; it is not cut off, however long the message is."""
    if remedy is None:
        return message[:limit]
    tail = _MARK + remedy
    return message.removesuffix(tail)[: limit - len(tail)] + tail
