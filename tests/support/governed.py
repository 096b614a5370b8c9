"""One agent, a bank and a model behind a gateway on loopback: what most tests of the gateway begin with."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from tests.support.fake_authority import a_grant, a_model_grant
from tests.support.fake_upstream import FakeUpstream, upstream
from tests.support.gateway_process import Served, a_world, served

Stored = dict[str, Any]


@contextlib.asynccontextmanager
async def governed(
    *objects: Stored,
    tools: tuple[Stored, ...] = (),
    api: str = "OpenAI",
    grant: Stored | None = None,
    hosts: str = "127.0.0.1",
    **options: Any,
) -> AsyncIterator[tuple[Served, FakeUpstream]]:
    """Serve a run whose bank and model are one fake upstream; `objects` replace the default agent and policy."""
    async with upstream() as bank:
        given = a_grant(f"{bank.url}/mcp", *tools, **(grant or {}))
        cluster = a_world(given, a_model_grant(bank.url, api), *objects, hosts=hosts)
        async with served(cluster, **options) as world:
            yield world, bank


def a_chat(text: str = "hello", **more: Any) -> Stored:
    """The body of a chat completion."""
    return {"model": "scripted", "messages": [{"role": "user", "content": text}]} | more


CHAT = "/openai/v1/chat/completions"
MESSAGES = "/anthropic"
