"""What Remit made for an agent, and the words that it reserves, are not for tenants; floors hold at once."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.kube import Answer, Kube
from tests.support.objects import a_container, a_policy, an_agent
from tests.support.polling import eventually
from tests.support.sandboxes import CONTROLLER, make, place

ADMIN = "system:masters"
CLEANER = "system:serviceaccount:kube-system:generic-garbage-collector"
MERGE = "application/merge-patch+json"
REMIT = "/apis/remit.dev/v1alpha1/namespaces/{}/{}"
RESERVED = "labels of remit.dev/ are reserved"
REVISION: dict[str, Any] = {"metadata": {"name": "remit-agent-teller-0123456789"}, "data": {}, "revision": 1}
PINNED = a_container()
TAGGED = a_container("agents.example/teller:1")


@pytest.fixture(scope="module")
def account(kube: Kube, namespace: str) -> str:
    """The path of an agent's account."""
    place(kube, make("account", namespace))
    return f"/api/v1/namespaces/{namespace}/serviceaccounts/remit-agent-teller"


def revisions(namespace: str, name: str = "") -> str:
    """Return the path of revisions, or of one."""
    return f"/apis/apps/v1/namespaces/{namespace}/controllerrevisions{f'/{name}' if name else ''}"


def refused(answer: Answer, words: str) -> bool:
    """Tell whether admission refused, in these words."""
    return answer.code == 403 and words in answer.message


CHANGES: dict[str, dict[str, Any]] = {
    "a token mounted": {"automountServiceAccountToken": True},
    "a secret": {"secrets": [{"name": "model-key"}]},
    "no agent": {"metadata": {"labels": {"remit.dev/agent": None}}},
    "an identity at a cloud": {"metadata": {"annotations": {"eks.amazonaws.com/role-arn": "arn"}}},
    "another owner": {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "a", "uid": "1"}]}},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_nobody_changes_an_agents_account(kube: Kube, account: str, change: dict[str, Any]) -> None:
    answer = kube.acting_as("alice", ADMIN).send("PATCH", f"{account}?dryRun=All", change, kind=MERGE)
    assert answer.code == 403, answer


def test_a_namespace_gives_its_agents_the_key_of_its_registry(kube: Kube, account: str) -> None:
    change = {"imagePullSecrets": [{"name": "registry"}]}
    answer = kube.acting_as("alice", ADMIN).send("PATCH", f"{account}?dryRun=All", change, kind=MERGE)
    assert answer.code == 200, answer.message


@pytest.mark.parametrize(("user", "code"), [("alice", 403), (CLEANER, 200), (CONTROLLER, 200)])
def test_an_agents_account_is_deleted_by_its_own_only(kube: Kube, account: str, user: str, code: int) -> None:
    assert kube.acting_as(user, ADMIN).send("DELETE", f"{account}?dryRun=All").code == code


def test_revisions_are_made_and_deleted_by_the_controller_only(kube: Kube, namespace: str) -> None:
    alice, controller = kube.acting_as("alice", ADMIN), kube.acting_as(CONTROLLER, ADMIN)
    forged = alice.create(revisions(namespace), REVISION)
    made = controller.create(revisions(namespace), REVISION)
    deleted = alice.delete(revisions(namespace, REVISION["metadata"]["name"]))
    words = "this revision is what an agent was granted"
    assert (refused(forged, words), made.code, refused(deleted, words)) == (True, 201, True)


@pytest.mark.parametrize("label", ["remit.dev/run", "remit.dev/agent", "remit.dev/warm", "remit.dev/parent"])
@pytest.mark.parametrize("plural", ["agents", "agentruns"])
def test_reserved_labels_are_remits(kube: Kube, namespace: str, plural: str, label: str) -> None:
    thing = an_agent("labelled")
    if plural == "agentruns":
        thing |= {"kind": "AgentRun", "spec": {"agent": "teller", "purpose": "card-dispute"}}
    thing["metadata"] |= {"namespace": namespace, "labels": {label: "x"}}
    path = f"{REMIT.format(namespace, plural)}?dryRun=All"
    answers = [kube.acting_as(user, ADMIN).send("POST", path, thing) for user in ("alice", CONTROLLER)]
    assert (refused(answers[0], RESERVED), answers[1].code) == (True, 201), answers


def test_a_pod_has_no_reserved_label_either(kube: Kube, namespace: str) -> None:
    spec = {"containers": [{"name": "a", "image": "remit.dev/none:1"}], "automountServiceAccountToken": False}
    pod = {"metadata": {"name": "plain", "labels": {"remit.dev/agent": "teller"}}, "spec": spec}
    answer = kube.acting_as("alice", ADMIN).send("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", pod)
    assert refused(answer, RESERVED)


FLOOR: dict[str, Any] = {
    "images": "Digest",
    "runtimeClassNames": ["gvisor", "kata"],
    "maxCPUMillis": 1000,
    "maxMemoryMiB": 512,
}
GVISOR = {"runtimeClassName": "gvisor"}
BELOW: dict[str, tuple[dict[str, Any], str]] = {
    "an image by tag": ({"runtime": TAGGED, "sandbox": GVISOR}, "must be named by digest"),
    "no runtime class": ({"runtime": PINNED}, "spec.sandbox.runtimeClassName must be one of"),
    "another runtime class": ({"sandbox": {"runtimeClassName": "runc"}}, "spec.sandbox.runtimeClassName must be one"),
    "too much cpu": ({"sandbox": {**GVISOR, "cpuMillis": 1001}}, "spec.sandbox.cpuMillis is more than"),
    "too much memory": ({"sandbox": {**GVISOR, "memoryMiB": 513}}, "spec.sandbox.memoryMiB is more than"),
}


@pytest.fixture(scope="module", params=["the team's own", "the platform's"])
def floored(kube: Kube, namespace: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace under a floor, its own or the platform's; agents of the name `free` are not under it."""
    home = namespace if request.param == "the team's own" else "remit-system"
    tenant = f"{namespace}-{'own' if home == namespace else 'platform'}"
    made = kube.create("/api/v1/namespaces", {"metadata": {"name": tenant, "labels": {"floor": tenant}}})
    assert made.code == 201, made.message
    home = tenant if home == namespace else home
    selector = {"namespaceSelector": {"floor": tenant}} if home == "remit-system" else {}
    policy = a_policy(f"floor-{tenant}", home, sandbox=FLOOR, agents={"names": ["bound"]}, **selector)
    answer = kube.create(REMIT.format(home, "policies"), policy)
    assert answer.code == 201, answer.message
    yield tenant
    kube.delete(f"{REMIT.format(home, 'policies')}/floor-{tenant}")
    kube.delete(f"/api/v1/namespaces/{tenant}")


def apply_agent(kube: Kube, namespace: str, name: str = "bound", **spec: Any) -> Answer:
    """Create an agent without effect."""
    agent = an_agent(name, **spec)
    agent["metadata"]["namespace"] = namespace
    return kube.acting_as("alice", ADMIN).send("POST", f"{REMIT.format(namespace, 'agents')}?dryRun=All", agent)


@pytest.mark.parametrize(("spec", "words"), BELOW.values(), ids=BELOW)
def test_an_agent_below_a_floor_is_refused(kube: Kube, floored: str, spec: dict[str, Any], words: str) -> None:
    eventually(lambda: refused(apply_agent(kube, floored, **spec), words), why="the agent is refused")


def test_an_agent_above_the_floor_and_one_of_another_name_are_let_in(kube: Kube, floored: str) -> None:
    above = apply_agent(kube, floored, runtime=PINNED, sandbox={**GVISOR, "cpuMillis": 1000, "memoryMiB": 512})
    other = apply_agent(kube, floored, "free", runtime=TAGGED)
    assert (above.message, other.message) == ("", "")


def test_a_floor_that_was_raised_later_keeps_nobody_from_suspending_an_agent(kube: Kube, namespace: str) -> None:
    agent = an_agent("earlier", runtime=TAGGED)
    agent["metadata"]["namespace"] = namespace
    made = kube.create(REMIT.format(namespace, "agents"), agent)
    policy = a_policy("raised", namespace, sandbox=FLOOR, agents={"names": ["earlier"]})
    raised = kube.create(REMIT.format(namespace, "policies"), policy)
    assert (made.message, raised.message) == ("", "")
    eventually(
        lambda: refused(apply_agent(kube, namespace, "earlier", runtime=TAGGED), "must be named by digest"),
        why="the floor holds",
    )
    suspended = kube.patch(f"{REMIT.format(namespace, 'agents')}/earlier", {"spec": {"lifecycle": "Suspended"}})
    assert suspended.code == 200, suspended.message


STRANGERS: dict[str, tuple[str, dict[str, Any]]] = {
    "pods": ("/api/v1/namespaces/{}/pods", {"spec": {"containers": [{"name": "a", "image": "remit.dev/none:1"}]}}),
    "serviceaccounts": ("/api/v1/namespaces/{}/serviceaccounts", {}),
    "networkpolicies": (
        "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
        {"spec": {"podSelector": {"matchLabels": {"app": "web"}}}},
    ),
    "controllerrevisions": ("/apis/apps/v1/namespaces/{}/controllerrevisions", {"revision": 1, "data": {}}),
}


@pytest.mark.parametrize("plural", STRANGERS)
def test_the_controller_changes_and_deletes_nothing_of_others(kube: Kube, namespace: str, plural: str) -> None:
    collection, body = STRANGERS[plural]
    path = collection.format(namespace)
    made = kube.create(path, {"metadata": {"name": "of-others"}, **body})
    assert made.code == 201, made.message
    controller = kube.acting_as(CONTROLLER, ADMIN)
    change = {"metadata": {"labels": {"a": "b"}}}
    words = "hands: Remit's controller changes and deletes sandboxes"
    changing = controller.send("PATCH", f"{path}/of-others?dryRun=All", change, kind=MERGE)
    # two guards refuse a network policy, and the apiserver tells of either
    assert refused(changing, words) or refused(changing, "policy: an agent's policy")
    assert refused(controller.send("DELETE", f"{path}/of-others?dryRun=All"), words)
