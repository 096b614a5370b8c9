"""What the watches have told: the objects by name, and the indexes that calls need. No I/O, no clock.

Changed by the watches only, between two awaits; so whoever reads without awaiting sees one consistent state.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from remit.api.meta import API_VERSION
from remit.api.names import LABEL_MANAGED_BY, LABEL_SANDBOX, MANAGED_BY

Stored = Mapping[str, Any]
Key = tuple[str, str]
"""Namespace and name."""


class Kind(NamedTuple):
    """One watched kind."""

    api_version: str
    name: str
    selector: str = ""


AGENT: Final = Kind(API_VERSION, "Agent")
GRANT: Final = Kind(API_VERSION, "ToolGrant")
POLICY: Final = Kind(API_VERSION, "Policy")
RUN: Final = Kind(API_VERSION, "AgentRun")
REVISION: Final = Kind("apps/v1", "ControllerRevision", f"{LABEL_MANAGED_BY}={MANAGED_BY}")
POD: Final = Kind("v1", "Pod", LABEL_SANDBOX)
NAMESPACE: Final = Kind("v1", "Namespace")
WATCHED: Final = (NAMESPACE, POLICY, GRANT, AGENT, REVISION, RUN, POD)
OWN_FIELDS: Final = frozenset({"enforced", "step", "usage", "outcome", "result", "partial", "evidence"})
"""What the gateway writes of a status, whatever its kind."""
RULING: Final = frozenset({AGENT, GRANT, POLICY})
"""Kinds whose spec and labels a live bundle is made of."""


def key_of(stored: Stored) -> Key:
    """Return namespace and name."""
    meta = stored["metadata"]
    return meta.get("namespace", ""), meta["name"]


def version_of(stored: Stored) -> int:
    """Return the resourceVersion: it counts up over all objects of a cluster. 0 where it is no number."""
    version = (stored.get("metadata") or {}).get("resourceVersion", "")
    return int(version) if version.isascii() and version.isdigit() else 0


class Store:
    """The objects of every watched kind."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._objects: dict[Kind, dict[Key, Stored]] = {kind: {} for kind in WATCHED}
        self._run_of_pod: dict[str, Key] = {}
        self._pods: dict[str, Stored] = {}
        self._by_namespace: dict[tuple[Kind, str], dict[Key, Stored]] = {}
        self._versions: dict[str, int] = {}
        """Counts the changes of what rules in a namespace: agents, grants, policies, its labels."""

    def get(self, kind: Kind, namespace: str, name: str) -> Stored | None:
        """Return one object."""
        return self._objects[kind].get((namespace, name))

    def all(self, kind: Kind) -> Iterable[Stored]:
        """Return all objects of a kind."""
        return self._objects[kind].values()

    def within(self, kind: Kind, namespace: str) -> Iterable[Stored]:
        """Return the objects of a kind in one namespace."""
        return self._by_namespace.get((kind, namespace), {}).values()

    def keys(self, kind: Kind) -> Iterator[Key]:
        """Return the names of a kind's objects, as a copy."""
        return iter(list(self._objects[kind]))

    def version(self, namespace: str) -> int:
        """Return a number that grows with every change of what rules in the namespace."""
        return self._versions.get(namespace, 0)

    def run_of_pod(self, pod_uid: str) -> Stored | None:
        """Return the run whose status names the pod."""
        key = self._run_of_pod.get(pod_uid)
        return None if key is None else self._objects[RUN].get(key)

    def pod(self, uid: str) -> Stored | None:
        """Return the sandbox pod."""
        return self._pods.get(uid)

    def put(self, kind: Kind, stored: Stored) -> Stored | None:
        """Take in an object and return what it replaces."""
        key = key_of(stored)
        old = self._objects[kind].get(key)
        self._objects[kind][key] = stored
        self._by_namespace.setdefault((kind, key[0]), {})[key] = stored
        self._index(kind, key, old, stored)
        return old

    def drop(self, kind: Kind, key: Key) -> Stored | None:
        """Take out an object and return it."""
        old = self._objects[kind].pop(key, None)
        if old is not None:
            self._by_namespace[kind, key[0]].pop(key, None)
            self._index(kind, key, old, None)
        return old

    def _index(self, kind: Kind, key: Key, old: Stored | None, new: Stored | None) -> None:
        if kind is RUN:
            self._run_of_pod.pop(pod_uid_of(old), None)
            if new is not None and pod_uid_of(new):
                self._run_of_pod[pod_uid_of(new)] = key
        elif kind is POD:
            for pod in (old, new):
                if pod is not None:
                    self._pods.pop(pod["metadata"]["uid"], None)
            if new is not None:
                self._pods[new["metadata"]["uid"]] = new
        elif kind is NAMESPACE or (kind in RULING and _rule_of(old) != _rule_of(new)):
            namespace = key[1] if kind is NAMESPACE else key[0]
            self._versions[namespace] = self.version(namespace) + 1


def pod_uid_of(run: Stored | None) -> str:
    """Return the UID of the pod that a run's status names, empty when it names none."""
    if run is None:
        return ""
    uid: str = ((run.get("status") or {}).get("pod") or {}).get("uid", "")
    return uid


def _rule_of(stored: Stored | None) -> object:
    """Return what of an object can change a decision: its identity, labels and spec, not its status."""
    if stored is None:
        return None
    meta = stored["metadata"]
    return (
        meta.get("uid"),
        meta.get("generation"),
        meta.get("labels"),
        meta.get("deletionTimestamp"),
        stored.get("spec"),
    )
