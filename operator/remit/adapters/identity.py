"""Whose token is it? TokenReview at the apiserver, kept briefly; a token's text is never stored, only its digest."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from remit.api.names import TOKEN_AUDIENCE
from remit.ports import Clock, Cluster, ClusterError, IdentityUnavailableError, PodIdentity

KEEP_SECONDS = 10.0
"""How long a good answer is trusted without asking again; the watch on pods and runs cuts it off earlier."""
KEEP_REFUSED_SECONDS = 2.0
"""How long a bad one is: a flood of bad tokens must not become a flood of reviews."""
ASK_SECONDS = 5.0
"""How long a call waits for an apiserver that does not answer."""
MAX_KEPT = 4096
MAX_TOKEN_BYTES = 16_384
POD_NAME = "authentication.kubernetes.io/pod-name"
POD_UID = "authentication.kubernetes.io/pod-uid"
ACCOUNT_PREFIX = "system:serviceaccount:"
ACCOUNT_PARTS = 2


@dataclass(frozen=True, slots=True)
class _Kept:
    identity: PodIdentity | None
    until: float


class TokenReviewIdentity:
    """Authenticates pods' projected tokens of audience remit-gateway."""

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        """Ask this cluster."""
        self._cluster = cluster
        self._clock = clock
        self._kept: dict[bytes, _Kept] = {}
        self._asking: dict[bytes, asyncio.Task[PodIdentity | None]] = {}
        self._forgotten = 0
        """Counts calls of forget: an answer that was under way during one is not kept."""

    async def authenticate(self, token: str) -> PodIdentity | None:
        """Return whose token it is, None when it is not good; raises IdentityUnavailableError when nobody can say."""
        if not token or len(token) > MAX_TOKEN_BYTES:
            return None
        mark = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        kept = self._kept.get(mark)
        if kept is not None and kept.until > self._clock.monotonic():
            return kept.identity
        asking = self._asking.get(mark)
        if asking is None:
            asking = asyncio.ensure_future(self._review(mark, token))
            self._asking[mark] = asking
            asking.add_done_callback(lambda _: self._asking.pop(mark, None))
        try:
            async with asyncio.timeout(ASK_SECONDS):
                return await asyncio.shield(asking)
        except TimeoutError as error:
            raise IdentityUnavailableError("the apiserver does not say whose token it is") from error

    def forget(self, pod_uid: str) -> None:
        """Drop every cached token of the pod at once."""
        self._forgotten += 1
        for mark in [mark for mark, kept in self._kept.items() if kept.identity and kept.identity.pod_uid == pod_uid]:
            del self._kept[mark]

    async def _review(self, mark: bytes, token: str) -> PodIdentity | None:
        forgotten = self._forgotten
        try:
            review = await self._cluster.create(review_of(token), "remit-gateway")
        except ClusterError as error:
            raise IdentityUnavailableError(f"the apiserver cannot review tokens now: {error.reason}") from error
        identity = identity_in(review.get("status") or {})
        self._keep(mark, identity, token, forgotten)
        return identity

    def _keep(self, mark: bytes, identity: PodIdentity | None, token: str, forgotten: int) -> None:
        if forgotten != self._forgotten:
            return
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        seconds = KEEP_REFUSED_SECONDS if identity is None else KEEP_SECONDS
        if (expires := expiry_of(token)) is not None:
            seconds = min(seconds, expires - self._clock.now())
        self._kept[mark] = _Kept(identity, self._clock.monotonic() + seconds)


def review_of(token: str) -> dict[str, Any]:
    """Return the TokenReview to ask."""
    return {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "metadata": {},
        "spec": {"token": token, "audiences": [TOKEN_AUDIENCE]},
    }


def identity_in(status: Mapping[str, Any]) -> PodIdentity | None:
    """Return the pod that a TokenReview's status speaks of; None unless it is one of ours, bound to a pod."""
    if status.get("authenticated") is not True or TOKEN_AUDIENCE not in (status.get("audiences") or ()):
        return None
    user: Mapping[str, Any] = status.get("user") or {}
    username: str = user.get("username", "")
    account = username.removeprefix(ACCOUNT_PREFIX).split(":")
    extra: Mapping[str, list[str]] = user.get("extra") or {}
    names, uids = extra.get(POD_NAME) or [], extra.get(POD_UID) or []
    if not username.startswith(ACCOUNT_PREFIX) or len(account) != ACCOUNT_PARTS or len(uids) != 1:
        return None
    return PodIdentity(account[0], account[1], "".join(names[:1]), uids[0])


def expiry_of(token: str) -> float | None:
    """Return when a reviewed JWT says that it ends; None when it does not say. It is never trusted for more."""
    parts = token.split(".")
    try:
        claims = json.loads(base64.urlsafe_b64decode(f"{parts[1]}{'=' * (-len(parts[1]) % 4)}"))
        return float(claims["exp"])
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        return None
