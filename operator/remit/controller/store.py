"""What the controller has seen of the cluster: the newest of each object, by kind, namespace and name.

Filled by the watches, and by the answers to our own writes, so that a reconcile never acts on what it has itself
outdated. No I/O.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
MAX_REMEMBERED_DELETIONS = 4096
Index = Callable[[Mapping[str, Any]], Iterable[str]]
"""Says under which words an object of its namespace is to be found."""
Listener = Callable[["Key", Mapping[str, Any] | None, Mapping[str, Any] | None], None]
"""Told of every change: which object, before, after."""
Indexes = Mapping[str, Mapping[str, Index]]
"""By kind and by the index's name."""


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """One object to reconcile."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Watched:
    """A kind that the controller watches, as kopf and the apiserver name it."""

    kind: str
    group: str
    version: str
    plural: str
    selector: str = ""

    @property
    def api_version(self) -> str:
        """Group and version in one word."""
        return f"{self.group}/{self.version}" if self.group else self.version


def key_of(kind: str, thing: Mapping[str, Any]) -> Key:
    """Return the object's key."""
    metadata = thing["metadata"]
    return Key(kind, metadata.get("namespace", ""), metadata["name"])


def version_of(thing: Mapping[str, Any]) -> int:
    """Return the resource version; Kubernetes says that those of one kind can be compared."""
    return int(thing["metadata"].get("resourceVersion") or 0)


class Store:
    """The newest state seen of each object."""

    def __init__(self, indexes: Indexes | None = None) -> None:
        """Start empty."""
        self._indexes = indexes or {}
        self._found: defaultdict[tuple[str, str, str, str], dict[str, Object]] = defaultdict(dict)
        """Objects by kind, index, namespace and word, then by name."""
        self._objects: defaultdict[str, defaultdict[str, dict[str, Object]]] = defaultdict(lambda: defaultdict(dict))
        self._deleted: OrderedDict[str, int] = OrderedDict()
        """Versions at which objects, by UID, were seen to be gone."""
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Call `listener` at every change from now on."""
        self._listeners.append(listener)

    def put(self, kind: str, thing: Object) -> None:
        """Keep the object, unless something newer is known or it is known to be gone."""
        key = key_of(kind, thing)
        if version_of(thing) <= self._deleted.get(thing["metadata"].get("uid", ""), -1):
            return
        thing["metadata"].pop("managedFields", None)  # half of an object's weight, and nobody reads it
        names = self._objects[kind][key.namespace]
        known = names.get(key.name)
        if known is None or version_of(known) <= version_of(thing):
            names[key.name] = thing
            self._file(key, known, thing)

    def drop(self, kind: str, thing: Object) -> None:
        """Forget the object: an older answer that was under way does not bring it back."""
        key, uid = key_of(kind, thing), thing["metadata"].get("uid", "")
        self._deleted[uid] = version_of(thing)
        if len(self._deleted) > MAX_REMEMBERED_DELETIONS:
            self._deleted.popitem(last=False)
        names = self._objects[kind][key.namespace]
        if names.get(key.name, {}).get("metadata", {}).get("uid") == uid:
            self._file(key, names.pop(key.name), None)

    def replace(self, kind: str, things: Iterable[Object], version: int) -> list[Object]:
        """Take a whole list that was read at `version`; returns what it shows to be gone or changed."""
        listed = {key_of(kind, thing): thing for thing in things}
        gone = [known for known in self.all(kind) if key_of(kind, known) not in listed and version_of(known) <= version]
        changed = [
            thing for key, thing in listed.items() if version_of(self.get(key) or {"metadata": {}}) < version_of(thing)
        ]
        for known in gone:
            self.drop(kind, known)
            self._deleted[known["metadata"].get("uid", "")] = version  # a watch that is behind tells of it once more
        for thing in changed:
            self.put(kind, thing)
        return gone + changed

    def get(self, key: Key) -> Object | None:
        """Return the object."""
        return self._objects[key.kind][key.namespace].get(key.name)

    def having(self, kind: str, index: str, namespace: str, word: str) -> list[Object]:
        """Return the kind's objects of one namespace that an index files under a word."""
        return list(self._found.get((kind, index, namespace, word), {}).values())

    def within(self, kind: str, namespace: str) -> list[Object]:
        """Return the kind's objects of one namespace."""
        return list(self._objects[kind][namespace].values())

    def all(self, kind: str) -> Iterator[Object]:
        """Yield the kind's objects of all namespaces."""
        for names in list(self._objects[kind].values()):
            yield from list(names.values())

    def _file(self, key: Key, known: Object | None, thing: Object | None) -> None:
        """Bring the indexes up to date with one object's change."""
        for index, words_of in self._indexes.get(key.kind, {}).items():
            words = set(words_of(thing)) if thing is not None else set()
            for word in set(words_of(known)) - words if known is not None else ():
                place = (key.kind, index, key.namespace, word)
                self._found[place].pop(key.name, None)
                if not self._found[place]:
                    del self._found[place]
            for word in words:
                self._found[key.kind, index, key.namespace, word][key.name] = thing or {}
        for listener in self._listeners:
            listener(key, known, thing)
