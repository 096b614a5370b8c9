"""`remit cluster`: the embedded single-node Kubernetes, for demo, tests and development."""

import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from remit.cluster import Cluster, ClusterError, names, prepare

FOLLOW_SECONDS = 0.3

app = typer.Typer(no_args_is_help=True, help="The embedded single-node Kubernetes: up, status, down and more.")

Name = Annotated[
    str | None,
    typer.Option("--name", help="Which cluster; else $REMIT_CLUSTER, else `remit`."),
]


def _cluster(name: str | None) -> Cluster:
    return Cluster() if name is None else Cluster(name)


def in_a_shell(name: str) -> str:
    """Give the line that makes a shell speak to this cluster."""
    named = "" if name == Cluster().name else f" --name {name}"
    program = Path(sys.executable).with_name("remit")
    shown = program.relative_to(Path.cwd()) if program.is_relative_to(Path.cwd()) else program
    return f'eval "$({shown} cluster env{named})"'


@contextmanager
def _clear_errors() -> Iterator[None]:
    try:
        yield
    except ClusterError as problem:
        sys.stderr.write(f"error ({problem.reason}): {problem}\n")
        raise typer.Exit(1) from problem


def _teller() -> Callable[[str], None]:
    began = time.monotonic()

    def tell(line: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {line}", flush=True)

    return tell


@app.command()
def up(
    name: Name = None,
    *,
    internet: Annotated[
        bool | None, typer.Option(help="Give pods a way to the internet, or take it; else as it was, at first none.")
    ] = None,
) -> None:
    """Bring the cluster up, or heal it; builds its programs the first time."""
    cluster = _cluster(name)
    tell = _teller()
    with _clear_errors():
        cluster.up(tell, internet=internet)
    tell(f"cluster {cluster.name} is up; for kubectl in this shell: {in_a_shell(cluster.name)}")


@app.command()
def down(name: Name = None, *, every: Annotated[bool, typer.Option("--all")] = False) -> None:
    """Take the cluster down and leave nothing of it on the machine."""
    chosen = [Cluster(each) for each in names()] if every else [_cluster(name)]
    for cluster in chosen:
        with _clear_errors():
            there_was = cluster.down()
        print(f"cluster {cluster.name} is {'down' if there_was else 'not there'}")


@app.command()
def status(name: Name = None) -> None:
    """Show each component; exit code 0 only when all are well."""
    cluster = _cluster(name)
    with _clear_errors():
        rows = cluster.status()
    if not rows:
        print(f"there is no cluster {cluster.name}: remit cluster up")
        raise typer.Exit(1)
    print(f"{'COMPONENT':<20}{'PID':<10}{'AGE':<10}HEALTH")
    for row in rows:
        age = f"{row.age_seconds:.0f}s" if row.pid else "-"
        print(f"{row.name:<20}{row.pid or '-':<10}{age:<10}{row.complaint or 'well'}")
    raise typer.Exit(0 if all(row.well for row in rows) else 1)


@app.command("list")
def list_clusters() -> None:
    """Show the names of the clusters on this machine."""
    for each in names():
        print(each)


@app.command()
def kubeconfig(name: Name = None, *, content: bool = False) -> None:
    """Print the path of the kubeconfig, or its content; merges it into nothing."""
    path = _cluster(name).kubeconfig_path
    if not path.exists():
        sys.stderr.write("error: there is no such cluster: remit cluster up\n")
        raise typer.Exit(1)
    print(path.read_text() if content else path)


@app.command("env")
def environment(name: Name = None) -> None:
    """Print lines for a shell: KUBECONFIG, and kubectl and remit on the PATH. eval "$(remit cluster env)"."""
    cluster = _cluster(name)
    with _clear_errors():
        programs = (Path(sys.executable).parent, cluster.kubectl_path.parent)
    print(f"export KUBECONFIG={shlex.quote(str(cluster.kubeconfig_path))}")
    if kept := os.environ.get("KUBECACHEDIR"):
        print(f"export KUBECACHEDIR={shlex.quote(kept)}")
    print(f'export PATH="$PATH":{":".join(shlex.quote(str(folder)) for folder in programs)}')


@app.command("load-image")
def load_image(archives: list[Path], name: Name = None) -> None:
    """Load image archives (docker-archive or OCI tar) so that pods can run them."""
    cluster = _cluster(name)
    for archive in archives:
        with _clear_errors():
            cluster.load_image(archive)
        print(f"loaded {archive}")


@app.command()
def logs(component: str, name: Name = None, *, follow: Annotated[bool, typer.Option("-f")] = False) -> None:
    """Print a component's log."""
    with _clear_errors():
        path = _cluster(name).log_path(component)
    if not path.exists():
        sys.stderr.write(f"error: {component} has no log here: remit cluster up\n")
        raise typer.Exit(1)
    with path.open(errors="replace") as log:
        while True:
            sys.stdout.write(log.read())
            sys.stdout.flush()
            if not follow:
                return
            time.sleep(FOLLOW_SECONDS)


@app.command(
    context_settings={
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,  # keeps what follows, `--` included, as it is
    },
    add_help_option=False,
)
def kubectl(context: typer.Context) -> None:
    """Run the cluster's own kubectl: remit cluster kubectl get pods."""
    with _clear_errors():
        code = Cluster().kubectl_here(*context.args)
    raise typer.Exit(code)


@app.command()
def build() -> None:
    """Build the cluster's programs, and start nothing."""
    with _clear_errors():
        print(prepare(_teller()))


if __name__ == "__main__":
    os.environ.setdefault("COLUMNS", "100")
    app()
