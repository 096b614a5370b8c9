"""`remit revoke` and `remit reinstate`: all authority in a namespace, or everywhere, taken back by one object.

The object is a Policy that revokes. In the install namespace it holds over other namespaces, where no tenant can undo
it; in a namespace of its own it needs no right beyond that namespace. It is the gateway that acts on it, and says so.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from remit.api.meta import API_VERSION
from remit.api.names import INSTALL_NAMESPACE
from remit.cli.install import InstallError, Target

app = typer.Typer(help="Take all authority back, and give it again.", no_args_is_help=True)

PREFIX = "remit-revoked"
FIELD_MANAGER = "remit-revoke"
NAMESPACE_NAME = "kubernetes.io/metadata.name"
"""A label that the apiserver puts on every namespace, and keeps."""
POLL_SECONDS = 0.1
BAD, USAGE = 1, 2
Say = Callable[[str], None]

NamespaceArgument = Annotated[str, typer.Argument(metavar="[NAMESPACE]", help="Whose agents; or --all.")]
All = Annotated[bool, typer.Option("--all", help="Every agent of the cluster.")]
Reason = Annotated[str, typer.Option(help="Why: it stands in every refusal, condition and record.")]
Own = Annotated[bool, typer.Option("--own", help="By a Policy in the namespace itself: its admins can undo it.")]
Seconds = Annotated[float, typer.Option("--timeout", help="Seconds to wait for the gateway's acknowledgement.")]
Kubeconfig = Annotated[Path | None, typer.Option(help="Else $KUBECONFIG, as kubectl reads it.")]
Kubectl = Annotated[str, typer.Option(help="The kubectl program.")]
InstallNamespace = Annotated[str, typer.Option(help="Where Remit is installed.", envvar="REMIT_NAMESPACE")]


@dataclass(frozen=True, slots=True)
class Scope:
    """What is taken back: one namespace, or with an empty name everything; and where the object stands that says so."""

    namespace: str
    home: str

    @property
    def name(self) -> str:
        """Name of the Policy."""
        if self.home == self.namespace:
            return PREFIX
        return f"{PREFIX}-{self.namespace}" if self.namespace else f"{PREFIX}.all"

    @property
    def words(self) -> str:
        """What it is, for people."""
        return f"every agent of namespace {self.namespace}" if self.namespace else "every agent of the cluster"


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The gateway's word: how long it took, and where it stands in the evidence log."""

    seconds: float
    log_index: int | None


@app.command("revoke")
def revoke_command(
    namespace: NamespaceArgument = "",
    everything: All = False,
    reason: Reason = "taken back by an administrator",
    own: Own = False,
    timeout: Seconds = 30.0,
    kubeconfig: Kubeconfig = None,
    kubectl: Kubectl = "kubectl",
    install_namespace: InstallNamespace = INSTALL_NAMESPACE,
) -> None:
    """Take all authority back: no new call, none in flight, and the runs end. Exit code 0 once it is acknowledged."""
    scope = scope_of(namespace, install_namespace, everything=everything, own=own)
    with_errors(lambda: _revoke(Target(kubeconfig, kubectl, install_namespace), scope, reason, timeout))


@app.command("reinstate")
def reinstate_command(
    namespace: NamespaceArgument = "",
    everything: All = False,
    own: Own = False,
    kubeconfig: Kubeconfig = None,
    kubectl: Kubectl = "kubectl",
    install_namespace: InstallNamespace = INSTALL_NAMESPACE,
) -> None:
    """Give authority again, as far as nothing else takes it. Runs that ended stay so."""
    scope = scope_of(namespace, install_namespace, everything=everything, own=own)
    with_errors(lambda: reinstate(Target(kubeconfig, kubectl, install_namespace), scope, typer.echo))


def scope_of(namespace: str, install_namespace: str, *, everything: bool, own: bool) -> Scope:
    """Return what was asked for; ends the program where that is not one thing."""
    if bool(namespace) == everything or (own and everything):
        typer.echo("error: give a NAMESPACE, or --all", err=True)
        raise typer.Exit(USAGE)
    return Scope(namespace, namespace if own else install_namespace)


def revocation(scope: Scope, reason: str) -> dict[str, Any]:
    """Return the Policy. It denies every call and gives no budget, too: also for who does not know `revoked`."""
    rule = {
        "name": "revoked",
        "tools": ["*"],
        "risks": ["Any"],
        "when": "true",
        "effect": "Deny",
        "message": f"revoked: {reason}"[:512],
    }
    budget = {"per": "Run", "costMicroUSD": 0, "tokens": 0, "toolCalls": 0, "wallClockSeconds": 1}
    spec: dict[str, Any] = {"revoked": reason[:512], "rules": [rule], "budgets": [budget]}
    if scope.home != scope.namespace:
        spec["namespaceSelector"] = {NAMESPACE_NAME: scope.namespace} if scope.namespace else {}
    meta = {"name": scope.name, "namespace": scope.home}
    return {"apiVersion": API_VERSION, "kind": "Policy", "metadata": meta, "spec": spec}


def revoke(target: Target, scope: Scope, reason: str, within_seconds: float) -> Acknowledged | None:
    """Write the Policy, and wait for the gateway's word; None when it does not come in time."""
    if scope.namespace and scope.home != scope.namespace:
        target.run("get", "namespace", scope.namespace)  # a name with a slip in it would revoke nothing
    began = time.monotonic()
    target.apply([revocation(scope, reason)], FIELD_MANAGER)
    while True:
        found = json.loads(target.run("get", "policies.remit.dev", scope.name, "-n", scope.home, "-o", "json"))
        enforced = found.get("status", {}).get("enforced", {})
        if enforced.get("generation") == found["metadata"]["generation"]:
            return Acknowledged(time.monotonic() - began, enforced.get("logIndex"))
        if time.monotonic() - began > within_seconds:
            return None
        time.sleep(POLL_SECONDS)


def _revoke(target: Target, scope: Scope, reason: str, within_seconds: float) -> None:
    told = revoke(target, scope, reason, within_seconds)
    typer.echo(f"revoked: {scope.words}, by Policy {scope.home}/{scope.name}")
    if told is None:
        typer.echo(
            f"NOT acknowledged within {within_seconds:g} s: the gateway refuses calls as soon as it sees this, and "
            "refuses all of them while it cannot see the apiserver; look at its pod",
            err=True,
        )
        raise typer.Exit(BAD)
    typer.echo(
        f"acknowledged after {told.seconds:.2f} s, entry {told.log_index} of the evidence log: "
        "nothing is forwarded any more, and the runs end"
    )


def reinstate(target: Target, scope: Scope, say: Say) -> None:
    """Delete the Policy, and say what still takes authority back."""
    target.run("delete", "policies.remit.dev", scope.name, "-n", scope.home, "--ignore-not-found")
    left = [name for name in revocations(target) if name != f"{scope.home}/{scope.name}"]
    say(f"reinstated: {scope.words}" + (f"; still in force: {', '.join(left)}" if left else ""))


def revocations(target: Target) -> list[str]:
    """Return the policies that take authority back anywhere, as NAMESPACE/NAME."""
    found = json.loads(target.run("get", "policies.remit.dev", "--all-namespaces", "-o", "json"))
    metas = [item["metadata"] for item in found["items"] if "revoked" in item.get("spec", {})]
    return sorted(f"{meta['namespace']}/{meta['name']}" for meta in metas)


def with_errors(act: Callable[[], None]) -> None:
    """Act, and end with what kubectl said where it refused."""
    try:
        act()
    except InstallError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(BAD) from error
