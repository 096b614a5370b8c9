"""What a request to the apiserver is about: which write it is, or which kind it reads. Pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
VERBS = {"POST": "create", "PUT": "update", "PATCH": "apply", "DELETE": "delete"}
PATH = re.compile(
    r"^/(?:api/v1|apis/[^/]+/[^/]+)(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<part>[^/]+))?$"
)
NAMESPACE = re.compile(r"^/api/v1/namespaces(?:/(?P<name>[^/]+))?$")
DIGEST = re.compile(r"-[0-9a-f]{10}$")
UNCOUNTED = frozenset({"leases", "tokenreviews", "subjectaccessreviews"})
"""Whose writes come by the clock, not by what happens."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names."""

    plural: str
    namespace: str = ""
    name: str = ""
    part: str = ""


def target_of(path: str) -> Target | None:
    """Return what the path names; None for what is no object: versions, health."""
    if (home := NAMESPACE.match(path)) is not None:
        return Target("namespaces", "", home["name"] or "")
    if (found := PATH.match(path)) is None:
        return None
    return Target(found["plural"], found["namespace"] or "", found["name"] or "", found["part"] or "")


def scoped(path: str, query: str, namespace: str) -> tuple[str, str]:
    """Return path and query of a request that sees one namespace only, though it asks for all."""
    target = target_of(path)
    if target is None or target.namespace or target.name:
        return path, query
    if target.plural == "namespaces":
        return path, "&".join(filter(None, (query, f"fieldSelector=metadata.name%3D{namespace}")))
    root, _, plural = path.rpartition("/")
    return f"{root}/namespaces/{namespace}/{plural}", query


def signature(method: str, path: str, body: bytes) -> str:
    """Name a write so that the same one has the same name in every play of the same work; empty: not counted."""
    target = target_of(path)
    if method not in WRITES or target is None or target.plural in UNCOUNTED:
        return ""
    given = _read(body)
    if target.plural == "events":
        about = given.get("involvedObject") or {}
        return f"create events {about.get('kind')}/{about.get('name')} {given.get('reason')}"
    name = target.name or str((given.get("metadata") or {}).get("name", ""))
    what = f"{target.plural}/{target.part}" if target.part else target.plural
    return f"{VERBS[method]} {what} {DIGEST.sub('-*', name)}"


def _read(body: bytes) -> Mapping[str, Any]:
    try:
        read = json.loads(body or b"{}")
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}
