"""Reads, from what was seen, all that one decision needs, into a frozen World. Decides nothing, writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from remit.api import names
from remit.api.agent import AgentSpec
from remit.api.names import DENY_POLICY, agent_child, pod_name
from remit.controller.kinds import (
    ACCOUNT,
    AGENT,
    GRANT,
    NAMESPACE,
    NETWORK_POLICY,
    OF_AGENT,
    OF_OWNER,
    POD,
    POLICY,
    REVISION,
    runs_of_agent,
)
from remit.controller.store import Key, Object, Store, key_of
from remit.core.children import failed_tries
from remit.core.plan import Reference, is_leaving


@dataclass(frozen=True, slots=True)
class RunWorld:
    """A run and all that its course depends on."""

    run: Object
    agent: Object | None
    model_grant: Object | None
    pod: Object | None
    """The pod that the status names; before it names one, a pod that is the run's, else what has the pod's name."""
    left_pods: tuple[Object, ...]
    """Its other pods: those that the infrastructure failed."""
    revision: Object
    """Name and digest of what the run is pinned to, or would be if it started now; empty while there is none."""
    seen: Mapping[Reference, Object]

    def pinned_agent(self) -> AgentSpec:
        """Return the agent as the run's revision has it; only once that was seen in place."""
        pinned = self.seen[Reference(REVISION.kind, self.run["metadata"]["namespace"], self.revision["name"])]
        return AgentSpec.model_validate(pinned["data"]["agent"]["spec"])


@dataclass(frozen=True, slots=True)
class AgentWorld:
    """An agent, what is compiled into its bundle, and its children."""

    agent: Object
    grants: tuple[Object, ...]
    policies: tuple[Object, ...]
    namespace_labels: Mapping[str, str] | None
    """None until its namespace was seen: nobody knows then which of the platform's policies hold in it."""
    seen: Mapping[Reference, Object]
    revisions: tuple[Object, ...]
    runs: tuple[Object, ...]
    """Its runs under way."""
    warm_pods: tuple[Object, ...] = ()
    """The pods that stand ready for it, or are about to."""


@dataclass(frozen=True, slots=True)
class PoolWorld:
    """The pods that stand ready for an agent's runs, and all that they depend on."""

    agent: Object | None
    may_stand: bool
    """False where the namespace or its standing policy is leaving: the policy goes when the last sandbox went."""
    pods: tuple[Object, ...]
    seen: Mapping[Reference, Object]


@dataclass(frozen=True)
class NamespaceWorld:
    """A namespace, as far as its sandboxes are concerned."""

    name: str
    is_leaving: bool
    has_agents: bool
    deny: Object | None
    store: Store

    @cached_property
    def pods(self) -> tuple[Object, ...]:
        """Its sandboxes; hardly ever asked for, and many."""
        return tuple(pod for pod in self.store.within(POD.kind, self.name) if _is_ours(pod))


def model_grant_of(store: Store, namespace: str, agent: Object | None) -> Object | None:
    """Return the grant of the model that drives the agent."""
    name = (agent["spec"].get("model") or {}).get("grant", "") if agent else ""
    return store.get(Key(GRANT.kind, namespace, name))


def run_world(store: Store, key: Key) -> RunWorld | None:
    """Gather what decides about a run; None when it is gone."""
    run = store.get(key)
    if run is None:
        return None
    namespace, agent_name = key.namespace, run["spec"].get("agent", "")
    agent = store.get(Key(AGENT.kind, namespace, agent_name))
    status = run.get("status") or {}
    name = pod_name(key.name, run["spec"].get("attempt", 1), failed_tries(run))
    revision = status.get("revision") or ((agent or {}).get("status") or {}).get("revision") or {}
    children = [
        Key(NETWORK_POLICY.kind, namespace, DENY_POLICY),
        Key(NETWORK_POLICY.kind, namespace, agent_child(agent_name)),
        Key(ACCOUNT.kind, namespace, agent_child(agent_name)),
        Key(POD.kind, namespace, name),
    ]
    if revision:
        children.append(Key(REVISION.kind, namespace, revision["name"]))
    pod = _pod_of(store, run, name)
    if pod is not None:
        children.append(key_of(POD.kind, pod))
    return RunWorld(
        run=run,
        agent=agent,
        model_grant=model_grant_of(store, namespace, agent),
        pod=pod,
        left_pods=tuple(
            own for own in store.having(POD.kind, OF_OWNER, namespace, run["metadata"]["uid"]) if own is not pod
        ),
        revision=revision,
        seen=_seen(store, children),
    )


def pool_world(store: Store, key: Key) -> PoolWorld:
    """Gather what decides about the pods that stand ready for an agent, which may be gone."""
    agent = store.get(Key(AGENT.kind, key.namespace, key.name))
    namespace = namespace_world(store, key.namespace)
    leaving = namespace.is_leaving or (namespace.deny is not None and is_leaving(namespace.deny))
    children = [
        Key(NETWORK_POLICY.kind, key.namespace, DENY_POLICY),
        Key(NETWORK_POLICY.kind, key.namespace, agent_child(key.name)),
        Key(ACCOUNT.kind, key.namespace, agent_child(key.name)),
    ]
    if revision := ((agent or {}).get("status") or {}).get("revision"):
        children.append(Key(REVISION.kind, key.namespace, revision["name"]))
    pods = store.having(POD.kind, OF_AGENT, key.namespace, key.name)
    return PoolWorld(agent, not leaving, tuple(pods), _seen(store, children))


def agent_world(store: Store, key: Key, install_namespace: str) -> AgentWorld | None:
    """Gather what decides about an agent; None when it is gone."""
    agent = store.get(key)
    if agent is None:
        return None
    namespace = store.get(Key(NAMESPACE.kind, "", key.namespace))
    homes = dict.fromkeys((key.namespace, install_namespace))
    children = [
        Key(NETWORK_POLICY.kind, key.namespace, DENY_POLICY),
        Key(NETWORK_POLICY.kind, key.namespace, agent_child(key.name)),
        Key(ACCOUNT.kind, key.namespace, agent_child(key.name)),
    ]
    revisions = store.having(REVISION.kind, OF_AGENT, key.namespace, key.name)
    return AgentWorld(
        agent=agent,
        grants=tuple(store.within(GRANT.kind, key.namespace)),
        policies=tuple(policy for home in homes for policy in store.within(POLICY.kind, home)),
        namespace_labels=(namespace["metadata"].get("labels") or {}) if namespace is not None else None,
        seen={
            **_seen(store, children),
            **{Reference(REVISION.kind, key.namespace, item["metadata"]["name"]): item for item in revisions},
        },
        revisions=tuple(revisions),
        runs=tuple(runs_of_agent(store, key.namespace, key.name)),
        warm_pods=tuple(store.having(POD.kind, OF_AGENT, key.namespace, key.name)),
    )


def namespace_world(store: Store, name: str) -> NamespaceWorld:
    """Gather what decides about a namespace's standing policy."""
    namespace = store.get(Key(NAMESPACE.kind, "", name))
    return NamespaceWorld(
        name=name,
        is_leaving=namespace is not None and is_leaving(namespace),
        has_agents=bool(store.within(AGENT.kind, name)),
        deny=store.get(Key(NETWORK_POLICY.kind, name, DENY_POLICY)),
        store=store,
    )


def _pod_of(store: Store, run: Object, name: str) -> Object | None:
    """Find the run's pod; one that stood warm before has a name of its own."""
    namespace, status = run["metadata"]["namespace"], run.get("status") or {}
    if recorded := status.get("pod"):
        return store.get(Key(POD.kind, namespace, recorded["name"]))
    given_up = {attempt["pod"]["uid"] for attempt in status.get("tries") or ()}
    own = store.having(POD.kind, OF_OWNER, namespace, run["metadata"]["uid"])
    found = [pod for pod in own if pod["metadata"]["uid"] not in given_up and not is_leaving(pod)]
    return found[0] if found else store.get(Key(POD.kind, namespace, name))


def _is_ours(pod: Object) -> bool:
    return bool((pod["metadata"].get("labels") or {}).get(names.LABEL_MANAGED_BY) == names.MANAGED_BY)


def _seen(store: Store, keys: list[Key]) -> dict[Reference, Object]:
    found = ((key, store.get(key)) for key in keys)
    return {Reference(key.kind, key.namespace, key.name): thing for key, thing in found if thing is not None}
