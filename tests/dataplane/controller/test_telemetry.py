"""Health, readiness and metrics as they are asked for over HTTP; libraries' words as JSON lines."""

import json
import logging
from collections.abc import AsyncIterator

import aiohttp
import pytest
from tests.support.controlled import Controlled, a_team
from tests.support.objects import a_run

from remit.controller.telemetry import LINE_LIMIT, LibraryLines, serve


@pytest.fixture
async def served() -> AsyncIterator[tuple[str, Controlled]]:
    team = await a_team()
    controller = team.controller
    runner = await serve(controller.metrics, lambda: controller.is_synced, host="127.0.0.1", port=0)
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


def test_libraries_speak_in_bounded_lines() -> None:
    record = logging.LogRecord("kopf", logging.ERROR, "f", 1, "x" * 9000 + "\nmore", (), None)
    line = json.loads(LibraryLines().format(record))

    assert line == {"event": "x" * LINE_LIMIT, "level": "error", "logger": "kopf"}
