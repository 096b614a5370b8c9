"""Health, readiness and metrics as they are asked for over HTTP; libraries' words as JSON lines."""

import json
import logging
from collections.abc import AsyncIterator

import aiohttp
import pytest
from tests.support.controlled import Controlled, a_team
from tests.support.objects import a_run

from remit.adapters.logs import LINE_LIMIT, LibraryLines
from remit.controller.kinds import WATCHED
from remit.controller.telemetry import Standing, serve
from remit.controller.watches import UNWELL_SECONDS


@pytest.fixture
async def served() -> AsyncIterator[tuple[str, Controlled]]:
    team = await a_team()
    controller = team.controller
    standing = Standing(lambda: controller.is_synced, controller.watches.silent, controller.watches.silence_seconds)
    runner = await serve(controller.metrics, standing, host="127.0.0.1", port=0)
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}", team
    await runner.cleanup()


async def read(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


async def test_readiness_is_that_everything_was_listed(served: tuple[str, Controlled]) -> None:
    base, team = served
    assert await read(f"{base}/readyz") == (200, "ok")
    team.controller.is_synced = False

    assert await read(f"{base}/readyz") == (503, "not every kind was listed yet")
    assert await read(f"{base}/healthz") == (200, "ok")


async def test_metrics_count_writes_and_reconciles(served: tuple[str, Controlled]) -> None:
    base, team = served
    await team.apply(a_run())
    _, text = await read(f"{base}/metrics")

    assert 'remit_controller_writes_total{kind="Pod",verb="create"} 1.0' in text
    assert 'remit_controller_reconciles_total{kind="AgentRun",outcome="done"}' in text
    assert "remit_controller_queue_depth 0.0" in text


async def test_health_is_that_no_watch_is_silent_for_too_long(served: tuple[str, Controlled]) -> None:
    base, team = served
    kinds = {watched.kind for watched in WATCHED}
    for kind in kinds:
        team.controller.watches.hear(kind)
    team.clock.seconds += UNWELL_SECONDS
    for kind in kinds - {"AgentRun"}:
        team.controller.watches.hear(kind)
    assert await read(f"{base}/healthz") == (200, "ok")
    team.clock.seconds += 1

    assert await read(f"{base}/healthz") == (503, "no word from the watch of AgentRun")
    _, text = await read(f"{base}/metrics")
    assert 'remit_controller_watch_age_seconds{kind="AgentRun"} 61.0' in text
    team.controller.watches.hear("AgentRun")
    assert await read(f"{base}/healthz") == (200, "ok")


def test_libraries_speak_in_bounded_lines() -> None:
    record = logging.LogRecord("kopf", logging.ERROR, "f", 1, "x" * 9000 + "\nmore", (), None)
    line = json.loads(LibraryLines().format(record))

    assert line == {"event": "x" * LINE_LIMIT, "level": "error", "logger": "kopf"}
