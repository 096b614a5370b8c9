"""Lets in what today's apiserver refuses, as it may stand there from an older release."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.kube import Kube
from tests.support.polling import eventually

CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/policies.remit.dev"
BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
FLOOR = "remit-policy-floor"
ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
POLICIES = "/apis/remit.dev/v1alpha1/namespaces/default/policies?dryRun=All"
WRONG: dict[str, Any] = {
    "metadata": {"name": "wrong"},
    "spec": {"rules": [], "budgets": [], "namespaceSelector": {"a": "b"}},
}


@contextmanager
def loosened(kube: Kube) -> Iterator[None]:
    """Take whatever a Policy says, wherever it stands, until the end of the block."""
    binding, schema = kube.get(f"{BINDINGS}/{FLOOR}").body, schema_of(kube.get(CRD).body)
    try:
        put_schema(kube, ANYTHING)
        kube.delete(f"{BINDINGS}/{FLOOR}")
        eventually(lambda: is_let_in(kube), within_seconds=60, why="a policy without rules is let in")
        yield
    finally:
        put_schema(kube, schema)
        meta = {key: binding["metadata"][key] for key in ("name", "labels") if key in binding["metadata"]}
        kube.create(BINDINGS, {**binding, "metadata": meta})
        eventually(lambda: not is_let_in(kube), within_seconds=60, why="a policy without rules is refused again")


def is_let_in(kube: Kube) -> bool:
    """Tell whether a policy that no release of ours takes is let in."""
    return kube.send("POST", POLICIES, {"apiVersion": "remit.dev/v1alpha1", "kind": "Policy", **WRONG}).code == 201


def schema_of(crd: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the kind's spec."""
    properties = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    return copy.deepcopy(dict(properties["spec"]))


def put_schema(kube: Kube, schema: dict[str, Any]) -> None:
    """Give the kind's spec another schema."""

    def put() -> bool:
        crd = kube.get(CRD).body
        crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"] = schema
        return kube.send("PUT", CRD, crd).code == 200

    eventually(put, within_seconds=30, why="the kind's schema is replaced")
