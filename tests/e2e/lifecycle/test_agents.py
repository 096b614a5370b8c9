"""An agent's life and its revisions, as kubectl sees them on a real cluster."""

from __future__ import annotations

import json
from secrets import token_hex
from typing import Any

import pytest
import yaml

from remit.cli.demo.records import calls_of
from remit.cli.demo.stage import BANK, SceneError, Stage

FINAL = "lifecycle goes from Draft to Active, between Active and Suspended, and from any to Retired, which is final"


def an_agent(stage: Stage, lifecycle: str) -> str:
    """Make an agent like the example's plodder, which reads once a second, under a name of its own."""
    documents = yaml.safe_load_all((stage.example / "agents.yaml").read_text())
    agent = next(each for each in documents if each["metadata"]["name"] == "dispute-plodder")
    agent["metadata"]["name"] = f"life-{token_hex(3)}"
    agent["spec"]["lifecycle"] = lifecycle
    stage.apply([agent])
    return str(agent["metadata"]["name"])


def patch(stage: Stage, agent: str, **spec: Any) -> None:
    """Change an agent as a person would."""
    stage.kubectl("patch", "agent", agent, "-n", BANK, "--type=merge", "-p", json.dumps({"spec": spec}))


def becomes(stage: Stage, agent: str, reason: str) -> dict[str, Any]:
    """Wait until the agent's leading condition has this reason for its newest generation; return its status."""

    def look() -> tuple[str, bool, dict[str, Any]]:
        found = stage.get("agent", agent)
        status = dict(found.get("status", {}))
        ready: dict[str, Any] = next((each for each in status.get("conditions", []) if each["type"] == "Ready"), {})
        return ready.get("reason", ""), status.get("observedGeneration") == found["metadata"]["generation"], status

    return stage.until(look, lambda seen: seen[:2] == (reason, True), f"agent {agent} is {reason}")[2]


def test_an_agent_lives_from_draft_to_retired_and_never_back(stage: Stage) -> None:
    agent = an_agent(stage, "Draft")
    assert "revision" not in becomes(stage, agent, "Draft")
    patch(stage, agent, lifecycle="Active")
    in_force = becomes(stage, agent, "Ready")["revision"]
    patch(stage, agent, lifecycle="Suspended")
    assert becomes(stage, agent, "Suspended")["revision"] == in_force
    patch(stage, agent, lifecycle="Active")
    assert becomes(stage, agent, "Ready")["revision"] == in_force
    with pytest.raises(SceneError, match=FINAL):
        patch(stage, agent, lifecycle="Draft")

    patch(stage, agent, lifecycle="Retired")
    assert becomes(stage, agent, "Retired")["revision"] == in_force
    with pytest.raises(SceneError, match=FINAL):
        patch(stage, agent, lifecycle="Active")


def test_a_run_stays_under_the_revision_that_it_was_admitted_with(stage: Stage) -> None:
    agent = an_agent(stage, "Active")
    first = becomes(stage, agent, "Ready")["revision"]
    run: dict[str, Any] = yaml.safe_load((stage.example / "runs" / "dispute-slow.yaml").read_text())
    name = run["metadata"]["name"] = f"pinned-{token_hex(3)}"
    run["spec"]["agent"] = agent
    stage.apply([run])
    made = len(stage.until(lambda: calls_of(stage, name), bool, "it works"))

    patch(stage, agent, instructions={"inline": "Do something else."}, loop={"maxIterations": 1000})
    status = becomes(stage, agent, "Ready")
    assert status["revision"] != first
    assert status["revisions"] == [first]
    stage.until(lambda: calls_of(stage, name), lambda calls: len(calls) > made + 1, "it goes on")
    assert stage.get("agentrun", name)["status"]["revision"] == first
    stage.kubectl("delete", "agentrun", name, "-n", BANK)


def test_an_agent_that_no_longer_compiles_keeps_its_revision_and_starts_no_run(stage: Stage) -> None:
    agent = an_agent(stage, "Active")
    first = becomes(stage, agent, "Ready")["revision"]
    broken: dict[str, Any] = {
        "apiVersion": "remit.dev/v1alpha1",
        "kind": "Policy",
        "metadata": {"name": f"broken-{token_hex(3)}", "namespace": BANK},
        "spec": {
            "agents": {"names": [agent]},
            "rules": [
                {
                    "name": "odd",
                    "tools": ["*"],
                    "risks": ["Any"],
                    "when": "arguments.(",
                    "effect": "Deny",
                    "message": "never",
                }
            ],
            "budgets": [
                {"per": "Run", "costMicroUSD": 1, "tokens": 1, "toolCalls": 1, "wallClockSeconds": 1},
            ],
        },
    }
    stage.apply([broken])
    try:
        assert becomes(stage, agent, "InvalidRule")["revision"] == first
        run: dict[str, Any] = yaml.safe_load((stage.example / "runs" / "dispute-slow.yaml").read_text())
        name = run["metadata"]["name"] = f"waits-{token_hex(3)}"
        run["spec"]["agent"] = agent
        stage.apply([run])
        status = stage.until(lambda: stage.get("agentrun", name).get("status", {}), bool, "the run was looked at")
        ready = next(each for each in status["conditions"] if each["type"] == "Ready")
        assert status["reason"] == "Pending"
        assert ready["message"].startswith(f"agent {agent} is not ready: InvalidRule: ")
        stage.kubectl("delete", "agentrun", name, "-n", BANK)
    finally:
        stage.kubectl("delete", "policy", broken["metadata"]["name"], "-n", BANK)
