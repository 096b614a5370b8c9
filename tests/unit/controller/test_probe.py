"""Nothing starts until a pod like a sandbox was seen to be shut in; what was found is kept and told."""

import json
from typing import Any

import pytest
from tests.support.controlled import AGENT, POD, RUN, Controlled
from tests.support.fake_cluster import Object, Place
from tests.support.objects import a_grant, a_policy, a_run, an_agent

from remit.controller.settings import Settings, SettingsError, from_environment
from remit.ports import ClusterError

PROBED = Settings("remit.dev/harness:1", probe_seconds=600)
PROBE: Place = ("Pod", "remit-system", "remit-enforcement-probe")
RECORD: Place = ("ConfigMap", "remit-system", "remit-enforcement")
FOUND: dict[str, Any] = {"control": True, "tried": 8, "reached": [], "nodesTried": 3, "node": []}


async def a_probed_team(**policy: Any) -> Controlled:
    """A team whose controller has made its probe and waits for it."""
    controlled = Controlled(settings=PROBED)
    await controlled.apply(a_policy(**policy), a_grant(), an_agent())
    assert controlled.has(PROBE)
    return controlled


async def end(controlled: Controlled, **found: Any) -> None:
    """Let the probe end with these findings, and have them looked at."""
    last = {"state": {"terminated": {"message": json.dumps({**FOUND, **found})}}}
    controlled.cluster.set_status(PROBE, phase="Succeeded", containerStatuses=[last])
    await controlled.later(1)
    await controlled.later(1)


def reason(controlled: Controlled, place: Place = AGENT) -> str:
    """Return the reason of the leading condition."""
    return str(controlled.condition(place, "Ready")["reason"])


async def test_a_run_waits_until_the_network_is_proven_to_close_sandboxes() -> None:
    team = await a_probed_team()
    await team.apply(a_run())
    assert str(team.condition(RUN, "Ready")["message"]).startswith("NetworkPolicyNotEnforced: it is not proven")
    assert not team.has(POD)
    await end(team)
    await team.later(5)
    assert team.has(POD)
    assert not team.has(PROBE)


@pytest.mark.parametrize("found", [{"reached": ["dns 10.96.0.10:53"]}, {"control": False}], ids=["open", "dead"])
async def test_no_run_starts_where_the_network_lets_out_or_nothing_is_proven(found: Object) -> None:
    team = await a_probed_team()
    await end(team, **found)
    await team.apply(a_run())
    await team.later(5)
    assert not team.has(POD)


async def test_an_agent_is_stalled_where_the_network_lets_out_and_well_again_when_it_no_longer_does() -> None:
    team = await a_probed_team()
    await end(team, reached=["dns 10.96.0.10:53"])
    assert reason(team) == "NetworkPolicyNotEnforced"
    await team.later(31)
    await end(team)
    assert reason(team) == "Ready"


@pytest.mark.parametrize(("access", "told"), [("Warn", "Ready"), ("Refuse", "NodeReachable")])
async def test_a_node_that_is_reached_is_a_warning_unless_the_floor_refuses_it(access: str, told: str) -> None:
    team = await a_probed_team(sandbox={"nodeAccess": access})
    await end(team, node=["10.0.0.1:10250"])
    assert (reason(team), team.condition(AGENT, "NodeReachable")["status"]) == (told, "True")


async def test_a_controller_that_starts_anew_believes_the_record() -> None:
    team = await a_probed_team()
    await end(team)
    team.restart()
    await team.settle()
    assert not team.has(PROBE)
    await team.later(600)
    assert team.has(PROBE)


async def test_a_probe_that_could_not_tell_takes_nothing_back_until_the_proof_is_too_old() -> None:
    team = await a_probed_team()
    await end(team)
    await team.later(600)
    await end(team, control=False)
    await team.apply(a_run())
    assert team.has(POD)
    await team.later(1800)
    await team.apply(a_run("late"))
    assert not team.has(("Pod", "bank", "late-1"))


async def test_a_probe_that_is_refused_says_so_in_the_record() -> None:
    controlled = Controlled(settings=PROBED)
    controlled.cluster.refusals["create Pod"] = ClusterError("exceeded quota", "Forbidden", 403)
    await controlled.apply(an_agent())
    assert "exceeded quota" in controlled.cluster.objects[RECORD]["data"]["proof"]


async def test_a_probe_that_does_not_end_is_taken_away() -> None:
    team = await a_probed_team()
    await team.later(91)
    assert not team.has(PROBE)
    assert "did not end" in team.cluster.objects[RECORD]["data"]["proof"]


async def test_probing_costs_no_write_while_the_proof_is_good() -> None:
    team = await a_probed_team()
    await end(team)
    written = len(team.cluster.writes)
    await team.later(590)
    assert len(team.cluster.writes) == written


def test_settings_of_the_probe() -> None:
    plain = {"REMIT_HARNESS_IMAGE": "h:1"}
    assert from_environment({**plain, "REMIT_PROBE": "off"}).probe_seconds == 0
    assert from_environment({**plain, "REMIT_PROBE_INTERNET": ""}).probe_internet == ()
    for wrong in ({"REMIT_PROBE": "perhaps"}, {"REMIT_PROBE_INTERNET": "example.com"}):
        with pytest.raises(SettingsError):
            from_environment({**plain, **wrong})
