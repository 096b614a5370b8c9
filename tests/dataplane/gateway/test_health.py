"""The gateway's health minds a watch that is silent for very long, and tells which; its readiness minds it earlier."""

import pytest
from tests.support.governed import governed
from tests.support.polling import eventually_async

from remit.gateway.settings import Settings


async def test_a_watch_that_is_silent_for_very_long_makes_the_process_unwell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remit.gateway.control.UNWELL_SECONDS", 2.0)
    async with governed(settings=Settings(authority_bound_seconds=0.5)) as (world, _):
        assert await world.control("/healthz") == (200, {"status": "ok"})
        world.cluster.silent = True
        await eventually_async(lambda: world.control("/readyz"), lambda seen: seen[0] == 503)
        assert (await world.control("/healthz"))[0] == 200
        status, told = await eventually_async(lambda: world.control("/healthz"), lambda seen: seen[0] == 503)
        assert (status, told["status"]) == (503, "silent")
        assert told["watches"]
        _, metrics = await world.control("/metrics")
        assert b"remit_gateway_authority_fresh 0.0" in metrics
        world.cluster.silent = False
        await eventually_async(lambda: world.control("/healthz"), lambda seen: seen[0] == 200)
