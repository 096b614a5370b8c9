"""Names that several parts must agree on: labels, annotations, children, ports, accounts. Imports nothing heavy."""

from hashlib import sha256

LABEL_SANDBOX = "remit.dev/sandbox"
"""On every sandbox pod; its value is the runtime, harness or container. The standing deny policy selects it."""
LABEL_AGENT = "remit.dev/agent"
LABEL_RUN = "remit.dev/run"
LABEL_WARM = "remit.dev/warm"
"""On a pod that stands ready for a run of its agent; its value is what the pod was made from. Gone once claimed."""
WARM_PREFIX = "remit-warm-"
"""Names of warm pods begin so: who may visit a pod is judged by its name alone."""
LABEL_QUARANTINE = "remit.dev/quarantine"
"""Takes the way to the gateway from a pod."""
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY = "remit"
ANNOTATION_HOSTS = "remit.dev/hosts"
"""On a Secret: comma-separated hosts (host or host:port) that its values may be sent to."""

TOKEN_AUDIENCE = "remit-gateway"
TOKEN_PATH = "/var/run/secrets/remit.dev/token"
SCRATCH_PATH = "/scratch"
GATEWAY_HOST = "gateway.remit.dev"
"""What sandboxes call the gateway, by hostAliases."""
AGENT_PORT = 8080
CONTROL_PORT = 8081
METRICS_PORT = 9090
SIDECAR_PORT = 8765

INSTALL_NAMESPACE = "remit-system"
CONTROLLER_ACCOUNT = "remit-controller"
GATEWAY_ACCOUNT = "remit-gateway"
GATEWAY_SERVICE = "remit-gateway"
CONTROL_SERVICE = "remit-gateway-control"
GATEWAY_LABELS = {"app.kubernetes.io/name": "remit-gateway"}
LEASE = "remit-controller"
"""Held by the controller that leads, in the install namespace."""
VERIFIER_CONFIG_MAP = "remit-verifier-key"
"""Says, in the install namespace, what verifies the log."""
VERIFIER_FIELD = "vkey"
CONTROLLER_FIELD_MANAGER = "remit-controller"
GATEWAY_FIELD_MANAGER = "remit-gateway"

PROBE_AGENT = "enforcement.probe"
"""Stands where an agent's name would in all that the enforcement probe needs: no agent's name has a dot."""
PROBE_RECORD = "remit-enforcement"
"""ConfigMap of the install namespace with what the enforcement probe last found; owns the probe's objects."""

DENY_POLICY = "remit-sandbox-deny"
"""The standing NetworkPolicy of a namespace."""
DENY_FINALIZER = "remit.dev/closes-sandboxes"
"""Keeps the standing policy until the last sandbox of its namespace is gone, in whatever order things go."""
MAX_LABEL_LENGTH = 63
"""Kubernetes' bound of a label value and of a DNS label."""
MAX_REFUSED_CALLS = 100
"""A run that was refused more often ends as PolicyViolation: a refused call costs a record."""


def agent_child(agent: str) -> str:
    """Name of an agent's ServiceAccount and NetworkPolicy."""
    return f"remit-agent-{agent}"


def revision_name(agent: str, digest: str) -> str:
    """Name of the ControllerRevision that keeps a bundle: `digest` is `sha256:HEX`."""
    return f"{agent_child(agent)}-{digest.removeprefix('sha256:')[:10]}"


def pod_name(run: str, attempt: int, retry: int = 0) -> str:
    """Name of a run's pod: the same for the same attempt and try, so that creating it twice cannot make two."""
    plain = f"{run}-{attempt}-r{retry}" if retry else f"{run}-{attempt}"
    if len(plain) <= MAX_LABEL_LENGTH and "." not in plain:
        return plain
    mark = sha256(plain.encode()).hexdigest()[:10]
    return f"{run.replace('.', '-')[:52].rstrip('-')}-{mark}"


def warm_name(agent: str, mark: str, place: int) -> str:
    """Name of a warm pod: the same for the same place in the same pool, so that making it twice makes one."""
    return f"{WARM_PREFIX}{agent[:40].rstrip('-')}-{sha256(f'{mark}/{place}'.encode()).hexdigest()[:10]}"


def run_label(run: str) -> str:
    """Value of the run label: the name, or its digest where it is too long for a label."""
    return run if len(run) <= MAX_LABEL_LENGTH else sha256(run.encode()).hexdigest()[:40]
