"""`remit cluster` without a cluster: every command says what is the matter, and what to do."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from remit.cli.cluster import app


def remit(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("remit.cluster.layout.PATH_LIMIT", 500)
    monkeypatch.setenv("REMIT_STATE", str(tmp_path))
    monkeypatch.delenv("REMIT_CLUSTER", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [("status",), ("kubeconfig",), ("load-image", "x.tar"), ("logs", "kubelet"), ("kubectl", "get", "pods")],
    ids=" ".join,
)
def test_a_command_for_a_cluster_that_is_not_there_says_so(command: tuple[str, ...]) -> None:
    said = remit(*command)
    assert said.exit_code == 1
    assert "remit cluster up" in said.output


def test_an_unknown_component_is_answered_with_the_known_ones() -> None:
    said = remit("logs", "kubelets")
    assert said.exit_code == 1
    assert "controller-manager" in said.output


def test_a_bad_name_is_refused() -> None:
    said = remit("up", "--name", "No Such")
    assert said.exit_code == 1
    assert "cluster name" in said.output


def test_taking_down_nothing_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("remit.cluster.machine.has_capability", lambda _bit: True)
    said = remit("down")
    assert (said.exit_code, said.output) == (0, "cluster remit is not there\n")


def test_without_root_nothing_is_started(monkeypatch: pytest.MonkeyPatch, nowhere: Path) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    said = remit("up")
    assert said.exit_code == 1
    assert "sudo" in said.output
    assert not list(nowhere.iterdir())


def test_a_broken_record_is_an_error_that_names_the_file(nowhere: Path) -> None:
    (nowhere / "remit").mkdir()
    (nowhere / "remit" / "cluster.json").write_text(json.dumps({"index": "many"}))
    said = remit("status")
    assert said.exit_code == 1
    assert "cluster.json cannot be read" in said.output


def test_the_names_of_clusters_are_listed(nowhere: Path) -> None:
    for name in ("two", "one"):
        (nowhere / name).mkdir()
        (nowhere / name / "cluster.json").write_text("{}")
    assert remit("list").output == "one\ntwo\n"
