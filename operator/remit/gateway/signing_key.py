"""The key that signs the log: the one that an installation was given, else one that the gateway makes for itself.

Its own it makes once, beside a ledger that has not begun, and tells the world what verifies it: once, for ever. So
an installation needs nobody who may create Secrets, and no key passes through anybody's hands.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import structlog

from remit.adapters.signing import CheckpointSigner, SigningKeyError, generate_key, parse_signing_key, read_signing_key
from remit.api.names import GATEWAY_FIELD_MANAGER, VERIFIER_CONFIG_MAP, VERIFIER_FIELD
from remit.ports import Cluster, ClusterError

OWN_KEY = "ed25519.key"
"""Beside the ledger."""
AGAIN_SECONDS = 10.0

log = structlog.get_logger()


def find_signer(given: Path, ledger: Path) -> CheckpointSigner:
    """Return the signer of this ledger; raises SigningKeyError when the key that it began with is not there."""
    own = ledger.with_name(OWN_KEY)
    if own.exists():
        return read_signing_key(own)
    if given.exists():
        return read_signing_key(given)
    if ledger.exists():
        raise SigningKeyError(f"no signing key at {given}, and the ledger has begun: give back the key that signs it")
    key, _ = generate_key()
    keep(own, key)
    log.info("made a signing key", path=str(own))
    return parse_signing_key(key)


def keep(path: Path, key: str) -> None:
    """Write a key so that it is there, whole and ours alone, or not at all."""
    partial = path.with_suffix(".new")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


async def publish(cluster: Cluster, namespace: str, verifier: str) -> None:
    """Write what verifies the log into its ConfigMap, unless something stands there; try until it is known."""
    while True:
        if await published(cluster, namespace, verifier):
            return
        await asyncio.sleep(AGAIN_SECONDS)


async def published(cluster: Cluster, namespace: str, verifier: str) -> bool:
    """Tell whether the ConfigMap says, now and for ever, what verifies the log."""
    where = f"{namespace}/{VERIFIER_CONFIG_MAP}"
    try:
        found = await cluster.get("v1", "ConfigMap", namespace, VERIFIER_CONFIG_MAP)
        if found is None:
            log.warning("nobody can look up what verifies the log: the ConfigMap is not installed", config_map=where)
            return False
        if standing := (found.get("data") or {}).get(VERIFIER_FIELD):
            if standing.strip() != verifier:
                log.error("another key is published than the one that signs the log", config_map=where)
            return True
        await cluster.apply(statement(namespace, verifier), GATEWAY_FIELD_MANAGER)
    except ClusterError as error:
        log.warning("what verifies the log is not published yet", config_map=where, why=error.reason)
        return False
    log.info("what verifies the log is published", config_map=where)
    return True


def statement(namespace: str, verifier: str) -> dict[str, object]:
    """Return the ConfigMap: once written, the apiserver lets nobody change it."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": VERIFIER_CONFIG_MAP, "namespace": namespace},
        "data": {VERIFIER_FIELD: verifier},
        "immutable": True,
    }
