"""How to reach the apiserver: from a kubeconfig, from a pod's files, and what is said when neither will do."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from remit.adapters.access import AccessError, find_access, from_kubeconfig, from_pod
from remit.adapters.resources import Resource, plural_of


def a_kubeconfig(path: Path, user: dict[str, Any], **cluster: Any) -> Path:
    config = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://10.0.0.1:6443/", **cluster}}],
        "users": [{"name": "u", "user": user}],
    }
    file = path / "kubeconfig"
    file.write_text(json.dumps(config))
    return file


def test_a_kubeconfig_with_everything_inside(tmp_path: Path) -> None:
    pem = base64.b64encode(b"PEM").decode()
    user = {"client-certificate-data": pem, "client-key-data": pem}
    access = from_kubeconfig(a_kubeconfig(tmp_path, user, **{"certificate-authority-data": pem}))

    assert (access.server, access.authority, access.certificate, access.key) == (
        "https://10.0.0.1:6443",
        "PEM",
        "PEM",
        "PEM",
    )


def test_a_kubeconfig_that_names_files(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("PEM")
    (tmp_path / "token").write_text("one\n")
    file = a_kubeconfig(tmp_path, {"tokenFile": "token"}, **{"certificate-authority": "ca.pem"})
    access = find_access({"KUBECONFIG": str(file)})
    assert (access.authority, access.read_token()) == ("PEM", "one")

    (tmp_path / "token").write_text("two\n")

    assert access.read_token() == "two"


def test_a_pods_own_files(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("PEM")
    (tmp_path / "token").write_text("t")
    access = from_pod({"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}, tmp_path)

    assert (access.server, access.authority, access.read_token()) == ("https://[fd00::1]:443", "PEM", "t")


def test_a_pod_without_its_token_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="is the account's token mounted"):
        from_pod({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, tmp_path)


def test_plugins_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="plugins for credentials"):
        from_kubeconfig(a_kubeconfig(tmp_path, {"exec": {"command": "cloud"}}))


@pytest.mark.parametrize("text", ["", "[]", "a: b", "{"])
def test_what_is_no_kubeconfig_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad").write_text(text)
    with pytest.raises(AccessError, match="is not a kubeconfig"):
        from_kubeconfig(tmp_path / "bad")


@pytest.mark.parametrize(
    ("api_version", "kind", "path"),
    [
        ("v1", "Pod", "/api/v1/namespaces/bank/pods/x"),
        ("networking.k8s.io/v1", "NetworkPolicy", "/apis/networking.k8s.io/v1/namespaces/bank/networkpolicies/x"),
        ("remit.dev/v1alpha1", "Policy", "/apis/remit.dev/v1alpha1/namespaces/bank/policies/x"),
        ("v1", "Namespace", "/api/v1/namespaces/x"),
    ],
)
def test_paths(api_version: str, kind: str, path: str) -> None:
    assert Resource(api_version, kind).path("bank", "x") == path


def test_a_name_cannot_leave_its_place() -> None:
    assert Resource("v1", "Pod").path("a/b", "../c") == "/api/v1/namespaces/a%2Fb/pods/..%2Fc"


def test_plurals() -> None:
    assert [plural_of(kind) for kind in ("Gateway", "Ingress", "EndpointSlice")] == [
        "gateways",
        "ingresses",
        "endpointslices",
    ]
