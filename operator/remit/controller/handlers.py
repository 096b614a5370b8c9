"""The only kopf decorators: kopf watches, keeps no books, and hands every event on. Nothing is decided here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import kopf

from remit.adapters.access import Access
from remit.controller.kinds import WATCHED
from remit.controller.reconcile import Controller
from remit.controller.store import Watched


def register(registry: kopf.OperatorRegistry, controller: Controller, access: Access) -> None:
    """Have kopf log in as `access` and hand every watched object to the controller."""

    @kopf.on.login(registry=registry, retries=10, backoff=1.0)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return connection(access)

    for watched in WATCHED:
        _register_kind(registry, controller, watched)


def _register_kind(registry: kopf.OperatorRegistry, controller: Controller, watched: Watched) -> None:
    """An index makes kopf wait until every kind was listed before the first event is handed on."""
    where = (watched.group, watched.version, watched.plural)

    @kopf.index(*where, id=f"seen-{watched.plural}", registry=registry)
    async def see(body: kopf.Body, **_: Any) -> None:
        controller.see(watched.kind, stored(body, watched))

    @kopf.on.event(*where, id=watched.plural, registry=registry)
    async def note(event: kopf.RawEvent, **_: Any) -> None:
        controller.note(watched.kind, stored(event["object"], watched), gone=event["type"] == "DELETED")


def stored(body: Mapping[str, Any], watched: Watched) -> dict[str, Any]:
    """Return the object; items of a list do not say what they are."""
    return {"apiVersion": watched.api_version, "kind": watched.kind, **body}


def connection(access: Access) -> kopf.ConnectionInfo:
    """Say to kopf how to reach the apiserver."""
    return kopf.ConnectionInfo(
        server=access.server,
        ca_data=access.authority.encode() or None,
        insecure=access.insecure or None,
        scheme="Bearer",
        token=access.read_token() or None,
        certificate_data=access.certificate.encode() or None,
        private_key_data=access.key.encode() or None,
    )


def settings() -> kopf.OperatorSettings:
    """Kopf for watching only: no peering, no scanning, no Events, no annotations, no finalizers."""
    configured = kopf.OperatorSettings()
    configured.peering.standalone = True
    configured.scanning.disabled = True
    configured.posting.enabled = False
    configured.persistence.progress_storage = kopf.StatusProgressStorage(field="status.never")
    configured.networking.connect_timeout = 10
    for watched in (each for each in WATCHED if each.selector):
        where = (watched.group, watched.version, watched.plural)
        configured.watching.label_selectors[where] = watched.selector
    return configured
