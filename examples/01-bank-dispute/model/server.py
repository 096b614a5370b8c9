"""HTTP: the key, the two APIs, health. One request, one turn; nothing is kept between them."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from aiohttp import web

from model import anthropic_api, openai_api
from model.conversation import BadRequestError, Conversation
from model.dialogue import Dialogue, Reply, answer

MAX_BODY_BYTES = 16 * 1024 * 1024


class Api(Protocol):
    """What the two APIs' modules have in common."""

    def conversation(self, body: Mapping[str, Any], digest: str) -> Conversation:
        """Read a request."""

    def completion(self, reply: Reply, talk: Conversation, model: str, request_bytes: int) -> dict[str, Any]:
        """Write a whole answer."""

    def chunks(self, reply: Reply, talk: Conversation, body: Mapping[str, Any], request_bytes: int) -> Iterator[bytes]:
        """Write an answer in pieces."""

    def error(self, status: int, message: str) -> dict[str, Any]:
        """Write an error."""

    def models(self, names: list[str]) -> dict[str, Any]:
        """List the models."""


class ModelServer:
    """The scripted models behind their HTTP APIs."""

    def __init__(self, dialogues: Mapping[str, Dialogue], secret: str) -> None:
        """Serve these dialogues to whoever knows the secret."""
        self._dialogues = dialogues
        self._secret = secret.encode()

    def app(self) -> web.Application:
        """Return the aiohttp application."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat_completions)
        app.router.add_post("/v1/messages", self._messages)
        return app

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "models": sorted(self._dialogues)})

    async def _models(self, request: web.Request) -> web.Response:
        api: Api = anthropic_api if "anthropic-version" in request.headers else openai_api
        if not self._admits(request):
            return _failed(api, 401, "the API key is missing or wrong")
        return web.json_response(api.models(sorted(self._dialogues)))

    async def _chat_completions(self, request: web.Request) -> web.StreamResponse:
        return await self._turn(request, openai_api)

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        return await self._turn(request, anthropic_api)

    async def _turn(self, request: web.Request, api: Api) -> web.StreamResponse:
        if not self._admits(request):
            return _failed(api, 401, "the API key is missing or wrong")
        raw = await request.read()
        try:
            body = json.loads(raw)
            talk = api.conversation(body, _digest(body))
            dialogue = self._dialogues.get(body["model"])
        except (ValueError, KeyError, TypeError, AttributeError, BadRequestError) as error:
            return _failed(api, 400, f"the request is malformed: {error!r}")
        if dialogue is None:
            return _failed(api, 404, f"there is no model {body['model']!r}")
        reply = answer(dialogue, talk)
        await asyncio.sleep(reply.seconds)
        if not body.get("stream"):
            return web.json_response(api.completion(reply, talk, dialogue.model, len(raw)))
        return await _stream(request, api.chunks(reply, talk, body, len(raw)))

    def _admits(self, request: web.Request) -> bool:
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        given = request.headers.get("X-Api-Key", bearer)
        return hmac.compare_digest(given.encode(), self._secret)


def _digest(body: Mapping[str, Any]) -> str:
    """Digest what was said, not the bounds of the answer: asked again with less room, ids stay."""
    said = [body["model"], body.get("system"), body["messages"]]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


async def _stream(request: web.Request, pieces: Iterator[bytes]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)
    for piece in pieces:
        await response.write(piece)
    await response.write_eof()
    return response


def _failed(api: Api, status: int, message: str) -> web.Response:
    return web.json_response(api.error(status, message), status=status)
