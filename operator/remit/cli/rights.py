"""What an account must be allowed to do, from the roles of an installation, and what of it the apiserver refuses."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from remit.cli.install import Target
from remit.cli.manifests import Manifest


@dataclass(frozen=True, slots=True)
class Right:
    """One verb on one resource; an empty namespace means all, an empty name any."""

    verb: str
    group: str
    resource: str
    namespace: str
    name: str = ""

    def text(self) -> str:
        """Say it as a person would."""
        where = f"in {self.namespace}" if self.namespace else "everywhere"
        return f"{self.verb} {self.resource}{f'/{self.name}' if self.name else ''} {where}"

    def review(self, user: str) -> dict[str, Any]:
        """Return the question to the apiserver."""
        resource, _, subresource = self.resource.partition("/")
        asked = {"verb": self.verb, "group": self.group, "resource": resource, "subresource": subresource}
        about = {**asked, "namespace": self.namespace, "name": self.name}
        return {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": user, "resourceAttributes": {key: value for key, value in about.items() if value}},
        }


def rights_of(manifests: Iterable[Manifest], account: str, namespace: str) -> list[Right]:
    """Return what the roles that are bound to the account give."""
    whole = list(manifests)
    roles = {(each["kind"], each["metadata"]["name"]): each for each in whole if each["kind"].endswith("Role")}
    bound = [
        (each["roleRef"]["kind"], each["roleRef"]["name"], each["kind"] == "ClusterRoleBinding")
        for each in whole
        if each["kind"].endswith("RoleBinding") and each["subjects"][0]["name"] == account
    ]
    return [right for kind, name, wide in bound for right in _rights(roles[kind, name], "" if wide else namespace)]


def _rights(role: Manifest, namespace: str) -> Iterator[Right]:
    for rule in role["rules"]:
        for resource in rule["resources"]:
            for verb in rule["verbs"]:
                for name in rule.get("resourceNames", [""]):
                    yield Right(verb, rule["apiGroups"][0], resource, namespace, name)


def refused(target: Target, account: str, rights: Iterable[Right]) -> list[Right]:
    """Return the rights that the account does not have, asked in one go."""
    asked = list(rights)
    user = f"system:serviceaccount:{target.namespace}:{account}"
    given = "\n---\n".join(json.dumps(right.review(user)) for right in asked)
    answers = list(objects_in(target.run("create", "-o", "json", "-f", "-", given=given)))
    return [right for right, answer in zip(asked, answers, strict=True) if not answer["status"].get("allowed")]


def objects_in(text: str) -> Iterator[dict[str, Any]]:
    """Yield the objects that kubectl printed one after the other."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        found, at = decoder.raw_decode(text, at)
        yield from found["items"] if found.get("kind") == "List" else [found]
