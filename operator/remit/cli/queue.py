"""`remit queue`: who waits for a place, in which order, and by which policy. Read from the objects; nothing is kept."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from remit.adapters.clock import SystemClock
from remit.api.names import INSTALL_NAMESPACE
from remit.cli.install import InstallError, Target
from remit.core.line import home_of, standing_in
from remit.core.moments import epoch_seconds
from remit.core.queue import QueuePlace, places_in

app = typer.Typer(help="Runs that wait for a place.", no_args_is_help=True)

BAD = 1
HEADINGS = ("PLACE", "RUN", "AGENT", "POLICY", "TAKEN", "AGE")
KINDS = ("agentruns", "agents", "toolgrants", "policies")

Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Whose runs.")]
Kubeconfig = Annotated[Path | None, typer.Option(help="Else $KUBECONFIG, as kubectl reads it.")]
Kubectl = Annotated[str, typer.Option(help="The kubectl program.")]
InstallNamespace = Annotated[str, typer.Option(help="Where Remit is installed.", envvar="REMIT_NAMESPACE")]
Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One run in the line of one policy."""

    run: Object
    place: QueuePlace

    def cells(self, now: float) -> tuple[str, ...]:
        """Return the columns."""
        metadata, place = self.run["metadata"], self.place
        age = max(now - epoch_seconds(metadata["creationTimestamp"]), 0)
        taken = f"{place.held}/{place.limit}"
        return str(place.place), metadata["name"], self.run["spec"]["agent"], place.policy, taken, shown_age(age)


@app.command("queue")
def queue_command(
    namespace: Namespace = "default",
    kubeconfig: Kubeconfig = None,
    kubectl: Kubectl = "kubectl",
    install_namespace: InstallNamespace = INSTALL_NAMESPACE,
) -> None:
    """Show the runs that wait for a place, first the next to start; one line for each policy that bounds them."""
    target, now = Target(kubeconfig, kubectl, install_namespace), SystemClock().now()
    try:
        rows = list(rows_in(target, namespace, now))
    except InstallError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(BAD) from error
    if not rows:
        typer.echo(f"no run of namespace {namespace} waits for a place")
        return
    for line in aligned([HEADINGS, *(row.cells(now) for row in rows)]):
        typer.echo(line)


def rows_in(target: Target, namespace: str, now: float) -> Iterator[Row]:
    """Yield the waiting runs of a namespace, in order."""
    runs, agents, grants, policies = (listed(target, kind, namespace) for kind in KINDS)
    labels, floors = floors_of(target, namespace)
    home = home_of(runs, agents, grants, [*policies, *floors], labels=labels, install_namespace=target.namespace)
    standing = standing_in(home, now)
    by_name = {run["metadata"]["name"]: run for run in runs}
    for name, places in places_in(standing.line, lambda policy: standing.held.get(policy, 0)).items():
        yield from (Row(by_name[name], place) for place in places)


def floors_of(target: Target, namespace: str) -> tuple[dict[str, str], list[Object]]:
    """Return the namespace's labels and the platform's policies; without the right to read them, say so."""
    if namespace == target.namespace:
        return {}, []
    try:
        home = json.loads(target.run("get", "namespace", namespace, "-o", "json"))
        return home["metadata"].get("labels") or {}, listed(target, "policies", target.namespace)
    except InstallError as error:
        typer.echo(f"the platform's policies are not counted: {error}", err=True)
        return {}, []


def listed(target: Target, plural: str, namespace: str) -> list[Object]:
    """Return the objects of one of Remit's kinds in a namespace."""
    items: list[Object] = json.loads(target.run("get", f"{plural}.remit.dev", "-n", namespace, "-o", "json"))["items"]
    return items


def shown_age(seconds: float) -> str:
    """Return an age as kubectl shows it."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"


def aligned(rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Yield the rows as lines whose columns stand below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
