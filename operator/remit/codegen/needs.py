"""What each account of Remit needs from the apiserver, row by row with its reason: RBAC is generated from here only.

INVARIANT: nobody may list Secrets; the gateway reads single ones by Roles that a namespace's admin makes.
"""

from dataclasses import dataclass
from typing import Final

from remit.api.kinds import KINDS
from remit.api.meta import GROUP
from remit.api.names import (
    CONTROL_PORT,
    CONTROL_SERVICE,
    CONTROLLER_ACCOUNT,
    GATEWAY_ACCOUNT,
    GATEWAY_SERVICE,
    LEASE,
    PROBE_RECORD,
    VERIFIER_CONFIG_MAP,
)

READ: Final = ("get", "list", "watch")
FOLLOW: Final = ("list", "watch")
"""For what is known from a watch alone."""
APPLY: Final = ("create", "patch")
"""Server-side apply: patch, and create where it makes the object."""
WRITE: Final = ("create", "update", "patch", "delete", "deletecollection")
PLURALS: Final = tuple(kind.plural for kind in KINDS)


@dataclass(frozen=True, slots=True)
class Need:
    """One rule: verbs on resources of one API group, and why."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    why: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """A service account of the install namespace, with what it needs everywhere and in that namespace only."""

    name: str
    everywhere: tuple[Need, ...]
    at_home: tuple[Need, ...] = ()


@dataclass(frozen=True, slots=True)
class PeopleRole:
    """A ClusterRole for people, added to Kubernetes' own roles of the given names."""

    name: str
    joins: tuple[str, ...]
    needs: tuple[Need, ...]


CONTROLLER: Final = Account(
    CONTROLLER_ACCOUNT,
    everywhere=(
        Need(GROUP, PLURALS, FOLLOW, "what to reconcile"),
        Need(GROUP, tuple(f"{plural}/status" for plural in PLURALS), ("patch",), "conditions and reasons"),
        Need("", ("pods",), (*READ, "create", "patch", "delete"), "the pod of a run, made or claimed for it"),
        Need("", ("serviceaccounts",), (*READ, *APPLY), "the account of an agent, which has no rights"),
        Need("networking.k8s.io", ("networkpolicies",), (*READ, *APPLY), "standing deny, way to the gateway"),
        Need("apps", ("controllerrevisions",), (*READ, "create", "delete"), "bundles in force, which never change"),
        Need("", ("namespaces",), FOLLOW, "labels for the platform's floor"),
        Need("", ("events",), ("get", *APPLY), "what happened, for people; the same again is counted"),
    ),
    at_home=(
        Need(
            "",
            ("services",),
            ("get",),
            "the gateway's address for sandboxes; what they must not reach",
            (GATEWAY_SERVICE, CONTROL_SERVICE),
        ),
        Need("", ("configmaps",), ("create",), "the record of the enforcement probe, made once"),
        Need("", ("configmaps",), ("get", "patch"), "what the probe last found", (PROBE_RECORD,)),
        Need("coordination.k8s.io", ("leases",), ("create",), "the lease of who leads, made once"),
        Need("coordination.k8s.io", ("leases",), ("get", "patch"), "who leads, and for how long", (LEASE,)),
    ),
)

GATEWAY: Final = Account(
    GATEWAY_ACCOUNT,
    everywhere=(
        Need(GROUP, PLURALS, FOLLOW, "live authority, compiled by the gateway itself"),
        Need(GROUP, ("agentruns",), ("get",), "whether a run is still there: a list may be older than what it shows"),
        Need(
            GROUP,
            tuple(f"{plural}/status" for plural in PLURALS),
            ("patch",),
            "usage and outcome of runs; the generation that it enforces",
        ),
        Need("apps", ("controllerrevisions",), FOLLOW, "the bundle that a run is pinned to"),
        Need("", ("pods",), FOLLOW, "the pod's UID and addresses; cuts a cached token off"),
        Need("", ("namespaces",), FOLLOW, "labels for the platform's floor"),
        Need("authentication.k8s.io", ("tokenreviews",), ("create",), "whose token is it"),
    ),
    at_home=(Need("", ("configmaps",), ("get", "patch"), "says once what verifies its log", (VERIFIER_CONFIG_MAP,)),),
)

ACCOUNTS: Final = (CONTROLLER, GATEWAY)

PEOPLE: Final = (
    PeopleRole("remit-viewer", ("view", "edit", "admin"), (Need(GROUP, PLURALS, READ, "see what runs and why"),)),
    PeopleRole("remit-editor", ("edit", "admin"), (Need(GROUP, ("agentruns",), WRITE, "ask for work, and stop it"),)),
    PeopleRole(
        "remit-admin",
        ("admin",),
        (Need(GROUP, ("agents", "toolgrants", "policies"), WRITE, "say who may do what: changes authority"),),
    ),
)

EVIDENCE_READER: Final = Need(
    "",
    ("services/proxy",),
    ("get",),
    "read evidence at the gateway's control port; bind it to whom you trust with it",
    (f"{CONTROL_SERVICE}:{CONTROL_PORT}", f"http:{CONTROL_SERVICE}:{CONTROL_PORT}"),
)
