"""Which runs may start now, and in which order the others wait: by the policies' `runs` rules. Pure.

INVARIANT: whoever asks first starts first among those that the same policy bounds. Runs have one order for all
policies, so that the first of all who wait is held up by nobody who waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from remit.api.agentrun import AgentRunSpec
from remit.api.bundle import BundledPolicy
from remit.api.policy import CaseRule
from remit.core.compile import policies_of
from remit.core.prepare import Refusal

Object = Mapping[str, Any]
WAITING_FOR_A_PLACE = "waiting for a place"


@dataclass(frozen=True, slots=True)
class RunRule:
    """What a policy says of which runs may start."""

    policy: str
    """NAMESPACE/NAME."""
    limit: int | None = None
    """Runs at once in one namespace; None: any number."""
    needs_case: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """A run that waits for a place."""

    name: str
    rules: tuple[RunRule, ...]

    def limits(self) -> dict[str, int]:
        """Return the bounds that the run is under, by policy."""
        return limits_in(self.rules)


def limits_in(rules: Iterable[RunRule]) -> dict[str, int]:
    """Return the bounds among the rules, by policy."""
    return {rule.policy: rule.limit for rule in rules if rule.limit is not None}


def rules_of(
    agent: Object, policies: Iterable[Object], *, namespace_labels: Mapping[str, str], install_namespace: str
) -> tuple[RunRule, ...]:
    """Return the rules that an agent's runs are under; none of them starts while one cannot be read."""
    found = policies_of(agent, policies, namespace_labels=namespace_labels, install_namespace=install_namespace)
    if isinstance(found, Refusal):
        return (RunRule(f"{found.name}, which cannot be read", 0),)
    return tuple(_rule(policy) for policy in found)


def lacks_case(run: AgentRunSpec, policies: Iterable[BundledPolicy]) -> str | None:
    """Return the policy that asks for the case that a run does not name; None where all is well."""
    if run.case is not None:
        return None
    return next((rule.policy for rule in map(_rule, policies) if rule.needs_case), None)


def _rule(policy: BundledPolicy) -> RunRule:
    runs = policy.spec.runs
    return RunRule(f"{policy.ref.namespace}/{policy.ref.name}", runs.max_concurrent, runs.case is CaseRule.REQUIRED)


def order_of(run: Object) -> tuple[str, str]:
    """Return what runs of a namespace are ordered by: who was made first; the name, where a second is shared."""
    metadata = run["metadata"]
    return str(metadata.get("creationTimestamp", "")), str(metadata["name"])


def is_blocked(asker: Waiting, line: Iterable[Waiting], held: Callable[[str], int]) -> bool:
    """Tell whether some policy has no place for the run.

    `line` is everyone who waits in the namespace, in order; `held` how many places of a policy are taken. Whoever
    stands before the asker has a place kept, also when another policy holds them up: nobody is passed for ever.
    """
    free = {policy: limit - held(policy) for policy, limit in asker.limits().items()}
    if any(places <= 0 for places in free.values()):
        return True
    for waiting in line:
        if waiting.name == asker.name or not free:
            return False
        for policy in free.keys() & waiting.limits().keys():
            free[policy] -= 1
            if free[policy] == 0:
                return True
    return False


def why_waiting(rules: Iterable[RunRule], namespace: str) -> str:
    """Say what a run waits for: the same words for as long as it waits."""
    bounds = ", ".join(f"{policy} ({limit} at once)" for policy, limit in sorted(limits_in(rules).items()))
    return f"{WAITING_FOR_A_PLACE} by policy {bounds}; `remit queue -n {namespace}` shows the line"


@dataclass(frozen=True, slots=True)
class QueuePlace:
    """Where a run stands in the line of one policy."""

    policy: str
    place: int
    """1 is the next to start."""
    held: int
    limit: int


def places_in(line: Sequence[Waiting], held: Callable[[str], int]) -> dict[str, tuple[QueuePlace, ...]]:
    """Return where each run of a namespace's line stands, by policy."""
    counted: dict[str, int] = {}
    places: dict[str, tuple[QueuePlace, ...]] = {}
    for waiting in line:
        own = []
        for policy, limit in waiting.limits().items():
            counted[policy] = counted.get(policy, 0) + 1
            own.append(QueuePlace(policy, counted[policy], held(policy), limit))
        places[waiting.name] = tuple(own)
    return places
