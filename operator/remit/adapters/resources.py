"""Where each kind lives in the API: paths by kind, without discovery. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

CLUSTER_SCOPED = frozenset(
    {
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        "Namespace",
        "Node",
        "RuntimeClass",
        "SubjectAccessReview",
        "TokenReview",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    }
)


def plural_of(kind: str) -> str:
    """Return the resource's name, by the rule that Kubernetes' own kinds follow."""
    word = kind.lower()
    if word.endswith("y") and word[-2] not in "aeiou":
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith(("s", "x", "ch")) else f"{word}s"


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object at one version."""

    api_version: str
    kind: str

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the path of an object, or of a collection when there is no name; no namespace means all."""
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        scope = f"/namespaces/{quote(namespace, safe='')}" if namespace and self.kind not in CLUSTER_SCOPED else ""
        tail = "".join(f"/{quote(part, safe='')}" for part in (name, subresource) if part)
        return f"{root}{scope}/{plural_of(self.kind)}{tail}"
