"""The gateway's settings, from the environment, read once at the start: a wrong one ends the process by its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from remit.api.names import AGENT_PORT, CONTROL_PORT, INSTALL_NAMESPACE

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
MAX_JSON_DEPTH: Final = 64
BODY_TIMEOUT_SECONDS: Final = 15.0
MODEL_TIMEOUT_SECONDS: Final = 300.0
WAIT_FOR_WATCH_SECONDS: Final = 5.0
"""How long a call waits for a run, a pod's address or a fresh view before it is refused."""
HOLD_SECONDS: Final = 10.0
"""How long a call of a suspended run is held back before it is told to try again."""
ARRIVAL_SECONDS: Final = 30.0
"""How long the question of a pod that has no run yet is held before it has to ask again."""
GRACE_SECONDS: Final = 30.0
"""How long an agent whose budget is exhausted has for its hand-over."""
SETTLE_SECONDS: Final = 5.0
"""How long a run's end waits for the calls that it cut."""
RETRY_AFTER_SECONDS: Final = 2


class SettingsError(ValueError):
    """A setting is missing or wrong; the text names the variable."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What differs between installations."""

    install_namespace: str = INSTALL_NAMESPACE
    watch_namespace: str = ""
    """The one namespace to look after, which must be the installation's own; empty: all."""
    host: str = "0.0.0.0"  # noqa: S104 - sandboxes reach the pod's address; a NetworkPolicy says who may
    agent_port: int = AGENT_PORT
    control_port: int = CONTROL_PORT
    ledger_path: str = "/var/lib/remit/ledger.sqlite"
    signing_key_path: str = "/etc/remit/signing-key/ed25519.key"
    check_peer: bool = True
    """Whether a call must come from one of its pod's addresses; off only where the network hides them."""
    authority_bound_seconds: float = 10.0
    """How old the view of the cluster may be."""
    resync_seconds: float = 300.0
    """How often everything is listed anew: what a watch missed is found then at the latest."""


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Read the settings; what is absent has its default."""
    plain = Settings()
    return Settings(
        watch_namespace=watched_namespace(environment),
        install_namespace=environment.get("REMIT_NAMESPACE", plain.install_namespace),
        host=environment.get("REMIT_HOST", plain.host),
        agent_port=_number(environment, "REMIT_AGENT_PORT", plain.agent_port),
        control_port=_number(environment, "REMIT_CONTROL_PORT", plain.control_port),
        ledger_path=environment.get("REMIT_LEDGER_PATH", plain.ledger_path),
        signing_key_path=environment.get("REMIT_SIGNING_KEY_PATH", plain.signing_key_path),
        check_peer=_switch(environment, "REMIT_CHECK_PEER", fallback=plain.check_peer),
        authority_bound_seconds=_number(environment, "REMIT_AUTHORITY_BOUND_SECONDS", 10),
        resync_seconds=_number(environment, "REMIT_RESYNC_SECONDS", 300),
    )


def watched_namespace(environment: Mapping[str, str]) -> str:
    """Return the one namespace to look after: another than one's own would be without the policies of this one."""
    watched, own = environment.get("REMIT_WATCH_NAMESPACE", ""), environment.get("REMIT_NAMESPACE", INSTALL_NAMESPACE)
    if watched not in {"", own}:
        raise SettingsError(f"REMIT_WATCH_NAMESPACE must be the namespace of the installation, {own}, or empty for all")
    return watched


def _number(environment: Mapping[str, str], name: str, fallback: int) -> int:
    text = environment.get(name)
    if text is None:
        return fallback
    if not text.isascii() or not text.isdigit():
        raise SettingsError(f"{name} must be a whole number")
    return int(text)


def _switch(environment: Mapping[str, str], name: str, *, fallback: bool) -> bool:
    text = environment.get(name)
    if text is None:
        return fallback
    if text not in {"true", "false"}:
        raise SettingsError(f"{name} must be true or false")
    return text == "true"
