"""For every reason what kubectl shows, on a real cluster: docs/transcripts.md is just that.

All cases come about side by side; each test waits for its own.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import pytest
from tests.apiserver.controller.transcripts.cases import CASES, Case
from tests.apiserver.controller.transcripts.findings import FOUND
from tests.support.controller_process import ControllerProcess, kubeconfig_of
from tests.support.host_gateway import HostGateway
from tests.support.kube import Kube
from tests.support.loosened import loosened
from tests.support.objects import a_policy
from tests.support.polling import eventually
from tests.support.tenant import Tenant
from tests.support.transcripts import PAGE, Told, heading_of, hold_against_page, sections, tell

from remit.api.reasons import ObjectReason, RunReason
from remit.cluster import Cluster
from remit.core.conditions import find_condition

UNTOLD = {ObjectReason.NO_BUDGET: "cannot come about: every Policy has budgets, and each budget is one per Run"}
PATIENCE_SECONDS = 170
"""Thirty-five namespaces come to life at once."""


def until(tenant: Tenant, reason: str, kind: str, name: str) -> None:
    """Wait for a reason, with more patience than a test of one namespace has."""
    eventually(
        lambda: tenant.reason(kind, name), lambda seen: seen == reason, within_seconds=PATIENCE_SECONDS, why=f"{reason}"
    )


def a_tenant(kube: Kube) -> Tenant:
    """Return a namespace of its own."""
    name = f"told-{token_hex(4)}"
    made = kube.create("/api/v1/namespaces", {"metadata": {"name": name}})
    assert made.code == 201, made.message
    return Tenant(kube, name)


@pytest.fixture(scope="module")
def watching(account: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControllerProcess]:
    """A controller that runs, and is stopped at the end."""
    process = ControllerProcess(account, tmp_path_factory.mktemp("controller") / "log")
    process.launch()
    eventually(process.is_ready, within_seconds=2 * PATIENCE_SECONDS, why="the controller watches")
    yield process
    process.stop()


@pytest.fixture(scope="module")
def gateway(kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostGateway]:
    """A gateway that the test starts, and that is stopped at the end."""
    folder = tmp_path_factory.mktemp("gateway")
    path = folder / "kubeconfig"
    path.write_text(json.dumps(kubeconfig_of(kube, "remit-gateway")))
    made = HostGateway(path, folder)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def before_the_gateway(kube: Kube, cluster: Cluster, watching: ControllerProcess) -> Told:
    """What is told while no gateway is there."""
    tenant = a_tenant(kube)
    tenant.create(a_policy())
    until(tenant, "GatewayNotReady", "Policy", "rules")
    told = tell(cluster, tenant.name, "Policy", "rules", "GatewayNotReady")
    kube.delete(f"/api/v1/namespaces/{tenant.name}")
    return told


@pytest.fixture(scope="module")
def tenants(kube: Kube, before_the_gateway: Told, gateway: HostGateway) -> Iterator[dict[str, Tenant]]:
    """A namespace for each case, in which it is under way."""
    gateway.start()
    made = {name: a_tenant(kube) for name in CASES}
    with loosened(kube):
        for name in (name for name in CASES if CASES[name].is_older):
            made[name].create(*CASES[name].given)
    for name in (name for name in CASES if not CASES[name].is_older):
        if (prepare := CASES[name].prepare) is not None:
            prepare(made[name])
        made[name].create(*CASES[name].given)
    yield made
    for tenant in made.values():
        kube.delete(f"/api/v1/namespaces/{tenant.name}")


@pytest.fixture(scope="module")
def acted(tenants: dict[str, Tenant]) -> dict[str, Tenant]:
    """The same, once everybody has done their part."""
    for name, tenant in tenants.items():
        case = CASES[name]
        if case.act is not None:
            until(tenant, case.through, case.kind, case.name)
            case.act(tenant)
    return tenants


def settled(tenant: Tenant, case: Case) -> bool:
    """Tell whether the reason stands, about the object as it is now, and the gateway and an Event say so, too."""
    thing = tenant.kube.get(tenant.path(case.kind, case.name)).body
    status, generation = thing.get("status", {}), thing["metadata"]["generation"]
    ready = find_condition(status.get("conditions", ()), "Ready") or {}
    acknowledged = (status.get("enforced") or {}).get("generation") == generation
    waits_for_nobody = case.kind == "AgentRun" and generation == 1
    return (
        (ready.get("reason"), ready.get("observedGeneration")) == (case.reason, generation)
        and (acknowledged or waits_for_nobody)
        and ready["message"] in events_of(tenant, case)
    )


def events_of(tenant: Tenant, case: Case) -> set[str]:
    """Return what Events say about the object."""
    selector = f"fieldSelector=involvedObject.name%3D{case.name}%2Creason%3D{case.reason}"
    found = tenant.kube.get(f"/api/v1/namespaces/{tenant.name}/events?{selector}").body["items"]
    return {event["message"] for event in found}


@pytest.mark.parametrize("name", CASES)
def test_kubectl_shows_what_the_page_says(cluster: Cluster, acted: dict[str, Tenant], name: str) -> None:
    case, tenant = CASES[name], acted[name]
    eventually(lambda: settled(tenant, case), within_seconds=PATIENCE_SECONDS, why=name)
    hold_against_page(tell(cluster, tenant.name, case.kind, case.name, case.reason))


def test_kubectl_shows_that_the_gateway_is_not_there(before_the_gateway: Told) -> None:
    hold_against_page(before_the_gateway)


def test_every_reason_is_told() -> None:
    told = {(case.kind, case.reason) for case in CASES.values()}
    assert {reason for kind, reason in told if kind == "AgentRun"} == set(RunReason)
    of_objects = {reason for kind, reason in told if kind != "AgentRun"}
    assert of_objects | {ObjectReason.GATEWAY_NOT_READY, *FOUND, *UNTOLD} == set(ObjectReason)
    assert not of_objects & set(UNTOLD)


def test_the_page_has_no_section_of_its_own() -> None:
    expected = {heading_of(case.kind, case.reason) for case in CASES.values()}
    others = {heading_of("Policy", "GatewayNotReady"), *(heading_of("Agent", reason) for reason in FOUND)}
    assert set(sections(PAGE.read_text())) == expected | others
