"""What kubectl shows of an agent once the probe has found out how the network is; docs/transcripts.md is just that.

The finding stands in its ConfigMap, as another process of the controller left it a moment ago.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

import pytest
from tests.apiserver.controller.transcripts.findings import FOUND
from tests.support.controller_process import ControllerProcess
from tests.support.kube import Kube
from tests.support.objects import a_grant, a_policy, an_agent
from tests.support.polling import eventually
from tests.support.tenant import Tenant
from tests.support.transcripts import hold_against_page, tell

from remit.adapters.clock import SystemClock
from remit.api.names import INSTALL_NAMESPACE, PROBE_RECORD
from remit.api.reasons import ObjectReason
from remit.cluster import Cluster
from remit.core.conditions import find_condition
from remit.core.probe import to_record

RECORDS = f"/api/v1/namespaces/{INSTALL_NAMESPACE}/configmaps"
PROBING = {"REMIT_LEASE": "off", "REMIT_PROBE": "on", "REMIT_PROBE_SECONDS": "3600"}


@pytest.fixture
def told(kube: Kube) -> Iterator[Tenant]:
    """A namespace with an agent whose policy refuses access to the node."""
    name = f"told-{token_hex(4)}"
    made = kube.create("/api/v1/namespaces", {"metadata": {"name": name}})
    assert made.code == 201, made.message
    tenant = Tenant(kube, name)
    tenant.create(a_policy(sandbox={"nodeAccess": "Refuse"}), a_grant(), an_agent())
    yield tenant
    kube.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def found(kube: Kube, account: Path, tmp_path: Path) -> Iterator[Callable[[ObjectReason], None]]:
    """Starts a controller that believes a finding; both go at the end."""
    process = ControllerProcess(account, tmp_path / "log", settings=PROBING)

    def start(reason: ObjectReason) -> None:
        proof = replace(FOUND[reason][0], at=SystemClock().now())
        kube.delete(f"{RECORDS}/{PROBE_RECORD}")
        made = kube.create(RECORDS, to_record(INSTALL_NAMESPACE, proof))
        assert made.code == 201, made.message
        process.start()

    yield start
    process.stop()
    kube.delete(f"{RECORDS}/{PROBE_RECORD}")


@pytest.mark.parametrize("reason", FOUND)
def test_an_agent_says_what_was_found(
    cluster: Cluster, told: Tenant, found: Callable[[ObjectReason], None], reason: ObjectReason
) -> None:
    found(reason)

    def stands() -> bool:
        status = told.status("Agent", "teller")
        conditions = status.get("conditions", ())
        node = find_condition(conditions, "NodeReachable") or {}
        ready = find_condition(conditions, "Ready") or {}
        return bool(ready.get("reason") == FOUND[reason][1] and node)

    eventually(stands, within_seconds=60, why=reason)
    hold_against_page(tell(cluster, told.name, "Agent", "teller", reason))
