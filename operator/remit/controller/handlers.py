"""The only kopf decorators: kopf watches, keeps no books, and hands every event on. Nothing is decided here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping
from functools import partial
from itertools import chain, repeat
from types import SimpleNamespace
from typing import Any

import aiohttp
import kopf

from remit.adapters.access import Access
from remit.controller.kinds import STREAMED, WATCHED
from remit.controller.reconcile import Controller
from remit.controller.store import Watched
from remit.controller.watches import STREAM_SECONDS, Watches

LOGIN_SECONDS = 1.0
"""A token that the apiserver does not take is read anew, but not in a hurry."""
ANSWER_SECONDS = 20.0
CONNECT_SECONDS = 10.0
REFUSED = 400

Life = Coroutine[Any, Any, None]


Deliver = Callable[[Callable[[], None]], object]
"""Has something done where the controller lives: kopf lives in a thread of its own."""


def operator(controller: Controller, access: Access, deliver: Deliver, ending: asyncio.Event) -> Life:
    """Return a life of kopf's: it watches all, or the one namespace that we may see, until asked to end."""
    registry, within = kopf.OperatorRegistry(), controller.settings.watch_namespace
    register(registry, controller, access, deliver)
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)  # that signals are ours is no warning
    whole: dict[str, Any] = {"namespaces": [within]} if within else {"clusterwide": True}
    return kopf.operator(registry=registry, settings=settings(), standalone=True, stop_flag=ending, **whole)


def register(registry: kopf.OperatorRegistry, controller: Controller, access: Access, deliver: Deliver) -> None:
    """Have kopf log in as `access` and hand every watched object to the controller."""
    pauses = chain((0.0,), repeat(LOGIN_SECONDS))
    way = partial(session, access, controller.watches, controller.settings.watch_namespace)

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.AiohttpSession:
        await asyncio.sleep(next(pauses))
        return kopf.AiohttpSession(server=access.server, aiohttp_session=way())

    for watched in (each for each in WATCHED if each not in STREAMED):
        _register_kind(registry, controller, watched, deliver)


def _register_kind(registry: kopf.OperatorRegistry, controller: Controller, watched: Watched, deliver: Deliver) -> None:
    """An index makes kopf wait until every kind was listed before the first event is handed on."""
    where = (watched.group, watched.version, watched.plural)

    @kopf.index(*where, id=f"seen-{watched.plural}", registry=registry)
    async def see(body: kopf.Body, **_: Any) -> None:
        deliver(partial(controller.see, watched.kind, stored(body, watched)))

    @kopf.on.event(*where, id=watched.plural, registry=registry)
    async def note(event: kopf.RawEvent, **_: Any) -> None:
        gone = event["type"] == "DELETED"
        deliver(partial(controller.note, watched.kind, stored(event["object"], watched), gone=gone))


def stored(body: Mapping[str, Any], watched: Watched) -> dict[str, Any]:
    """Return the object; items of a list do not say what they are."""
    return {"apiVersion": watched.api_version, "kind": watched.kind, **body}


def session(access: Access, watches: Watches, within: str = "") -> aiohttp.ClientSession:
    """Return kopf's way to the apiserver; what is answered on it proves that watches live."""
    token = access.read_token()
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=access.tls()),
        headers={"Authorization": f"Bearer {token}"} if token else {},
        trace_configs=[_traced(watches)],
        middlewares=[_only_home(within)] if within else [],
    )


def _only_home(within: str) -> aiohttp.ClientMiddlewareType:
    """Ask for the one Namespace that we may see: kopf watches things of the cluster whole."""

    async def choose(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        if request.url.path == "/api/v1/namespaces":
            request.url = request.url.update_query(fieldSelector=f"metadata.name={within}")
        return await send(request)

    return choose


def _traced(watches: Watches) -> aiohttp.TraceConfig:
    traced = aiohttp.TraceConfig()

    async def answered(_: Any, __: SimpleNamespace, ended: aiohttp.TraceRequestEndParams) -> None:
        if ended.response.status < REFUSED:
            watches.answered(ended.url.path, watching="watch" in ended.url.query)

    traced.on_request_end.append(answered)
    return traced


def settings() -> kopf.OperatorSettings:
    """Kopf for watching only: no peering, no scanning, no Events, no annotations, no finalizers."""
    configured = kopf.OperatorSettings()
    configured.peering.standalone = True
    configured.scanning.disabled = True
    configured.posting.enabled = False
    configured.persistence.progress_storage = kopf.StatusProgressStorage(field="status.never")
    _bound(configured)
    for watched in (each for each in WATCHED if each.selector):
        where = (watched.group, watched.version, watched.plural)
        configured.watching.label_selectors[where] = watched.selector
    return configured


def _bound(configured: kopf.OperatorSettings) -> None:
    """Bound every wait: a stream ends soon, and what does not answer is asked again."""
    configured.networking.connect_timeout = CONNECT_SECONDS
    configured.networking.request_timeout = ANSWER_SECONDS
    configured.networking.error_backoffs = Patience()
    configured.watching.server_timeout = STREAM_SECONDS
    configured.watching.inactivity_timeout = STREAM_SECONDS + 5


class Patience:
    """Pauses between attempts, without an end: kopf gives its operator up when they end."""

    def __iter__(self) -> Iterator[float]:
        """Yield them."""
        yield from (0.5, 1, 2)
        yield from repeat(5)
