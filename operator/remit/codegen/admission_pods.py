"""Guards of pods: who makes a sandbox, what it looks like, and that it stays so. Pure."""

from typing import Final

from remit.api.meta import API_VERSION
from remit.api.names import (
    CONTROLLER_ACCOUNT,
    INSTALL_NAMESPACE,
    LABEL_QUARANTINE,
    LABEL_RUN,
    LABEL_SANDBOX,
    LABEL_WARM,
    TOKEN_AUDIENCE,
    WARM_PREFIX,
    agent_child,
)
from remit.codegen.admission_guards import BY_CONTROLLER, CLEANERS, Check, Guard, Params
from remit.codegen.admission_shapes import HARNESS_IMAGE, SHAPE, VARIABLES
from remit.core.openings import NETWORK_ANNOTATIONS

CLAIMED: Final = (
    f"('{LABEL_WARM}' in oldObject.metadata.labels && !('{LABEL_WARM}' in object.metadata.labels)"
    f" && '{LABEL_RUN}' in object.metadata.labels)"
)
"""The one time that a sandbox's owner and labels change: it stood ready, and a run takes it."""


def kept_labels(*, may_come: str, may_go: str) -> str:
    """Return the CEL that is true while all labels stay as they are, but for one that may come and one that may go."""
    return (
        "(has(object.metadata.labels) && has(oldObject.metadata.labels)"
        f" && oldObject.metadata.labels.all(k, k == '{may_go}'"
        " || (k in object.metadata.labels && object.metadata.labels[k] == oldObject.metadata.labels[k]))"
        f" && object.metadata.labels.all(k, k in oldObject.metadata.labels || k == '{may_come}'))"
    )


def keeps_images(field: str) -> str:
    """Return the CEL that is true while no image in the list changes: nothing else about a container can."""
    old = f"oldObject.spec.{field}.exists(o, o.name == c.name && o.image == c.image)"
    return f"(!has(object.spec.{field}) || object.spec.{field}.all(c, {old}))"


KEEPS_OWNER: Final = (
    "((has(object.metadata.ownerReferences) && has(oldObject.metadata.ownerReferences)"
    " && object.metadata.ownerReferences == oldObject.metadata.ownerReferences)"
    " || (!has(object.metadata.ownerReferences) && !has(oldObject.metadata.ownerReferences)))"
)
KEEPS_NETWORKS: Final = (
    f"{NETWORK_ANNOTATIONS}.all(w, !has(object.metadata.annotations)"
    " || object.metadata.annotations.all(k, !k.startsWith(w)"
    " || (has(oldObject.metadata.annotations) && k in oldObject.metadata.annotations"
    " && oldObject.metadata.annotations[k] == object.metadata.annotations[k])))"
)
NOT_CHANGED: Final = "request.operation != 'UPDATE'"

SANDBOXES: Final = Guard(
    "remit-sandbox-pods",
    "",
    "v1",
    ("pods",),
    ("CREATE", "UPDATE"),
    (
        Check(
            f"request.operation != 'CREATE' || {BY_CONTROLLER}",
            f"label {LABEL_SANDBOX} is for pods that Remit's controller makes",
        ),
        Check(
            f"{NOT_CHANGED} || {BY_CONTROLLER} || {kept_labels(may_come=LABEL_QUARANTINE, may_go='')}",
            f"labels of a sandbox are its controller's: others may add {LABEL_QUARANTINE}, nothing else",
        ),
        Check(
            f"{NOT_CHANGED} || !({BY_CONTROLLER}) || {kept_labels(may_come=LABEL_QUARANTINE, may_go=LABEL_QUARANTINE)}"
            f" || ({CLAIMED} && {kept_labels(may_come=LABEL_RUN, may_go=LABEL_WARM)})",
            "labels of a sandbox stay as they were made: only a run that takes a pod that stood ready changes them",
        ),
        Check(
            f"{NOT_CHANGED} || ({' && '.join(map(keeps_images, ('containers', 'initContainers')))})",
            "images of a sandbox stay as they were made: another one would act in the run's name",
        ),
        Check(
            f"{NOT_CHANGED} || request.userInfo.username in {list(CLEANERS)} || {KEEPS_OWNER}"
            f" || ({BY_CONTROLLER} && {CLAIMED} && has(object.metadata.ownerReferences)"
            " && object.metadata.ownerReferences.size() == 1"
            f" && object.metadata.ownerReferences[0].apiVersion == '{API_VERSION}'"
            " && object.metadata.ownerReferences[0].kind == 'AgentRun')",
            "the owner of a sandbox is its run: without it nobody would take the sandbox down",
        ),
        Check(
            f"{NOT_CHANGED} || {KEEPS_NETWORKS}",
            "annotations that give a pod another network or profile are not for sandboxes: no policy closes that one",
        ),
    ),
    labelled=LABEL_SANDBOX,
)

MADE_BY_CONTROLLER: Final = (("by-the-controller", BY_CONTROLLER),)
"""Also what it makes without the label: its account can make nothing but sandboxes."""

SHAPED: Final = Guard(
    "remit-sandbox-shapes",
    "",
    "v1",
    ("pods",),
    ("CREATE",),
    SHAPE,
    only_when=MADE_BY_CONTROLLER,
    variables=VARIABLES,
)

OF_OUR_IMAGE: Final = Guard(
    "remit-sandbox-images",
    "",
    "v1",
    ("pods",),
    ("CREATE",),
    (HARNESS_IMAGE,),
    only_when=MADE_BY_CONTROLLER,
    variables={name: VARIABLES[name] for name in ("labels", "isContainer", "before")},
    beside=(Params("apps/v1", "Deployment", CONTROLLER_ACCOUNT, INSTALL_NAMESPACE),),
)

NOT_DEBUGGED: Final = Guard(
    "remit-sandbox-debug",
    "",
    "v1",
    ("pods/ephemeralcontainers", "pods/resize"),
    ("UPDATE",),
    (Check("false", "a container added to a sandbox would act in the run's name; its limits stay as they were made"),),
    labelled=LABEL_SANDBOX,
)

VISITS: Final = ("pods/exec", "pods/attach", "pods/portforward", "pods/proxy")
INSIDE: Final = "whoever is inside a sandbox acts in its run's name: read its logs and evidence instead"
_PLAIN_NAME: Final = "params.metadata.name + '-' + string(params.spec.attempt)"
BEING_MADE: Final = f"request.name == {_PLAIN_NAME} || request.name.startsWith({_PLAIN_NAME} + '-r')"
"""The pod may stand a moment before its run's status names it."""

NOT_VISITED: Final = Guard(
    "remit-sandbox-visits",
    "",
    "v1",
    VISITS,
    ("CONNECT",),
    (
        Check(
            "(!has(params.status) || !has(params.status.pod) || params.status.pod.name != request.name)"
            f" && !({BEING_MADE})",
            INSIDE,
        ),
    ),
    beside=(Params(API_VERSION, "AgentRun"),),
)

NOT_AWAITED: Final = Guard(
    "remit-warm-visits",
    "",
    "v1",
    VISITS,
    ("CONNECT",),
    (
        Check(
            f"!request.name.startsWith('{WARM_PREFIX}')",
            "a pod that stands ready will act in a run's name: whoever was inside it before would, too",
        ),
    ),
)

STRANGERS: Final = Guard(
    "remit-agent-accounts",
    "",
    "v1",
    ("pods",),
    ("CREATE",),
    (
        Check(
            BY_CONTROLLER,
            f"accounts named {agent_child('')}* are for sandboxes: a pod of yours needs an account of its own",
        ),
    ),
    only_when=(
        (
            "account-of-an-agent",
            f"has(object.spec.serviceAccountName) && object.spec.serviceAccountName.startsWith('{agent_child('')}')",
        ),
    ),
)

FOR_AN_AGENT: Final = (
    f"request.name.startsWith('{agent_child('')}') && has(object.spec.audiences)"
    f" && '{TOKEN_AUDIENCE}' in object.spec.audiences"
)
TOKENS: Final = Guard(
    "remit-sandbox-tokens",
    "",
    "v1",
    ("serviceaccounts/token",),
    ("CREATE",),
    (
        Check(
            "'system:nodes' in request.userInfo.groups",
            f"tokens of audience {TOKEN_AUDIENCE} are for the pods of runs: only their node may ask for one",
        ),
    ),
    only_when=(("agent-for-gateway", FOR_AN_AGENT),),
)

POD_GUARDS: Final = (SANDBOXES, SHAPED, OF_OUR_IMAGE, NOT_DEBUGGED, NOT_VISITED, NOT_AWAITED, STRANGERS, TOKENS)
