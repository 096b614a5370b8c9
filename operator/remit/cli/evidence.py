"""`remit export`, `remit verify`, `remit keygen`: evidence out of the cluster, checked without it."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from remit.adapters.signing import DEFAULT_KEY_NAME, ed25519_holds, generate_key
from remit.api import names
from remit.api.evidence import EXPORT_VERSION
from remit.core.export import FILE_NAME
from remit.core.notes import NoteError, VerifierKey, parse_verifier_key
from remit.core.verify import Report, verify

app = typer.Typer(help="Evidence of runs.", no_args_is_help=True)

BAD = 1
USAGE = 2
SIGNING_KEY_FILE = "ed25519.key"
VERIFIER_KEY_FILE = "vkey"
VERIFIER_CONFIG_MAP = "remit-verifier-key"
KUBECTL_SECONDS = 120

RunName = Annotated[str, typer.Argument(metavar="RUN", help="Name of the AgentRun.")]
RunUid = Annotated[str, typer.Option("--uid", help="Of the runs that had this name, the one with this UID.")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Namespace of the run.")]
OutputDirectory = Annotated[Path, typer.Option("--output", "-o", help="Directory to make for the export.")]
Kubeconfig = Annotated[Path | None, typer.Option(help="Else $KUBECONFIG, as kubectl reads it.")]
Kubectl = Annotated[str, typer.Option(help="The kubectl program.")]
InstallNamespace = Annotated[str, typer.Option(help="Where Remit is installed.", envvar="REMIT_NAMESPACE")]
ExportDirectory = Annotated[Path, typer.Argument(metavar="DIR", help="Directory that `remit export` wrote.")]
KeyFile = Annotated[Path, typer.Option("--key", help="File with the log's verifier key, from outside the export.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show every record.")]
AllowOpen = Annotated[bool, typer.Option("--allow-open", help="Accept a run that has not ended: it may lack its tail.")]
KeyName = Annotated[str, typer.Option("--name", help="Name of the log: a URL without scheme, of your own.")]
KeyDirectory = Annotated[Path, typer.Option("--output", "-o", help="Directory for the two files.")]


class EvidenceError(Exception):
    """Evidence cannot be had, read or written; `code` is the exit code that says so."""

    def __init__(self, message: str, code: int = BAD) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check comes to: good or not, and the one line that says it."""

    ok: bool
    summary: str
    report: Report


@app.command("export")
def export_command(
    run: RunName,
    output: OutputDirectory,
    namespace: Namespace = "default",
    uid: RunUid = "",
    kubeconfig: Kubeconfig = None,
    kubectl: Kubectl = "kubectl",
    install_namespace: InstallNamespace = names.INSTALL_NAMESPACE,
) -> None:
    """Write all that proves one run into a directory. Needs `get` on the service proxy of the control port.

    Of several runs of the name it is the newest that did something: --uid names an earlier one, or one that was made
    again and executed nothing.
    """
    named = f"{run}@{uid}" if uid else run
    with explained():
        count = fetch_export(kubeconfig, namespace, named, output, kubectl=kubectl, install_namespace=install_namespace)
    typer.echo(f"{output}: {count} records of {namespace}/{run}")


@app.command("verify")
def verify_command(
    directory: ExportDirectory, key: KeyFile, verbose: Verbose = False, allow_open: AllowOpen = False
) -> None:
    """Check an export offline: nothing altered, removed, moved or cut off. Exit code 0 good, 1 bad, 2 usage."""
    with explained():
        verdict = verify_export(read_export(directory), read_verifier_key(key), allow_open=allow_open)
    if verbose:
        show_records(verdict.report)
    typer.echo(verdict.summary, err=not verdict.ok)
    if not verdict.ok:
        raise typer.Exit(BAD)


@app.command("keygen")
def keygen_command(name: KeyName = DEFAULT_KEY_NAME, output: KeyDirectory = Path()) -> None:
    """Make the key that signs the log: ed25519.key for the gateway alone, vkey for everyone who verifies."""
    with explained():
        try:
            signing, verifier = generate_key(name)
        except NoteError as error:
            raise EvidenceError(str(error), USAGE) from error
        output.mkdir(parents=True, exist_ok=True)
        for file, text, mode in ((SIGNING_KEY_FILE, signing, 0o600), (VERIFIER_KEY_FILE, verifier, 0o644)):
            write_new(output / file, text, mode)
            typer.echo(output / file)


def fetch_export(
    kubeconfig: Path | None,
    namespace: str,
    run: str,
    directory: Path,
    *,
    kubectl: str = "kubectl",
    install_namespace: str = names.INSTALL_NAMESPACE,
) -> int:
    """Export a run into a new directory, all of it or nothing; return the number of its records."""
    if directory.exists():
        raise EvidenceError(f"{directory} exists already; an export is never written over something", USAGE)
    service = f"{names.CONTROL_SERVICE}:{names.CONTROL_PORT}"
    path = f"/api/v1/namespaces/{install_namespace}/services/{service}/proxy/control/v1/runs/{namespace}/{run}/export"
    files = exported_files(asked(kubeconfig, kubectl, "get", "--raw", path))
    write_files(directory, files)
    return sum(name.startswith("entries/") for name in files)


def verify_export(files: Mapping[str, bytes], key: VerifierKey, *, allow_open: bool = False) -> Verdict:
    """Check the files of an export, and put what is found into one line."""
    report = verify(files, key, ed25519_holds)
    if report.fault is not None:
        where = "the export" if report.fault.record is None else f"record {report.fault.record}"
        return Verdict(ok=False, summary=f"BAD: {where} ({report.fault.file}): {report.fault.problem}", report=report)
    count = f"{len(report.lines)} records of run {report.run} ({report.uid})"
    if not report.ended:
        word = "OPEN" if allow_open else "INCOMPLETE"
        summary = f"{word}: {count}, none of them its end: the run goes on, or the tail is cut"
        return Verdict(allow_open, summary, report)
    size = report.checkpoint.size if report.checkpoint else 0
    log = f"in a log of {size} under {key.name}+{key.key_id().hex()}"
    kept = f", {report.acknowledged} changes of authority kept to" if report.acknowledged else ""
    return Verdict(ok=True, summary=f"OK: {count}, ended {report.ended}, {log}{kept}", report=report)


def show_records(report: Report) -> None:
    """Print one line for each good record."""
    for line in report.lines:
        shown = (
            f"{line.sequence:>5}  {line.time}  {line.kind:<8} {line.tool or '-':<32} "
            f"{line.decision or '-':<8} {line.reason}"
        )
        # the name of a tool that was refused is the agent's own word: no terminal obeys it
        typer.echo("".join(mark if mark.isprintable() else "?" for mark in shown))


def verifier_key(
    kubeconfig: Path | None, kubectl: str = "kubectl", install_namespace: str = names.INSTALL_NAMESPACE
) -> VerifierKey:
    """Return the key that the installation publishes: good where the cluster itself is trusted."""
    config_map = ("configmap", VERIFIER_CONFIG_MAP, "-n", install_namespace)
    text = asked(kubeconfig, kubectl, "get", *config_map, "-o", "jsonpath={.data.vkey}")
    try:
        return parse_verifier_key(text)
    except NoteError as error:
        raise EvidenceError(f"ConfigMap {install_namespace}/{VERIFIER_CONFIG_MAP}: {error}") from error


def read_verifier_key(path: Path) -> VerifierKey:
    """Read a verifier key from a file that did not come with the export."""
    try:
        return parse_verifier_key(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise EvidenceError(f"no key can be read at {path}: {error}", USAGE) from error
    except NoteError as error:
        raise EvidenceError(f"{path}: {error}", USAGE) from error


def read_export(directory: Path) -> dict[str, bytes]:
    """Read every file below the directory."""
    if not directory.is_dir():
        raise EvidenceError(f"{directory} is no directory", USAGE)
    found = sorted(path for path in directory.rglob("*") if not path.is_dir())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in found}


def asked(kubeconfig: Path | None, kubectl: str, *arguments: str) -> str:
    """Run kubectl and return what it printed."""
    where = ["--kubeconfig", str(kubeconfig)] if kubeconfig else []
    command = [kubectl, *where, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=KUBECTL_SECONDS, check=False)
    except FileNotFoundError as error:
        raise EvidenceError(f"{kubectl} is not on the PATH: install it, or give --kubectl") from error
    except subprocess.TimeoutExpired as error:
        raise EvidenceError(f"the cluster does not answer within {KUBECTL_SECONDS} s") from error
    if done.returncode != 0:
        raise EvidenceError(f"kubectl {' '.join(arguments[:2])}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def exported_files(answer: str) -> dict[str, bytes]:
    """Return the files of the control port's answer; a name that is none of an export's is refused."""
    try:
        document: Any = json.loads(answer)
    except ValueError as error:
        raise EvidenceError("the gateway's answer is not JSON") from error
    version = document.get("version") if isinstance(document, dict) else None
    if version != EXPORT_VERSION:
        raise EvidenceError(f"the gateway exports {version!r}, and this program knows {EXPORT_VERSION}")
    for name in document["files"]:
        if FILE_NAME.fullmatch(name) is None:
            raise EvidenceError(f"the gateway's answer holds a file that is none of an export's: {name!r}")
    return {name: content.encode() for name, content in document["files"].items()}


def write_files(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write the export beside its place, then move it there: never half of one."""
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".export-") as made:
            place = Path(made, "export")
            for name, content in files.items():
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                (place / name).write_bytes(content)
            place.rename(directory)
    except OSError as error:
        raise EvidenceError(f"the export cannot be written: {error}", USAGE) from error


def write_new(path: Path, text: str, mode: int) -> None:
    """Write a file that must not be there yet."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise EvidenceError(f"{path} exists already; a key is never written over", USAGE) from error


@contextmanager
def explained() -> Iterator[None]:
    """End with the error's own exit code and its text on standard error."""
    try:
        yield
    except EvidenceError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.code) from error
