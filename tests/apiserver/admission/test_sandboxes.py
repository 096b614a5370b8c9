"""What closes a sandbox stays in the controller's hands, whoever else has rights in the namespace."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.kube import Answer, Kube
from tests.support.objects import an_agent
from tests.support.polling import eventually
from tests.support.sandboxes import make, place, release

ADMIN = "system:masters"
CONTROLLER = "system:serviceaccount:remit-system:remit-controller"
GATEWAY = "system:serviceaccount:remit-system:remit-gateway"
CLEANERS = (
    "system:serviceaccount:kube-system:namespace-controller",
    "system:serviceaccount:kube-system:generic-garbage-collector",
)
PEOPLE = ("alice", GATEWAY, "system:serviceaccount:kube-system:replicaset-controller")
LABELS = {"remit.dev/sandbox": "container", "remit.dev/agent": "resolver", "remit.dev/run": "dispute-4711"}
CLOSED = "this NetworkPolicy closes sandboxes: only Remit's controller may change it"
STANDING = "remit-sandbox-deny"
OF_AGENT = "remit-agent-resolver"
RUNS = "/apis/remit.dev/v1alpha1/namespaces/{}/agentruns"


def pods(namespace: str, name: str = "") -> str:
    """Return the path of pods, or of one."""
    return f"/api/v1/namespaces/{namespace}/pods{f'/{name}' if name else ''}"


def policies(namespace: str, name: str = "") -> str:
    """Return the path of network policies, or of one."""
    return f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies{f'/{name}' if name else ''}"


def pod(name: str, labels: dict[str, str]) -> dict[str, Any]:
    """Return a pod that no node will run."""
    containers = [{"name": "agent", "image": "remit.dev/none:1", "imagePullPolicy": "Never"}]
    spec = {"containers": containers, "schedulerName": "nobody", "automountServiceAccountToken": False}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


def network_policy(name: str) -> dict[str, Any]:
    """Return a policy that closes."""
    spec = {
        "podSelector": {"matchExpressions": [{"key": "remit.dev/sandbox", "operator": "Exists"}]},
        "policyTypes": ["Ingress", "Egress"],
    }
    return {"metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def sandbox(kube: Kube, namespace: str) -> Iterator[str]:
    """A namespace where the controller made a sandbox with all that closes it, for the run `visited`."""
    run = {"apiVersion": "remit.dev/v1alpha1", "kind": "AgentRun", "metadata": {"name": "visited"}}
    made = kube.create(RUNS.format(namespace), {**run, "spec": {"agent": "resolver", "purpose": "card-dispute"}})
    assert made.code == 201, made.message
    for what in ("deny", "policy", "account"):
        place(kube, make(what, namespace, "resolver"))
    for name, what, owner in (("sandbox", "container", made.body), ("warm", "warm", an_agent_of(kube, namespace))):
        whole = make(what, namespace, "resolver")
        whole["metadata"]["name"] = name
        place(kube, {**whole, "spec": {**whole["spec"], "schedulerName": "nobody"}}, owner=owner)
    plain = kube.create(pods(namespace), pod("plain", {"app": "web"}))
    assert plain.code == 201, plain.message
    yield namespace
    release(kube, namespace)


def an_agent_of(kube: Kube, namespace: str) -> dict[str, Any]:
    """Make the agent, which owns the pods that stand ready."""
    agent = an_agent("resolver")
    agent["metadata"]["namespace"] = namespace
    made = kube.create(f"/apis/remit.dev/v1alpha1/namespaces/{namespace}/agents", agent)
    assert made.code == 201, made.message
    return made.body


def refused(answer: Answer, words: str) -> bool:
    """Tell whether admission refused, in these words."""
    return answer.code == 403 and words in answer.message


@pytest.mark.parametrize("user", PEOPLE)
def test_only_the_controller_makes_a_sandbox(kube: Kube, sandbox: str, user: str) -> None:
    answer = kube.acting_as(user, ADMIN).create(pods(sandbox), pod("forged", LABELS))
    assert refused(answer, "label remit.dev/sandbox is for pods that Remit's controller makes")


@pytest.mark.parametrize("user", PEOPLE)
def test_no_pod_becomes_a_sandbox_later(kube: Kube, sandbox: str, user: str) -> None:
    answer = kube.acting_as(user, ADMIN).patch(pods(sandbox, "plain"), {"metadata": {"labels": LABELS}})
    assert refused(answer, "labels of a sandbox are its controller's")


@pytest.mark.parametrize(
    "labels",
    [
        {"remit.dev/sandbox": None},
        {"remit.dev/sandbox": "harness"},
        {"remit.dev/agent": "other"},
        {"remit.dev/run": None},
        {"app": "web"},
        dict.fromkeys(LABELS),
    ],
    ids=["sandbox-removed", "sandbox-changed", "agent-changed", "run-removed", "another-added", "all-removed"],
)
def test_a_sandbox_keeps_its_labels(kube: Kube, sandbox: str, labels: dict[str, str | None]) -> None:
    answer = kube.acting_as("alice", ADMIN).patch(pods(sandbox, "sandbox"), {"metadata": {"labels": labels}})
    assert refused(answer, "labels of a sandbox are its controller's")


def test_anyone_with_rights_may_quarantine_and_only_the_controller_lets_go(kube: Kube, sandbox: str) -> None:
    path, alice, controller = (
        pods(sandbox, "sandbox"),
        kube.acting_as("alice", ADMIN),
        kube.acting_as(CONTROLLER, ADMIN),
    )
    on = alice.patch(path, {"metadata": {"labels": {"remit.dev/quarantine": "suspicious"}}})
    off: dict[str, Any] = {"metadata": {"labels": {"remit.dev/quarantine": None}}}
    back = alice.patch(path, off)
    assert (on.code, back.code, controller.patch(path, off).code) == (200, 403, 200)


@pytest.mark.parametrize("field", ["containers", "initContainers"])
def test_nobody_puts_another_image_into_a_sandbox(kube: Kube, sandbox: str, field: str) -> None:
    change = {
        "spec": {field: [{"name": "agent" if field == "containers" else "remit-sidecar", "image": "remit.dev/evil:1"}]}
    }
    path = pods(sandbox, "sandbox")
    alice, controller = kube.acting_as("alice", ADMIN), kube.acting_as(CONTROLLER, ADMIN)
    kind = "application/strategic-merge-patch+json"
    answer = alice.send("PATCH", path, change, kind=kind)
    words = "images of a sandbox stay as they were made"
    assert refused(answer, words)
    assert refused(controller.send("PATCH", f"{path}?dryRun=All", change, kind=kind), words)


def test_a_sandbox_keeps_its_owner(kube: Kube, sandbox: str) -> None:
    other = {"apiVersion": "v1", "kind": "ConfigMap", "name": "other", "uid": "1"}
    change = {"metadata": {"ownerReferences": [other]}}
    path = f"{pods(sandbox, 'sandbox')}?dryRun=All"
    alice, cleaner = kube.acting_as("alice", ADMIN), kube.acting_as(CLEANERS[1], ADMIN)
    kind = "application/merge-patch+json"
    assert refused(alice.send("PATCH", path, change, kind=kind), "the owner of a sandbox is its run")
    assert cleaner.send("PATCH", path, change, kind=kind).code == 200


def claim(run: dict[str, Any]) -> dict[str, Any]:
    """Return the patch by which a run takes a pod that stood ready."""
    owner = {"apiVersion": "remit.dev/v1alpha1", "kind": "AgentRun", "name": "visited", "controller": True}
    labels = {"remit.dev/warm": None, "remit.dev/run": "visited"}
    return {"metadata": {"labels": labels, "ownerReferences": [{**owner, "uid": run["metadata"]["uid"]}]}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": {"remit.dev/warm": None}}, "labels of a sandbox stay as they were made"),
        ({"labels": {"remit.dev/run": "visited"}}, "labels of a sandbox stay as they were made"),
        ({"labels": {"remit.dev/agent": "other"}}, "labels of a sandbox stay as they were made"),
        ({"ownerReferences": []}, "the owner of a sandbox is its run"),
    ],
    ids=["no-longer-warm", "warm-and-of-a-run", "of-another-agent", "of-nobody"],
)
def test_the_controller_changes_no_pod_that_stands_ready_but_for_a_run(
    kube: Kube, sandbox: str, change: dict[str, Any], words: str
) -> None:
    path = f"{pods(sandbox, 'warm')}?dryRun=All"
    kind = "application/merge-patch+json"
    assert refused(kube.acting_as(CONTROLLER, ADMIN).send("PATCH", path, {"metadata": change}, kind=kind), words)


def test_a_run_takes_a_pod_that_stood_ready_by_the_controllers_hand_only(kube: Kube, sandbox: str) -> None:
    path, kind = f"{pods(sandbox, 'warm')}?dryRun=All", "application/merge-patch+json"
    patch = claim(kube.get(f"{RUNS.format(sandbox)}/visited").body)
    by_controller = kube.acting_as(CONTROLLER, ADMIN).send("PATCH", path, patch, kind=kind)
    by_alice = kube.acting_as("alice", ADMIN).send("PATCH", path, patch, kind=kind)
    assert (by_controller.message, refused(by_alice, "labels of a sandbox are its controller's")) == ("", True)


def test_a_sandbox_gets_no_further_network_later(kube: Kube, sandbox: str) -> None:
    change = {"metadata": {"annotations": {"k8s.v1.cni.cncf.io/networks": "open"}}}
    answer = kube.acting_as("alice", ADMIN).patch(pods(sandbox, "sandbox"), change)
    assert refused(answer, "annotations that give a pod another network")


def test_a_sandbox_keeps_its_limits(kube: Kube, sandbox: str) -> None:
    more = {"spec": {"containers": [{"name": "agent", "resources": {"limits": {"cpu": "8"}}}]}}
    path, kind = f"{pods(sandbox, 'sandbox')}/resize", "application/strategic-merge-patch+json"
    assert refused(kube.acting_as("alice", ADMIN).send("PATCH", path, more, kind=kind), "limits stay as they were made")


def test_a_sandbox_may_be_described_by_others(kube: Kube, sandbox: str) -> None:
    answer = kube.acting_as("alice", ADMIN).patch(pods(sandbox, "sandbox"), {"metadata": {"annotations": {"a": "b"}}})
    assert answer.code == 200, answer.message


@pytest.fixture(scope="module")
def run_of_sandbox(kube: Kube, sandbox: str) -> str:
    """The run whose pod the sandbox is; returns its path."""
    run = {"apiVersion": "remit.dev/v1alpha1", "kind": "AgentRun", "metadata": {"name": "visited"}}
    path = f"{RUNS.format(sandbox)}/visited"
    status = {**run, "status": {"pod": {"name": "sandbox", "uid": "1"}}}
    whole = f"{path}/status?fieldManager=test"
    told = kube.acting_as(CONTROLLER, ADMIN).send("PATCH", whole, status, kind="application/apply-patch+yaml")
    assert told.code == 200, told.message
    return path


@pytest.mark.parametrize("visit", ["exec?command=sh", "attach", "portforward?ports=8765", "proxy/"])
def test_nobody_goes_into_a_sandbox(kube: Kube, sandbox: str, run_of_sandbox: str, visit: str) -> None:
    assert run_of_sandbox
    alice = kube.acting_as("alice", ADMIN)
    words = "whoever is inside a sandbox acts in its run's name"
    eventually(
        lambda: refused(alice.send("POST", f"{pods(sandbox, 'sandbox')}/{visit}", {}), words),
        why="the visit is refused",
    )
    assert words not in alice.send("POST", f"{pods(sandbox, 'plain')}/{visit}", {}).message


@pytest.mark.parametrize("name", ["remit-warm-teller-0123456789", "visited-1", "visited-1-r2"])
def test_nobody_goes_into_a_pod_that_stands_ready_or_is_being_made(kube: Kube, sandbox: str, name: str) -> None:
    alice = kube.acting_as("alice", ADMIN)
    eventually(
        lambda: alice.send("POST", f"{pods(sandbox, name)}/exec?command=sh", {}),
        lambda answer: refused(answer, "in a run's name") or refused(answer, "in its run's name"),
        why="the visit is refused",
    )


def test_nobody_adds_a_container_to_a_sandbox(kube: Kube, sandbox: str) -> None:
    debug = {"spec": {"ephemeralContainers": [{"name": "debug", "image": "remit.dev/none:1"}]}}
    path = f"{pods(sandbox, 'sandbox')}/ephemeralcontainers"
    answer = kube.acting_as("alice", ADMIN).send("PATCH", path, debug, kind="application/strategic-merge-patch+json")
    assert refused(answer, "a container added to a sandbox would act in the run's name")


def test_other_pods_are_nobodys_business(kube: Kube, sandbox: str) -> None:
    alice = kube.acting_as("alice", ADMIN)
    answer = alice.patch(pods(sandbox, "plain"), {"metadata": {"labels": {"app": "shop"}}})
    assert answer.code == 200, answer.message


@pytest.mark.parametrize("name", [STANDING, OF_AGENT])
@pytest.mark.parametrize("user", PEOPLE)
def test_nobody_deletes_what_closes_a_sandbox(kube: Kube, sandbox: str, user: str, name: str) -> None:
    assert refused(kube.acting_as(user, ADMIN).delete(policies(sandbox, name)), CLOSED)


@pytest.mark.parametrize("user", [*PEOPLE, *CLEANERS])
def test_nobody_opens_what_closes_a_sandbox(kube: Kube, sandbox: str, user: str) -> None:
    change: dict[str, Any] = {"spec": {"egress": [{}]}}
    answer = kube.acting_as(user, ADMIN).patch(policies(sandbox, STANDING), change)
    assert refused(answer, CLOSED) or refused(answer, "this one would open sandboxes")


def test_nobody_deletes_all_policies_at_once(kube: Kube, sandbox: str) -> None:
    answer = kube.acting_as("alice", ADMIN).delete(policies(sandbox))
    left = {item["metadata"]["name"] for item in kube.get(policies(sandbox)).body["items"]}
    assert (answer.code, left >= {STANDING, OF_AGENT}) == (403, True)


def test_nobody_takes_a_name_that_closes_before_the_controller_does(kube: Kube, sandbox: str) -> None:
    answer = kube.acting_as("alice", ADMIN).create(policies(sandbox), network_policy("remit-agent-next"))
    assert refused(answer, CLOSED)


def test_other_policies_are_their_owners(kube: Kube, sandbox: str) -> None:
    alice = kube.acting_as("alice", ADMIN)
    made = alice.create(policies(sandbox), network_policy("web"))
    assert (made.code, alice.delete(policies(sandbox, "web")).code) == (201, 200)


@pytest.mark.parametrize("user", [CONTROLLER, *CLEANERS])
def test_the_controller_and_kubernetes_own_cleaners_delete(kube: Kube, namespace: str, user: str) -> None:
    made = place(kube, make("policy", namespace, user.rpartition(":")[2]))
    assert kube.acting_as(user, ADMIN).delete(policies(namespace, made["metadata"]["name"])).code == 200


DNS: dict[str, Any] = {"ports": [{"protocol": "UDP", "port": 53}]}
OPENING = [
    {},
    {"matchLabels": {"remit.dev/agent": "resolver"}},
    {"matchLabels": {"remit.dev/sandbox": "harness"}},
    {"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]},
    {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]},
    {"matchExpressions": [{"key": "remit.dev/quarantine", "operator": "Exists"}]},
    {"matchLabels": {"topology.kubernetes.io/zone": "a"}},
]
LEAVING_OUT = [
    {"matchLabels": {"app": "web"}},
    {"matchExpressions": [{"key": "app", "operator": "Exists"}]},
    {"matchExpressions": [{"key": "remit.dev/sandbox", "operator": "DoesNotExist"}]},
]


def opening(name: str, selector: dict[str, Any]) -> dict[str, Any]:
    """Return a policy that lets the selected pods ask for names."""
    return {"metadata": {"name": name}, "spec": {"podSelector": selector, "policyTypes": ["Egress"], "egress": [DNS]}}


def try_out(kube: Kube, namespace: str, selector: dict[str, Any]) -> Answer:
    """Let an administrator open the network for the selected pods, without effect."""
    return kube.acting_as("alice", ADMIN).send("POST", f"{policies(namespace)}?dryRun=All", opening("dns", selector))


@pytest.mark.parametrize("selector", OPENING, ids=str)
def test_nobody_opens_a_sandbox_by_another_policy(kube: Kube, sandbox: str, selector: dict[str, Any]) -> None:
    words = "policies add up, and this one would open sandboxes"
    eventually(lambda: refused(try_out(kube, sandbox, selector), words), why="the opening is refused")


@pytest.mark.parametrize("selector", LEAVING_OUT, ids=str)
def test_policies_that_leave_sandboxes_out_are_their_owners(kube: Kube, sandbox: str, selector: dict[str, Any]) -> None:
    assert try_out(kube, sandbox, selector).code == 201


@pytest.mark.parametrize("selector", OPENING, ids=str)
def test_where_no_sandbox_can_be_nothing_is_asked(kube: Kube, selector: dict[str, Any]) -> None:
    assert try_out(kube, "kube-public", selector).code == 201


def test_an_opening_is_not_added_later(kube: Kube, sandbox: str) -> None:
    alice, path = kube.acting_as("alice", ADMIN), policies(sandbox, "later")
    made = alice.create(policies(sandbox), {**network_policy("later"), "spec": {"podSelector": {}}})
    change = {"spec": {"egress": [DNS]}}
    assert made.code == 201
    eventually(lambda: refused(alice.patch(path, change), "would open sandboxes"), why="the change is refused")


def token(audience: str) -> dict[str, Any]:
    """Return a request for a token."""
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": [audience]}}


def test_only_a_node_gets_a_token_that_speaks_for_an_agent(kube: Kube, namespace: str) -> None:
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    place(kube, make("account", namespace, "asked-for"))
    asked = kube.acting_as("alice", ADMIN).send(
        "POST", f"{accounts}/remit-agent-asked-for/token", token("remit-gateway")
    )
    assert refused(asked, "tokens of audience remit-gateway are for the pods of runs: only their node may ask for one")


def test_tokens_of_other_accounts_and_audiences_are_nobodys_business(kube: Kube, namespace: str) -> None:
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    kube.create(accounts, {"metadata": {"name": "web"}})
    alice = kube.acting_as("alice", ADMIN)
    answer = alice.send("POST", f"{accounts}/web/token", token("remit-gateway"))
    assert answer.code == 201, answer.message
