"""Which NetworkPolicies of others would open a sandbox: policies add up, so the standing deny cannot take them back.

Admission refuses new ones where the standing deny is; one that was there before it was never asked about. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

Labels = Mapping[str, str]


def opening(policies: Iterable[Mapping[str, Any]], labels: Labels, ours: Collection[str]) -> str:
    """Return the name of a policy that opens pods with these labels; empty when none does but `ours`."""
    found = (policy["metadata"]["name"] for policy in policies if _opens(policy.get("spec") or {}, labels))
    return next((name for name in found if name not in ours), "")


def _opens(spec: Mapping[str, Any], labels: Labels) -> bool:
    return bool(spec.get("ingress") or spec.get("egress")) and _selects(spec.get("podSelector") or {}, labels)


def _selects(selector: Mapping[str, Any], labels: Labels) -> bool:
    wanted = selector.get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _meets(expression, labels) for expression in selector.get("matchExpressions") or ()
    )


def _meets(expression: Mapping[str, Any], labels: Labels) -> bool:
    """Tell whether labels meet an expression; of one whose operator nobody knows, the worst is believed."""
    value, values = labels.get(expression["key"]), expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case _:
            return True
