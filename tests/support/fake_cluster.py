"""A cluster in memory behind the Cluster port: it stores, versions, merges and refuses as the apiserver does.

It knows no more of Kubernetes than our own writes need, and it refuses what could not be there. A crash can be
planned before or after any write.
"""

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from remit.ports import ClusterError

Object = dict[str, Any]
Place = tuple[str, str, str]
CLUSTER_SCOPED = frozenset({"Namespace"})
WITHOUT_STATUS = frozenset({"NetworkPolicy", "ServiceAccount", "ControllerRevision", "Event", "Service"})
KEYED_LISTS = {"conditions": ("type",), "tools": ("grant", "name")}
ATOMIC = frozenset({"podSelector"})
"""A LabelSelector is applied as a whole."""


class CrashedError(BaseException):
    """The process is dead: nothing may catch this and go on."""


@dataclass
class CrashPlan:
    """Kill at the n-th write, before or after it took effect; 0 never kills."""

    at: int = 0
    after: bool = False


@dataclass
class FakeCluster:
    """The cluster."""

    now: Callable[[], str] = lambda: "2026-11-21T12:00:00Z"
    crash: CrashPlan = field(default_factory=CrashPlan)
    writes: list[str] = field(default_factory=list)
    objects: dict[Place, Object] = field(default_factory=dict)
    applied: dict[tuple[Place, str, str], Object] = field(default_factory=dict)
    watchers: list[tuple[str, str, asyncio.Queue[tuple[str, Object]]]] = field(default_factory=list)
    listeners: list[Callable[[str, Object], None]] = field(default_factory=list)
    refusals: dict[str, ClusterError] = field(default_factory=dict)
    """By `verb kind`: what the next such writes are refused with."""
    alter: Callable[[Object], None] = lambda _: None
    """An admission webhook that changes what is created."""
    version: int = 0

    async def get(self, api_version: str, kind: str, namespace: str, name: str) -> Object | None:
        if (refusal := self.refusals.get(f"get {kind}")) is not None:
            raise refusal
        return copy.deepcopy(self.objects.get((kind, namespace, name)))

    async def list(self, api_version: str, kind: str, namespace: str, selector: str = "") -> list[Object]:
        return [
            copy.deepcopy(thing)
            for (found, home, _), thing in sorted(self.objects.items())
            if found == kind and namespace in {"", home} and selects(selector, thing)
        ]

    async def apply(self, manifest: Mapping[str, Any], manager: str) -> Object:
        place = place_of(manifest)
        with_body = {key: value for key, value in manifest.items() if key != "status"}
        return self.write("apply", place, lambda: self.merged(place, with_body, manager, ""))

    async def apply_status(self, manifest: Mapping[str, Any], manager: str) -> Object:
        place = place_of(manifest)
        assert place[0] not in WITHOUT_STATUS, f"{place[0]} has no status subresource"
        stored = self.objects.get(place)
        if stored is None:
            raise ClusterError(f"{place} not found", "NotFound", 404)
        body = {"status": manifest["status"], "metadata": manifest["metadata"]}
        return self.write("status", place, lambda: self.merged(place, body, manager, "status"))

    async def create(self, manifest: Mapping[str, Any], manager: str) -> Object:
        place = place_of(manifest)

        def make() -> Object:
            if place in self.objects:
                return self.objects[place]
            made = copy.deepcopy(dict(manifest))
            self.alter(made)
            return self.stored(place, made)

        return self.write("create", place, make)

    async def patch(self, api_version: str, kind: str, patch: Mapping[str, Any], manager: str) -> Object:
        place = (kind, *place_of({**patch, "kind": kind})[1:])

        def merge_in() -> Object:
            known = self.objects.get(place)
            if known is None:
                raise ClusterError(f"{place} not found", "NotFound", 404)
            for precondition in ("resourceVersion", "uid"):
                if (
                    patch["metadata"].get(precondition, known["metadata"][precondition])
                    != known["metadata"][precondition]
                ):
                    raise ClusterError("the object has been modified", "Conflict", 409)
            return self.stored(place, merge_patched(known, patch))

        return self.write("patch", place, merge_in)

    async def delete(self, api_version: str, kind: str, namespace: str, name: str, uid: str) -> None:  # noqa: PLR0917 - the port's
        place = (kind, namespace, name)

        def remove() -> Object:
            known = self.objects.get(place)
            if known is None or known["metadata"]["uid"] != uid:
                return {}
            return self.remove(place)

        self.write("delete", place, remove)

    async def watch(self, api_version: str, kind: str, selector: str = "") -> AsyncIterator[tuple[str, Object]]:
        changes: asyncio.Queue[tuple[str, Object]] = asyncio.Queue()
        self.watchers.append((kind, selector, changes))
        for thing in await self.list(api_version, kind, "", selector):
            yield "ADDED", thing
        yield "SYNCED", {"metadata": {"resourceVersion": str(self.version)}}
        while True:
            yield await changes.get()

    # What a test does as somebody else.

    def put(self, thing: Object) -> Object:
        """Store an object as a user would; its generation grows when its spec changed."""
        return self.stored(place_of(thing), thing)

    def set_status(self, place: Place, **status: Any) -> Object:
        """Change a status as somebody else would: the kubelet, the gateway."""
        thing = copy.deepcopy(self.objects[place])
        thing.setdefault("status", {}).update(status)
        return self.stored(place, thing)

    def remove(self, place: Place) -> Object:
        """Delete an object, and what it owns; one with finalizers stays, leaving, until they are gone."""
        if self.objects[place]["metadata"].get("finalizers"):
            thing = copy.deepcopy(self.objects[place])
            thing["metadata"].setdefault("deletionTimestamp", self.now())
            return self.stored(place, thing)
        gone = self.objects.pop(place)
        self.version += 1
        gone["metadata"]["resourceVersion"] = str(self.version)
        self.tell("DELETED", gone)
        owned = [
            other
            for other, thing in self.objects.items()
            if any(o["uid"] == gone["metadata"]["uid"] for o in thing["metadata"].get("ownerReferences", ()))
        ]
        for other in owned:
            self.remove(other)
        return gone

    # The inside.

    def write(self, verb: str, place: Place, act: Callable[[], Object]) -> Object:
        """Do one write between its two crash points."""
        number = len(self.writes) + 1
        if number == self.crash.at and not self.crash.after:
            raise CrashedError(f"before write {number}: {verb} {place}")
        if (refusal := self.refusals.get(f"{verb} {place[0]}")) is not None:
            raise refusal
        self.writes.append(f"{verb} {place[0]} {place[2]}")
        done = copy.deepcopy(act())
        if number == self.crash.at and self.crash.after:
            raise CrashedError(f"after write {number}: {verb} {place}")
        return done

    def merged(self, place: Place, manifest: Mapping[str, Any], manager: str, part: str) -> Object:
        """Merge an applied manifest as server-side apply does: what the manager no longer says goes."""
        known = self.objects.get(place)
        version = manifest["metadata"].get("resourceVersion")
        if version is not None and known is not None and known["metadata"]["resourceVersion"] != version:
            raise ClusterError("the object has been modified", "Conflict", 409)
        before = self.applied.get((place, manager, part), {})
        wanted = copy.deepcopy(dict(manifest))
        thing = merge(copy.deepcopy(known) if known else {}, wanted, before)
        self.applied[(place, manager, part)] = wanted
        return self.stored(place, thing)

    def stored(self, place: Place, thing: Object) -> Object:
        """Store a state; an equal one is no change."""
        known = self.objects.get(place)
        self.require_possible(place, thing)
        whole = copy.deepcopy(thing)
        metadata = whole["metadata"]
        if known is not None:
            metadata |= {key: known["metadata"][key] for key in ("uid", "creationTimestamp", "resourceVersion")}
            changed = whole.get("spec") != known.get("spec")
            metadata["generation"] = known["metadata"]["generation"] + int(changed)
            if whole == known:
                return known
        self.version += 1
        metadata.setdefault("uid", f"uid-{place[0]}-{place[2]}-{self.version}")
        metadata.setdefault("creationTimestamp", self.now())
        metadata.setdefault("generation", 1)
        metadata["resourceVersion"] = str(self.version)
        self.objects[place] = whole
        self.tell("ADDED" if known is None else "MODIFIED", whole)
        if metadata.get("deletionTimestamp") and known and known["metadata"].get("finalizers"):
            return whole if metadata.get("finalizers") else self.remove(place)
        return whole

    def require_possible(self, place: Place, thing: Object) -> None:
        """Refuse what the apiserver would refuse, and what only a broken test could make."""
        kind, namespace, name = place
        known = self.objects.get(place)
        assert 0 < len(name) <= 253, f"name {name!r}"
        assert (namespace == "") == (kind in CLUSTER_SCOPED), f"{kind} in namespace {namespace!r}"
        if kind in CLUSTER_SCOPED:
            return
        home = self.objects.get(("Namespace", "", namespace))
        if home is None:
            raise ClusterError(f'namespaces "{namespace}" not found', "NotFound", 404)
        if known is None and home["metadata"].get("deletionTimestamp"):
            raise ClusterError(f"namespace {namespace} is being terminated", "Forbidden", 403)
        if kind == "Pod":
            self.require_possible_pod(thing, known)
        if kind == "ControllerRevision" and known is not None and known["data"] != thing["data"]:
            raise ClusterError("data: is immutable", "Invalid", 422)

    def require_possible_pod(self, pod: Object, known: Object | None) -> None:
        """A pod needs its account, at most 63 characters, and never changes its spec, but to get a deadline."""
        namespace, account = pod["metadata"]["namespace"], pod["spec"].get("serviceAccountName", "default")
        assert len(pod["metadata"]["name"]) <= 63, "pod name"
        if known is None and ("ServiceAccount", namespace, account) not in self.objects:
            raise ClusterError(f"error looking up service account {namespace}/{account}", "Forbidden", 403)
        if known is not None and known["spec"] not in (pod["spec"], without_deadline(pod["spec"])):
            raise ClusterError("pod updates may not change fields", "Invalid", 422)

    def tell(self, change: str, thing: Object) -> None:
        """Tell watchers and listeners."""
        for kind, selector, changes in self.watchers:
            if kind == thing["kind"] and selects(selector, thing):
                changes.put_nowait((change, copy.deepcopy(thing)))
        for listener in self.listeners:
            listener(change, copy.deepcopy(thing))


def place_of(manifest: Mapping[str, Any]) -> Place:
    """Return kind, namespace and name."""
    metadata = manifest["metadata"]
    return (manifest["kind"], metadata.get("namespace", ""), metadata["name"])


def selects(selector: str, thing: Mapping[str, Any]) -> bool:
    """Tell whether a selector of the forms `key` and `key=value` chooses the object."""
    labels = thing["metadata"].get("labels") or {}
    for term in filter(None, selector.split(",")):
        key, equals, value = term.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    return True


def merge_patched(known: Any, patch: Any) -> Any:
    """Merge by RFC 7386: null takes away, lists are whole."""
    if not isinstance(patch, Mapping):
        return copy.deepcopy(patch)
    base = dict(known) if isinstance(known, Mapping) else {}
    merged = base | {key: merge_patched(base.get(key), value) for key, value in patch.items() if value is not None}
    return {key: value for key, value in merged.items() if patch.get(key, ...) is not None}


def without_deadline(spec: Mapping[str, Any]) -> Object:
    """Return a pod's spec as it was before it got its deadline."""
    return {key: value for key, value in spec.items() if key != "activeDeadlineSeconds"}


def merge(known: Any, wanted: Any, before: Any, name: str = "") -> Any:
    """Merge by server-side apply's rules: maps by key, keyed lists by entry, everything else whole."""
    if isinstance(wanted, dict) and name not in ATOMIC:
        base = known if isinstance(known, dict) else {}
        last = before if isinstance(before, dict) else {}
        kept = {key: value for key, value in base.items() if key in wanted or key not in last}
        return kept | {key: merge(base.get(key), value, last.get(key), key) for key, value in wanted.items()}
    if isinstance(wanted, list) and name in KEYED_LISTS:
        keys = KEYED_LISTS[name]

        def index(entries: Any) -> dict[tuple[Any, ...], Any]:
            return {tuple(entry[key] for key in keys): entry for entry in entries or ()}

        base, mine, last = index(known), index(wanted), index(before)
        kept = {key: value for key, value in base.items() if key in mine or key not in last}
        return list((kept | {key: merge(base.get(key), value, last.get(key)) for key, value in mine.items()}).values())
    return wanted
