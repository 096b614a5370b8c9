"""Writes the gateway's part of statuses by server-side apply, and tries again until each is accepted.

Only the newest state of an object waits: what is older is never written.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

import structlog

from remit.adapters.telemetry import Metrics
from remit.api.meta import API_VERSION, MAX_SAFE_INTEGER
from remit.api.names import GATEWAY_FIELD_MANAGER
from remit.core.digest import sha256_hex
from remit.core.notes import parse_checkpoint, parse_note
from remit.gateway.authority import Authority
from remit.gateway.store import Kind
from remit.ports import Cluster, ClusterError, RunRecord

FIRST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 10.0
CONFLICT: Final = 409
"""Somebody else wrote just then, or another object has the name: only what the watches show tells which."""
HOPELESS: Final = frozenset({400, 404, 422})
"""The object is gone, or will never take this status."""
MAX_RESULT_BYTES: Final = 16_384
MAX_MESSAGE: Final = 2048
MAX_TOLD: Final = 8192

log = structlog.get_logger()


class StatusWriter:
    """A queue of status writes, one deep per object."""

    def __init__(self, cluster: Cluster, metrics: Metrics, authority: Authority) -> None:
        """Write to this cluster; the authority knows what an object's status has from us already."""
        self._cluster = cluster
        self._metrics = metrics
        self._authority = authority
        self._told: OrderedDict[tuple[Kind, str], dict[str, Any]] = OrderedDict()
        self._waiting: dict[tuple[Kind, str, str], Mapping[str, Any]] = {}
        self._writers: dict[tuple[Kind, str, str], asyncio.Task[None]] = {}

    def put(self, kind: Kind, namespace: str, name: str, uid: str, status: Mapping[str, Any]) -> None:  # noqa: PLR0917 - an object's address
        """Have the object with this UID get this status from the gateway, soon.

        Fields that were told before stay: an apply that leaves one out takes it away.
        """
        told = self._authority.written(kind, namespace, name, uid) | self._told.get((kind, uid), {}) | dict(status)
        self._told[kind, uid] = told
        if len(self._told) > MAX_TOLD:
            self._told.popitem(last=False)
        key = (kind, namespace, name)
        self._waiting[key] = {
            "apiVersion": API_VERSION,
            "kind": kind.name,
            "metadata": {"namespace": namespace, "name": name, "uid": uid},
            "status": told,
        }
        if key not in self._writers:
            self._writers[key] = asyncio.create_task(self._write(key))
        self._metrics.status_pending.set(len(self._writers))

    async def drain(self) -> None:
        """Wait until nothing waits."""
        while self._writers:
            await asyncio.wait(self._writers.values())

    async def close(self, within_seconds: float) -> None:
        """Give what waits a moment, then leave it: the next start writes it again."""
        writers = list(self._writers.values())
        if writers:
            _, late = await asyncio.wait(writers, timeout=within_seconds)
            for writer in late:
                writer.cancel()

    async def _write(self, key: tuple[Kind, str, str]) -> None:
        pause = FIRST_PAUSE_SECONDS
        try:
            while (manifest := self._waiting.get(key)) is not None:
                try:
                    await self._cluster.apply_status(manifest, GATEWAY_FIELD_MANAGER)
                    done, pause = True, FIRST_PAUSE_SECONDS
                except ClusterError as error:
                    done = error.code in HOPELESS or (error.code == CONFLICT and not self._is_there(key, manifest))
                    log.warning("status not accepted", **whose(manifest), reason=error.reason, code=error.code)
                if done and self._waiting.get(key) is manifest:
                    del self._waiting[key]
                elif not done:
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        finally:
            self._writers.pop(key, None)
            self._metrics.status_pending.set(len(self._writers))

    def _is_there(self, key: tuple[Kind, str, str], manifest: Mapping[str, Any]) -> bool:
        return self._authority.shows(*key, manifest["metadata"]["uid"])


def whose(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Say which object a status is of, for the log."""
    metadata = manifest["metadata"]
    return {"kind": manifest["kind"], **{field: metadata[field] for field in ("namespace", "name", "uid")}}


def usage_status(record: RunRecord) -> dict[str, Any]:
    """Return what a run has spent, and where it is."""
    spent = record.account.spent
    usage = {
        # a status that the kind does not take would hide the run's end
        "costMicroUSD": min(spent.cost_micro_usd, MAX_SAFE_INTEGER),
        "tokens": min(spent.tokens, MAX_SAFE_INTEGER),
        "toolCalls": spent.tool_calls,
        "refusedCalls": record.refused_calls,
    }
    return {"usage": usage, "step": record.step}


def final_status(record: RunRecord, checkpoint: str, *, own_end: bool) -> dict[str, Any]:
    """Return the gateway's last word on a run; the outcome is the gateway's only when its end was."""
    head = parse_checkpoint(parse_note(checkpoint)[0])
    status = usage_status(record) | {
        "evidence": {"records": record.sequence, "logSize": head.size, "logRoot": _base64(head.root)}
    }
    if own_end:
        status["outcome"] = {"reason": record.outcome_reason, "message": record.outcome_message[:MAX_MESSAGE]}
    if record.result:
        status["result"] = shown_content(record.result)
    if record.partial:
        status["partial"] = shown_content(record.partial)
    return status


def recorded_status(record: RunRecord, earlier: RunRecord, checkpoint: str) -> dict[str, Any]:
    """Return the gateway's word on a run that did nothing, because an earlier one did its work: what that one did."""
    outcome = {
        "reason": record.outcome_reason,
        "message": record.outcome_message[:MAX_MESSAGE],
        "recordedFrom": earlier.uid,
    }
    return final_status(earlier, checkpoint, own_end=False) | {"outcome": outcome}


def shown_content(content: bytes) -> dict[str, Any]:
    """Return a result as a status may hold it: what is large stands there by digest."""
    if len(content) <= MAX_RESULT_BYTES:
        shown: dict[str, Any] = json.loads(content)
        return shown
    return {"digest": f"sha256:{sha256_hex(content)}", "bytes": len(content)}


def _base64(root: bytes) -> str:
    return b64encode(root).decode()
