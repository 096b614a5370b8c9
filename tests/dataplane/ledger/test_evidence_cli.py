"""`remit export`, `verify` and `keygen`, from a real ledger's export through a kubectl that is a script."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from tests.support.evidence_facts import BUNDLE, BUNDLE_DIGEST
from tests.support.evidence_runs import Story, good_story
from tests.support.evidence_runs import exported as files_of
from tests.support.memory_ledger import MemoryLedger, signer_for_tests
from typer.testing import CliRunner, Result

from remit.adapters.evidence_export import export_document
from remit.adapters.signing import generate_key, parse_signing_key
from remit.adapters.sqlite_ledger import SqliteLedger
from remit.cli.evidence import EvidenceError, app, fetch_export, read_export, verifier_key, verify_export
from remit.ports import LedgerTransaction

KEY = signer_for_tests().verifier
PATH = "/api/v1/namespaces/remit-system/services/remit-gateway-control:8081/proxy/control/v1/runs/bank/dispute-1/export"
KUBECTL = """#!{python}
import pathlib, sys
here = pathlib.Path(__file__).parent
(here / "arguments").write_text(" ".join(sys.argv[1:]))
sys.stderr.write((here / "stderr").read_text())
sys.stdout.write((here / "stdout").read_text())
sys.exit(int((here / "code").read_text()))
"""


class Kubectl:
    """A kubectl that says what it was told to say."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "kubectl"
        directory.mkdir()
        self.path.write_text(KUBECTL.format(python=sys.executable))
        self.path.chmod(0o755)
        self.says("")

    def says(self, stdout: str, *, stderr: str = "", code: int = 0) -> None:
        for name, text in (("stdout", stdout), ("stderr", stderr), ("code", str(code))):
            (self.directory / name).write_text(text)

    def arguments(self) -> str:
        return (self.directory / "arguments").read_text()


@pytest.fixture
def kubectl(tmp_path: Path) -> Kubectl:
    return Kubectl(tmp_path / "bin")


@pytest.fixture
def vkey(tmp_path: Path) -> Path:
    path = tmp_path / "vkey"
    path.write_text(KEY.text() + "\n")
    return path


async def document(story: Story, path: Path) -> str:
    """What the control port answers for a run that a ledger holds."""

    def work(transaction: LedgerTransaction) -> None:
        transaction.put_bundle(BUNDLE_DIGEST, BUNDLE)
        for entry in story.entries:
            transaction.append("another-run", b"{}")
            transaction.append("run-1", entry)

    ledger = await SqliteLedger.open(path, signer_for_tests())
    await ledger.transact(work)
    answer = export_document(await ledger.export("run-1"))
    await ledger.close()
    return json.dumps(answer)


def remit(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def exported(kubectl: Kubectl, directory: Path) -> Result:
    return remit("export", "dispute-1", "-n", "bank", "-o", directory, "--kubectl", kubectl.path)


async def test_an_export_of_a_ledger_verifies_and_an_altered_record_is_named(
    tmp_path: Path, kubectl: Kubectl, vkey: Path
) -> None:
    kubectl.says(await document(good_story(150), tmp_path / "ledger.db"))
    out = tmp_path / "evidence"
    result = exported(kubectl, out)
    assert (result.exit_code, result.output) == (0, f"{out}: 303 records of bank/dispute-1\n")
    assert kubectl.arguments() == f"get --raw {PATH}"
    result = remit("verify", out, "--key", vkey)
    assert result.exit_code == 0
    assert result.output.startswith(
        "OK: 303 records of run bank/dispute-run-1 (run-1), ended Succeeded, in a log of 606"
    )
    victim = out / "entries" / "0007.json"
    victim.write_bytes(victim.read_bytes().replace(b'"Allow"', b'"Deny"'))
    result = remit("verify", out, "--key", vkey)
    assert result.exit_code == 1
    assert result.output.startswith("BAD: record 7 (entries/0007.json): these bytes are not in the log")


async def test_verbose_shows_each_record(tmp_path: Path, kubectl: Kubectl, vkey: Path) -> None:
    kubectl.says(await document(good_story(1), tmp_path / "ledger.db"))
    exported(kubectl, tmp_path / "evidence")
    lines = remit("verify", "-v", tmp_path / "evidence", "--key", vkey).output.splitlines()
    assert lines[1].split() == [
        "1",
        "2026-09-21T14:13:21.250Z",
        "intent",
        "core-banking/post_credit",
        "Allow",
        "Allowed",
    ]
    assert lines[-2].split()[2:] == ["run-end", "-", "-", "Succeeded"]
    assert len(lines) == 6


async def test_an_open_run_is_good_only_when_asked(tmp_path: Path, kubectl: Kubectl, vkey: Path) -> None:
    kubectl.says(await document(Story().bundle().calls(1), tmp_path / "ledger.db"))
    exported(kubectl, tmp_path / "evidence")
    result = remit("verify", tmp_path / "evidence", "--key", vkey)
    assert (result.exit_code, result.output[:11]) == (1, "INCOMPLETE:")
    result = remit("verify", tmp_path / "evidence", "--key", vkey, "--allow-open")
    assert (result.exit_code, result.output[:5]) == (0, "OPEN:")


async def test_a_run_without_evidence_cannot_be_exported() -> None:
    with pytest.raises(LookupError):
        export_document(await MemoryLedger().export("nobody"))


def test_the_other_parts_of_remit_can_use_it(tmp_path: Path, kubectl: Kubectl) -> None:
    kubectl.says(KEY.text())
    kubeconfig = tmp_path / "kubeconfig"
    assert verifier_key(kubeconfig, str(kubectl.path)) == KEY
    assert kubectl.arguments().startswith(f"--kubeconfig {kubeconfig} get configmap remit-verifier-key -n remit-system")
    kubectl.says("nonsense")
    with pytest.raises(EvidenceError, match="remit-verifier-key"):
        verifier_key(None, str(kubectl.path))


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("<html>", "not JSON"),
        ("[]", "knows remit.dev/evidence-export/v1"),
        ('{"version": "remit.dev/evidence-export/v2"}', "v2"),
        (
            '{"version": "remit.dev/evidence-export/v1", "files": {"entries/../../../etc/passwd": ""}}',
            "none of an export's",
        ),
        ('{"version": "remit.dev/evidence-export/v1", "files": {"/etc/passwd": ""}}', "none of an export's"),
    ],
)
def test_an_answer_that_is_no_export_writes_nothing(
    tmp_path: Path, kubectl: Kubectl, answer: str, problem: str
) -> None:
    kubectl.says(answer)
    result = exported(kubectl, tmp_path / "evidence")
    assert result.exit_code == 1
    assert problem in result.output
    assert not (tmp_path / "evidence").exists()


def test_what_kubectl_says_is_passed_on(tmp_path: Path, kubectl: Kubectl) -> None:
    kubectl.says("", stderr='Error from server (NotFound): agentruns "dispute-1" not found', code=1)
    result = exported(kubectl, tmp_path / "evidence")
    assert result.exit_code == 1
    assert "(NotFound)" in result.output
    with pytest.raises(EvidenceError, match="not on the PATH"):
        fetch_export(None, "bank", "dispute-1", tmp_path / "evidence", kubectl=str(tmp_path / "absent"))


def test_an_export_is_never_written_over_something(tmp_path: Path, kubectl: Kubectl) -> None:
    result = exported(kubectl, tmp_path)
    assert result.exit_code == 2
    assert "exists already" in result.output


@pytest.mark.parametrize("text", [None, "", "nonsense", KEY.text().replace("+A", "+B")])
def test_without_a_key_nothing_is_verified(tmp_path: Path, text: str | None) -> None:
    key = tmp_path / "key"
    if text is not None:
        key.write_text(text)
    result = remit("verify", tmp_path, "--key", key)
    assert result.exit_code == 2
    assert str(key) in result.output


def test_a_directory_that_is_none_is_a_usage_error(tmp_path: Path, vkey: Path) -> None:
    assert remit("verify", tmp_path / "absent", "--key", vkey).exit_code == 2


def test_an_empty_directory_is_no_evidence(tmp_path: Path, vkey: Path) -> None:
    (tmp_path / "evidence").mkdir()
    result = remit("verify", tmp_path / "evidence", "--key", vkey)
    assert (result.exit_code, result.output) == (1, "BAD: the export (export.json): the file is missing\n")


def test_the_key_in_use_must_be_the_one_that_signed(tmp_path: Path) -> None:
    other = parse_signing_key(generate_key(KEY.name)[0]).verifier
    verdict = verify_export(files_of(good_story().entries), other)
    assert (verdict.ok, verdict.summary[:30]) == (False, "BAD: the export (checkpoint): ")


def test_keygen_makes_a_pair_once(tmp_path: Path) -> None:
    result = remit("keygen", "--name", "bank.example/evidence", "-o", tmp_path / "keys")
    assert result.exit_code == 0
    secret = tmp_path / "keys" / "ed25519.key"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert parse_signing_key(secret.read_text()).verifier.text() == (tmp_path / "keys" / "vkey").read_text().strip()
    assert secret.read_text() not in result.output
    again = remit("keygen", "-o", tmp_path / "keys")
    assert again.exit_code == 2
    assert "exists already" in again.output


def test_keygen_refuses_a_name_that_no_log_can_have(tmp_path: Path) -> None:
    assert remit("keygen", "--name", "a b", "-o", tmp_path / "keys").exit_code == 2
    assert not (tmp_path / "keys").exists()


def test_reading_takes_every_file_below(tmp_path: Path) -> None:
    (tmp_path / "entries").mkdir()
    (tmp_path / "entries" / "0000.json").write_text("{}")
    assert read_export(tmp_path) == {"entries/0000.json": b"{}"}
