"""Who calls: token → pod → run → pinned and live bundle. Headers, labels and bodies are never believed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from remit.adapters.logs import speak_of
from remit.api.agentrun import AgentRunSpec, Desired
from remit.api.evidence import RunFacts
from remit.api.reasons import FINAL_RUN_REASONS, CallReason, RunReason
from remit.core.budget import Limits, limits_of, lowest
from remit.core.openings import stray
from remit.core.prepare import CompiledBundle, Refusal
from remit.core.queue import lacks_case
from remit.core.work import work_of
from remit.gateway.arrivals import Arrivals
from remit.gateway.authority import Authority, Compiled
from remit.gateway.call import Call, Caller, Refused, Run
from remit.gateway.settings import HOLD_SECONDS, WAIT_FOR_WATCH_SECONDS
from remit.gateway.store import POD, RUN, Kind, Stored, pod_uid_of
from remit.ports import Identity, IdentityUnavailableError, Ledger, LedgerUnavailableError, PodIdentity

SERVED: Final = frozenset({RunReason.STARTING, RunReason.RUNNING, RunReason.SUSPENDED})
"""What the controller may say of a run that is served; whether it is held back, its spec says, at once."""
MAX_KEPT: Final = 4096
UNAUTHENTICATED: Final = Refused(
    CallReason.UNAUTHENTICATED,
    "the token is not one of a pod for the audience remit-gateway, or no longer",
    recorded=False,
)
UNREADABLE: Final = Refused(CallReason.RUN_NOT_FOUND, "the run's object cannot be read", recorded=False)
GONE: Final = Refused(CallReason.RUN_NOT_ACTIVE, "the run is gone")
HELD_BACK: Final = str(Desired.SUSPENDED)
HELD: Final = Refused(
    CallReason.RUN_SUSPENDED,
    "the run is suspended: its calls wait until it is resumed; try again",
    recorded=False,
)
STALE: Final = Refused(
    CallReason.AUTHORITY_STALE,
    "the gateway has no fresh view of what is granted; try again",
    recorded=False,
)


class Callers:
    """Finds the run that a token speaks for."""

    def __init__(self, authority: Authority, identity: Identity, ledger: Ledger, *, check_peer: bool) -> None:
        """Trust the identity for tokens, the authority for runs, and the ledger for bundles that it keeps."""
        self._ledger = ledger
        self._authority = authority
        self._identity = identity
        self._check_peer = check_peer
        self._kept: dict[str, Caller] = {}
        self._arrivals = Arrivals(authority)
        authority.listen(self._forget)

    def close(self) -> None:
        """Answer the pods that wait for a run: the process is about to end."""
        self._arrivals.close()

    async def authenticate(self, token: str) -> PodIdentity | Refused:
        """Return whose token it is."""
        try:
            identity = await self._identity.authenticate(token)
        except IdentityUnavailableError:
            return STALE
        return UNAUTHENTICATED if identity is None else identity

    async def identify(self, token: str, peer: str) -> Caller | Refused:
        """Return who calls, when the view is fresh and the run is served."""
        identity = await self.authenticate(token)
        return identity if isinstance(identity, Refused) else await self._serve(identity, peer)

    async def _serve(self, identity: PodIdentity, peer: str) -> Caller | Refused:
        """Return the caller that a pod is; its run may have yet to come, or be held back."""
        authority = self._authority
        if (none_yet := await self._arrivals.wait(identity.pod_uid, WAIT_FOR_WATCH_SECONDS)) is not None:
            return none_yet
        await self._hold(identity.pod_uid)
        if not authority.is_fresh() and (stale := await self.stale()) is not None:
            return stale
        store = authority.store
        uid = identity.pod_uid
        if self._check_peer and not self._comes_from(uid, peer):
            await authority.until(lambda: self._knows_addresses(uid), WAIT_FOR_WATCH_SECONDS)
            if not self._comes_from(uid, peer):
                return UNAUTHENTICATED
        stored = store.run_of_pod(uid)
        if stored is None or stored["metadata"].get("namespace") != identity.namespace:
            return Refused(CallReason.RUN_NOT_FOUND, "no run is served to this pod", recorded=False)
        metadata = stored["metadata"]
        speak_of({"namespace": metadata["namespace"], "run": metadata["name"], "uid": metadata["uid"]})
        caller = self._caller(stored, uid)
        if isinstance(caller, Refused) and caller.reason is CallReason.BUNDLE_MISSING and await self._recall(stored):
            return self._caller(stored, uid)
        return caller

    async def _hold(self, pod_uid: str) -> None:
        """Hold a call back for a while when its run is suspended."""
        store = self._authority.store
        if is_held(store.run_of_pod(pod_uid)):
            await self._authority.until(lambda: not is_held(store.run_of_pod(pod_uid)), HOLD_SECONDS)

    async def _recall(self, stored: Stored) -> bool:
        """Look for a run's bundle in the ledger, which has kept it since the run's first call."""
        digest = str(((stored.get("status") or {}).get("revision") or {}).get("digest", ""))
        try:
            document = await self._ledger.read(lambda tx: tx.bundle(digest))
        except LedgerUnavailableError:
            return False
        return document is not None and self._authority.learn(digest, document)

    def objection(self, call: Call) -> Refused | None:
        """Return why a call under way may not go on: its run or its pod is gone. Rules are the chain's business."""
        if call.caller is None:
            return None
        run = call.caller.run
        pod = self._authority.store.pod(call.caller.pod_uid)
        if (pod is None and self._check_peer) or (pod is not None and pod["metadata"].get("deletionTimestamp")):
            return Refused(CallReason.RUN_NOT_ACTIVE, "the run's pod is gone")
        stored = self._authority.store.get(RUN, run.namespace, run.name)
        if stored is (call.judged_run or call.caller.stored):
            return None
        if stored is None or stored["metadata"]["uid"] != run.uid or pod_uid_of(stored) != call.caller.pod_uid:
            return GONE
        found = run_of(stored)
        refused = UNREADABLE if found is None else not_active(found)
        if refused is None:
            call.judged_run = stored
        return refused

    def again(self, caller: Caller) -> Caller | Refused:
        """Return the same caller by what is known now."""
        stored = self._authority.store.run_of_pod(caller.pod_uid)
        if stored is None or stored["metadata"]["uid"] != caller.run.uid:
            return GONE
        return self._caller(stored, caller.pod_uid)

    async def stale(self) -> Refused | None:
        """Wait for a fresh view; the refusal when none comes."""
        fresh = await self._authority.until(self._authority.is_fresh, WAIT_FOR_WATCH_SECONDS)
        return None if fresh else STALE

    def _knows_addresses(self, pod_uid: str) -> bool:
        pod = self._authority.store.pod(pod_uid)
        return pod is not None and bool(addresses_of(pod))

    def _comes_from(self, pod_uid: str, peer: str) -> bool:
        pod = self._authority.store.pod(pod_uid)
        return pod is not None and peer.removeprefix("::ffff:") in addresses_of(pod)

    def _caller(self, stored: Stored, pod_uid: str) -> Caller | Refused:
        if is_held(stored):
            return HELD
        namespace, uid = stored["metadata"]["namespace"], stored["metadata"]["uid"]
        live = self._authority.live(namespace, (stored.get("spec") or {}).get("agent", ""))
        revision = (stored.get("status") or {}).get("revision") or {}
        pinned = self._authority.pinned(namespace, revision)
        kept = self._kept.get(uid)
        if kept is not None and kept.stored is stored and kept.live is live and kept.pinned is pinned:
            return kept
        pod = self._authority.store.pod(pod_uid)
        if pod is not None and (why := stray(pod, (stored.get("spec") or {}).get("agent", ""))):
            return Refused(CallReason.RUN_NOT_FOUND, why, recorded=False)
        caller = gathered(stored, pod_uid, pinned, live)
        if isinstance(caller, Caller):
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            self._kept[uid] = caller
        return caller

    def _forget(self, kind: Kind, old: Stored | None, new: Stored | None) -> None:
        """Cut off cached tokens: a deleted pod's, and those of a run that is over or gone."""
        if kind is POD and old is not None:
            if new is None or new["metadata"].get("deletionTimestamp"):
                self._identity.forget(old["metadata"]["uid"])
            elif old.get("spec") != new.get("spec") and (
                run := self._authority.store.run_of_pod(new["metadata"]["uid"])
            ):
                self._kept.pop(run["metadata"]["uid"], None)
        elif kind is RUN and old is not None:
            gone = new is None or pod_uid_of(new) != pod_uid_of(old) or is_final(new)
            if gone and pod_uid_of(old):
                self._identity.forget(pod_uid_of(old))
                self._kept.pop(old["metadata"]["uid"], None)


def addresses_of(pod: Stored) -> frozenset[str]:
    """Return a pod's addresses; none for one that is being deleted."""
    if pod["metadata"].get("deletionTimestamp"):
        return frozenset()
    return frozenset(entry.get("ip", "") for entry in (pod.get("status") or {}).get("podIPs") or ())


def is_held(stored: Stored | None) -> bool:
    """Tell whether the run's calls are to wait: it is suspended, and not over."""
    return stored is not None and not is_final(stored) and (stored.get("spec") or {}).get("desired") == HELD_BACK


def is_final(stored: Stored) -> bool:
    """Tell whether the controller says that the run is over."""
    return (stored.get("status") or {}).get("reason") in FINAL_RUN_REASONS


def not_active(run: Run) -> Refused | None:
    """Return the refusal of a run that is not served."""
    if run.reason in SERVED and run.spec.desired is not Desired.TERMINATED:
        return None
    what = "is to be terminated" if run.spec.desired is Desired.TERMINATED else f"is {run.reason}"
    return Refused(CallReason.RUN_NOT_ACTIVE, f"the run {what}: nothing more is done for it")


def run_of(stored: Stored) -> Run | None:
    """Read a run's object; None for one that does not have its form, which admission never lets in."""
    meta, status = stored["metadata"], stored.get("status") or {}
    try:
        spec = AgentRunSpec.model_validate(stored.get("spec") or {})
    except ValidationError:
        return None
    return Run(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        attempt=spec.attempt,
        spec=spec,
        started_at=epoch(status.get("startedAt") or meta.get("creationTimestamp", "")),
        reason=status.get("reason", RunReason.PENDING),
    )


def gathered(stored: Stored, pod_uid: str, pinned: Compiled, live: Compiled) -> Caller | Refused:
    """Put together who calls."""
    run = run_of(stored)
    if run is None:
        return UNREADABLE
    refused = not_active(run)
    if refused is not None:
        return Refused(refused.reason, refused.message, recorded=False)
    if isinstance(pinned, Refusal):
        message = f"the bundle that the run is pinned to cannot be used: {pinned.message}"
        return Refused(CallReason.BUNDLE_MISSING, message, recorded=False)
    agent = pinned.bundle.agent.ref
    if (agent.namespace, agent.name) != (run.namespace, run.spec.agent):
        message = f"the bundle that the run is pinned to is that of agent {agent.namespace}/{agent.name}"
        return Refused(CallReason.BUNDLE_MISSING, message, recorded=False)
    if (policy := lacks_case(run.spec, pinned.bundle.policies)) is not None:
        message = f"policy {policy} asks for a case, and the run names none"
        return Refused(CallReason.POLICY_DENIED, message, recorded=False)
    return Caller(
        run=run,
        stored=stored,
        pod_uid=pod_uid,
        facts=facts_of(run, pinned),
        limits=limits_for(run, pinned, live),
        pinned=pinned,
        live=live,
        work=work_of(run.namespace, run.name, run.spec),
    )


def limits_for(run: Run, pinned: CompiledBundle, live: Compiled) -> Limits:
    """Return the least of what was admitted, what is granted now, and what the run asks for."""
    admitted = limits_of(pinned.bundle, run.spec.budget)
    if isinstance(live, Refusal):
        return admitted
    return lowest(admitted, limits_of(live.bundle, run.spec.budget))


def facts_of(run: Run, pinned: CompiledBundle) -> RunFacts:
    """Return what every entry says of the run."""
    agent, spec = pinned.bundle.agent, run.spec
    requester: Mapping[str, Any] = spec.requester.to_json() if spec.requester is not None else {}
    facts: RunFacts = {
        "namespace": run.namespace,
        "name": run.name,
        "uid": run.uid,
        "attempt": run.attempt,
        "agent": agent.ref.name,
        "agentUID": agent.ref.uid,
        "owner": agent.spec.owner,
        "purpose": spec.purpose,
        "requester": dict(requester),
    }
    if spec.case is not None:
        facts["case"] = spec.case.to_json()
    return facts


def epoch(timestamp: str) -> float:
    """Return epoch seconds of an API timestamp; 0 for none."""
    try:
        return datetime.fromisoformat(timestamp).timestamp()
    except ValueError:
        return 0.0
