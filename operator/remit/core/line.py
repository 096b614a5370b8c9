"""The line of a namespace: which of its runs have a place, and who could start if there were one. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from remit.api.agentrun import Desired
from remit.core.admission import Subject, review
from remit.core.conditions import is_true
from remit.core.course import next_try_at
from remit.core.queue import RunRule, Waiting, limits_in, order_of, rules_of

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Home:
    """A namespace, as far as its runs are concerned."""

    runs: Iterable[Object]
    agents: Mapping[str, Object]
    """By name."""
    grants: Mapping[str, Object]
    rules: Mapping[str, tuple[RunRule, ...]]
    """By the agent's name."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Who waits for a place in a namespace, in order, and how many places of each policy are taken."""

    line: tuple[Waiting, ...]
    held: Mapping[str, int]


def home_of(
    runs: Iterable[Object],
    agents: Iterable[Object],
    grants: Iterable[Object],
    policies: Iterable[Object],
    *,
    labels: Mapping[str, str],
    install_namespace: str,
) -> Home:
    """Return a namespace from its objects, and the policies that may hold in it."""
    by_name = {str(agent["metadata"]["name"]): agent for agent in agents}
    kept = tuple(policies)
    return Home(
        runs=runs,
        agents=by_name,
        grants={str(grant["metadata"]["name"]): grant for grant in grants},
        rules={
            name: rules_of(agent, kept, namespace_labels=labels, install_namespace=install_namespace)
            for name, agent in by_name.items()
        },
    )


def could_start(subject: Subject) -> bool:
    """Tell whether a run waits for nothing but a place."""
    run = subject.run
    if run["metadata"].get("deletionTimestamp") or run["spec"].get("desired", Desired.RUNNING) != Desired.RUNNING:
        return False
    return next_try_at(run) <= subject.now and review(subject) is None


def standing_in(home: Home, now: float) -> Standing:
    """Return who has a place and who waits for one."""
    line, held = [], Counter[str]()
    for run in sorted(home.runs, key=order_of):
        status, agent_name = run.get("status") or {}, str(run["spec"].get("agent", ""))
        rules = home.rules.get(agent_name, ())
        if is_true(status.get("conditions") or (), "Finished"):
            continue
        if status.get("pod"):
            held.update(limits_in(rules).keys())
        elif limits_in(rules) and could_start(_subject(home, run, agent_name, now)):
            line.append(Waiting(str(run["metadata"]["name"]), rules))
    return Standing(tuple(line), held)


def _subject(home: Home, run: Object, agent_name: str, now: float) -> Subject:
    agent = home.agents.get(agent_name)
    model = ((agent or {}).get("spec") or {}).get("model") or {}
    return Subject(run, agent, home.grants.get(model.get("grant", "")), now, home.rules.get(agent_name, ()))
