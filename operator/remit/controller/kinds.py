"""The kinds that the controller watches, and which keys a change of one of them concerns. Pure.

Level, not edge: what changed does not matter, only who has to look again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from remit.api import names
from remit.api.meta import GROUP, VERSION
from remit.controller.store import Key, Store, Watched, key_of
from remit.core.conditions import is_true

AGENT: Final = Watched("Agent", GROUP, VERSION, "agents")
GRANT: Final = Watched("ToolGrant", GROUP, VERSION, "toolgrants")
POLICY: Final = Watched("Policy", GROUP, VERSION, "policies")
RUN: Final = Watched("AgentRun", GROUP, VERSION, "agentruns")
NAMESPACE: Final = Watched("Namespace", "", "v1", "namespaces")
POD: Final = Watched("Pod", "", "v1", "pods", names.LABEL_SANDBOX)
_OURS: Final = f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}"
NETWORK_POLICY: Final = Watched("NetworkPolicy", "networking.k8s.io", "v1", "networkpolicies", _OURS)
ACCOUNT: Final = Watched("ServiceAccount", "", "v1", "serviceaccounts", _OURS)
REVISION: Final = Watched("ControllerRevision", "apps", "v1", "controllerrevisions", _OURS)
WATCHED: Final = (AGENT, GRANT, POLICY, RUN, NAMESPACE, POD, NETWORK_POLICY, ACCOUNT, REVISION)
RECONCILED: Final = frozenset({"Agent", "ToolGrant", "Policy", "AgentRun", "Namespace"})

Object = Mapping[str, Any]


def concerned(kind: str, thing: Object, store: Store, install_namespace: str) -> Iterator[Key]:
    """Yield the keys that a change of the object concerns; the same one may come twice."""
    if kind in RECONCILED:
        yield key_of(kind, thing)
    namespace = thing["metadata"].get("namespace", "")
    if kind == POLICY.kind and namespace == install_namespace:
        yield from (key_of(AGENT.kind, agent) for agent in store.all(AGENT.kind))
    else:
        yield from _FOLLOWERS[kind](thing, store)


def is_under_way(run: Object) -> bool:
    """Tell whether the run has not finished."""
    return not is_true((run.get("status") or {}).get("conditions") or (), "Finished")


def runs_of(store: Store, namespace: str, wanted: Callable[[Object], bool]) -> list[dict[str, Any]]:
    """Return the namespace's runs under way that are wanted."""
    return [run for run in store.within(RUN.kind, namespace) if is_under_way(run) and wanted(run)]


def _of_agent(agent: Object, store: Store) -> Iterator[Key]:
    namespace, name = agent["metadata"]["namespace"], agent["metadata"]["name"]
    yield Key(NAMESPACE.kind, "", namespace)
    yield from (
        key_of(RUN.kind, run) for run in runs_of(store, namespace, lambda run: run["spec"].get("agent") == name)
    )


def _of_grant(grant: Object, store: Store) -> Iterator[Key]:
    namespace, name = grant["metadata"]["namespace"], grant["metadata"]["name"]
    driven = set()
    for agent in store.within(AGENT.kind, namespace):
        yield key_of(AGENT.kind, agent)
        if (agent["spec"].get("model") or {}).get("grant") == name:
            driven.add(agent["metadata"]["name"])
    runs = runs_of(store, namespace, lambda run: run["spec"].get("agent") in driven)
    yield from (key_of(RUN.kind, run) for run in runs)


def _of_policy(policy: Object, store: Store) -> Iterator[Key]:
    yield from (key_of(AGENT.kind, agent) for agent in store.within(AGENT.kind, policy["metadata"]["namespace"]))


def _of_namespace(namespace: Object, store: Store) -> Iterator[Key]:
    yield from (key_of(AGENT.kind, agent) for agent in store.within(AGENT.kind, namespace["metadata"]["name"]))


def _of_run(run: Object, store: Store) -> Iterator[Key]:
    del run, store  # its agent's count of runs is brought up to date in its own time
    yield from ()


def _of_pod(pod: Object, store: Store) -> Iterator[Key]:
    del store
    yield Key(NAMESPACE.kind, "", pod["metadata"]["namespace"])
    yield from _owner_of(pod, RUN.kind)


def _of_network_policy(policy: Object, store: Store) -> Iterator[Key]:
    namespace = policy["metadata"]["namespace"]
    if policy["metadata"]["name"] == names.DENY_POLICY:
        yield Key(NAMESPACE.kind, "", namespace)
        waiting = runs_of(store, namespace, lambda run: "pod" not in (run.get("status") or {}))
        yield from (key_of(RUN.kind, run) for run in waiting)
    yield from _owner_of(policy, AGENT.kind)


def _of_agent_child(child: Object, store: Store) -> Iterator[Key]:
    del store
    yield from _owner_of(child, AGENT.kind)


def _owner_of(child: Object, kind: str) -> Iterator[Key]:
    for owner in child["metadata"].get("ownerReferences") or ():
        if owner.get("kind") == kind:
            yield Key(kind, child["metadata"]["namespace"], owner["name"])


_FOLLOWERS: Final[Mapping[str, Callable[[Object, Store], Iterator[Key]]]] = {
    AGENT.kind: _of_agent,
    GRANT.kind: _of_grant,
    POLICY.kind: _of_policy,
    RUN.kind: _of_run,
    NAMESPACE.kind: _of_namespace,
    POD.kind: _of_pod,
    NETWORK_POLICY.kind: _of_network_policy,
    ACCOUNT.kind: _of_agent_child,
    REVISION.kind: _of_agent_child,
}
