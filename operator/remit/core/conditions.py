"""Conditions by the kstatus convention: how a status is written, and what is wrong with one. Pure.

Reconciling and Stalled are present only when True; Stalled goes with Ready=False. A generic reader (kubectl wait,
Argo CD, Flux) then tells a finished run from a failed one without knowing the kind.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from remit.api.reasons import FINAL_RUN_REASONS, ObjectReason, RunReason
from remit.core.remedies import OF_OBJECTS, OF_RUNS, with_remedy

Condition = dict[str, Any]
MESSAGE_LIMIT = 1024
_FIELDS = frozenset({"type", "status", "reason", "message", "lastTransitionTime", "observedGeneration"})
_WORDS = frozenset(map(str, (*RunReason, *ObjectReason)))
_FINAL = frozenset(map(str, FINAL_RUN_REASONS))
MEANT = frozenset({ObjectReason.DRAFT, ObjectReason.SUSPENDED, ObjectReason.RETIRED})
"""Reasons that somebody chose: nothing is amiss. gitops/ says the same to Argo CD and Flux."""
_WELL = frozenset(map(str, (*MEANT, RunReason.CANCELLED)))
_ON_ITS_WAY = frozenset({ObjectReason.PROGRESSING, ObjectReason.GATEWAY_NOT_READY})
_TOLD_AT_START = frozenset({RunReason.PENDING, RunReason.STARTING})


class Standing(StrEnum):
    """Where an object stands for a generic reader."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"


_READY_STATUS = {Standing.READY: "True", Standing.RECONCILING: "Unknown", Standing.STALLED: "False"}


def standing_of_run(reason: RunReason) -> Standing:
    """Only a run that succeeded is what was asked for."""
    if reason is RunReason.SUCCEEDED:
        return Standing.READY
    return Standing.STALLED if reason in FINAL_RUN_REASONS else Standing.RECONCILING


def conditions_of(
    standing: Standing, reason: str, message: str, *, generation: int, now: str, previous: Sequence[Condition] = ()
) -> list[Condition]:
    """Return the conditions that every kind has; the first is the leading one."""
    told = with_remedy(one_line(message), OF_OBJECTS.get(reason), MESSAGE_LIMIT)
    statuses = _statuses(standing)
    return _written(statuses, reason, told, generation=generation, now=now, previous=previous)


def side_condition(
    kind: str, finding: tuple[str, str, str], *, generation: int, now: str, previous: Sequence[Condition] = ()
) -> list[Condition]:
    """Return a condition beside the leading one, of (status, reason, message)."""
    status, reason, message = finding
    return _written({kind: status}, reason, one_line(message), generation=generation, now=now, previous=previous)


def run_conditions(
    reason: RunReason, message: str, *, generation: int, now: str, previous: Sequence[Condition] = (), stopping: bool
) -> list[Condition]:
    """Return a run's conditions. Stopping keeps, in its transition time, when the grace for the hand-over began."""
    standing = standing_of_run(reason)
    finished = standing is not Standing.RECONCILING
    outcome = {Standing.READY: "True", Standing.RECONCILING: "Unknown", Standing.STALLED: "False"}[standing]
    own = {"Succeeded": outcome, "Finished": str(finished)}
    if stopping and not finished:
        own["Stopping"] = "True"
    told = with_remedy(one_line(message), OF_RUNS.get(reason), MESSAGE_LIMIT)
    return _written(_statuses(standing) | own, reason, told, generation=generation, now=now, previous=previous)


def _statuses(standing: Standing) -> dict[str, str]:
    """Return the conditions that every kind has; the first is the leading one."""
    shown = {} if standing is Standing.READY else {str(standing): "True"}
    return {"Ready": _READY_STATUS[standing], **shown}


def _written(
    statuses: Mapping[str, str], reason: str, message: str, *, generation: int, now: str, previous: Sequence[Condition]
) -> list[Condition]:
    """Write conditions; a transition time changes only with its status."""
    return [
        {
            "type": kind,
            "status": status,
            "reason": str(reason),
            "message": message,
            "lastTransitionTime": _transition(previous, kind, status, now),
            "observedGeneration": generation,
        }
        for kind, status in statuses.items()
    ]


def one_line(message: str) -> str:
    """Return a message as it may be shown in a terminal: others' words are in it, and may hold anything."""
    return "".join(each if each.isprintable() else " " for each in message)[:MESSAGE_LIMIT]


def _transition(previous: Sequence[Condition], kind: str, status: str, now: str) -> str:
    before = find_condition(previous, kind)
    if before is None or before.get("status") != status:
        return now
    return str(before.get("lastTransitionTime") or now)


def find_condition(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """Return the condition of that type."""
    return next((condition for condition in conditions if condition.get("type") == kind), None)


def is_true(conditions: Iterable[Condition], kind: str) -> bool:
    """Tell whether the condition is there and True."""
    condition = find_condition(conditions, kind)
    return condition is not None and condition.get("status") == "True"


def same_conditions(one: Iterable[Condition], other: Iterable[Condition]) -> bool:
    """Compare without regard to order: the apiserver keeps its own."""
    return {entry.get("type"): entry for entry in one} == {entry.get("type"): entry for entry in other}


def is_alarming(condition: Mapping[str, Any]) -> bool:
    """Tell whether a person should look: nothing becomes Ready here by waiting, or something keeps it from starting."""
    reason, troubled = condition.get("reason"), condition.get("status") == "False"
    if reason in _TOLD_AT_START:
        return reason == RunReason.STARTING or str(condition.get("message")).partition(":")[0] in _WORDS
    return troubled and reason not in _WELL


def violations(status: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a generic reader would misread in a status that the controller wrote; () when all is well."""
    conditions: list[Condition] = list(status.get("conditions", ()))
    return tuple(fault for rule in _RULES for fault in rule(status, conditions))


def _malformed(_: Mapping[str, Any], conditions: list[Condition]) -> Iterable[str]:
    for condition in conditions:
        if set(condition) != _FIELDS:
            yield f"{condition.get('type')}: has {sorted(condition)}"
        elif condition["status"] not in {"True", "False", "Unknown"}:
            yield f"{condition['type']}: status {condition['status']!r}"
        elif not condition["message"] or condition["message"] != one_line(condition["message"]):
            yield f"{condition['type']}: the message is empty, too long or not one line"
        elif not re.fullmatch(r"[A-Z][A-Za-z]+", condition["reason"]):
            yield f"{condition['type']}: odd reason {condition['reason']!r}"
    types = [condition.get("type") for condition in conditions]
    if len(types) != len(set(types)):
        yield f"a type stands twice: {types}"


def _misleading(_: Mapping[str, Any], conditions: list[Condition]) -> Iterable[str]:
    ready = find_condition(conditions, "Ready")
    if ready is None:
        yield "Ready is missing"
        return
    shown = {kind for kind in ("Reconciling", "Stalled", "Stopping") if find_condition(conditions, kind)}
    yield from (f"{kind} is there and not True" for kind in sorted(shown) if not is_true(conditions, kind))
    if {"Reconciling", "Stalled"} <= shown:
        yield "Reconciling and Stalled at once"
    if ready["status"] == "True" and shown:
        yield f"Ready beside {sorted(shown)}"
    if ready["status"] != "True" and not shown & {"Reconciling", "Stalled"}:
        yield "not Ready, and neither Reconciling nor Stalled says why"
    if "Stalled" in shown and ready["status"] != "False":
        yield "Stalled, and Ready is not False"


def _wordless(status: Mapping[str, Any], conditions: list[Condition]) -> Iterable[str]:
    ready = find_condition(conditions, "Ready") or {}
    yield from (
        f"{entry.get('type')}: unknown reason {entry.get('reason')!r}"
        for entry in conditions
        if entry.get("reason") not in _WORDS
    )
    if "reason" in status and status["reason"] != ready.get("reason"):
        yield f"reason {status['reason']!r} is not that of Ready, {ready.get('reason')!r}"
    if "phase" in status:
        yield "phase: Kubernetes deprecates it"


def _outdated(status: Mapping[str, Any], conditions: list[Condition]) -> Iterable[str]:
    observed = status.get("observedGeneration")
    yield from (
        f"{entry.get('type')}: observedGeneration {entry.get('observedGeneration')} is not the status's {observed}"
        for entry in conditions
        if entry.get("observedGeneration") != observed
    )


def _untold(status: Mapping[str, Any], conditions: list[Condition]) -> Iterable[str]:
    finished, succeeded = find_condition(conditions, "Finished"), find_condition(conditions, "Succeeded")
    if finished is None and succeeded is None:
        return  # not a run
    if finished is None or succeeded is None:
        yield "Finished and Succeeded go together"
        return
    ended = finished["status"] == "True"
    if ended != (succeeded["status"] != "Unknown"):
        yield f"Finished={finished['status']} beside Succeeded={succeeded['status']}"
    if (succeeded["status"] == "True") != is_true(conditions, "Ready"):
        yield "Succeeded and Ready differ"
    if ended != (finished["reason"] in _FINAL):
        yield f"Finished={finished['status']} with reason {finished['reason']}"
    if ended != ("finishedAt" in status):
        yield "finishedAt goes with Finished"


def _unlike(_: Mapping[str, Any], conditions: list[Condition]) -> Iterable[str]:
    """The reason decides where an object stands."""
    ready = find_condition(conditions, "Ready") or {}
    reason, status = ready.get("reason"), ready.get("status")
    if find_condition(conditions, "Finished") is None:
        if (reason == ObjectReason.READY) != (status == "True"):
            yield f"Ready={status} with reason {reason}"
        if reason in MEANT and status != "False":
            yield f"Ready={status}, and somebody chose {reason}"
        if reason in _ON_ITS_WAY and status != "Unknown":
            yield f"Ready={status}, and {reason} means that it is on its way"
    elif reason in set(RunReason) and status != _READY_STATUS[standing_of_run(RunReason(reason))]:
        yield f"Ready={status} with reason {reason}"


def _unenforced(status: Mapping[str, Any], conditions: list[Condition]) -> Iterable[str]:
    enforced = (status.get("enforced") or {}).get("generation")
    if enforced is None or not is_true(conditions, "Ready"):
        return
    if "activeRuns" in status or find_condition(conditions, "Finished") is not None:
        return  # an agent and a run do not wait for the gateway's word
    if enforced < status.get("observedGeneration", 0):
        yield f"Ready, and the gateway enforces generation {enforced}"


def _disordered(status: Mapping[str, Any], _: list[Condition]) -> Iterable[str]:
    """Pods and revisions: what was before is kept apart from what is."""
    pod, tries = status.get("pod") or {}, status.get("tries") or ()
    tried = [each["pod"]["uid"] for each in tries]
    if len(set(tried)) != len(tried) or pod.get("uid") in tried:
        yield f"a pod was given up and stands elsewhere, too: {tried}"
    ends = [each["endedAt"] for each in tries]
    if ends != sorted(ends):
        yield f"tries are not in their order: {ends}"
    if pod and "startedAt" not in status:
        yield "a pod is named, and not when the run started"
    if status.get("startedAt", "") > status.get("finishedAt", "9"):
        yield "finishedAt lies before startedAt"
    names = [each["name"] for each in status.get("revisions") or ()]
    if len(set(names)) != len(names) or (status.get("revision") or {}).get("name") in names:
        yield f"a revision stands twice: {names}"


_RULES: tuple[Callable[[Mapping[str, Any], list[Condition]], Iterable[str]], ...] = (
    _malformed,
    _misleading,
    _wordless,
    _outdated,
    _untold,
    _unlike,
    _unenforced,
    _disordered,
)
