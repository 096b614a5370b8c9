"""The state that a piece of work comes to, without what differs from play to play: identities, versions, moments."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from campaigns.world.observer import KINDS, Observer

Object = dict[str, Any]
State = dict[str, Any]
IDENTITY = frozenset(
    {
        "uid",
        "resourceVersion",
        "generation",
        "observedGeneration",
        "creationTimestamp",
        "deletionTimestamp",
        "managedFields",
        "lastTransitionTime",
        "startedAt",
        "finishedAt",
        "endedAt",
        "runAsUser",
        "nodeName",
        "activeRuns",
        "logIndex",
        "logRoot",
        "logSize",
    }
)
"""`activeRuns` is brought up to date in its own time; `runAsUser` follows from a UID."""
UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}|(?<=-)[0-9a-f]{10}\b")
GENERATION = re.compile(r"(?<=generation )\d+")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
COMPARED = tuple(kind for kind in KINDS if kind != "Lease")
BORN = frozenset({"default"})
"""What Kubernetes itself puts into every namespace."""


def state_of(observer: Observer, namespace: str) -> State:
    """Return what stands in a namespace, in comparable form."""
    things = [
        (kind, thing)
        for kind in COMPARED
        for thing in observer.within(kind, namespace)
        if thing["metadata"]["name"] not in BORN
    ]
    return dict(sorted(_entries(things, namespace)))


def _entries(things: Iterable[tuple[str, Object]], namespace: str) -> Iterable[tuple[str, Any]]:
    taken: dict[str, int] = {}
    for kind, thing in sorted(things, key=lambda entry: (entry[0], entry[1].get("revision", 0))):
        name = f"{kind}/{_masked(thing['metadata']['name'], namespace)}"
        taken[name] = taken.get(name, 0) + 1
        yield (f"{name}#{taken[name]}" if taken[name] > 1 else name), _plain(thing, namespace)


def _plain(value: Any, namespace: str) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _plain(_sorted(key, each), namespace)
            for key, each in sorted(value.items())
            if key not in IDENTITY and each not in ({}, [])
        }
    if isinstance(value, list):
        return [_plain(each, namespace) for each in value]
    return _masked(value, namespace) if isinstance(value, str) else value


def _sorted(key: str, value: Any) -> Any:
    """Put conditions in an order: the apiserver keeps its own."""
    return sorted(value, key=lambda each: str(each.get("type"))) if key == "conditions" else value


def _masked(text: str, namespace: str) -> str:
    for pattern, word in ((UID, "UID"), (DIGEST, "DIGEST"), (MOMENT, "MOMENT"), (GENERATION, "N")):
        text = pattern.sub(word, text)
    return text.replace(namespace, "HOME")


def difference(wanted: State, seen: State) -> str:
    """Say in one line where two states differ first; empty when they do not."""
    for name in sorted({*wanted, *seen}):
        if name not in seen:
            return f"{name} is missing"
        if name not in wanted:
            return f"{name} is there: {json.dumps(seen[name])[:200]}"
        if wanted[name] != seen[name]:
            return f"{name}: {_where(wanted[name], seen[name])}"
    return ""


def _where(wanted: Any, seen: Any, path: str = "") -> str:
    if isinstance(wanted, dict) and isinstance(seen, dict):
        for key in sorted({*wanted, *seen}):
            if wanted.get(key) != seen.get(key):
                return _where(wanted.get(key), seen.get(key), f"{path}.{key}")
    if isinstance(wanted, list) and isinstance(seen, list) and len(wanted) == len(seen):
        for number, (one, other) in enumerate(zip(wanted, seen, strict=True)):
            if one != other:
                return _where(one, other, f"{path}[{number}]")
    return f"{path} is {json.dumps(seen)[:200]}, wanted {json.dumps(wanted)[:200]}"
