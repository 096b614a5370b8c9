"""The kinds that the controller watches, and which keys a change of one of them concerns. Pure.

Level, not edge: what changed does not matter, only who has to look again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from remit.api import names
from remit.api.meta import GROUP, VERSION
from remit.controller.store import Index, Indexes, Key, Store, Watched, key_of
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
STREAMED: Final = (RUN, POD)
"""What changes most, and is watched without kopf."""
POOL: Final = "WarmPool"
"""The kind of the key of an agent's warm pods: no object has it, and its name is the agent's."""
RECONCILED: Final = frozenset({"Agent", "ToolGrant", "Policy", "AgentRun", "Namespace"})

UNDER_WAY: Final = "under way"
"""Index of runs: those that have not finished, all under the empty word."""
OF_AGENT: Final = "of agent"
"""Index by an agent's name: of runs under way, of revisions, and of the pods that stand warm for it."""
OF_OWNER: Final = "of owner"
"""Index of pods by the UIDs of their owners."""

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
    return [run for run in store.having(RUN.kind, UNDER_WAY, namespace, "") if wanted(run)]


def runs_of_agent(store: Store, namespace: str, agent: str) -> list[dict[str, Any]]:
    """Return the agent's runs under way."""
    return store.having(RUN.kind, OF_AGENT, namespace, agent)


def _of_agent(agent: Object, store: Store) -> Iterator[Key]:
    namespace, name = agent["metadata"]["namespace"], agent["metadata"]["name"]
    yield Key(NAMESPACE.kind, "", namespace)
    yield from pool_of(namespace, name, store)
    yield from (key_of(RUN.kind, run) for run in runs_of_agent(store, namespace, name))


def _of_grant(grant: Object, store: Store) -> Iterator[Key]:
    namespace, name = grant["metadata"]["namespace"], grant["metadata"]["name"]
    for agent in store.within(AGENT.kind, namespace):
        yield key_of(AGENT.kind, agent)
        if (agent["spec"].get("model") or {}).get("grant") == name:
            runs = runs_of_agent(store, namespace, agent["metadata"]["name"])
            yield from (key_of(RUN.kind, run) for run in runs)


def _of_policy(policy: Object, store: Store) -> Iterator[Key]:
    yield from (key_of(AGENT.kind, agent) for agent in store.within(AGENT.kind, policy["metadata"]["namespace"]))


def _of_namespace(namespace: Object, store: Store) -> Iterator[Key]:
    yield from (key_of(AGENT.kind, agent) for agent in store.within(AGENT.kind, namespace["metadata"]["name"]))


def _of_run(run: Object, store: Store) -> Iterator[Key]:
    del run, store  # its agent's count of runs is brought up to date in its own time
    yield from ()


def _of_pod(pod: Object, store: Store) -> Iterator[Key]:
    namespace = pod["metadata"]["namespace"]
    yield Key(NAMESPACE.kind, "", namespace)
    yield from pool_of(namespace, str((pod["metadata"].get("labels") or {}).get(names.LABEL_AGENT, "")), store)
    yield from _owner_of(pod, RUN.kind)


def pool_of(namespace: str, agent_name: str, store: Store) -> Iterator[Key]:
    """Yield the pool of an agent that has one, or that still has pods of one."""
    agent = store.get(Key(AGENT.kind, namespace, agent_name))
    replicas = ((agent or {}).get("spec") or {}).get("warm", {}).get("replicas", 0)
    if replicas or store.having(POD.kind, OF_AGENT, namespace, agent_name):
        yield Key(POOL, namespace, agent_name)


def _of_network_policy(policy: Object, store: Store) -> Iterator[Key]:
    namespace = policy["metadata"]["namespace"]
    if policy["metadata"]["name"] == names.DENY_POLICY:
        yield Key(NAMESPACE.kind, "", namespace)
        waiting = runs_of(store, namespace, lambda run: "pod" not in (run.get("status") or {}))
        yield from (key_of(RUN.kind, run) for run in waiting)
        for agent in store.within(AGENT.kind, namespace):
            yield from pool_of(namespace, agent["metadata"]["name"], store)
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


def _label(name: str) -> Index:
    def words(thing: Object) -> Iterator[str]:
        if word := (thing["metadata"].get("labels") or {}).get(name):
            yield word

    return words


def _while_under_way(run: Object) -> Iterator[str]:
    if is_under_way(run):
        yield ""


def _agent_while_under_way(run: Object) -> Iterator[str]:
    if is_under_way(run):
        yield str(run["spec"].get("agent", ""))


def _agent_while_warm(pod: Object) -> Iterator[str]:
    if names.LABEL_WARM in (pod["metadata"].get("labels") or {}):
        yield str(pod["metadata"]["labels"].get(names.LABEL_AGENT, ""))


def _owners(thing: Object) -> Iterator[str]:
    yield from (str(owner.get("uid", "")) for owner in thing["metadata"].get("ownerReferences") or ())


INDEXES: Final[Indexes] = {
    RUN.kind: {UNDER_WAY: _while_under_way, OF_AGENT: _agent_while_under_way},
    REVISION.kind: {OF_AGENT: _label(names.LABEL_AGENT)},
    POD.kind: {OF_AGENT: _agent_while_warm, OF_OWNER: _owners},
}
"""What the controller looks for often enough not to look through everything."""
