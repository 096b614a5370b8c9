"""What `remit lint` refuses is what the apiserver refuses, by the corpus that the apiserver judges, too."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.bundles import a_rule as some_rule
from tests.support.objects import a_container, a_grant, a_policy, a_run, an_agent
from typer.testing import CliRunner

from remit.api.reasons import ObjectReason
from remit.cli.lint import Source, app, lint, schemas_of_kinds
from remit.cli.lint_schema import WHOLE

ROOT = Path(__file__).resolve().parents[3]
CORPUS = ROOT / "tests" / "apiserver" / "crds"
SCHEMAS = schemas_of_kinds()
REFUSED = "# refused: "


def files(folder: str) -> list[Path]:
    """Return the corpus files of all kinds; of an object as it changes only the end, where lint can see it."""
    return sorted(CORPUS.glob(f"*/{folder}/*.yaml"))


def sentence(path: Path) -> str:
    """Return the id of a case."""
    return f"{path.parent.parent.name}:{path.stem}"


def findings(*things: dict[str, Any], partial: bool = False) -> list[tuple[str, str]]:
    """Return (place, reason) of all that is wrong with objects."""
    found = lint([Source("f.yaml", thing) for thing in things], SCHEMAS, partial=partial)
    return [(finding.fault.place, str(finding.fault.reason)) for finding in found]


@pytest.mark.parametrize("path", files("valid"), ids=sentence)
def test_what_the_apiserver_takes_is_well(path: Path) -> None:
    for state in yaml.safe_load_all(path.read_text()):
        assert findings(state, partial=True) == []


SINGLE = [path for path in files("invalid") if path.read_text().count("\nkind:") == 1]


@pytest.mark.parametrize("path", SINGLE, ids=sentence)
def test_what_the_apiserver_refuses_is_refused_at_the_same_place(path: Path) -> None:
    words = path.read_text().splitlines()[0].removeprefix(REFUSED)
    found = findings(yaml.safe_load(path.read_text()), partial=True)
    assert found
    places = [place.partition("[")[0].replace(WHOLE, "<nil>") for place, _ in found]
    assert any(place in words for place in places), (found, words)


def a_rule(when: str) -> dict[str, Any]:
    """Return a rule with this expression."""
    return {**some_rule("all"), "when": when}


def test_rules_constraints_and_schemas_are_named_by_their_exact_place() -> None:
    rules = [{**a_rule("true"), "name": f"r{n}"} for n in range(2)] + [a_rule("amount >")]
    tool = {"name": "pay", "risk": "Financial", "inputSchema": {"$ref": "#"}}
    constraints = [{"expression": each, "message": "m"} for each in ("true", "nothing")]
    upstream = {"mcp": {"url": "https://bank.example/mcp"}}
    grant = a_grant("core", upstream=upstream, tools=[{**tool, "constraints": constraints}])
    agent = an_agent(loop={"outputSchema": {"$ref": "#"}})
    assert findings(a_policy(rules=rules), grant, agent) == [
        ("spec.rules[2].when", "InvalidRule"),
        ("spec.tools[0].inputSchema", "InvalidSchema"),
        ("spec.tools[0].constraints[1].expression", "InvalidRule"),
        ("spec.loop.outputSchema", "InvalidSchema"),
    ]


def test_a_whole_team_is_well() -> None:
    assert findings(a_policy(), a_grant(), an_agent(), a_run()) == []


@pytest.mark.parametrize(
    ("things", "found"),
    [
        ([an_agent(), a_grant()], ("spec", "NoPolicy")),
        ([an_agent(), a_policy()], ("spec", "ModelNotGranted")),
        ([a_run()], ("spec.agent", "InvalidSpec")),
    ],
    ids=["policy", "grant", "agent"],
)
def test_what_is_referred_to_must_be_there_unless_a_cluster_has_it(things: Any, found: tuple[str, str]) -> None:
    assert (findings(*things), findings(*things, partial=True)) == ([found], [])


@pytest.mark.parametrize(
    ("floor", "agent", "found"),
    [
        ({}, {"runtime": a_container("agents.example/teller:1")}, "spec.runtime.container.image must be named"),
        ({"runtimeClassNames": ["gvisor"]}, {}, "spec.sandbox.runtimeClassName"),
        ({"maxMemoryMiB": 64}, {}, "spec.sandbox.memoryMiB"),
    ],
    ids=["image", "runtime-class", "memory"],
)
def test_floors_hold_before_apply(floor: Any, agent: Any, found: str) -> None:
    ((place, _),) = findings(a_policy(sandbox=floor), a_grant(), an_agent(**agent))
    assert found.startswith(place.split(" ")[0])


def test_a_run_names_a_purpose_of_its_agent() -> None:
    assert findings(a_policy(), a_grant(), an_agent(), a_run(purpose="theft")) == [("spec.purpose", "InvalidSpec")]


def test_a_tenants_policy_does_not_reach_out() -> None:
    ((place, reason),) = findings(a_policy(namespaceSelector={"a": "b"}))
    assert (place, reason) == ("spec.namespaceSelector", str(ObjectReason.NAMESPACE_SELECTOR_NOT_ALLOWED))


def run(*arguments: str) -> tuple[int, str]:
    """Run the command; returns exit code and output."""
    told = CliRunner().invoke(app, list(arguments))
    return told.exit_code, told.output


def test_a_line_says_file_object_place_reason_and_what(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(yaml.safe_dump(a_policy(rules=[a_rule("amount >")])))
    code, output = run(str(file))
    assert code == 1
    assert output.startswith(f"{file}: Policy/rules: spec.rules[0].when: InvalidRule: 1:9: Syntax error")


@pytest.mark.parametrize("text", ["a: [", "kind: Agent\napiVersion: remit.dev/v1alpha1\n"], ids=["no-yaml", "no-name"])
def test_what_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(text)
    assert run(str(file))[0] == 1


def test_the_example_is_well() -> None:
    code, output = run("--partial", str(ROOT / "examples" / "01-bank-dispute"))
    assert (code, output.endswith("objects are well\n")) == (0, True), output
