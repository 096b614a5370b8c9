"""`remit queue`: the line as the objects give it; kubectl is a script here."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.controlled import Controlled, a_team
from tests.support.objects import a_policy, a_run, an_agent
from typer.testing import CliRunner

from remit.adapters.clock import SystemClock
from remit.cli.queue import app, shown_age

SCRIPT = """#!/bin/sh
case "$1 $2 $4" in
"get namespace"*) cat {folder}/namespace ;;
*) cat {folder}/$2.$4 2>/dev/null || {{ echo "forbidden" >&2; exit 1; }} ;;
esac
"""
KINDS = {"agentruns": "AgentRun", "agents": "Agent", "toolgrants": "ToolGrant", "policies": "Policy"}


@pytest.fixture
def kubectl(tmp_path: Path) -> Path:
    """A kubectl that shows the files that it finds."""
    script = tmp_path / "kubectl"
    script.write_text(SCRIPT.format(folder=tmp_path))
    script.chmod(0o755)
    return script


def show(kubectl: Path, team: Controlled) -> None:
    """Have kubectl show a team's objects."""
    for plural, kind in KINDS.items():
        for namespace in ("bank", "remit-system"):
            found = [
                thing for (each, home, _), thing in team.cluster.objects.items() if (each, home) == (kind, namespace)
            ]
            (kubectl.parent / f"{plural}.remit.dev.{namespace}").write_text(json.dumps({"items": found}))
    (kubectl.parent / "namespace").write_text(json.dumps(team.cluster.objects["Namespace", "", "bank"]))


def ran(kubectl: Path) -> tuple[int, list[str]]:
    done = CliRunner().invoke(app, ["-n", "bank", "--kubectl", str(kubectl)])
    return done.exit_code, done.output.splitlines()


async def a_full_team() -> Controlled:
    team = await a_team()
    await team.apply(an_agent("clerk"), a_policy(runs={"maxConcurrent": 1}))
    await team.apply(a_policy("floor", "remit-system", runs={"maxConcurrent": 3}, namespaceSelector={}))
    for number in range(3):
        team.clock.seconds += 1
        await team.apply(a_run(f"run-{number}"))
    await team.apply(a_run("held", desired="Suspended"), a_run("astray", agent="nobody"))
    return team


@pytest.fixture(autouse=True)
def _noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SystemClock, "now", lambda _: 1_795_262_400.0 + 90)


async def test_the_line_is_shown_in_order_with_each_policy(kubectl: Path) -> None:
    show(kubectl, await a_full_team())
    code, lines = ran(kubectl)

    assert code == 0
    assert [line.split() for line in lines] == [
        ["PLACE", "RUN", "AGENT", "POLICY", "TAKEN", "AGE"],
        ["1", "run-1", "teller", "bank/rules", "1/1", "88s"],
        ["1", "run-1", "teller", "remit-system/floor", "1/3", "88s"],
        ["2", "run-2", "teller", "bank/rules", "1/1", "87s"],
        ["2", "run-2", "teller", "remit-system/floor", "1/3", "87s"],
    ]


async def test_who_may_not_read_the_platforms_policies_sees_the_rest(kubectl: Path) -> None:
    show(kubectl, await a_full_team())
    (kubectl.parent / "policies.remit.dev.remit-system").unlink()
    code, lines = ran(kubectl)

    assert code == 0
    assert "the platform's policies are not counted" in lines[0]
    assert [line.split()[1] for line in lines[2:]] == ["run-1", "run-2"]


async def test_nobody_waits(kubectl: Path) -> None:
    show(kubectl, await a_team())
    assert ran(kubectl) == (0, ["no run of namespace bank waits for a place"])


async def test_what_cannot_be_read_is_said(kubectl: Path) -> None:
    show(kubectl, await a_team())
    (kubectl.parent / "agentruns.remit.dev.bank").unlink()
    code, lines = ran(kubectl)
    assert (code, "forbidden" in lines[0]) == (1, True)


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0s"), (119, "119s"), (120, "2m"), (7_200, "2h"), (172_800, "2d")])
def test_an_age_is_shown_as_kubectl_does(seconds: Any, shown: str) -> None:
    assert shown_age(seconds) == shown
