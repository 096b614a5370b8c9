"""What admission checks, checked again: may this run start, may it go on? Pure.

Admission policies are a courtesy: an object may have been stored before them, or while they were away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from remit.api.agent import Lifecycle
from remit.api.reasons import ObjectReason
from remit.core.conditions import find_condition
from remit.core.moments import epoch_seconds
from remit.core.queue import RunRule

_TAKEN_BACK = frozenset(
    {ObjectReason.NO_POLICY, ObjectReason.NO_BUDGET, ObjectReason.MODEL_NOT_GRANTED, ObjectReason.REVOKED}
)
"""Reasons of an agent that no waiting mends without someone giving authority."""


@dataclass(frozen=True, slots=True)
class Disallowed:
    """The run may not start, or go on."""

    message: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing forbids the run, and something is not there yet."""

    message: str


@dataclass(frozen=True, slots=True)
class Subject:
    """A run and what it refers to, as stored."""

    run: Mapping[str, Any]
    agent: Mapping[str, Any] | None
    model_grant: Mapping[str, Any] | None
    now: float
    rules: tuple[RunRule, ...] = ()
    """What the policies for its agent say of which runs may start."""

    @property
    def agent_name(self) -> str:
        """Name of the agent that the run is for."""
        return str(self.run["spec"].get("agent", ""))

    @property
    def started_at(self) -> str:
        """When the pod was made; empty before."""
        return str(self.run.get("status", {}).get("startedAt", ""))


def requester_is_unknown(subject: Subject) -> Disallowed | None:
    """Nobody to answer for it."""
    if (subject.run["spec"].get("requester") or {}).get("username"):
        return None
    return Disallowed("nobody is named as requester: the cluster's admission policies did not see this run")


def agent_is_deleted(subject: Subject) -> Disallowed | None:
    """An agent that goes takes its authority along; one of the same name is another agent."""
    agent = subject.agent
    if agent is None:
        return Disallowed(f"agent {subject.agent_name} was deleted") if subject.started_at else None
    if agent["metadata"].get("deletionTimestamp"):
        return Disallowed(f"agent {subject.agent_name} is being deleted")
    created = agent["metadata"].get("creationTimestamp", "")
    if subject.started_at and created and epoch_seconds(created) > epoch_seconds(subject.started_at):
        return Disallowed(f"agent {subject.agent_name} was deleted; the one of that name now is another")
    return None


def agent_is_not_active(subject: Subject) -> Disallowed | None:
    """Only Active agents act."""
    if subject.agent is None:
        return None
    lifecycle = subject.agent["spec"].get("lifecycle", "")
    return None if lifecycle == Lifecycle.ACTIVE else Disallowed(f"agent {subject.agent_name} is {lifecycle}")


def purpose_is_foreign(subject: Subject) -> Disallowed | None:
    """An agent acts for its own purposes only."""
    if subject.agent is None:
        return None
    purpose, purposes = subject.run["spec"].get("purpose"), subject.agent["spec"].get("purposes", ())
    if purpose in purposes:
        return None
    return Disallowed(f"purpose {purpose} is not one of agent {subject.agent_name}: {', '.join(purposes)}")


def case_is_missing(subject: Subject) -> Disallowed | None:
    """Some work is done for a case only; a rule that comes later is for later runs."""
    if subject.started_at or (subject.run["spec"].get("case") or {}).get("id"):
        return None
    for rule in subject.rules:
        if rule.needs_case:
            return Disallowed(f"policy {rule.policy} asks for a case: name it in spec.case.id")
    return None


def model_is_taken_back(subject: Subject) -> Disallowed | None:
    """Without its model an agent can do nothing; any other grant only has its calls refused."""
    grant = subject.model_grant
    if grant is None:
        return None
    name, spec = grant["metadata"]["name"], grant["spec"]
    if spec.get("suspended"):
        return Disallowed(f"the model's grant {name} is suspended")
    if (end := spec.get("notAfter")) and epoch_seconds(end) <= subject.now:
        return Disallowed(f"the model's grant {name} expired at {end}")
    return None


def policy_is_taken_back(subject: Subject) -> Disallowed | None:
    """A run under way loses its authority with its policy, its budget or its model's grant."""
    if subject.agent is None or not subject.started_at:
        return None
    ready = find_condition(subject.agent.get("status", {}).get("conditions", ()), "Ready")
    if ready is None or ready.get("reason") not in _TAKEN_BACK:
        return None
    return Disallowed(f"agent {subject.agent_name}: {ready.get('message')}")


def agent_is_missing(subject: Subject) -> Wait | None:
    """It may be applied in a moment: files of one folder come in any order."""
    return Wait(f"agent {subject.agent_name} does not exist yet: apply it") if subject.agent is None else None


def agent_is_not_ready(subject: Subject) -> Wait | None:
    """Its bundle or its children are not there."""
    if subject.agent is None:
        return None
    status = subject.agent.get("status", {})
    ready = find_condition(status.get("conditions", ()), "Ready")
    if ready is None or status.get("observedGeneration") != subject.agent["metadata"].get("generation"):
        return Wait(f"agent {subject.agent_name} was not looked at yet")
    if ready.get("status") == "True" and status.get("revision"):
        return None
    return Wait(f"agent {subject.agent_name} is not ready: {ready.get('reason')}: {ready.get('message')}")


OBJECTIONS: tuple[Callable[[Subject], Disallowed | None], ...] = (
    requester_is_unknown,
    agent_is_deleted,
    agent_is_not_active,
    purpose_is_foreign,
    case_is_missing,
    model_is_taken_back,
    policy_is_taken_back,
)
WAITS: tuple[Callable[[Subject], Wait | None], ...] = (agent_is_missing, agent_is_not_ready)


def review(subject: Subject) -> Disallowed | Wait | None:
    """Return the first objection, else the first thing to wait for, else None."""
    for objection_to in OBJECTIONS:
        if (objection := objection_to(subject)) is not None:
            return objection
    for wait_for in WAITS:
        if (wait := wait_for(subject)) is not None:
            return wait
    return None
