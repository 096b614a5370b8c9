"""The floor that policies set for sandboxes: who is below it, and which policy says so."""

from typing import Any

import pytest
from tests.support.bundles import INSTALL_NAMESPACE, a_bundle, a_grant, a_model_grant, a_policy, a_rule, an_agent

from remit.adapters.cel import CelEngine
from remit.adapters.schemas import JsonSchemaEngine
from remit.api.bundle import Bundle
from remit.api.reasons import ObjectReason
from remit.core.compile import compile_bundle, compile_live
from remit.core.floors import who_refuses_node_access
from remit.core.prepare import CompiledBundle, Refusal

GVISOR = {"runtimeClassName": "gvisor"}


def compiled(sandbox: dict[str, Any], *policies: Any, live: bool = False) -> CompiledBundle | Bundle | Refusal:
    """Compile an agent with this sandbox, as the gateway does (`live`) or as the controller does."""
    compile_it = compile_live if live else compile_bundle
    return compile_it(
        an_agent(sandbox=sandbox),
        [a_grant(), a_model_grant()],
        policies,
        namespace_labels={},
        install_namespace=INSTALL_NAMESPACE,
        rules=CelEngine(),
        schemas=JsonSchemaEngine(),
    )


def floor(**sandbox: Any) -> Any:
    """Return a policy with this floor."""
    return a_policy(a_rule(), sandbox=sandbox)


@pytest.mark.parametrize("sandbox", [{}, {"runtimeClassName": "runc"}], ids=["none", "another"])
@pytest.mark.parametrize("when", ["to start", "under way"])
def test_a_runtime_class_that_is_not_allowed_is_refused_under_way_too(sandbox: dict[str, Any], when: str) -> None:
    found = compiled(sandbox, floor(runtimeClassNames=["kata", "gvisor"]), live=when == "under way")
    assert isinstance(found, Refusal)
    assert found.reason is ObjectReason.RUNTIME_CLASS_NOT_ALLOWED
    assert "asks for one of gvisor, kata" in found.message


def test_each_policy_has_to_allow_the_runtime_class() -> None:
    both = (floor(runtimeClassNames=["gvisor"]), a_policy(a_rule(), name="p2", sandbox={"runtimeClassNames": ["kata"]}))
    assert isinstance(compiled(GVISOR, *both), Refusal)
    assert isinstance(compiled(GVISOR, both[0]), Bundle)


@pytest.mark.parametrize(
    ("sandbox", "bound"),
    [({"cpuMillis": 501}, {"maxCPUMillis": 500}), ({"memoryMiB": 513}, {"maxMemoryMiB": 512})],
    ids=["cpu", "memory"],
)
def test_more_room_than_allowed_is_refused_to_new_runs_only(sandbox: dict[str, Any], bound: dict[str, Any]) -> None:
    refused = compiled(sandbox, floor(**bound))
    assert isinstance(refused, Refusal)
    assert refused.reason is ObjectReason.RESOURCES_NOT_ALLOWED
    assert isinstance(compiled(sandbox, floor(**bound), live=True), CompiledBundle)


def test_as_much_room_as_allowed_is_taken() -> None:
    bounds = floor(maxCPUMillis=500, maxMemoryMiB=512)
    assert isinstance(compiled({"cpuMillis": 500, "memoryMiB": 512}, bounds), Bundle)


def test_who_refuses_node_access_is_named() -> None:
    loose, strict = floor(), a_policy(a_rule(), name="strict", sandbox={"nodeAccess": "Refuse"})
    assert who_refuses_node_access(a_bundle(None, None, [loose]).bundle) == ""
    assert who_refuses_node_access(a_bundle(None, None, [loose, strict]).bundle) == "bank/strict"
