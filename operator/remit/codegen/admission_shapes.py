"""What a sandbox's pod may look like, field by field, in CEL: what is not said here is not let in. Pure.

The pod is judged as it would be stored, after every admission webhook: what one of them widened is refused.
"""

from collections.abc import Iterable
from typing import Final

from remit.api.names import (
    GATEWAY_HOST,
    INSTALL_NAMESPACE,
    LABEL_AGENT,
    LABEL_MANAGED_BY,
    LABEL_QUARANTINE,
    LABEL_RUN,
    LABEL_SANDBOX,
    LABEL_WARM,
    MANAGED_BY,
    PROBE_AGENT,
    PROBE_RECORD,
    SCRATCH_PATH,
    TOKEN_AUDIENCE,
    TOKEN_PATH,
    agent_child,
)
from remit.codegen.admission_guards import Check
from remit.core.children import FIRST_USER, SANDBOX_GROUP, SIDECAR_COMMAND
from remit.core.openings import LABELS_OF_NODES, NETWORK_ANNOTATIONS

SANDBOX_KEYS: Final = [
    LABEL_SANDBOX,
    LABEL_AGENT,
    LABEL_RUN,
    LABEL_WARM,
    LABEL_QUARANTINE,
    LABEL_MANAGED_BY,
    *LABELS_OF_NODES,
]
"""All labels that a sandbox can have: a selector that asks for another one cannot mean a sandbox."""
LONGEST_GRACE_SECONDS: Final = 30
_TOKEN_FOLDER, _, _TOKEN_FILE = TOKEN_PATH.rpartition("/")


def every(items: str, *conditions: str) -> str:
    """Return the CEL that is true when all conditions hold for each item, `c`."""
    return f"{items}.all(c, {' && '.join(conditions)})"


def absent(place: str, fields: Iterable[str]) -> str:
    """Return the CEL that is true when none of the fields is there."""
    return " && ".join(f"!has({place}.{field})" for field in fields)


def off(place: str, fields: Iterable[str]) -> str:
    """Return the CEL that is true when none of the switches is on."""
    return " && ".join(f"(!has({place}.{field}) || !{place}.{field})" for field in fields)


def one_of(place: str, field: str, values: Iterable[str]) -> str:
    """Return the CEL that is true when the field is absent or one of the values."""
    return f"(!has({place}.{field}) || {place}.{field} in {list(values)})"


def default_profile(place: str, field: str) -> str:
    """Return the CEL that is true when the profile is absent or the runtime's own."""
    return f"(!has({place}.{field}) || {place}.{field}.type == 'RuntimeDefault')"


VARIABLES: Final = {
    "labels": "has(object.metadata.labels) ? object.metadata.labels : {}",
    "agent": f"'{LABEL_AGENT}' in variables.labels ? variables.labels['{LABEL_AGENT}'] : ''",
    "isProbe": f"variables.agent == '{PROBE_AGENT}' && request.namespace == '{INSTALL_NAMESPACE}'",
    "isWarm": f"'{LABEL_WARM}' in variables.labels",
    "isContainer": f"'{LABEL_SANDBOX}' in variables.labels && variables.labels['{LABEL_SANDBOX}'] == 'container'",
    "before": "has(object.spec.initContainers) ? object.spec.initContainers : []",
    "containers": "object.spec.containers + variables.before",
    "holder": "variables.isContainer ? 'remit-sidecar' : 'harness'",
    "owner": "has(object.metadata.ownerReferences) && object.metadata.ownerReferences.size() == 1"
    " ? object.metadata.ownerReferences[0].kind : ''",
    "volumes": "has(object.spec.volumes) ? object.spec.volumes : []",
}

LABELS_OF_SANDBOXES: Final = Check(
    f"'{LABEL_SANDBOX}' in variables.labels && variables.labels['{LABEL_SANDBOX}'] in ['harness', 'container']"
    f" && '{LABEL_MANAGED_BY}' in variables.labels && variables.labels['{LABEL_MANAGED_BY}'] == '{MANAGED_BY}'"
    f" && variables.agent != '' && (('{LABEL_RUN}' in variables.labels) != (variables.isWarm || variables.isProbe))"
    f" && variables.labels.all(k, k in {SANDBOX_KEYS})",
    "shape: a pod of Remit's controller has the labels of a sandbox, and no others",
)
OWNER: Final = Check(
    "has(object.metadata.ownerReferences)"
    " && (variables.isProbe"
    f" ? (variables.owner == 'ConfigMap' && object.metadata.ownerReferences[0].name == '{PROBE_RECORD}')"
    " : variables.isWarm"
    " ? (variables.owner == 'Agent' && object.metadata.ownerReferences[0].name == variables.agent)"
    " : variables.owner == 'AgentRun')"
    " && object.metadata.ownerReferences.all(o, variables.isProbe || o.apiVersion.startsWith('remit.dev/'))"
    " && has(object.metadata.ownerReferences[0].controller) && object.metadata.ownerReferences[0].controller",
    "shape: a sandbox has one owner: its run, or while it waits for one its agent",
)
ACCOUNT: Final = Check(
    f"has(object.spec.serviceAccountName) && object.spec.serviceAccountName == '{agent_child('')}' + variables.agent"
    " && has(object.spec.automountServiceAccountToken) && !object.spec.automountServiceAccountToken"
    " && has(object.spec.enableServiceLinks) && !object.spec.enableServiceLinks",
    "shape: a sandbox has its agent's account, no token mounted for it, and no word of other services",
)
HOST: Final = Check(
    off("object.spec", ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"))
    + " && "
    + absent("object.spec", ("ephemeralContainers", "resourceClaims", "resources", "schedulingGates"))
    + f" && (!has(object.metadata.annotations) || object.metadata.annotations.all(k, {NETWORK_ANNOTATIONS}"
    ".all(w, !k.startsWith(w))))",
    "shape: a sandbox shares no namespace with its host, asks for no device and no further network",
)
LIFE: Final = Check(
    "!has(object.spec.nodeName) && object.spec.restartPolicy == 'Never'"
    " && (has(object.spec.activeDeadlineSeconds) || variables.isWarm)"
    " && has(object.spec.terminationGracePeriodSeconds)"
    f" && object.spec.terminationGracePeriodSeconds <= {LONGEST_GRACE_SECONDS}",
    "shape: a sandbox is placed by the scheduler, has a deadline, ends soon when told to, and never starts again",
)
NAMES: Final = Check(
    "object.spec.dnsPolicy == 'None' && has(object.spec.dnsConfig)"
    " && object.spec.dnsConfig.nameservers == ['127.0.0.1']"
    " && !has(object.spec.dnsConfig.searches) && !has(object.spec.dnsConfig.options)"
    " && has(object.spec.hostAliases) && object.spec.hostAliases.size() == 1"
    f" && object.spec.hostAliases[0].hostnames == ['{GATEWAY_HOST}']",
    "shape: a sandbox has no DNS, and knows the gateway's name only",
)
USER: Final = Check(
    "has(object.spec.securityContext) && has(object.spec.securityContext.runAsNonRoot)"
    " && object.spec.securityContext.runAsNonRoot"
    " && has(object.spec.securityContext.runAsUser)"
    f" && object.spec.securityContext.runAsUser >= {FIRST_USER}"
    f" && has(object.spec.securityContext.runAsGroup) && object.spec.securityContext.runAsGroup == {SANDBOX_GROUP}"
    f" && has(object.spec.securityContext.fsGroup) && object.spec.securityContext.fsGroup == {SANDBOX_GROUP}"
    " && has(object.spec.securityContext.seccompProfile)"
    " && object.spec.securityContext.seccompProfile.type == 'RuntimeDefault'"
    " && "
    + absent("object.spec.securityContext", ("supplementalGroups", "sysctls", "seLinuxOptions", "windowsOptions"))
    + " && "
    + default_profile("object.spec.securityContext", "appArmorProfile"),
    "shape: a sandbox runs as a user of its own, never root, under the runtime's own seccomp profile",
)
PRIVILEGES: Final = Check(
    every(
        "variables.containers",
        "has(c.securityContext)",
        "has(c.securityContext.allowPrivilegeEscalation) && !c.securityContext.allowPrivilegeEscalation",
        "has(c.securityContext.readOnlyRootFilesystem) && c.securityContext.readOnlyRootFilesystem",
        "has(c.securityContext.capabilities) && has(c.securityContext.capabilities.drop)",
        "c.securityContext.capabilities.drop == ['ALL'] && !has(c.securityContext.capabilities.add)",
        off("c.securityContext", ("privileged",)),
        "(!has(c.securityContext.runAsNonRoot) || c.securityContext.runAsNonRoot)",
        f"(!has(c.securityContext.runAsUser) || c.securityContext.runAsUser >= {FIRST_USER})",
        absent("c.securityContext", ("runAsGroup", "seLinuxOptions", "windowsOptions")),
        one_of("c.securityContext", "procMount", ["Default"]),
        default_profile("c.securityContext", "seccompProfile"),
        default_profile("c.securityContext", "appArmorProfile"),
    ),
    "shape: a sandbox's containers have no privilege, no capability and a root file system that they only read",
)
NOTHING_ELSE: Final = Check(
    every(
        "variables.containers",
        absent(
            "c",
            (
                "ports",
                "envFrom",
                "volumeDevices",
                "livenessProbe",
                "readinessProbe",
                "startupProbe",
                "restartPolicyRules",
            ),
        ),
        off("c", ("stdin", "tty")),
        "(!has(c.lifecycle) || c.name == 'remit-sidecar')",
        "(!has(c.env) || c.env.all(e, !has(e.valueFrom)"
        " || (variables.isProbe && has(e.valueFrom.fieldRef) && e.valueFrom.fieldRef.fieldPath == 'status.hostIPs')))",
    ),
    "shape: a sandbox's containers open no port, are not probed, and take nothing from Secrets or ConfigMaps",
)
LIMITS: Final = Check(
    every(
        "variables.containers",
        "has(c.resources) && has(c.resources.limits) && c.resources.limits.size() == 3",
        "['cpu', 'memory', 'ephemeral-storage'].all(r, r in c.resources.limits)",
        "!has(c.resources.claims)",
    ),
    "shape: a sandbox's containers have limits of cpu, memory and ephemeral storage, and no other resource",
)
TOKEN_VOLUME: Final = (
    "(v.name == 'gateway-token' && has(v.projected) && v.projected.sources.size() == 1"
    " && has(v.projected.sources[0].serviceAccountToken)"
    f" && v.projected.sources[0].serviceAccountToken.audience == '{TOKEN_AUDIENCE}'"
    f" && v.projected.sources[0].serviceAccountToken.path == '{_TOKEN_FILE}')"
)
SCRATCH_VOLUME: Final = (
    "(v.name == 'scratch' && has(v.emptyDir) && has(v.emptyDir.sizeLimit)"
    " && (!has(v.emptyDir.medium) || v.emptyDir.medium == ''))"
)
VOLUMES: Final = Check(
    f"variables.volumes.size() == 2 && variables.volumes.all(v, {TOKEN_VOLUME} || {SCRATCH_VOLUME})",
    f"shape: a sandbox has two volumes: scratch of a bounded size, and one token of audience {TOKEN_AUDIENCE}",
)
MOUNTS: Final = Check(
    every(
        "variables.containers",
        "(!has(c.volumeMounts) || c.volumeMounts.all(m, "
        f"((m.name == 'scratch' && m.mountPath == '{SCRATCH_PATH}')"
        f" || (m.name == 'gateway-token' && c.name == variables.holder && m.mountPath == '{_TOKEN_FOLDER}'"
        " && has(m.readOnly) && m.readOnly))"
        f" && {absent('m', ('subPath', 'subPathExpr', 'mountPropagation'))}))",
    ),
    "shape: the gateway's token is mounted where Remit's own program runs, never in the agent's container",
)
SHAPES: Final = Check(
    "object.spec.containers.size() == 1 && (variables.isContainer"
    " ? (object.spec.containers[0].name == 'agent' && variables.before.size() == 1"
    " && variables.before[0].name == 'remit-sidecar' && variables.before[0].restartPolicy == 'Always'"
    f" && variables.before[0].command == {SIDECAR_COMMAND} && !has(variables.before[0].args))"
    " : (object.spec.containers[0].name == 'harness' && variables.before.size() == 0"
    " && !has(object.spec.containers[0].command)"
    " && (!has(object.spec.containers[0].args) || variables.isProbe)))",
    "shape: a sandbox is Remit's harness alone, or the agent's container beside Remit's sidecar",
)
SHAPE: Final = (
    LABELS_OF_SANDBOXES,
    OWNER,
    ACCOUNT,
    HOST,
    LIFE,
    NAMES,
    USER,
    PRIVILEGES,
    NOTHING_ELSE,
    LIMITS,
    VOLUMES,
    MOUNTS,
    SHAPES,
)

HARNESS_IMAGE: Final = Check(
    "params.spec.template.spec.containers.all(c, !has(c.env) || c.env.all(e, e.name != 'REMIT_HARNESS_IMAGE'"
    " || (variables.isContainer ? variables.before.all(b, b.image == e.value)"
    " : object.spec.containers.all(b, b.image == e.value))))",
    "the harness and the sidecar of a sandbox are of the image that the controller's Deployment names",
)
