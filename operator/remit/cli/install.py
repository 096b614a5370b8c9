"""`remit install` and `remit uninstall`: Remit on any cluster that kubectl reaches."""

import base64
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from remit.api.meta import ANNOTATION_REVISION, API_VERSION, CRD_REVISION
from remit.api.names import (
    CONTROLLER_ACCOUNT,
    DENY_POLICY,
    INSTALL_NAMESPACE,
    LABEL_MANAGED_BY,
    LABEL_SANDBOX,
    LEASE,
    MANAGED_BY,
    PROBE_RECORD,
    VERIFIER_CONFIG_MAP,
    VERIFIER_FIELD,
)
from remit.cli.manifests import (
    KEPT,
    PREPARATION,
    Images,
    Manifest,
    ManifestsError,
    Scope,
    deployments,
    guards_runs,
    release,
    to_stream,
)

__all__ = ["Images", "InstallError", "app", "install", "uninstall"]

app = typer.Typer(help="Install Remit on a cluster, or remove it.", no_args_is_help=True)
Say = Callable[[str], None]

FIELD_MANAGER = "remit-install"
KEY_SECRET = "remit-gateway-signing-key"  # noqa: S105 - a name
KEY_FILE = "ed25519.key"
KEY_MANAGER = "remit-keygen"
"""Its own, so that applying the manifests, where the key is not, takes nothing away."""
NEWEST_ADMISSION = "MutatingAdmissionPolicy"
"""Served as v1 from Kubernetes 1.36 on."""
READY_SECONDS = 180
NOT_YET = "failed to configure policy"
"""What the apiserver says while an admission policy asks about a kind that it has not found."""
ADMISSION_SECONDS = 60
"""It looks for new kinds every 30 s."""


class InstallError(Exception):
    """The cluster did not take it; the text says what kubectl said."""


@dataclass(frozen=True, slots=True)
class Target:
    """The cluster and the namespace to install to."""

    kubeconfig: Path | None
    kubectl: str
    namespace: str

    def run(self, *arguments: str, given: str = "") -> str:
        """Run kubectl and return what it printed."""
        where = ["--kubeconfig", str(self.kubeconfig)] if self.kubeconfig else []
        try:
            done = subprocess.run(
                [self.kubectl, *where, *arguments], input=given, capture_output=True, text=True, check=False
            )
        except FileNotFoundError as error:
            raise InstallError(f"{self.kubectl} is not on the PATH: install it, or give --kubectl") from error
        if done.returncode != 0:
            raise InstallError(f"kubectl {' '.join(arguments[:3])}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def apply(self, manifests: list[Manifest], manager: str = FIELD_MANAGER) -> None:
        """Apply on the server's side: what others own is left alone, what is ours is set."""
        self.run(
            *("apply", "--server-side", "--force-conflicts", f"--field-manager={manager}", "-f", "-"),
            given=to_stream(manifests),
        )


def install(
    kubeconfig: Path | None,
    images: Images,
    *,
    kubectl: str = "kubectl",
    namespace: str = INSTALL_NAMESPACE,
    scope: Scope = Scope.ALL,
    say: Say = print,
    wait: bool = True,
) -> None:
    """Install or update Remit, and wait until it serves. Doing it twice is doing it once."""
    target = Target(kubeconfig, kubectl, namespace)
    manifests = served(target, release(images, namespace, scope), say)
    kinds = [manifest for manifest in manifests if manifest["kind"] in PREPARATION]
    first = [*filter(guards_runs, manifests), *kinds]
    stop_older(target, manifests, say)
    target.apply(first)
    target.run("wait", "--for=condition=Established", "--timeout=60s", *crds(manifests))
    say(f"namespace {namespace} and {len(kinds) - 1} kinds are there")
    make_key(target, say)
    target.apply([manifest for manifest in manifests if manifest not in first])
    say("accounts, roles, admission policies, network policies, controller and gateway are applied")
    wait_admission(target)
    if wait:
        wait_available(target, deployments(manifests), say)


def served(target: Target, manifests: list[Manifest], say: Say) -> list[Manifest]:
    """Leave out what this apiserver does not know, and say what that means."""
    if NEWEST_ADMISSION in target.run("get", "--raw", "/apis/admissionregistration.k8s.io/v1"):
        return manifests
    say(
        f"this cluster serves no {NEWEST_ADMISSION} v1: users must write spec.requester themselves; it is still checked"
    )
    return [manifest for manifest in manifests if not manifest["kind"].startswith(NEWEST_ADMISSION)]


def crds(manifests: list[Manifest]) -> list[str]:
    """Return the CRDs as kubectl's arguments."""
    return [f"crd/{found['metadata']['name']}" for found in manifests if found["kind"] == "CustomResourceDefinition"]


def stop_older(target: Target, manifests: list[Manifest], say: Say) -> None:
    """End the programs of a version before: they take objects with fields that they do not know for invalid.

    The apiserver adds new fields with their defaults to what is stored, at the moment in which it has the new kinds.
    """
    revision = f"{{.metadata.annotations.{ANNOTATION_REVISION.replace('.', chr(92) + '.')}}}"
    known = target.run("get", "crd", "-o", "name")
    there = [name for name in crds(manifests) if name.removeprefix("crd/") in known]
    found = [target.run("get", name, "-o", f"jsonpath={revision}") for name in there]
    if all(int(each or 1) >= CRD_REVISION for each in found):
        return
    where = ("-n", target.namespace)
    for name in deployments(manifests):
        if target.run("get", "deployment", name, *where, "--ignore-not-found", "-o", "name"):
            target.run("scale", f"deployment/{name}", *where, "--replicas=0")
            pods = ("pod", "-l", f"app.kubernetes.io/name={name}")
            target.run("wait", "--for=delete", *pods, *where, f"--timeout={READY_SECONDS}s")
    say("controller and gateway of the version before are stopped: they do not know the new kinds")


def make_key(target: Target, say: Say) -> None:
    """Make the gateway's signing key if there is none; publish the key that verifies it."""
    from remit.adapters.signing import generate_key, parse_signing_key

    found = target.run(*_text("secret", KEY_SECRET, target.namespace, KEY_FILE))
    if found:
        verifier = parse_signing_key(base64.b64decode(found).decode()).verifier.text()
        say("the gateway keeps its signing key")
    elif target.run(*_text("configmap", VERIFIER_CONFIG_MAP, target.namespace, VERIFIER_FIELD)):
        say("the gateway keeps the signing key that it made for itself")
        return
    else:
        key, verifier = generate_key()
        target.run("create", "-f", "-", given=to_stream([stored(target, "Secret", KEY_SECRET, {KEY_FILE: key})]))
        where = f"{target.namespace}/{VERIFIER_CONFIG_MAP}"
        say(f"the gateway has a new signing key; what verifies it is in ConfigMap {where}")
    told = stored(target, "ConfigMap", VERIFIER_CONFIG_MAP, {VERIFIER_FIELD: verifier.strip()})
    target.apply([{**told, "immutable": True}], manager=KEY_MANAGER)


def _text(kind: str, name: str, namespace: str, field: str) -> tuple[str, ...]:
    """Return the question for one text of a Secret or ConfigMap."""
    escaped = field.replace(".", chr(92) + ".")
    return ("get", kind, name, "-n", namespace, "--ignore-not-found", "-o", f"jsonpath={{.data.{escaped}}}")


def stored(target: Target, kind: str, name: str, texts: dict[str, str]) -> Manifest:
    """Return a Secret or ConfigMap of the installation."""
    labels = {"app.kubernetes.io/part-of": "remit"}
    metadata = {"name": name, "namespace": target.namespace, "labels": labels}
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": metadata,
        "stringData" if kind == "Secret" else "data": texts,
    }


def wait_admission(target: Target) -> None:
    """Wait until admission knows the kinds that it asks about: until then it refuses every Agent, and so every user.

    Raises:
        InstallError: it still does not.

    """
    deadline = time.monotonic() + ADMISSION_SECONDS
    while (said := refusal(target)) and NOT_YET in said:
        if time.monotonic() > deadline:
            raise InstallError(f"after {ADMISSION_SECONDS} s admission still refuses every Agent: {said}")
        time.sleep(1)


def refusal(target: Target) -> str:
    """Return what the apiserver says against an Agent that nobody keeps; empty when it lets it in."""
    spec = {
        "owner": "remit-install",
        "purposes": ["probe"],
        "runtime": {"harness": {}},
        "instructions": {"inline": "None."},
        "model": {"grant": "none", "name": "none"},
    }
    metadata = {"name": "remit-install-probe", "namespace": target.namespace}
    agent = {"apiVersion": API_VERSION, "kind": "Agent", "metadata": metadata, "spec": spec}
    try:
        target.run("create", "--dry-run=server", "-f", "-", given=to_stream([agent]))
    except InstallError as error:
        return str(error)
    return ""


def wait_available(target: Target, names: list[str], say: Say) -> None:
    """Wait until every Deployment serves; else say what its pods say."""
    for name in names:
        try:
            target.run("rollout", "status", f"deployment/{name}", "-n", target.namespace, f"--timeout={READY_SECONDS}s")
        except InstallError as error:
            raise InstallError(f"{error}\n{symptoms(target, name)}") from error
        say(f"{name} is available")


def symptoms(target: Target, name: str) -> str:
    """Return what the pods, events and logs of a Deployment show."""
    where = ("-n", target.namespace)
    looks = (
        ("get", "deployments,pods", *where, "-o", "wide"),
        ("get", "events", *where, "--field-selector=type=Warning", "--sort-by=.lastTimestamp"),
        ("logs", f"deployment/{name}", *where, "--tail=20"),
    )
    seen = []
    for look in looks:
        try:
            seen.append(target.run(*look).strip())
        except InstallError as error:
            seen.append(str(error))
    return "\n".join(seen)


def uninstall(
    kubeconfig: Path | None,
    *,
    kubectl: str = "kubectl",
    namespace: str = INSTALL_NAMESPACE,
    scope: Scope = Scope.ALL,
    purge: bool = False,
    say: Say = print,
) -> None:
    """Remove Remit. Objects, ledger and signing key stay, unless it is a purge."""
    target = Target(kubeconfig, kubectl, namespace)
    manifests = served(target, release(Images("", "", ""), namespace, scope), say)
    if scope is Scope.NAMESPACE:
        leave_namespace(target, manifests, purge=purge, say=say)
        return
    if purge:
        end_runs(target, manifests, say)
    gone = [manifest for manifest in manifests if manifest["kind"] not in KEPT and (purge or not guards_runs(manifest))]
    target.run("delete", "--ignore-not-found", "-f", "-", given=to_stream(reversed(gone)))
    release_policies(target)
    say("controller, gateway, accounts, roles and admission policies are gone")
    if not purge:
        say(
            "kept: the objects and their kinds, with the admission policy that says who made a run; the ledger and the "
            f"key in {namespace}; --purge removes them too"
        )
        return
    target.run("delete", "networkpolicy", "-A", "-l", f"{LABEL_MANAGED_BY}={MANAGED_BY}", "--ignore-not-found")
    target.run("delete", "--ignore-not-found", *crds(manifests))
    target.run("delete", "namespace", namespace, "--ignore-not-found")
    say("objects, kinds, ledger and signing key are gone")


def leave_namespace(target: Target, manifests: list[Manifest], *, purge: bool, say: Say) -> None:
    """Remove what is one namespace's own; what an admin installed for all such namespaces stays."""
    here = ("-n", target.namespace)
    if purge:
        target.run("delete", ",".join(name.removeprefix("crd/") for name in crds(manifests)), *here, "--all")
        target.run("delete", "pods", *here, "-l", LABEL_SANDBOX, "--ignore-not-found")
    elif target.run("get", "pods", *here, "-l", LABEL_SANDBOX, "-o", "name"):
        raise InstallError(f"{target.namespace} has sandboxes: end its runs first, or remove all with --purge")
    for name in deployments(manifests):
        target.run("delete", "deployment", name, *here, "--ignore-not-found")
        target.run("wait", "--for=delete", "pod", "-l", f"app.kubernetes.io/name={name}", *here, "--timeout=60s")
    open_namespace(target, here)
    own = [manifest for manifest in manifests if is_own(manifest, target.namespace)]
    gone = [manifest for manifest in own if purge or manifest["kind"] not in KEPT]
    target.run("delete", "--ignore-not-found", "-f", "-", given=to_stream(reversed(gone)))
    if purge:
        ours = ("serviceaccount,controllerrevision,configmap", "-l", f"{LABEL_MANAGED_BY}={MANAGED_BY}")
        target.run("delete", *ours, *here, "--ignore-not-found", *by_controller(target))
        target.run("delete", "secret", KEY_SECRET, *here, "--ignore-not-found")
        target.run("delete", "lease", LEASE, *here, "--ignore-not-found")
    kept = "" if purge else "; its objects, ledger and key stay"
    say(f"{target.namespace} has no Remit any more{kept}; kinds and admission policies stay for other namespaces")


def open_namespace(target: Target, here: tuple[str, str]) -> None:
    """Take the policies away in which no sandbox is left, in the controller's name: admission lets nobody else."""
    chosen = ("networkpolicy", *here, "-l", f"{LABEL_MANAGED_BY}={MANAGED_BY}")
    target.run("delete", *chosen, "--wait=false", *by_controller(target))
    if target.run("get", "networkpolicy", DENY_POLICY, *here, "--ignore-not-found", "-o", "name"):
        held = '{"metadata": {"finalizers": null}}'
        target.run("patch", "networkpolicy", DENY_POLICY, *here, "--type=merge", "-p", held, *by_controller(target))


def by_controller(target: Target) -> tuple[str, ...]:
    """Return what makes kubectl speak in the controller's name."""
    user = f"system:serviceaccount:{target.namespace}:{CONTROLLER_ACCOUNT}"
    return ("--as", user, "--as-group", "system:masters")


def is_own(manifest: Manifest, namespace: str) -> bool:
    """Tell whether a manifest belongs to one namespace's installation and to no other's."""
    metadata = manifest["metadata"]
    home, name = str(metadata.get("namespace", "")), str(metadata["name"])
    return home == namespace or name.endswith(f"-in-{namespace}")


def release_policies(target: Target) -> None:
    """Let the standing policies go with their namespaces: nobody is left who would do it when the time comes."""
    # what the enforcement probe was made of goes with its record; a proof is of the network as it was
    target.run("delete", "configmap", PROBE_RECORD, "-n", target.namespace, "--ignore-not-found")
    found = target.run(
        *("get", "networkpolicy", "-A", "-l", f"{LABEL_MANAGED_BY}={MANAGED_BY}"),
        *("--field-selector", f"metadata.name={DENY_POLICY}", "-o", "jsonpath={.items[*].metadata.namespace}"),
    )
    for namespace in found.split():
        held = '{"metadata": {"finalizers": null}}'
        target.run("patch", "networkpolicy", DENY_POLICY, "-n", namespace, "--type=merge", "-p", held)


def end_runs(target: Target, manifests: list[Manifest], say: Say) -> None:
    """End every run while its sandbox is still closed: policies go only after the last pod."""
    plurals = {name.removeprefix("crd/") for name in crds(manifests)}
    known = target.run("get", "crd", "-o", "name")
    for plural in sorted(plurals):
        if f"/{plural}" in known and plural.startswith("agentruns."):
            target.run("delete", plural, "-A", "--all")
    target.run("delete", "pods", "-A", "-l", LABEL_SANDBOX, "--ignore-not-found")
    say("every run and its pod is gone")


@app.command("install")
def install_command(
    controller_image: Annotated[str, typer.Option(help="Image of the controller.")],
    gateway_image: Annotated[str, typer.Option(help="Image of the gateway.")],
    harness_image: Annotated[str, typer.Option(help="Image of the harness and of the sidecar.")],
    kubeconfig: Annotated[Path | None, typer.Option(help="Else $KUBECONFIG, as kubectl reads it.")] = None,
    namespace: Annotated[str, typer.Option(help="Where to install.")] = INSTALL_NAMESPACE,
    scope: Annotated[Scope, typer.Option(help="Look after the whole cluster, or that namespace only.")] = Scope.ALL,
    kubectl: Annotated[str, typer.Option(help="The kubectl program.")] = "kubectl",
    wait: Annotated[bool, typer.Option(help="Wait until everything serves.")] = True,
) -> None:
    """Install or update Remit on a cluster."""
    images = Images(controller_image, gateway_image, harness_image)
    try:
        install(kubeconfig, images, kubectl=kubectl, namespace=namespace, scope=scope, wait=wait)
    except (InstallError, ManifestsError) as error:
        print(error)
        raise typer.Exit(1) from error


@app.command("uninstall")
def uninstall_command(
    kubeconfig: Annotated[Path | None, typer.Option(help="Else $KUBECONFIG, as kubectl reads it.")] = None,
    namespace: Annotated[str, typer.Option(help="Where it is installed.")] = INSTALL_NAMESPACE,
    scope: Annotated[Scope, typer.Option(help="What it looks after.")] = Scope.ALL,
    kubectl: Annotated[str, typer.Option(help="The kubectl program.")] = "kubectl",
    purge: Annotated[bool, typer.Option(help="Also delete every object, the ledger and the signing key.")] = False,
) -> None:
    """Remove Remit from a cluster; what it recorded stays unless you purge it."""
    try:
        uninstall(kubeconfig, kubectl=kubectl, namespace=namespace, scope=scope, purge=purge)
    except (InstallError, ManifestsError) as error:
        print(error)
        raise typer.Exit(1) from error
