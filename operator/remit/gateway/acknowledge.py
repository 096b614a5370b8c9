"""Tells in the status of grants and policies which generation the gateway enforces, and why calls under it are refused.

A grant's Secret is looked at as a call would: what is missing is said before the first call meets it.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import structlog
from pydantic import ValidationError

from remit.api.agent import AgentSpec
from remit.api.bundle import Bundle, BundledAgent, BundledGrant, BundledPolicy, ObjectReference
from remit.api.policy import PolicySpec
from remit.api.reasons import CallReason, ObjectReason
from remit.api.toolgrant import ToolGrantSpec
from remit.core.prepare import Refusal, prepare
from remit.gateway.authority import Authority, Engines
from remit.gateway.call import Refused
from remit.gateway.credentials import credentials_of
from remit.gateway.status import StatusWriter
from remit.gateway.store import GRANT, POLICY, Key, Kind, Stored, key_of
from remit.ports import SecretReader

AGAIN_SECONDS: Final = 5.0
MAX_MESSAGE: Final = 2000
READY: Final = (ObjectReason.READY, "the gateway enforces this generation")
SECRET_REASONS: Final = {
    CallReason.SECRET_NOT_READABLE: ObjectReason.SECRET_NOT_READABLE,
    CallReason.SECRET_KEY_MISSING: ObjectReason.SECRET_KEY_MISSING,
    CallReason.HOST_NOT_ALLOWED: ObjectReason.HOST_NOT_ALLOWED,
}
NOBODY: Final = BundledAgent(
    ref=ObjectReference(namespace="none", name="none", uid="none", generation=0),
    labels={},
    spec=AgentSpec.model_validate(
        {
            "owner": "none",
            "purposes": ["none"],
            "runtime": {"harness": {}},
            "instructions": {"inline": "none"},
            "model": {"grant": "none", "name": "none"},
        }
    ),
)
"""A grant or policy is judged alone: with an agent that stands for none."""

Verdict = tuple[ObjectReason, str]

log = structlog.get_logger()


class Acknowledger:
    """Keeps `status.enforced` of every grant and policy true."""

    def __init__(self, authority: Authority, secrets: SecretReader, status: StatusWriter) -> None:
        """Judge what this authority holds."""
        self._authority = authority
        self._secrets = secrets
        self._status = status
        self._dirty: set[tuple[Kind, Key]] = set()
        self._wake = asyncio.Event()
        authority.listen(self._on_change)

    async def run(self) -> None:
        """Judge what changed, and what was not ready again from time to time, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(AGAIN_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                self._dirty |= {(kind, key) for kind in (GRANT, POLICY) for key in self._not_ready(kind)}
            self._wake.clear()
            dirty, self._dirty = self._dirty, set()
            for kind, key in dirty:
                await self._acknowledge(kind, key)

    def doubt(self, namespace: str, name: str) -> None:
        """Judge a grant again: a call met a Secret that it could not use."""
        self._dirty.add((GRANT, (namespace, name)))
        self._wake.set()

    def _on_change(self, kind: Kind, old: Stored | None, new: Stored | None) -> None:
        if kind not in {GRANT, POLICY} or new is None:
            return
        if old is None or old["metadata"].get("generation") != new["metadata"].get("generation"):
            self._dirty.add((kind, key_of(new)))
            self._wake.set()

    def _not_ready(self, kind: Kind) -> list[Key]:
        return [key_of(stored) for stored in self._authority.store.all(kind) if reason_in(stored) != ObjectReason.READY]

    async def _acknowledge(self, kind: Kind, key: Key) -> None:
        stored = self._authority.store.get(kind, *key)
        if stored is None or stored["metadata"].get("deletionTimestamp"):
            return
        reason, message = await self._guarded_verdict(kind, stored)
        enforced = {
            "generation": stored["metadata"].get("generation", 0),
            "reason": str(reason),
            "message": message[:MAX_MESSAGE],
        }
        if (stored.get("status") or {}).get("enforced") != enforced:
            self._status.put(kind, *key, stored["metadata"]["uid"], {"enforced": enforced})

    async def _guarded_verdict(self, kind: Kind, stored: Stored) -> Verdict:
        try:
            return await self._verdict(kind, stored)
        except Exception as error:  # noqa: BLE001 - one tenant's object is refused, and ends nobody's process
            name = stored["metadata"]["name"]
            log.error("object cannot be judged", kind=kind.name, name=name, error=type(error).__name__)  # noqa: TRY400 - an exception's text may hold contents
            return ObjectReason.INVALID_SPEC, "cannot be compiled; the gateway's log says where"

    async def _verdict(self, kind: Kind, stored: Stored) -> Verdict:
        judged = judge(kind, stored, self._authority.engines, self._authority.install_namespace)
        if not isinstance(judged, BundledGrant):
            return judged
        tools = prepare(bundle_of([judged], []), self._authority.engines.rules, self._authority.engines.schemas)
        if isinstance(tools, Refusal):
            return tools.reason, tools.message
        for tool in tools.tools.values():
            found = await credentials_of(self._secrets, tool, judged.spec.credentials)
            return (SECRET_REASONS[found.reason], found.message) if isinstance(found, Refused) else READY
        return READY


def judge(kind: Kind, stored: Stored, engines: Engines, install_namespace: str) -> Verdict | BundledGrant:
    """Judge one object alone; a grant that is well formed comes back, for its Secrets to be looked at."""
    meta, spec = stored["metadata"], stored.get("spec") or {}
    ref = ObjectReference(
        namespace=meta["namespace"], name=meta["name"], uid=meta["uid"], generation=meta.get("generation", 0)
    )
    try:
        if kind is GRANT:
            return BundledGrant(ref=ref, spec=ToolGrantSpec.model_validate(spec))
        policy = BundledPolicy(ref=ref, spec=PolicySpec.model_validate(spec))
    except ValidationError as error:
        place = ".".join(map(str, error.errors(include_input=False)[0]["loc"]))
        return ObjectReason.INVALID_SPEC, f"{place}: {error.errors(include_input=False)[0]['msg']}"
    if policy.spec.namespace_selector is not None and ref.namespace != install_namespace:
        message = f"namespaceSelector: only a Policy in {install_namespace} may hold in other namespaces"
        return ObjectReason.NAMESPACE_SELECTOR_NOT_ALLOWED, message
    prepared = prepare(bundle_of([], [policy]), engines.rules, engines.schemas)
    return (prepared.reason, prepared.message) if isinstance(prepared, Refusal) else READY


def bundle_of(grants: list[BundledGrant], policies: list[BundledPolicy]) -> Bundle:
    """Return a bundle of nobody's, to judge objects by."""
    return Bundle(agent=NOBODY, grants=grants, policies=policies)


def reason_in(stored: Stored) -> Any:
    """Return the reason that the status has now."""
    return ((stored.get("status") or {}).get("enforced") or {}).get("reason")
