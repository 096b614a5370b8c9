"""Reads single Secrets by name, after the decision. Nothing here can list Secrets; values are kept for seconds only."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

from remit.api.names import GATEWAY_ACCOUNT
from remit.ports import Clock, Cluster, ClusterError, SecretNotReadableError, SecretUnavailableError

KEEP_SECONDS = 3.0
"""How long a value is kept: long enough to carry load, short enough for a rotation to be seen."""
MAX_KEPT = 256
FORBIDDEN = 403

Contents = tuple[Mapping[str, bytes], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class _Kept:
    contents: Contents | None
    until: float


class KubernetesSecrets:
    """Secrets over the Kubernetes API, as far as a namespace's admin bound the gateway to them."""

    def __init__(self, cluster: Cluster, clock: Clock, install_namespace: str) -> None:
        """Read with the cluster's credentials, which are those of the gateway's account in `install_namespace`."""
        self._cluster = cluster
        self._clock = clock
        self._install_namespace = install_namespace
        self._kept: dict[tuple[str, str], _Kept] = {}

    async def read(self, namespace: str, name: str) -> Contents | None:
        """Return data and annotations; None when absent; raises SecretNotReadableError when it may not be read."""
        kept = self._kept.get((namespace, name))
        if kept is not None and kept.until > self._clock.monotonic():
            return kept.contents
        contents = await self._fetch(namespace, name)
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        self._kept[namespace, name] = _Kept(contents, self._clock.monotonic() + KEEP_SECONDS)
        return contents

    async def _fetch(self, namespace: str, name: str) -> Contents | None:
        try:
            secret = await self._cluster.get("v1", "Secret", namespace, name)
        except ClusterError as error:
            if error.code == FORBIDDEN:
                raise SecretNotReadableError(how_to_bind(namespace, name, self._install_namespace)) from error
            raise SecretUnavailableError(f"Secret {namespace}/{name} cannot be read now: {error.reason}") from error
        if secret is None:
            return None
        annotations = secret.get("metadata", {}).get("annotations") or {}
        return {key: _decoded(value) for key, value in (secret.get("data") or {}).items()}, annotations


def how_to_bind(namespace: str, name: str, install_namespace: str) -> str:
    """Say what a namespace's admin applies so that the gateway may read exactly this Secret."""
    role = f"remit-secret-{name}"
    return (
        f"the gateway may not read Secret {namespace}/{name}; an admin of the namespace allows it with: "
        f"kubectl -n {namespace} create role {role} --verb=get --resource=secrets --resource-name={name} && "
        f"kubectl -n {namespace} create rolebinding {role} --role={role} "
        f"--serviceaccount={install_namespace}:{GATEWAY_ACCOUNT}"
    )


def _decoded(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        return b""
