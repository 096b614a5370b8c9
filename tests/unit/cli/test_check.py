"""`remit check` on clusters that lack one thing each: the line says what, and what to do."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from typing_extensions import override

from remit.api.meta import ANNOTATION_REVISION, CRD_REVISION
from remit.cli import check
from remit.cli.check import AFTER, BEFORE, Finding, Look, Verdict, findings
from remit.cli.install import InstallError, Target
from remit.cli.manifests import Images, release
from remit.core.probe import Proof, to_record

KINDS = ["ValidatingAdmissionPolicy", "MutatingAdmissionPolicy"]
MADE = release(Images("", "", ""))
READY = {"spec": {"replicas": 1}, "status": {"readyReplicas": 1}}


def spoken(answer: Any) -> str:
    """Return what kubectl prints, or raise what it says."""
    if isinstance(answer, Exception):
        raise answer
    return answer if isinstance(answer, str) else json.dumps(answer)


@dataclass(frozen=True)
class Answers(Target):
    """A cluster on which all is well, but for what a test says."""

    kubeconfig: Path | None = None
    kubectl: str = "kubectl"
    namespace: str = "remit-system"
    said: dict[str, Any] = field(default_factory=dict)

    @override
    def run(self, *arguments: str, given: str = "") -> str:
        asked = " ".join(arguments)
        whole = WELL | self.said
        for start in sorted(whole, key=len, reverse=True):
            if asked.startswith(start):
                return spoken(whole[start])
        if asked.startswith("create -o json"):
            return "\n".join(json.dumps({"status": {"allowed": True}}) for _ in given.split("\n---\n"))
        raise AssertionError(asked)


def a_crd(name: str, revision: int) -> dict[str, Any]:
    return {"metadata": {"name": name, "annotations": {ANNOTATION_REVISION: str(revision)}}}


def a_record(*, enforced: bool | None, reachable: bool = False) -> dict[str, Any]:
    """Return what the probe keeps."""
    return to_record("remit-system", Proof(1_800_000_000.0, enforced, reachable, "it got out"))


CRDS = [each["metadata"]["name"] for each in MADE if each["kind"] == "CustomResourceDefinition"]
CONTROL = "get --raw /api/v1/namespaces/remit-system/services/remit-gateway-control:8081/proxy/readyz"
WELL: dict[str, Any] = {
    "version": {"serverVersion": {"major": "1", "minor": "36+"}},
    "get --raw /apis/admissionregistration.k8s.io/v1": {"resources": [{"kind": kind} for kind in KINDS]},
    "auth can-i": "yes\n",
    "get pvc remit-ledger": {"status": {"phase": "Bound"}},
    "get storageclass": {"items": []},
    "get crd": {"items": [a_crd(name, CRD_REVISION) for name in CRDS]},
    "get --ignore-not-found -o json -f -": {"kind": "List", "items": MADE},
    "get deployment": READY,
    "get lease": {"spec": {"holderIdentity": "pod-1"}},
    "get configmap remit-verifier-key": {"data": {"vkey": "remit.dev/evidence+1+2"}},
    "get configmap remit-enforcement": a_record(enforced=True),
    CONTROL: "ok",
}


def looked(said: dict[str, Any], *, pre: bool = False) -> list[Finding]:
    """Return what is found where the cluster says that."""
    return list(findings(Look(Answers(said=said)), BEFORE if pre else AFTER))


def test_where_all_is_well_nothing_is_missing() -> None:
    assert {each.verdict for each in looked({})} == {Verdict.GOOD}
    default = {"metadata": {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}}
    bare = {"get pvc remit-ledger": "", "get storageclass": {"items": [default]}}
    assert {each.verdict for each in looked(bare, pre=True)} == {Verdict.GOOD}


@pytest.mark.parametrize(
    ("said", "what", "remedy"),
    [
        ({"version": {"serverVersion": {"major": "1", "minor": "32"}}}, "older than 1.33", "upgrade the cluster"),
        ({"get --raw /apis/admissionregistration.k8s.io/v1": {"resources": []}}, "no Validating", "enable"),
        ({"get crd": {"items": []}}, "agents.remit.dev is not installed", "remit install"),
        ({"get crd": {"items": [a_crd(name, 1) for name in CRDS]}}, "revision 1, older", "new CRDs first"),
        ({"get --ignore-not-found -o json -f -": {"kind": "List", "items": MADE[1:]}}, "is not there", "remit install"),
        ({"get pvc remit-ledger": {"status": {"phase": "Pending"}}}, "volume is not bound", "kubectl describe pvc"),
        ({"get pvc remit-ledger": ""}, "no default StorageClass", "make one"),
        ({"get deployment": ""}, "0 of 1 ready", "kubectl describe pods"),
        ({"get lease": ""}, "no controller leads", "kubectl logs"),
        ({"get configmap remit-verifier-key": {}}, "no key is published", "remit install"),
        ({"get configmap remit-enforcement": a_record(enforced=False)}, "enforced: it got out", "plugin"),
        ({"get configmap remit-enforcement": a_record(enforced=None)}, "yet: it got out", "kubectl logs"),
        ({"get configmap remit-enforcement": ""}, "not proven", "kubectl logs"),
        ({CONTROL: InstallError("timeout")}, "cannot be reached", "NetworkPolicy"),
        ({"create -o json": InstallError("forbidden")}, "rights: forbidden", "allowed to look"),
    ],
)
def test_what_is_missing_is_said_with_its_remedy(said: dict[str, Any], what: str, remedy: str) -> None:
    lacking = [each for each in looked(said) if each.verdict is Verdict.MISSING]
    assert any(what in each.what and remedy in each.remedy for each in lacking), [each.text() for each in lacking]


def test_a_right_that_is_refused_is_named() -> None:
    refused = "\n".join(json.dumps({"status": {"allowed": False}}) for _ in range(200))

    class Refusing(Answers):
        @override
        def run(self, *arguments: str, given: str = "") -> str:
            if arguments[0] == "create":
                return "\n".join(refused.splitlines()[: len(given.split("\n---\n"))])
            return super().run(*arguments, given=given)

    lacking = [each.what for each in findings(Look(Refusing()), (check.rights,))]
    assert "remit-gateway may not create tokenreviews everywhere" in lacking
    assert "remit-controller may not patch leases/remit-controller in remit-system" in lacking


def test_before_an_installation_it_is_said_who_may_not_install() -> None:
    (found,) = [each for each in looked({"auth can-i": InstallError("no")}, pre=True) if "may not" in each.what]
    assert (found.verdict, found.remedy) == (Verdict.MISSING, check.FOR_AN_ADMIN)


@pytest.mark.parametrize(("said", "code"), [({}, 0), ({"get lease": ""}, 1)])
def test_the_exit_code_says_whether_anything_is_missing(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, Any], code: int
) -> None:
    monkeypatch.setattr(check, "Target", lambda *_: replace(Answers(), said=said))
    told = CliRunner().invoke(check.app, [])
    assert told.exit_code == code, told.output
    assert ("nothing is missing" in told.output) is (code == 0)
