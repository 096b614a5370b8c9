"""Admission policies: what they take for granted about sandboxes is what the controller makes."""

from typing import Any

from remit.api.agent import AgentSpec
from remit.api.agentrun import AgentRunSpec
from remit.codegen.admission import GUARDS, SANDBOX_KEYS, admission_manifests
from remit.core.children import SandboxSettings, run_pod

RUN: dict[str, Any] = {"metadata": {"name": "dispute-4711", "namespace": "bank", "uid": "1"}}
AGENT = AgentSpec.model_validate(
    {
        "owner": "disputes",
        "purposes": ["card-dispute"],
        "runtime": {"harness": {}},
        "instructions": {"inline": "Resolve."},
        "model": {"grant": "provider", "name": "gpt-5"},
    }
)


def test_a_sandbox_has_no_label_that_others_select_by() -> None:
    spec = AgentRunSpec.model_validate({"agent": "resolver", "purpose": "card-dispute"})
    made = run_pod(RUN, spec, AGENT, SandboxSettings("harness:1", "10.96.0.10"))
    assert set(made["metadata"]["labels"]) - set(SANDBOX_KEYS) == set()


def test_every_refusal_says_what_to_do_or_who_may() -> None:
    messages = [check.message for guard in GUARDS for check in guard.checks]
    assert [message for message in messages if len(message) < 40] == []


def test_names_are_unique_and_ours() -> None:
    names = [(made["kind"], made["metadata"]["name"]) for made in admission_manifests()]
    assert len(names) == len(set(names))
    assert [name for _, name in names if not name.startswith("remit-")] == []
