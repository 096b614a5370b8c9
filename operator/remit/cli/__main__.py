"""`remit`, also `kubectl remit`: the root of all commands. Only the module of the command that runs is imported."""

import os
import sys
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

PROGRAM = "remit"
SYSTEM_PROGRAMS = "/usr/local/sbin:/usr/sbin:/sbin"
"""A plain `su` keeps a PATH without these; what a cluster and images are made with is there."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One name below the root: the module whose `app` has it, and the line that `--help` shows."""

    module: str
    summary: str
    inner: str = ""
    """Name of the command within `app`; empty where `app` as a whole is the command."""


COMMANDS: dict[str, Entry] = {
    "demo": Entry("remit.cli.demo", "Tell the whole story on an embedded cluster, or on the one of KUBECONFIG."),
    "cluster": Entry("remit.cli.cluster", "The embedded cluster: up, status, down, kubeconfig, load-image, logs."),
    "images": Entry("remit.cli.images", "Build the images without Docker."),
    "install": Entry("remit.cli.install", "Install Remit on a cluster.", "install"),
    "uninstall": Entry("remit.cli.install", "Remove Remit from a cluster.", "uninstall"),
    "check": Entry("remit.cli.check", "Say what an installation lacks, before or after it is made.", "check"),
    "lint": Entry("remit.cli.lint", "Say what is wrong with objects before they are applied.", "lint"),
    "revoke": Entry("remit.cli.revoke", "Take all authority back, in a namespace or everywhere.", "revoke"),
    "reinstate": Entry("remit.cli.revoke", "Give authority again that was revoked.", "reinstate"),
    "queue": Entry("remit.cli.queue", "Show the runs that wait for a place, and in which order.", "queue"),
    "export": Entry("remit.cli.evidence", "Write all that proves one run to a file.", "export"),
    "verify": Entry("remit.cli.evidence", "Check an export offline.", "verify"),
    "keygen": Entry("remit.cli.evidence", "Make a signing key and its public verifier key.", "keygen"),
}


def root() -> None:
    """Govern agents on Kubernetes: every call decided, metered and recorded outside the agent."""


def command_of(entry: Entry) -> Any:
    """Import the module of an entry and return its command."""
    command: Any = get_command(import_module(entry.module).app)
    inner = getattr(command, "commands", {})
    return inner[entry.inner] if entry.inner and entry.inner in inner else command


def stub_of(name: str, entry: Entry) -> Any:
    """Return a command that has a name and a summary only, so that `--help` imports nothing."""
    app = typer.Typer(add_completion=False)
    app.command(name, help=entry.summary)(lambda: None)
    return get_command(app)


def group_for(chosen: str | None) -> Any:
    """Return the root with the chosen command loaded and all others as stubs."""
    app = typer.Typer(name=PROGRAM, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    app.callback()(root)
    group: Any = get_command(app)
    for name, entry in COMMANDS.items():
        group.add_command(command_of(entry) if name == chosen else stub_of(name, entry), name)
    return group


def prepare(environment: MutableMapping[str, str]) -> None:
    """Let programs be found, and let kubectl leave its cache among ours: `make clean` takes it away."""
    environment["PATH"] = f"{environment.get('PATH', os.defpath)}:{SYSTEM_PROGRAMS}"
    cache = environment.get("REMIT_CACHE") or Path.home() / ".cache" / "remit"
    environment.setdefault("KUBECACHEDIR", f"{cache}/kubectl")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    prepare(os.environ)
    given = list(sys.argv[1:] if arguments is None else arguments)
    chosen = next((word for word in given if not word.startswith("-")), None)
    try:
        group = group_for(chosen)
    except ModuleNotFoundError as missing:
        print(f"{PROGRAM} {chosen}: {missing.name} is not installed; try: pip install 'remit[cli]'", file=sys.stderr)
        raise SystemExit(1) from missing
    group(args=given, prog_name=PROGRAM)


if __name__ == "__main__":
    main()
