"""Each single field that would weaken a sandbox, its network or its account is refused, whoever asks for it.

The controller itself is asked to be impersonated: whoever has its account can make sandboxes, and nothing else.
"""

import copy
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.kube import Answer, Kube
from tests.support.polling import eventually
from tests.support.sandboxes import COLLECTIONS, CONTROLLER, IMAGE, make, place

Object = dict[str, Any]
ADMIN = "system:masters"
REMOVE = object()


def weakened(whole: Object, path: str, value: Any) -> Object:
    """Return a copy with one field set, added to its list, or removed."""
    changed = copy.deepcopy(whole)
    *way, last = (int(part) if part.isdigit() else part for part in path.replace("~", "\0").split("/"))
    place: Any = changed
    for part in way:
        key = part.replace("\0", "/") if isinstance(part, str) else part
        place = place.setdefault(key, {}) if isinstance(place, dict) else place[key]
    last = last.replace("\0", "/") if isinstance(last, str) else last
    if last == "+":
        place.append(value)
    elif value is REMOVE:
        del place[last]
    else:
        place[last] = value
    return changed


OTHER = {"name": "other", "image": IMAGE}
FIRST = "spec/containers/0"
ROOM = {"name": "more", "emptyDir": {"sizeLimit": "1Gi"}}
SECRET = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "model-key", "key": "key"}}}
ANY_TOKEN = {"name": "api", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
PROBE = {"httpGet": {"host": "169.254.169.254", "port": 80}}
ROOT_FILE = {"name": "root", "hostPath": {"path": "/"}}
OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "other", "uid": "1"}
PODS: tuple[tuple[str, str, str, Any, str], ...] = (
    ("no sandbox label", "harness", "metadata/labels/remit.dev~sandbox", REMOVE, "labels of a sandbox"),
    ("another kind of sandbox", "harness", "metadata/labels/remit.dev~sandbox", "free", "labels of a sandbox"),
    ("no agent label", "harness", "metadata/labels/remit.dev~agent", REMOVE, "labels of a sandbox"),
    ("no run label", "harness", "metadata/labels/remit.dev~run", REMOVE, "labels of a sandbox"),
    ("a foreign label", "harness", "metadata/labels/app", "web", "labels of a sandbox"),
    ("warm and claimed", "warm", "metadata/labels/remit.dev~run", "dispute-1", "labels of a sandbox"),
    ("not managed", "harness", "metadata/labels/app.kubernetes.io~managed-by", "helm", "labels of a sandbox"),
    ("no owner", "harness", "metadata/ownerReferences", REMOVE, "has one owner"),
    ("another owner", "harness", "metadata/ownerReferences/0", OWNER, "has one owner"),
    ("a second owner", "harness", "metadata/ownerReferences/+", {**OWNER, "controller": False}, "has one owner"),
    ("warm, owned by another agent", "warm", "metadata/ownerReferences/0/name", "other", "has one owner"),
    ("another account", "harness", "spec/serviceAccountName", "default", "agent's account"),
    ("an apiserver token", "harness", "spec/automountServiceAccountToken", True, "agent's account"),
    ("words of services", "harness", "spec/enableServiceLinks", True, "agent's account"),
    ("the host's network", "harness", "spec/hostNetwork", True, "no namespace with its host"),
    ("the host's processes", "harness", "spec/hostPID", True, "no namespace with its host"),
    ("the host's memory", "harness", "spec/hostIPC", True, "no namespace with its host"),
    ("one process table", "container", "spec/shareProcessNamespace", True, "no namespace with its host"),
    (
        "a second network",
        "harness",
        "metadata/annotations/k8s.v1.cni.cncf.io~networks",
        "open",
        "no further network",
    ),
    ("a node of choice", "harness", "spec/nodeName", "remit", "placed by the scheduler"),
    ("started again", "harness", "spec/restartPolicy", "OnFailure", "placed by the scheduler"),
    ("no deadline", "harness", "spec/activeDeadlineSeconds", REMOVE, "placed by the scheduler"),
    ("a long goodbye", "harness", "spec/terminationGracePeriodSeconds", 3600, "placed by the scheduler"),
    ("names of the cluster", "harness", "spec/dnsPolicy", "ClusterFirst", "no DNS"),
    ("another name server", "harness", "spec/dnsConfig/nameservers/0", "10.96.0.10", "no DNS"),
    ("one more name server", "harness", "spec/dnsConfig/nameservers/+", "8.8.8.8", "no DNS"),
    ("one more name", "harness", "spec/hostAliases/+", {"ip": "10.0.0.1", "hostnames": ["bank"]}, "no DNS"),
    ("another name", "harness", "spec/hostAliases/0/hostnames/0", "bank", "no DNS"),
    ("root allowed", "harness", "spec/securityContext/runAsNonRoot", REMOVE, "never root"),
    ("a user of the node", "harness", "spec/securityContext/runAsUser", 1000, "never root"),
    ("another group", "harness", "spec/securityContext/runAsGroup", 0, "never root"),
    ("another group of files", "harness", "spec/securityContext/fsGroup", 0, "never root"),
    ("more groups", "harness", "spec/securityContext/supplementalGroups", [0], "never root"),
    ("a kernel setting", "harness", "spec/securityContext/sysctls", [{"name": "a", "value": "b"}], "never root"),
    ("no seccomp", "harness", "spec/securityContext/seccompProfile/type", "Unconfined", "never root"),
    ("no seccomp said", "harness", "spec/securityContext/seccompProfile", REMOVE, "never root"),
    ("no AppArmor", "harness", "spec/securityContext/appArmorProfile", {"type": "Unconfined"}, "never root"),
    ("privileged", "harness", f"{FIRST}/securityContext/privileged", True, "cannot set"),
    ("more privilege", "harness", f"{FIRST}/securityContext/allowPrivilegeEscalation", True, "no privilege"),
    ("privilege unsaid", "harness", f"{FIRST}/securityContext/allowPrivilegeEscalation", REMOVE, "no privilege"),
    ("a capability", "harness", f"{FIRST}/securityContext/capabilities/add", ["NET_RAW"], "no privilege"),
    ("kept capabilities", "harness", f"{FIRST}/securityContext/capabilities/drop", ["KILL"], "no privilege"),
    ("a root to write", "harness", f"{FIRST}/securityContext/readOnlyRootFilesystem", False, "no privilege"),
    ("its own root", "harness", f"{FIRST}/securityContext/runAsUser", 0, "no privilege"),
    ("root after all", "harness", f"{FIRST}/securityContext/runAsNonRoot", False, "no privilege"),
    ("its own seccomp", "harness", f"{FIRST}/securityContext/seccompProfile", {"type": "Unconfined"}, "no privilege"),
    ("the sidecar as root", "container", "spec/initContainers/0/securityContext/runAsUser", 0, "no privilege"),
    (
        "the sidecar's capability",
        "container",
        "spec/initContainers/0/securityContext/capabilities/add",
        ["SYS_PTRACE"],
        "no privilege",
    ),
    ("a port of the host", "harness", f"{FIRST}/ports", [{"containerPort": 80, "hostPort": 80}], "open no port"),
    ("a Secret's value", "container", f"{FIRST}/env/+", SECRET, "take nothing from Secrets"),
    ("a Secret's values", "container", f"{FIRST}/envFrom", [{"secretRef": {"name": "k"}}], "take nothing from"),
    ("a probe elsewhere", "container", f"{FIRST}/livenessProbe", PROBE, "are not probed"),
    (
        "a hook elsewhere",
        "container",
        f"{FIRST}/lifecycle",
        {"preStop": {"httpGet": {"host": "10.0.0.1", "port": 80}}},
        "are not probed",
    ),
    ("a terminal", "container", f"{FIRST}/tty", True, "open no port"),
    ("no limits", "harness", f"{FIRST}/resources/limits", REMOVE, "limits of cpu, memory"),
    ("no limit of memory", "harness", f"{FIRST}/resources/limits/memory", REMOVE, "limits of cpu, memory"),
    ("no limit of storage", "harness", f"{FIRST}/resources/limits/ephemeral-storage", REMOVE, "limits of cpu"),
    ("the host's files", "harness", "spec/volumes/+", ROOT_FILE, "two volumes"),
    ("one more volume", "harness", "spec/volumes/+", ROOM, "two volumes"),
    ("an apiserver token by volume", "harness", "spec/volumes/+", ANY_TOKEN, "two volumes"),
    (
        "a token of another audience",
        "harness",
        "spec/volumes/0/projected/sources/0/serviceAccountToken/audience",
        "https://kubernetes.default.svc",
        "two volumes",
    ),
    ("scratch without end", "harness", "spec/volumes/1/emptyDir/sizeLimit", REMOVE, "two volumes"),
    ("scratch in memory", "harness", "spec/volumes/1/emptyDir/medium", "Memory", "two volumes"),
    (
        "the token for the agent's container",
        "container",
        f"{FIRST}/volumeMounts/+",
        {"name": "gateway-token", "mountPath": "/var/run/secrets/remit.dev", "readOnly": True},
        "never in the agent's container",
    ),
    ("one more container", "harness", "spec/containers/+", {**OTHER, "name": "x"}, ""),
    ("another program", "harness", f"{FIRST}/command", ["sh"], "Remit's harness alone"),
    ("other arguments", "harness", f"{FIRST}/args", ["-c", "id"], "Remit's harness alone"),
    ("no sidecar", "container", "spec/initContainers", [], ""),
    ("another sidecar's program", "container", "spec/initContainers/0/command", ["sh"], "beside Remit's sidecar"),
)
POLICIES: tuple[tuple[str, str, str, Any, str], ...] = (
    ("a policy of another name", "policy", "metadata/name", "allow-all", "and nothing else|agent's own sandboxes"),
    ("the deny with a way out", "deny", "spec/egress", [{}], "opens nothing"),
    ("the deny with a way in", "deny", "spec/ingress", [{}], "opens nothing"),
    ("the deny one way", "deny", "spec/policyTypes", ["Ingress"], "opens nothing"),
    ("the deny for fewer", "deny", "spec/podSelector/matchLabels", {"app": "web"}, "opens nothing"),
    ("the deny without hold", "deny", "metadata/finalizers", REMOVE, "stays until the last sandbox"),
    ("a way everywhere", "policy", "spec/egress/+", {}, "opens the gateway's port"),
    ("a way to any port", "policy", "spec/egress/0/ports", REMOVE, "opens the gateway's port"),
    ("a way to another port", "policy", "spec/egress/0/ports/0/port", 8081, "opens the gateway's port"),
    ("a range of ports", "policy", "spec/egress/0/ports/0/endPort", 9000, "opens the gateway's port"),
    ("a way to any pod", "policy", "spec/egress/0/to/0/podSelector", {}, "opens the gateway's port"),
    ("a way to any namespace", "policy", "spec/egress/0/to/0/namespaceSelector", {}, "opens the gateway's port"),
    (
        "a way to addresses",
        "policy",
        "spec/egress/0/to/+",
        {"ipBlock": {"cidr": "0.0.0.0/0"}},
        "opens the gateway's port",
    ),
    ("a way in", "policy", "spec/ingress", [{}], "opens the gateway's port"),
    ("for other pods", "policy", "spec/podSelector/matchLabels", {"app": "web"}, "agent's own sandboxes"),
    (
        "for another agent",
        "policy",
        "spec/podSelector/matchLabels/remit.dev~agent",
        "other",
        "agent's own sandboxes",
    ),
    ("for those in quarantine", "policy", "spec/podSelector/matchExpressions/1", REMOVE, "agent's own sandboxes"),
    ("for more than sandboxes", "policy", "spec/podSelector/matchExpressions/0", REMOVE, "agent's own sandboxes"),
)
ACCOUNTS: tuple[tuple[str, str, str, Any, str], ...] = (
    ("an account of another name", "account", "metadata/name", "cluster-admin", "and nothing else"),
    ("an account that mounts tokens", "account", "automountServiceAccountToken", True, "mounts no token"),
    ("an account that says nothing of tokens", "account", "automountServiceAccountToken", REMOVE, "mounts no token"),
    ("an account with a secret", "account", "secrets", [{"name": "model-key"}], "names no secret"),
    (
        "an identity at a cloud",
        "account",
        "metadata/annotations/eks.amazonaws.com~role-arn",
        "arn:aws:iam::1:role/x",
        "no identity at a cloud",
    ),
)
CASES = (*PODS, *POLICIES, *ACCOUNTS)
BY_KUBERNETES = frozenset({"", "cannot set"})
"""What Kubernetes itself takes for a contradiction."""


def send(kube: Kube, thing: Object, *, user: str = CONTROLLER) -> Answer:
    """Create without effect."""
    path = COLLECTIONS[thing["kind"]].format(thing["metadata"]["namespace"])
    return kube.acting_as(user, ADMIN).send("POST", f"{path}?dryRun=All&fieldValidation=Strict", thing)


@pytest.fixture(scope="module")
def team(kube: Kube, namespace: str) -> str:
    """A namespace whose agent has its account."""
    place(kube, make("account", namespace))
    return namespace


def test_there_are_at_least_forty() -> None:
    assert len({(case[1], case[2], str(case[3])) for case in CASES}) == len(CASES) >= 40


@pytest.mark.parametrize("what", ["harness", "container", "warm", "deny", "policy"])
def test_what_the_controller_makes_is_let_in(kube: Kube, team: str, what: str) -> None:
    answer = send(kube, make(what, team))
    assert (answer.code, answer.message) == (201, "")


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_a_weakening_is_refused(kube: Kube, team: str, case: tuple[str, str, str, Any, str]) -> None:
    _, what, path, value, words = case
    answer = send(kube, weakened(make(what, team), path, value))
    assert answer.code == 403 or (answer.code == 422 and words in BY_KUBERNETES), answer
    assert re.search(words, answer.message), "where several guards refuse, the apiserver tells of any one"


@pytest.mark.parametrize("what", ["harness", "container", "warm", "deny", "policy", "account"])
def test_nobody_else_makes_them_at_all(kube: Kube, team: str, what: str) -> None:
    thing = make(what, team)
    answer = send(kube, thing, user="alice")
    assert answer.code == 403, answer


def test_a_pod_of_somebody_else_has_no_agents_account(kube: Kube, team: str) -> None:
    stranger = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "stranger", "namespace": team},
        "spec": {"serviceAccountName": "remit-agent-teller", "containers": [OTHER]},
    }
    answer = send(kube, stranger, user="alice")
    assert (answer.code, "are for sandboxes" in answer.message) == (403, True), answer.message


@pytest.fixture
def webhook(kube: Kube, team: str) -> Iterator[str]:
    """A namespace where somebody's mutating admission shares the process table of every pod."""
    team = f"{team}-widened"
    made = kube.create("/api/v1/namespaces", {"metadata": {"name": team}})
    assert made.code == 201, made.message
    place(kube, make("account", team))
    group = "/apis/admissionregistration.k8s.io/v1"
    change = 'JSONPatch{op: "add", path: "/spec/shareProcessNamespace", value: true}'
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    where = {"matchLabels": {"kubernetes.io/metadata.name": team}}
    spec = {
        "matchConstraints": {"resourceRules": [rule], "namespaceSelector": where},
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": f"[{change}]"}}],
    }
    kube.create(f"{group}/mutatingadmissionpolicies", {"metadata": {"name": "widen"}, "spec": spec})
    kube.create(
        f"{group}/mutatingadmissionpolicybindings", {"metadata": {"name": "widen"}, "spec": {"policyName": "widen"}}
    )
    yield team
    kube.delete(f"{group}/mutatingadmissionpolicybindings/widen")
    kube.delete(f"{group}/mutatingadmissionpolicies/widen")
    kube.delete(f"/api/v1/namespaces/{team}")


def test_what_a_mutating_admission_widened_is_refused(kube: Kube, webhook: str) -> None:
    eventually(
        lambda: send(kube, make("harness", webhook)),
        lambda answer: answer.code == 403 and "no namespace with its host" in answer.message,
        why="the widened pod is refused",
    )


@pytest.fixture
def named_image(kube: Kube) -> Iterator[None]:
    """The controller's Deployment, which names the image of the harness."""
    path = "/apis/apps/v1/namespaces/remit-system/deployments"
    labels = {"app": "remit-controller-stand-in"}
    container = {"name": "controller", "image": IMAGE, "env": [{"name": "REMIT_HARNESS_IMAGE", "value": IMAGE}]}
    spec = {
        "replicas": 0,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
    }
    made = kube.create(path, {"metadata": {"name": "remit-controller"}, "spec": spec})
    assert made.code == 201, made.message
    yield
    kube.delete(f"{path}/remit-controller")


@pytest.mark.parametrize("what", ["harness", "container"])
@pytest.mark.usefixtures("named_image")
def test_the_token_is_held_by_no_image_but_the_harness(kube: Kube, team: str, what: str) -> None:
    path = "spec/containers/0/image" if what == "harness" else "spec/initContainers/0/image"
    eventually(
        lambda: send(kube, weakened(make(what, team), path, "remit.dev/evil:1")),
        lambda answer: answer.code == 403 and "of the image that the controller's Deployment names" in answer.message,
        why="another image is refused",
    )
    assert send(kube, make(what, team)).message == ""
