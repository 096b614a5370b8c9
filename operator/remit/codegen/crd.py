"""Makes the CustomResourceDefinition of a kind from its models. Pure."""

from typing import Any

from remit.api.kinds import Column, Kind
from remit.api.meta import ANNOTATION_REVISION, CATEGORY, CRD_REVISION, GROUP, VERSION
from remit.codegen.lint import violations
from remit.codegen.schema import SchemaError, structural

STATUS_BEFORE_FIRST_VISIT = {"observedGeneration": -1}
"""kstatus: an object that no controller saw yet is not Current."""


def crd(kind: Kind) -> dict[str, Any]:
    """Return the CRD; raises SchemaError when the models break a rule of the API lint."""
    schema = object_schema(kind)
    found = violations(kind.name, schema)
    if found:
        raise SchemaError("\n".join(found))
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [printer_column(column) for column in kind.columns],
        "schema": {"openAPIV3Schema": schema},
    }
    if kind.selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in kind.selectable]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.plural}.{GROUP}",
            "labels": {"app.kubernetes.io/part-of": "remit"},
            "annotations": {ANNOTATION_REVISION: str(CRD_REVISION)},
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": [kind.short],
                "categories": [CATEGORY],
            },
            "versions": [version],
        },
    }


def object_schema(kind: Kind) -> dict[str, Any]:
    """Return the schema of the whole object."""
    status = structural(kind.status)
    status["default"] = dict(STATUS_BEFORE_FIRST_VISIT)
    schema: dict[str, Any] = {
        "description": kind.summary,
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": structural(kind.spec),
            "status": status,
        },
    }
    if kind.rules:
        schema["x-kubernetes-validations"] = list(kind.rules)
    return schema


def printer_column(column: Column) -> dict[str, Any]:
    """Return one printer column."""
    entry: dict[str, Any] = {"name": column.title, "type": column.type, "jsonPath": column.path}
    return {**entry, "priority": 1} if column.wide else entry
