"""Compiles agents' bundles, each set of objects once: most events change nothing that a bundle is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from remit.api.bundle import Bundle
from remit.api.reasons import ObjectReason
from remit.controller.gather import AgentWorld
from remit.controller.store import Key, key_of
from remit.core.compile import compile_bundle
from remit.core.digest import digest_of
from remit.core.prepare import Refusal
from remit.ports import RuleEngine, SchemaEngine


class Compiler:
    """The last bundle of each agent."""

    def __init__(self, rules: RuleEngine, schemas: SchemaEngine, install_namespace: str) -> None:
        """Compile with these engines."""
        self._rules = rules
        self._schemas = schemas
        self._install_namespace = install_namespace
        self._last: dict[Key, tuple[object, tuple[Bundle, str] | Refusal]] = {}

    def compile(self, world: AgentWorld) -> tuple[Bundle, str] | Refusal:
        """Return the bundle and its digest, or why there is none."""
        key, mark = key_of("Agent", world.agent), _mark(world)
        known = self._last.get(key)
        if known is None or known[0] != mark:
            known = self._last[key] = (mark, self._compile(world))
        return known[1]

    def forget(self, key: Key) -> None:
        """Drop what is kept of an agent."""
        self._last.pop(key, None)

    def _compile(self, world: AgentWorld) -> tuple[Bundle, str] | Refusal:
        if world.namespace_labels is None:
            name = world.agent["metadata"]["namespace"]
            return Refusal(ObjectReason.PROGRESSING, "was not seen yet", "Namespace", name)
        bundle = compile_bundle(
            world.agent,
            world.grants,
            world.policies,
            namespace_labels=world.namespace_labels,
            install_namespace=self._install_namespace,
            rules=self._rules,
            schemas=self._schemas,
        )
        return bundle if isinstance(bundle, Refusal) else (bundle, digest_of(bundle.document()))


def _mark(world: AgentWorld) -> object:
    """Return what differs whenever a bundle could: generations do not count labels and deletions."""
    return (
        _version(world.agent),
        _versions(world.grants),
        _versions(world.policies),
        None if world.namespace_labels is None else tuple(sorted(world.namespace_labels.items())),
    )


def _versions(things: Iterable[Mapping[str, Any]]) -> frozenset[object]:
    return frozenset(map(_version, things))


def _version(thing: Mapping[str, Any]) -> object:
    metadata = thing["metadata"]
    labels = tuple(sorted((metadata.get("labels") or {}).items()))
    return metadata["uid"], metadata.get("generation", 0), bool(metadata.get("deletionTimestamp")), labels
