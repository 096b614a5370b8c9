"""`remit revoke`: what it writes, what it waits for, and what it says; kubectl is a script here."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from remit.api.policy import PolicySpec
from remit.cli.revoke import PREFIX, Scope, app, revocation

SCRIPT = """#!/bin/sh
echo "$@" >> {folder}/asked
case "$1 $2" in
"apply --server-side") cat > {folder}/applied ;;
"get policies.remit.dev") cat {folder}/answer ;;
"get namespace") test -e {folder}/namespace || {{ echo 'namespaces "bnak" not found' >&2; exit 1; }} ;;
esac
"""


@pytest.fixture
def kubectl(tmp_path: Path) -> Path:
    """A kubectl that notes what it is asked, and answers with the file `answer`."""
    script = tmp_path / "kubectl"
    script.write_text(SCRIPT.format(folder=tmp_path))
    script.chmod(0o755)
    (tmp_path / "namespace").touch()
    return script


def answering(kubectl: Path, answer: Any) -> None:
    (kubectl.parent / "answer").write_text(json.dumps(answer))


def ran(kubectl: Path, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, [*arguments, "--kubectl", str(kubectl)])
    return done.exit_code, done.output


def applied(kubectl: Path) -> Any:
    return yaml.safe_load((kubectl.parent / "applied").read_text())


ENFORCED = {"metadata": {"generation": 3}, "status": {"enforced": {"generation": 3, "logIndex": 41}}}


def test_a_namespace_is_revoked_from_the_install_namespace(kubectl: Path) -> None:
    answering(kubectl, ENFORCED)
    code, said = ran(kubectl, "revoke", "bank", "--reason", "a stolen key")
    policy = applied(kubectl)
    assert code == 0
    assert "entry 41 of the evidence log" in said
    assert (policy["metadata"]["namespace"], policy["metadata"]["name"]) == ("remit-system", f"{PREFIX}-bank")
    assert policy["spec"]["namespaceSelector"] == {"kubernetes.io/metadata.name": "bank"}
    assert policy["spec"]["revoked"] == "a stolen key"


def test_everything_is_revoked_by_one_object(kubectl: Path) -> None:
    answering(kubectl, ENFORCED)
    assert ran(kubectl, "revoke", "--all")[0] == 0
    assert applied(kubectl)["spec"]["namespaceSelector"] == {}


def test_a_namespaces_own_admin_needs_no_right_elsewhere(kubectl: Path) -> None:
    answering(kubectl, ENFORCED)
    assert ran(kubectl, "revoke", "bank", "--own")[0] == 0
    policy = applied(kubectl)
    assert (policy["metadata"], "namespaceSelector" in policy["spec"]) == ({"name": PREFIX, "namespace": "bank"}, False)
    assert "remit-system" not in (kubectl.parent / "asked").read_text()


@pytest.mark.parametrize("scope", [Scope("bank", "remit-system"), Scope("", "remit-system"), Scope("bank", "bank")])
def test_the_policy_has_its_form_and_gives_nothing_by_itself(scope: Scope) -> None:
    spec = PolicySpec.model_validate(revocation(scope, "why" * 1000)["spec"])
    assert [rule.effect for rule in spec.rules] == ["Deny"]
    assert [(budget.tokens, budget.tool_calls, budget.cost_micro_usd) for budget in spec.budgets] == [(0, 0, 0)]


def test_without_the_gateways_word_it_fails_and_says_so(kubectl: Path) -> None:
    answering(kubectl, ENFORCED | {"status": {"enforced": {"generation": 2}}})
    code, said = ran(kubectl, "revoke", "bank", "--timeout", "0.1")
    assert code == 1
    assert "NOT acknowledged" in said


def test_a_namespace_that_is_not_there_is_no_success(kubectl: Path) -> None:
    (kubectl.parent / "namespace").unlink()
    code, said = ran(kubectl, "revoke", "bnak")
    assert code == 1
    assert "not found" in said
    assert not (kubectl.parent / "applied").exists()


@pytest.mark.parametrize("arguments", [(), ("bank", "--all"), ("--all", "--own")])
def test_it_must_be_one_thing(kubectl: Path, arguments: tuple[str, ...]) -> None:
    assert ran(kubectl, "revoke", *arguments)[0] == 2


def test_reinstating_says_what_still_holds(kubectl: Path) -> None:
    names = [("remit-system", f"{PREFIX}.all"), ("remit-system", f"{PREFIX}-bank"), ("bank", "rules")]
    items = [
        {"metadata": {"namespace": home, "name": name}, "spec": {"revoked": "why"} if name != "rules" else {}}
        for home, name in names
    ]
    answering(kubectl, {"items": items})
    code, said = ran(kubectl, "reinstate", "bank")
    assert code == 0
    assert said.strip() == f"reinstated: every agent of namespace bank; still in force: remit-system/{PREFIX}.all"
    assert f"delete policies.remit.dev {PREFIX}-bank -n remit-system" in (kubectl.parent / "asked").read_text()
