"""Tells which generation of an object the gateway enforces: in its status, with why calls are refused, and in evidence.

A grant's Secret is looked at as a call would: what is missing is said before the first call meets it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

import structlog
from pydantic import ValidationError

from remit.api.agent import AgentSpec
from remit.api.bundle import Bundle, BundledAgent, BundledGrant, BundledPolicy, ObjectReference
from remit.api.evidence import ObjectFacts
from remit.api.policy import PolicySpec
from remit.api.reasons import CallReason, ObjectReason
from remit.api.toolgrant import ToolGrantSpec
from remit.core.acknowledgements import acknowledgement_entry, owner_of
from remit.core.prepare import Refusal, prepare
from remit.gateway.authority import Authority, Engines
from remit.gateway.call import Refused
from remit.gateway.credentials import credentials_of
from remit.gateway.flights import Flights
from remit.gateway.status import StatusWriter
from remit.gateway.store import AGENT, GRANT, POLICY, RUN, Key, Kind, Stored, key_of, pod_uid_of
from remit.ports import Clock, Ledger, LedgerUnavailableError, SecretReader

AGAIN_SECONDS: Final = 5.0
MAX_MESSAGE: Final = 2000
READY: Final = (ObjectReason.READY, "the gateway enforces this generation")
SECRET_REASONS: Final = {
    CallReason.SECRET_NOT_READABLE: ObjectReason.SECRET_NOT_READABLE,
    CallReason.SECRET_KEY_MISSING: ObjectReason.SECRET_KEY_MISSING,
    CallReason.HOST_NOT_ALLOWED: ObjectReason.HOST_NOT_ALLOWED,
}
UNREADABLE: Final = ObjectReason.SECRET_NOT_READABLE
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

ACKNOWLEDGED: Final = frozenset({AGENT, GRANT, POLICY, RUN})
AT_ONCE: Final = 64
"""How many objects are judged at once: one whose Secret is slow to read keeps no other waiting."""
CUT_SECONDS: Final = 10.0
"""How long an acknowledgement waits for calls that were cut before it looks again; it is never written before them."""

Verdict = tuple[ObjectReason, str]

log = structlog.get_logger()


class Item(NamedTuple):
    """A state to acknowledge: that an object has now, or, with `gone`, the last one before it went."""

    kind: Kind
    key: Key
    gone: str = ""
    """UID of an object that is gone."""


class Acknowledger:
    """Keeps `status.enforced` true, and writes into the evidence log from where on a state is enforced.

    INVARIANT: when it says so, the state is in force here and no call that it takes away is under way. It is told of a
    change after the calls were cut (the order of listeners), and waits until they are settled.
    """

    def __init__(  # noqa: PLR0917 - the parts that it puts together
        self,
        authority: Authority,
        secrets: SecretReader,
        status: StatusWriter,
        ledger: Ledger,
        flights: Flights,
        clock: Clock,
    ) -> None:
        """Judge what this authority holds."""
        self._authority = authority
        self._secrets = secrets
        self._status = status
        self._ledger = ledger
        self._flights = flights
        self._clock = clock
        self._dirty: dict[Item, ObjectFacts | None] = {}
        self._busy: set[Item] = set()
        self._recorded: dict[Item, tuple[str, int, int]] = {}
        """UID, generation and place in the log of what was acknowledged last."""
        self._wake = asyncio.Event()
        self._room = asyncio.Semaphore(AT_ONCE)
        authority.listen(self._on_change)

    async def run(self) -> None:
        """Judge what changed, and what was not ready again from time to time, until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    async with asyncio.timeout(AGAIN_SECONDS):
                        await self._wake.wait()
                except TimeoutError:
                    self._dirty |= dict.fromkeys(self._not_ready())
                self._wake.clear()
                for item in [item for item in self._dirty if item not in self._busy]:
                    self._busy.add(item)
                    group.create_task(self._acknowledge(item, self._dirty.pop(item)))

    def doubt(self, namespace: str, name: str) -> None:
        """Judge a grant again: a call met a Secret that it could not use."""
        self._put(Item(GRANT, (namespace, name)))

    def _put(self, item: Item, gone: ObjectFacts | None = None) -> None:
        self._dirty[item] = gone
        self._wake.set()

    def _on_change(self, kind: Kind, old: Stored | None, new: Stored | None) -> None:
        if kind not in ACKNOWLEDGED:
            return
        if new is not None and (old is None or generation_of(old) != generation_of(new)):
            self._put(Item(kind, key_of(new)))
        elif new is None and old is not None:
            self._recorded.pop(Item(kind, key_of(old)), None)
            if kind is not RUN:  # of a run, the last record says that it is over
                self._put(Item(kind, key_of(old), old["metadata"]["uid"]), facts_of(kind, old, "Gone"))

    def _not_ready(self) -> list[Item]:
        kinds = (GRANT, POLICY)
        each = ((kind, stored) for kind in kinds for stored in self._authority.store.all(kind))
        return [Item(kind, key_of(stored)) for kind, stored in each if reason_in(stored) != ObjectReason.READY]

    async def _acknowledge(self, item: Item, gone: ObjectFacts | None) -> None:
        """Acknowledge one state; what cannot be recorded now is tried again in a while."""
        try:
            async with self._room:
                done = await self._enforced(item) if gone is None else await self._record(gone) is not None
        except LedgerUnavailableError:
            done = False
        self._busy.discard(item)
        if not done:
            self._dirty.setdefault(item, gone)
        elif item in self._dirty:
            self._wake.set()

    async def _enforced(self, item: Item) -> bool:
        """Say in the object's status what is enforced; tell whether that was possible."""
        stored = self._authority.store.get(item.kind, *item.key)
        if stored is None or stored["metadata"].get("deletionTimestamp") or not is_told(item.kind, stored):
            return True
        reason, message = await self._guarded_verdict(item.kind, stored)
        generation, uid = generation_of(stored), stored["metadata"]["uid"]
        told = {"generation": generation, "reason": str(reason), "message": message[:MAX_MESSAGE]}
        before = (stored.get("status") or {}).get("enforced") or {}
        if {name: before.get(name) for name in told} == told:
            return True
        place = self._place(item, uid, generation, before)
        if place is None:
            place = await self._record(facts_of(item.kind, stored, "Enforced"))
            if place is None:
                return False
            self._recorded[item] = uid, generation, place
        self._status.put(item.kind, *item.key, uid, {"enforced": told | {"logIndex": place}})
        return True

    def _place(self, item: Item, uid: str, generation: int, before: Mapping[str, Any]) -> int | None:
        """Return where in the log this generation is acknowledged already."""
        known = self._recorded.get(item)
        if known is not None and known[:2] == (uid, generation):
            return known[2]
        return before.get("logIndex") if before.get("generation") == generation else None

    async def _record(self, about: ObjectFacts) -> int | None:
        """Write the acknowledgement into the log; None while a call that was cut is still under way."""
        if not await self._flights.wait_cut(CUT_SECONDS):
            log.warning("a call that was cut is not over yet", kind=about["kind"], name=about["name"])
            return None
        owner, now, view = owner_of(about["namespace"]), self._clock.now(), self._authority.view()
        return await self._ledger.transact(
            lambda tx: tx.append(owner, acknowledgement_entry(tx.last_entry(owner), now, about, view))
        )

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
        if judged.spec.suspended:
            return READY  # nothing goes out under it: whether its Secret could be read is no question
        tools = prepare(bundle_of([judged], []), self._authority.engines.rules, self._authority.engines.schemas)
        if isinstance(tools, Refusal):
            return tools.reason, tools.message
        for tool in tools.tools.values():
            found = await credentials_of(self._secrets, tool, judged.spec.credentials)
            return (
                (SECRET_REASONS.get(found.reason, UNREADABLE), found.message) if isinstance(found, Refused) else READY
            )
        return READY


def judge(kind: Kind, stored: Stored, engines: Engines, install_namespace: str) -> Verdict | BundledGrant:
    """Judge one object alone; a grant that is well formed comes back, for its Secrets to be looked at."""
    meta, spec = stored["metadata"], stored.get("spec") or {}
    if kind in {AGENT, RUN}:
        return READY
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


def is_told(kind: Kind, stored: Stored) -> bool:
    """Tell whether the object's status says what is enforced: of a run, from its first change under way on."""
    return kind is not RUN or (generation_of(stored) > 1 and bool(pod_uid_of(stored)))


def facts_of(kind: Kind, stored: Stored, state: Literal["Enforced", "Gone"]) -> ObjectFacts:
    """Return what an acknowledgement says of an object."""
    meta = stored["metadata"]
    return {
        "kind": kind.name,
        "namespace": meta["namespace"],
        "name": meta["name"],
        "uid": meta["uid"],
        "generation": generation_of(stored),
        "state": state,
    }


def generation_of(stored: Stored) -> int:
    """Return the generation."""
    generation: int = stored["metadata"].get("generation", 0)
    return generation


def reason_in(stored: Stored) -> Any:
    """Return the reason that the status has now."""
    return ((stored.get("status") or {}).get("enforced") or {}).get("reason")
