"""Floors of sandboxes on a real cluster: an agent below one starts nothing, and a class that is not there is named."""

import pytest
from tests.support.objects import a_grant, a_policy, a_run, an_agent
from tests.support.polling import eventually
from tests.support.tenant import Tenant

from remit.core.conditions import find_condition

pytestmark = pytest.mark.usefixtures("controller")


def said(tenant: Tenant, kind: str, name: str) -> str:
    """Return reason and message of the leading condition."""
    ready = find_condition(tenant.status(kind, name).get("conditions", ()), "Ready") or {}
    return f"{ready.get('reason')}: {ready.get('message')}"


def test_a_floor_that_is_raised_stalls_the_agents_below_it(tenant: Tenant) -> None:
    tenant.settle_in()
    tenant.until("Ready", "Agent", "teller")
    tenant.create(a_policy("floor", sandbox={"runtimeClassNames": ["gvisor"]}))
    tenant.until("RuntimeClassNotAllowed", "Agent", "teller")
    assert f"Policy {tenant.name}/floor asks for one of gvisor" in said(tenant, "Agent", "teller")


def test_a_runtime_class_that_the_cluster_does_not_have_is_named(tenant: Tenant) -> None:
    floor = a_policy(sandbox={"runtimeClassNames": ["kata-nowhere"]})
    tenant.create(floor, a_grant(), an_agent(sandbox={"runtimeClassName": "kata-nowhere"}))
    tenant.until("Ready", "Agent", "teller")
    tenant.create(a_run())
    words = 'RuntimeClass "kata-nowhere" not found'
    eventually(lambda: said(tenant, "AgentRun", "dispute-1"), lambda seen: words in seen, why="the class is named")
    assert tenant.pods() == []
