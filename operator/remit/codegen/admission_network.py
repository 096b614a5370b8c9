"""Guards of NetworkPolicies: what closes a sandbox stays, and nothing else opens one. Pure."""

from typing import Final

from remit.api.names import (
    AGENT_PORT,
    DENY_FINALIZER,
    DENY_POLICY,
    GATEWAY_LABELS,
    INSTALL_NAMESPACE,
    LABEL_AGENT,
    LABEL_QUARANTINE,
    LABEL_SANDBOX,
    agent_child,
)
from remit.codegen.admission_guards import BY_CONTROLLER, CLEANED_UP, NAME, OF_AN_AGENT, Check, Guard, Params
from remit.codegen.admission_shapes import SANDBOX_KEYS

LEAVES_SANDBOXES_OUT: Final = (
    "(has(object.spec.podSelector.matchLabels)"
    f" && object.spec.podSelector.matchLabels.exists(k, !(k in {SANDBOX_KEYS})))"
    " || (has(object.spec.podSelector.matchExpressions)"
    " && object.spec.podSelector.matchExpressions.exists(e,"
    f" (e.key == '{LABEL_SANDBOX}' && e.operator == 'DoesNotExist')"
    f" || (!(e.key in {SANDBOX_KEYS}) && e.operator in ['In', 'Exists'])))"
)
OPENS: Final = (
    "(has(object.spec.ingress) && object.spec.ingress.size() > 0)"
    " || (has(object.spec.egress) && object.spec.egress.size() > 0)"
)
IS_DENY: Final = f"object.metadata.name == '{DENY_POLICY}'"
BOTH_WAYS: Final = (
    "has(object.spec.policyTypes) && 'Ingress' in object.spec.policyTypes && 'Egress' in object.spec.policyTypes"
)
EXISTS: Final = f"e.key == '{LABEL_SANDBOX}' && e.operator == 'Exists'"

VARIABLES: Final = {
    "selector": "object.spec.podSelector",
    "expressions": "has(variables.selector.matchExpressions) ? variables.selector.matchExpressions : []",
    "labels": "has(variables.selector.matchLabels) ? variables.selector.matchLabels : {}",
    "egress": "has(object.spec.egress) ? object.spec.egress : []",
}
GATEWAY_ONLY: Final = (
    "variables.egress.size() == 1 && has(variables.egress[0].to) && variables.egress[0].to.size() == 1"
    " && has(variables.egress[0].ports) && variables.egress[0].ports.size() == 1"
    " && variables.egress[0].ports.all(p, has(p.port) && !has(p.endPort)"
    f" && p.port == {AGENT_PORT} && (!has(p.protocol) || p.protocol == 'TCP'))"
    " && variables.egress[0].to.all(t, !has(t.ipBlock) && has(t.namespaceSelector) && has(t.podSelector)"
    " && has(t.namespaceSelector.matchLabels) && has(t.podSelector.matchLabels)"
    f" && t.namespaceSelector.matchLabels == {{'kubernetes.io/metadata.name': '{INSTALL_NAMESPACE}'}}"
    f" && t.podSelector.matchLabels == {GATEWAY_LABELS})"
)

CONTROLLERS: Final = Guard(
    "remit-controller-policies",
    "networking.k8s.io",
    "v1",
    ("networkpolicies",),
    ("CREATE", "UPDATE"),
    (
        Check(
            f"!({IS_DENY}) || (!({OPENS}) && {BOTH_WAYS} && variables.labels == {{}}"
            f" && variables.expressions.size() == 1 && variables.expressions.all(e, {EXISTS}))",
            f"policy: {DENY_POLICY} closes every pod with the label {LABEL_SANDBOX}, both ways, and opens nothing",
        ),
        Check(
            f"!({IS_DENY}) || has(object.metadata.deletionTimestamp) || (has(object.metadata.finalizers)"
            f" && '{DENY_FINALIZER}' in object.metadata.finalizers)",
            f"policy: {DENY_POLICY} stays until the last sandbox is gone: its finalizer {DENY_FINALIZER} sees to that",
        ),
        Check(
            f"{IS_DENY} || ((!has(object.spec.ingress) || object.spec.ingress.size() == 0) && {GATEWAY_ONLY})",
            f"policy: an agent's policy opens the gateway's port {AGENT_PORT}, and nothing else",
        ),
        Check(
            f"{IS_DENY} || (variables.labels.size() == 1 && '{LABEL_AGENT}' in variables.labels"
            f" && object.metadata.name == '{agent_child('')}' + variables.labels['{LABEL_AGENT}']"
            f" && variables.expressions.exists(e, {EXISTS})"
            f" && variables.expressions.exists(e, e.key == '{LABEL_QUARANTINE}' && e.operator == 'DoesNotExist'))",
            "policy: an agent's policy is for the agent's own sandboxes that are not in quarantine",
        ),
    ),
    only_when=(("by-the-controller", BY_CONTROLLER),),
    variables=VARIABLES,
)

OURS: Final = Guard(
    "remit-network-policies",
    "networking.k8s.io",
    "v1",
    ("networkpolicies",),
    ("CREATE", "UPDATE", "DELETE"),
    (
        Check(
            f"{BY_CONTROLLER} || {CLEANED_UP}",
            "this NetworkPolicy closes sandboxes: only Remit's controller may change it",
        ),
    ),
    only_when=(("remit-policy", f"{NAME} == '{DENY_POLICY}' || {OF_AN_AGENT}"),),
)

OPENINGS: Final = Guard(
    "remit-sandbox-openings",
    "networking.k8s.io",
    "v1",
    ("networkpolicies",),
    ("CREATE", "UPDATE"),
    (
        Check(
            f"{BY_CONTROLLER} || !({OPENS}) || {LEAVES_SANDBOXES_OUT}",
            f"policies add up, and this one would open sandboxes: exclude them by {LABEL_SANDBOX} DoesNotExist",
        ),
    ),
    beside=(Params("networking.k8s.io/v1", "NetworkPolicy", DENY_POLICY),),
)

NETWORK_GUARDS: Final = (OURS, CONTROLLERS, OPENINGS)
