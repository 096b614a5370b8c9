"""`remit check`: what an installation lacks, before and after it is made, each with its remedy."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import typer

from remit.api.meta import ANNOTATION_REVISION, CRD_REVISION
from remit.api.names import (
    CONTROL_PORT,
    CONTROL_SERVICE,
    CONTROLLER_ACCOUNT,
    GATEWAY_ACCOUNT,
    INSTALL_NAMESPACE,
    LEASE,
    PROBE_RECORD,
    VERIFIER_CONFIG_MAP,
)
from remit.cli.install import InstallError, Target
from remit.cli.manifests import Images, Manifest, ManifestsError, Scope, release
from remit.cli.rights import refused, rights_of
from remit.core.probe import from_record

app = typer.Typer(help="Say what an installation lacks, with the remedy.", no_args_is_help=False)

OLDEST = (1, 33)
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
INSTALL_FIRST = "run `remit install`, or apply manifests/install.yaml"
TO_INSTALL = (
    "customresourcedefinitions.apiextensions.k8s.io",
    "clusterroles.rbac.authorization.k8s.io",
    "clusterrolebindings.rbac.authorization.k8s.io",
    "validatingadmissionpolicies.admissionregistration.k8s.io",
    "namespaces",
)
FOR_AN_ADMIN = "ask an admin of the cluster, or install for one namespace (docs/install.md)"


class Verdict(StrEnum):
    """How a thing is."""

    GOOD = "ok"
    WARNING = "warning"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    verdict: Verdict
    what: str
    remedy: str = ""

    def text(self) -> str:
        """Return it as a line, and the remedy as another."""
        return f"{self.verdict:<8} {self.what}" + (f"\n         → {self.remedy}" if self.remedy else "")


def good(what: str) -> Finding:
    """Return that all is well."""
    return Finding(Verdict.GOOD, what)


def missing(what: str, remedy: str) -> Finding:
    """Return what is wrong, and what to do."""
    return Finding(Verdict.MISSING, what, remedy)


def warning(what: str, remedy: str) -> Finding:
    """Return what is worth knowing, and what to do."""
    return Finding(Verdict.WARNING, what, remedy)


@dataclass(frozen=True)
class Look:
    """An installation, or the place for one."""

    target: Target

    @property
    def namespace(self) -> str:
        """Where it is, or will be."""
        return self.target.namespace

    @cached_property
    def made(self) -> list[Manifest]:
        """What such an installation consists of."""
        alone = "REMIT_WATCH_NAMESPACE" in str(self.here("deployment", "remit-controller"))
        return release(Images("", "", ""), self.namespace, Scope.NAMESPACE if alone else Scope.ALL)

    def read(self, *what: str) -> dict[str, Any]:
        """Return what kubectl gets; empty when there is none."""
        found: dict[str, Any] = json.loads(self.target.run("get", *what, "--ignore-not-found", "-o", "json") or "{}")
        return found

    def here(self, *what: str) -> dict[str, Any]:
        """Return something of the installation's namespace."""
        return self.read(*what, "-n", self.namespace)


Check = Callable[[Look], Iterator[Finding]]


def server_version(look: Look) -> Iterator[Finding]:
    """Look whether Kubernetes is new enough."""
    said = json.loads(look.target.run("version", "-o", "json"))["serverVersion"]
    version = int(said["major"]), int("".join(filter(str.isdigit, said["minor"])))
    shown, oldest = ".".join(map(str, version)), ".".join(map(str, OLDEST))
    if version >= OLDEST:
        yield good(f"Kubernetes {shown}")
    else:
        yield missing(f"Kubernetes {shown} is older than {oldest}", f"upgrade the cluster to {oldest} or newer")


def admission_served(look: Look) -> Iterator[Finding]:
    """Look whether the apiserver knows the admission policies."""
    kinds = {each["kind"] for each in json.loads(look.target.run("get", "--raw", ADMISSION))["resources"]}
    if "ValidatingAdmissionPolicy" in kinds:
        yield good("the apiserver serves ValidatingAdmissionPolicy v1")
    else:
        yield missing("the apiserver serves no ValidatingAdmissionPolicy v1", "enable admissionregistration.k8s.io/v1")
    if "MutatingAdmissionPolicy" not in kinds:
        yield warning(
            "the apiserver serves no MutatingAdmissionPolicy v1: nobody stamps spec.requester of a run",
            "users write it themselves, and it is checked to be them; Kubernetes 1.36 and newer stamp it",
        )


def may_install(look: Look) -> Iterator[Finding]:
    """Look whether this user may install for the whole cluster."""
    for resource in TO_INSTALL:
        if not allowed(look, "create", resource):
            yield missing(f"you may not create {resource}", FOR_AN_ADMIN)
            return
    yield good("you may install for the whole cluster")


def allowed(look: Look, verb: str, resource: str) -> bool:
    """Tell whether this user may do that."""
    try:
        return look.target.run("auth", "can-i", verb, resource, "--all-namespaces").strip() == "yes"
    except InstallError:  # kubectl says no by its exit code too
        return False


def storage(look: Look) -> Iterator[Finding]:
    """Look whether the ledger can have a volume."""
    claim = look.here("pvc", "remit-ledger")
    if claim:
        bound = claim.get("status", {}).get("phase") == "Bound"
        told = f"kubectl describe pvc remit-ledger -n {look.namespace}"
        yield good("the ledger's volume is bound") if bound else missing("the ledger's volume is not bound", told)
        return
    default = "storageclass.kubernetes.io/is-default-class"
    classes = look.read("storageclass").get("items", [])
    if any(each["metadata"].get("annotations", {}).get(default) == "true" for each in classes):
        yield good("there is a default StorageClass for the ledger")
    else:
        yield missing("there is no default StorageClass", "make one, or name one in the claim of the ledger")


def kinds_installed(look: Look) -> Iterator[Finding]:
    """Look whether the kinds are there, and new enough."""
    revisions = {}
    for each in look.read("crd", "-l", "app.kubernetes.io/part-of=remit").get("items", []):
        revisions[each["metadata"]["name"]] = int(each["metadata"].get("annotations", {}).get(ANNOTATION_REVISION, 1))
    wanted = [each["metadata"]["name"] for each in look.made if each["kind"] == "CustomResourceDefinition"]
    for name in wanted:
        if name not in revisions:
            yield missing(f"the kind {name} is not installed", INSTALL_FIRST)
        elif revisions[name] < CRD_REVISION:
            older = f"the kind {name} is of revision {revisions[name]}, older than {CRD_REVISION}"
            yield missing(older, "apply the new CRDs first: crds/, the chart remit-crds, or `remit install`")
    if all(revisions.get(name, 0) >= CRD_REVISION for name in wanted):
        yield good(f"{len(wanted)} kinds are there, of revision {CRD_REVISION} or newer")


def objects_there(look: Look) -> Iterator[Finding]:
    """Look whether everything that an installation consists of is there."""
    known = {"MutatingAdmissionPolicy"} if not serves_newest(look) else set()
    wanted = [each for each in look.made if not any(each["kind"].startswith(name) for name in known)]
    given = json.dumps({"apiVersion": "v1", "kind": "List", "items": wanted})
    found = json.loads(look.target.run("get", "--ignore-not-found", "-o", "json", "-f", "-", given=given) or "{}")
    there = {(each["kind"], each["metadata"]["name"]) for each in found.get("items", [found] if found else [])}
    lost = [each for each in wanted if (each["kind"], each["metadata"]["name"]) not in there]
    for each in lost:
        yield missing(f"{each['kind']} {each['metadata']['name']} is not there", INSTALL_FIRST)
    if not lost:
        yield good(f"{len(wanted)} objects of the installation are there")


def serves_newest(look: Look) -> bool:
    """Tell whether the apiserver knows the newest admission policies."""
    return '"MutatingAdmissionPolicy"' in look.target.run("get", "--raw", ADMISSION)


def rights(look: Look) -> Iterator[Finding]:
    """Look whether our accounts may do what they must."""
    for account in (CONTROLLER_ACCOUNT, GATEWAY_ACCOUNT):
        wanted = rights_of(look.made, account, look.namespace)
        lacking = refused(look.target, account, wanted)
        for right in lacking:
            yield missing(
                f"{account} may not {right.text()}", f"{INSTALL_FIRST}: its roles are not what they should be"
            )
        if not lacking:
            yield good(f"{account} may do all that it must: {len(wanted)} rights")


def enforcement(look: Look) -> Iterator[Finding]:
    """Look whether the network was seen to close sandboxes."""
    proof = from_record(look.here("configmap", PROBE_RECORD))
    if proof is None or proof.enforced is None:
        why = f": {proof.why}" if proof else ""
        told = f"no run starts before; kubectl logs -n {look.namespace} deployment/remit-controller"
        yield missing(f"NetworkPolicy was not proven to be enforced yet{why}", told)
    elif proof.enforced:
        yield good("NetworkPolicy is enforced: a probe could reach nothing")
    else:
        remedy = "install a network plugin that enforces NetworkPolicy; no run starts until the probe fails to get out"
        yield missing(f"NetworkPolicy is not enforced: {proof.why}", remedy)
    if proof is not None and proof.node_reachable:
        yield warning(
            "sandboxes can reach their own node, as the NetworkPolicy standard allows",
            "close the node's ports to pods; a policy's sandbox.nodeAccess refuses agents where it is so",
        )


def deployments_ready(look: Look) -> Iterator[Finding]:
    """Look whether controller and gateway are up, and who leads."""
    for name in ("remit-controller", "remit-gateway"):
        found = look.here("deployment", name)
        wanted, ready = found.get("spec", {}).get("replicas", 1), found.get("status", {}).get("readyReplicas", 0)
        if found and ready >= wanted:
            yield good(f"{name}: {ready} of {wanted} ready")
        else:
            told = f"kubectl describe pods -n {look.namespace} -l app.kubernetes.io/name={name}"
            yield missing(f"{name}: {ready} of {wanted} ready", told)
    holder = look.here("lease", LEASE).get("spec", {}).get("holderIdentity")
    if holder:
        yield good(f"{holder} leads")
    else:
        yield missing("no controller leads", f"kubectl logs -n {look.namespace} deployment/remit-controller")


def key_published(look: Look) -> Iterator[Finding]:
    """Look whether it is known what verifies the evidence."""
    if (look.here("configmap", VERIFIER_CONFIG_MAP).get("data") or {}).get("vkey"):
        yield good(f"what verifies the evidence is in ConfigMap {VERIFIER_CONFIG_MAP}")
    else:
        told = f"kubectl logs -n {look.namespace} deployment/remit-gateway says why; `remit install` makes a key"
        yield missing("nobody can verify the evidence: no key is published", told)


def gateway_reachable(look: Look) -> Iterator[Finding]:
    """Look whether the gateway answers people."""
    path = f"/api/v1/namespaces/{look.namespace}/services/{CONTROL_SERVICE}:{CONTROL_PORT}/proxy/readyz"
    try:
        look.target.run("get", "--raw", path)
    except InstallError as error:
        remedy = "let the apiserver in by a NetworkPolicy (docs/install.md), or bind remit-evidence-reader to yourself"
        yield missing(f"the gateway cannot be reached over the apiserver: {error}", remedy)
    else:
        yield good("the gateway answers over the apiserver")


BEFORE: tuple[Check, ...] = (server_version, admission_served, may_install, storage)
AFTER: tuple[Check, ...] = (
    server_version,
    admission_served,
    kinds_installed,
    objects_there,
    rights,
    storage,
    deployments_ready,
    key_published,
    gateway_reachable,
    enforcement,
)


def findings(look: Look, checks: Iterable[Check]) -> Iterator[Finding]:
    """Yield what the checks find; one that cannot look says so, and the others go on."""
    for check in checks:
        try:
            yield from check(look)
        except InstallError as error:
            what = check.__name__.replace("_", " ")
            yield missing(f"{what}: {error}", "kubectl must reach the cluster, and you must be allowed to look")


@app.command("check")
def check_command(
    *,
    pre: Annotated[bool, typer.Option("--pre", help="Look at the cluster only, before anything is installed.")] = False,
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Where it is installed.")] = INSTALL_NAMESPACE,
    kubeconfig: Annotated[Path | None, typer.Option(help="Else $KUBECONFIG, as kubectl reads it.")] = None,
    kubectl: Annotated[str, typer.Option(help="The kubectl program.")] = "kubectl",
) -> None:
    """Say what an installation lacks, with the remedy; exit 1 when something is missing."""
    look = Look(Target(kubeconfig, kubectl, namespace))
    failed = 0
    try:
        for finding in findings(look, BEFORE if pre else AFTER):
            failed += finding.verdict is Verdict.MISSING
            print(finding.text())
    except ManifestsError as error:
        print(error)
        raise typer.Exit(1) from error
    if failed:
        print(f"{failed} missing")
        raise typer.Exit(1)
    print("nothing is missing")
