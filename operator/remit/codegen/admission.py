"""Makes the admission policies: CEL in the apiserver, no webhook. Pure.

They guard what the CRDs cannot see: who asks. What they check is checked again by the controller and the gateway.
"""

from typing import Final

from remit.api.meta import GROUP, VERSION
from remit.codegen.admission_guards import (
    ADMISSION,
    CLEANERS,
    CONTROLLER,
    GATEWAY,
    Check,
    Guard,
    Manifest,
    account_user,
    binding,
    manifests_of,
    match,
)
from remit.codegen.admission_network import NETWORK_GUARDS
from remit.codegen.admission_objects import OBJECT_GUARDS
from remit.codegen.admission_pods import POD_GUARDS
from remit.codegen.admission_shapes import SANDBOX_KEYS
from remit.codegen.rbac import LABELS

__all__ = [
    "CLEANERS",
    "CONTROLLER",
    "GATEWAY",
    "GUARDS",
    "SANDBOX_KEYS",
    "Check",
    "Guard",
    "account_user",
    "admission_manifests",
]

GUARDS: Final = (*OBJECT_GUARDS, *POD_GUARDS, *NETWORK_GUARDS)


def admission_manifests() -> list[Manifest]:
    """Return every admission policy with its bindings, in the order to apply."""
    return [*stamp_manifests(), *(manifest for guard in GUARDS for manifest in manifests_of(guard))]


def stamp_manifests() -> list[Manifest]:
    """Return the MutatingAdmissionPolicy that writes the authenticated user into a new run."""
    name = "remit-run-requester"
    who = (
        '{"username": dyn(request.userInfo.username),'
        ' "uid": dyn(has(request.userInfo.uid) ? request.userInfo.uid : ""),'
        ' "groups": dyn(has(request.userInfo.groups) ? request.userInfo.groups : [])}'
    )
    stamp = f'[JSONPatch{{op: "add", path: "/spec/requester", value: {who}}}]'
    spec = {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "matchConstraints": match(((GROUP, VERSION, ("agentruns",)),), ("CREATE",)),
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": stamp}}],
    }
    return [
        {
            "apiVersion": ADMISSION,
            "kind": "MutatingAdmissionPolicy",
            "metadata": {"name": name, "labels": LABELS},
            "spec": spec,
        },
        binding("Mutating", name, {}),
    ]
