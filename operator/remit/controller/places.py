"""Who has a place among the runs at once that policies allow, and who waits: kept up to date by what the store learns.

A start costs what stands before it in line, not what the namespace holds. Only this process gives places; what it
forgets when it ends is all in the objects: a run that has a pod has a place.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Mapping
from itertools import islice
from typing import Any, Final, NamedTuple

from remit.controller.gather import model_grant_of
from remit.controller.kinds import AGENT, GRANT, NAMESPACE, OF_OWNER, POD, POLICY, RUN, is_under_way
from remit.controller.store import Key, Store, key_of
from remit.core.admission import Subject, agent_is_not_ready
from remit.core.course import given_up
from remit.core.line import could_start
from remit.core.pods import has_ended
from remit.core.queue import RunRule, Waiting, is_blocked, limits_in, order_of, rules_of, why_waiting
from remit.ports import Clock

Object = Mapping[str, Any]
Order = tuple[str, str]
_RULING: Final = frozenset({AGENT.kind, POLICY.kind, NAMESPACE.kind})


class _Filed(NamedTuple):
    """Where a run under way is kept."""

    agent: str
    order: Order
    has_place: bool


class Places:
    """The places of all namespaces."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        install_namespace: str,
        *,
        wake: Callable[[Key], None],
        is_synced: Callable[[], bool],
    ) -> None:
        """Follow this store; `wake` has a run looked at whose turn may have come, once the store is complete."""
        self._store = store
        self._clock = clock
        self._install_namespace = install_namespace
        self._wake = wake
        self._is_synced = is_synced
        self._lines: defaultdict[str, defaultdict[str, list[Order]]] = defaultdict(lambda: defaultdict(list))
        """Runs without a place, in order, by namespace and agent."""
        self._holders: defaultdict[str, defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        """Names of the runs that have one, by namespace and agent."""
        self._filed: dict[Key, _Filed] = {}
        self._given: set[Key] = set()
        """Runs that are about to start."""
        self._rules: defaultdict[str, dict[str, tuple[RunRule, ...]]] = defaultdict(dict)
        store.listen(self._on_change)

    def rules(self, namespace: str, agent_name: str) -> tuple[RunRule, ...]:
        """Return the rules that the agent's runs are under."""
        known = self._rules[namespace].get(agent_name)
        if known is None:
            known = self._rules[namespace][agent_name] = self._rules_now(namespace, agent_name)
        return known

    def take(self, run: Object) -> str:
        """Give the run a place, until it is given back or the run has a pod; else return what it waits for."""
        key, rules = key_of(RUN.kind, run), self.rules(run["metadata"]["namespace"], run["spec"].get("agent", ""))
        limits, filed = limits_in(rules), self._filed.get(key)
        if not limits or (filed is not None and filed.has_place):
            return ""
        line = (Waiting(each.name, self._rules_of(each)) for each in self._line(key.namespace, limits))
        if is_blocked(Waiting(key.name, rules), line, lambda policy: self._held(key.namespace, policy)):
            return why_waiting(rules, key.namespace)
        self._given.add(key)
        self._file(key)
        return ""

    def give_back(self, key: Key) -> None:
        """Take back the place of a run that did not start after all; one that has a pod keeps it."""
        if key in self._given:
            self._given.discard(key)
            self._file(key)  # wakes nobody: two that wait for something else, too, would wake each other for ever

    def _on_change(self, key: Key, old: Object | None, new: Object | None) -> None:
        if key.kind == RUN.kind:
            changed = old is not None and _rule_mark(old) != _rule_mark(new)
            if self._file(key) or changed:
                self._wake_next(key.namespace)
        elif key.kind == POD.kind:
            for run in {owner for pod in (old, new) if pod is not None for owner in _runs_of(pod)}:
                if self._file(run):
                    self._wake_next(run.namespace)
        elif key.kind in _RULING and _rule_mark(old) != _rule_mark(new):
            self._rule_anew(key)
        elif key.kind in {AGENT.kind, GRANT.kind}:
            self._wake_next(key.namespace)

    def _rule_anew(self, key: Key) -> None:
        """Forget the rules that a change may concern, and have everyone look who is under others now."""
        everywhere = key.kind == POLICY.kind and key.namespace == self._install_namespace
        namespace = key.name if key.kind == NAMESPACE.kind else key.namespace
        for home in list(self._rules) if everywhere else [namespace]:
            known = self._rules[home]
            for agent in [key.name] if key.kind == AGENT.kind else list(known):
                before = known.pop(agent, None)
                if (line := self._lines[home].get(agent)) and self.rules(home, agent) != before:
                    for _, name in line:
                        self._wake(Key(RUN.kind, home, name))
            self._wake_next(home)

    def _rules_now(self, namespace: str, agent_name: str) -> tuple[RunRule, ...]:
        agent = self._store.get(Key(AGENT.kind, namespace, agent_name))
        home = self._store.get(Key(NAMESPACE.kind, "", namespace))
        if agent is None or home is None:
            return ()
        homes = dict.fromkeys((namespace, self._install_namespace))
        return rules_of(
            agent,
            [policy for each in homes for policy in self._store.within(POLICY.kind, each)],
            namespace_labels=home["metadata"].get("labels") or {},
            install_namespace=self._install_namespace,
        )

    def _rules_of(self, key: Key) -> tuple[RunRule, ...]:
        return self.rules(key.namespace, self._filed[key].agent)

    def _held(self, namespace: str, policy: str) -> int:
        """Return how many places of a policy are taken."""
        holders = self._holders[namespace].items()
        return sum(len(names) for agent, names in holders if policy in limits_in(self.rules(namespace, agent)))

    def _line(self, namespace: str, policies: Container[str]) -> Iterator[Key]:
        """Yield, in order, who waits for a place under any of the policies and could start now."""
        now = self._clock.now()
        lines = [
            line
            for agent, line in self._lines[namespace].items()
            if any(policy in policies for policy in limits_in(self.rules(namespace, agent)))
            and self._is_ready(namespace, agent, now)
        ]
        for _, name in heapq.merge(*lines):
            key = Key(RUN.kind, namespace, name)
            run = self._store.get(key)
            if run is not None and self._could_start(run, now):
                yield key

    def _is_ready(self, namespace: str, name: str, now: float) -> bool:
        agent = self._store.get(Key(AGENT.kind, namespace, name))
        return agent is not None and agent_is_not_ready(Subject({"spec": {"agent": name}}, agent, None, now)) is None

    def _could_start(self, run: Object, now: float) -> bool:
        namespace, agent_name = run["metadata"]["namespace"], run["spec"].get("agent", "")
        agent = self._store.get(Key(AGENT.kind, namespace, agent_name))
        grant, rules = model_grant_of(self._store, namespace, agent), self.rules(namespace, agent_name)
        return could_start(Subject(run, agent, grant, now, rules))

    def _wake_next(self, namespace: str) -> None:
        """Have those looked at whose turn has come."""
        if not self._is_synced():
            return  # who has a place is not known yet
        limits: dict[str, int] = {}
        for agent in self._lines[namespace]:
            limits |= limits_in(self.rules(namespace, agent))
        for policy, limit in limits.items():
            free = limit - self._held(namespace, policy)
            for key in islice(self._line(namespace, (policy,)), max(free, 0)):
                self._wake(key)

    def _file(self, key: Key) -> bool:
        """Keep a run where it belongs now; tell whether that lets another one go first."""
        run = self._store.get(key)
        was, now = self._filed.get(key), None
        if run is not None and is_under_way(run):
            has_place = key in self._given or self._has_pod(run)
            now = _Filed(str(run["spec"].get("agent", "")), order_of(run), has_place)
        if was == now:
            return False
        if was is not None:
            self._take_out(key, was)
        if now is not None:
            self._put_in(key, now)
        return was is not None and not (now is not None and now.has_place)

    def _put_in(self, key: Key, filed: _Filed) -> None:
        self._filed[key] = filed
        if filed.has_place:
            self._holders[key.namespace][filed.agent].add(key.name)
        else:
            insort(self._lines[key.namespace][filed.agent], filed.order)

    def _take_out(self, key: Key, filed: _Filed) -> None:
        del self._filed[key]
        holders, lines = self._holders[key.namespace], self._lines[key.namespace]
        if filed.has_place:
            holders[filed.agent].discard(key.name)
        else:
            del lines[filed.agent][bisect_left(lines[filed.agent], filed.order)]
        for shelf in (holders, lines):
            if filed.agent in shelf and not shelf[filed.agent]:
                del shelf[filed.agent]

    def _has_pod(self, run: Object) -> bool:
        """Tell whether the run has a pod, also one that its status does not name yet."""
        if (run.get("status") or {}).get("pod"):
            return True
        metadata, lost = run["metadata"], given_up(run)
        own = self._store.having(POD.kind, OF_OWNER, metadata["namespace"], metadata["uid"])
        return any(pod["metadata"]["uid"] not in lost and not has_ended(pod) for pod in own)


def _rule_mark(thing: Object | None) -> object:
    """Return what of an object rules: its status does not."""
    if thing is None:
        return None
    metadata = thing["metadata"]
    labels = metadata.get("labels") or {}
    return metadata.get("uid"), metadata.get("generation"), labels, metadata.get("deletionTimestamp")


def _runs_of(pod: Object) -> Iterator[Key]:
    for owner in pod["metadata"].get("ownerReferences") or ():
        if owner.get("kind") == RUN.kind:
            yield Key(RUN.kind, pod["metadata"]["namespace"], owner["name"])
