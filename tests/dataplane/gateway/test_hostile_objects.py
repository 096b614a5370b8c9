"""What one tenant writes refuses that tenant's calls; the gateway and everyone else go on."""

from collections.abc import Mapping
from typing import Any

import pytest
from tests.support.fake_authority import a_grant, a_policy, a_rule, a_tool
from tests.support.gateway_process import ENGINES, Served, reason_of
from tests.support.governed import governed
from tests.support.polling import eventually_async

from remit.core.engines import CompiledSchema

HOSTILE: dict[str, dict[str, Any]] = {
    "a port beyond all": a_grant("http://bank:99999/mcp"),
    "a port of letters": a_grant("http://bank:80:90/mcp"),
    "a bracket left open": a_grant("http://[::1/mcp"),
    "no host": a_grant("http://:80/mcp"),
    "a dialect that is a number": a_grant("http://bank/mcp", a_tool("look", inputSchema={"$schema": 5})),
    "a rule that is no CEL": a_policy(a_rule(when="((((")),
    "rules that are none": a_policy() | {"spec": {"rules": {}, "budgets": "x"}},
}


def elsewhere(made: Mapping[str, Any]) -> dict[str, Any]:
    return dict(made) | {"metadata": {"namespace": "tenant", "name": "hostile"}}


async def enforced(world: Served, kind: str) -> str:
    reason: str = world.cluster.status_of(kind, "hostile").get("enforced", {}).get("reason", "")
    return reason


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
async def test_what_one_tenant_writes_ends_nobody_elses_calls(hostile: dict[str, Any]) -> None:
    async with governed() as (world, _):
        world.cluster.put(elsewhere(hostile))
        reason = await eventually_async(lambda: enforced(world, hostile["kind"]))
        assert reason.startswith("Invalid")
        assert reason_of(await world.call("look", {}, "c1")) == ""
        assert (await world.control("/readyz"))[0] == 200


async def test_an_engine_that_fails_on_an_object_refuses_what_rests_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = ENGINES.schemas.compile

    def failing(schema: Mapping[str, Any]) -> CompiledSchema:
        if "boom" in schema:
            raise RecursionError
        return compiled(schema)

    async with governed() as (world, _):
        monkeypatch.setattr(ENGINES.schemas, "compile", failing)
        world.cluster.change("ToolGrant", "bank", tools=[a_tool("look", inputSchema={"boom": 1})])
        world.cluster.put(elsewhere(a_grant("http://bank/mcp", a_tool("look", inputSchema={"boom": 1}))))
        assert await eventually_async(lambda: enforced(world, "ToolGrant")) == "InvalidSpec"
        assert reason_of(await world.call("look", {}, "c1")) == "InvalidRule"
        assert (await world.control("/readyz"))[0] == 200
