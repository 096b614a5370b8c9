"""Every line that the gateway logs about a run says its UID, from wherever in the call it comes."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.support.gateway_process import Served
from tests.support.governed import governed
from tests.support.polling import eventually_async

from remit.adapters.logs import say_whom
from remit.gateway.gate import Gate

WHO = {"namespace": "bank", "run": "run-1", "uid": "run-uid-1"}


def said(lines: Iterable[Mapping[str, Any]], event: str) -> list[dict[str, str]]:
    """Return whom the lines of an event are about."""
    return [{key: line.get(key, "") for key in WHO} for line in lines if line["event"] == event]


def break_down(_gate: Gate, *_: object) -> None:
    raise KeyError("a bug")


async def test_a_request_that_fails_deep_inside_says_whose_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    with capture_logs(processors=[say_whom]) as lines:
        async with governed() as (world, _):
            monkeypatch.setattr("remit.gateway.links.input_of", break_down)
            assert (await world.call_raw("look", {}, "c1"))[0] == 500

    assert said(lines, "request failed") == [WHO]


async def ended(world: Served) -> bool:
    return "run-end" in await world.kinds()


async def test_the_end_of_a_run_says_whose_it_was() -> None:
    with capture_logs(processors=[say_whom]) as lines:
        async with governed() as (world, _):
            await world.call("look", {}, "c1")
            await world.post("/run/v1/result", {"outcome": "Failed", "stop": "Answered"})
            await eventually_async(lambda: ended(world))

    assert said(lines, "run ended") == [WHO]
