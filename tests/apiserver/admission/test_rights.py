"""What the accounts may do, by the apiserver's own word: enough for their work, and no Secret can be listed."""

import pytest
from tests.support.kube import Kube

CONTROLLER = "system:serviceaccount:remit-system:remit-controller"
GATEWAY = "system:serviceaccount:remit-system:remit-gateway"
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


def may(kube: Kube, user: str, verb: str, resource: str, *, namespace: str = "anywhere", name: str = "") -> bool:
    """Ask the apiserver whether the user may; `resource` is RESOURCE[.GROUP][/SUBRESOURCE]."""
    whole, _, subresource = resource.partition("/")
    plural, _, group = whole.partition(".")
    attributes = {
        "namespace": namespace,
        "verb": verb,
        "group": group,
        "resource": plural,
        "subresource": subresource,
        "name": name,
    }
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}
    answer = kube.send("POST", REVIEWS, {**review, "spec": {"user": user, "resourceAttributes": attributes}})
    return bool(answer.body["status"]["allowed"])


@pytest.mark.parametrize("user", [CONTROLLER, GATEWAY])
@pytest.mark.parametrize("verb", ["get", "list", "watch", "create", "patch", "delete", "deletecollection"])
@pytest.mark.parametrize("namespace", ["anywhere", "remit-system"])
def test_no_account_of_ours_reaches_secrets(kube: Kube, user: str, verb: str, namespace: str) -> None:
    assert not may(kube, user, verb, "secrets", namespace=namespace)


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("create", "pods"),
        ("create", "networkpolicies.networking.k8s.io"),
        ("delete", "networkpolicies.networking.k8s.io"),
        ("create", "serviceaccounts"),
        ("create", "controllerrevisions.apps"),
        ("create", "events"),
        ("list", "agentruns.remit.dev"),
        ("delete", "agentruns.remit.dev"),
        ("create", "agentruns.remit.dev"),
    ],
)
def test_the_gateway_changes_nothing_but_its_part_of_status(kube: Kube, verb: str, resource: str) -> None:
    assert may(kube, GATEWAY, verb, resource) == (verb == "list")


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("create", "agentruns.remit.dev"),
        ("patch", "agentruns.remit.dev"),
        ("delete", "agentruns.remit.dev"),
        ("update", "controllerrevisions.apps"),
        ("create", "pods/exec"),
        ("create", "serviceaccounts/token"),
        ("create", "rolebindings.rbac.authorization.k8s.io"),
        ("create", "tokenreviews.authentication.k8s.io"),
        ("get", "services"),
        ("update", "leases.coordination.k8s.io"),
        ("impersonate", "users"),
    ],
)
def test_the_controller_has_no_authority_of_its_own(kube: Kube, verb: str, resource: str) -> None:
    assert not may(kube, CONTROLLER, verb, resource)


@pytest.mark.parametrize(
    ("user", "verb", "resource"),
    [
        (CONTROLLER, "get", "services/remit-gateway"),
        (CONTROLLER, "create", "controllerrevisions.apps/"),
        (GATEWAY, "create", "tokenreviews.authentication.k8s.io/"),
        (GATEWAY, "watch", "pods/"),
    ],
)
def test_what_their_work_needs_they_may(kube: Kube, user: str, verb: str, resource: str) -> None:
    plural, _, name = resource.partition("/")
    assert may(kube, user, verb, plural, namespace="remit-system", name=name)
