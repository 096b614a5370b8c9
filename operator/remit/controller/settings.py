"""The controller's settings, from the environment. Read once at the start; a wrong value ends the process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from remit.api.names import INSTALL_NAMESPACE, METRICS_PORT
from remit.core.lifecycle import OUTCOME_GRACE_SECONDS, STOP_GRACE_SECONDS

LEASE_SECONDS = 15
PROBE_SECONDS = 600
PROBE_INTERNET = ("1.1.1.1:443", "[2606:4700:4700::1111]:443")
"""Addresses that many networks reach and no sandbox may."""
SHORTEST_LEASE_SECONDS = 3


class SettingsError(ValueError):
    """A setting is missing or wrong; the text names the variable."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What differs between installations."""

    harness_image: str
    install_namespace: str = INSTALL_NAMESPACE
    host: str = "0.0.0.0"  # noqa: S104 - metrics and health are asked for from outside the pod
    metrics_port: int = METRICS_PORT
    resync_seconds: int = 300
    """How often everything is listed anew: what a watch missed is found then at the latest."""
    stop_grace_seconds: float = STOP_GRACE_SECONDS
    outcome_grace_seconds: float = OUTCOME_GRACE_SECONDS
    lease_seconds: int = LEASE_SECONDS
    """How long a lease lasts that is not renewed; 0: no other controller is there, and no lease is asked for."""
    probe_seconds: int = 0
    """How often it is proven anew that the network shuts sandboxes in; 0: never asked, as where there is no network."""
    probe_internet: tuple[str, ...] = PROBE_INTERNET
    identity: str = ""
    """Who holds the lease, unlike any other process that is alive; empty: a name of this process's own."""
    watch_namespace: str = ""
    """The one namespace to look after, which must be the installation's own; empty: all."""


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Read the settings; what is absent has its default, but for the harness's image."""
    image = environment.get("REMIT_HARNESS_IMAGE", "")
    if not image:
        raise SettingsError("REMIT_HARNESS_IMAGE must name the image of sandboxes")
    plain = Settings(image)
    return Settings(
        harness_image=image,
        watch_namespace=watched_namespace(environment),
        install_namespace=environment.get("REMIT_NAMESPACE") or plain.install_namespace,
        host=environment.get("REMIT_HOST") or plain.host,
        metrics_port=_number(environment, "REMIT_METRICS_PORT", plain.metrics_port),
        resync_seconds=_number(environment, "REMIT_RESYNC_SECONDS", plain.resync_seconds),
        stop_grace_seconds=_number(environment, "REMIT_STOP_GRACE_SECONDS", int(plain.stop_grace_seconds)),
        outcome_grace_seconds=_number(environment, "REMIT_OUTCOME_GRACE_SECONDS", int(plain.outcome_grace_seconds)),
        lease_seconds=_lease_seconds(environment, plain.lease_seconds),
        probe_seconds=_probe_seconds(environment),
        probe_internet=_addresses(environment, "REMIT_PROBE_INTERNET", plain.probe_internet),
        identity=environment.get("REMIT_IDENTITY", ""),
    )


def _lease_seconds(environment: Mapping[str, str], fallback: int) -> int:
    match environment.get("REMIT_LEASE") or "on":
        case "on":
            seconds = _number(environment, "REMIT_LEASE_SECONDS", fallback)
        case "off":
            return 0
        case _:
            raise SettingsError("REMIT_LEASE must be on or off")
    if seconds < SHORTEST_LEASE_SECONDS:
        raise SettingsError(f"REMIT_LEASE_SECONDS must be at least {SHORTEST_LEASE_SECONDS}")
    return seconds


def _probe_seconds(environment: Mapping[str, str]) -> int:
    match environment.get("REMIT_PROBE") or "on":
        case "on":
            return max(1, _number(environment, "REMIT_PROBE_SECONDS", PROBE_SECONDS))
        case "off":
            return 0
        case _:
            raise SettingsError("REMIT_PROBE must be on or off")


def _addresses(environment: Mapping[str, str], name: str, fallback: tuple[str, ...]) -> tuple[str, ...]:
    """Read HOST:PORT, ...; set and empty means none."""
    if name not in environment:
        return fallback
    found = tuple(each.strip() for each in environment[name].split(",") if each.strip())
    if not all(each.rpartition(":")[0] and each.rpartition(":")[2].isdigit() for each in found):
        raise SettingsError(f"{name} must be HOST:PORT, and more of them after commas")
    return found


def watched_namespace(environment: Mapping[str, str]) -> str:
    """Return the one namespace to look after: another than one's own would be without the policies of this one."""
    watched, own = environment.get("REMIT_WATCH_NAMESPACE", ""), environment.get("REMIT_NAMESPACE", INSTALL_NAMESPACE)
    if watched not in {"", own}:
        raise SettingsError(f"REMIT_WATCH_NAMESPACE must be the namespace of the installation, {own}, or empty for all")
    return watched


def _number(environment: Mapping[str, str], name: str, fallback: int) -> int:
    text = environment.get(name)
    if not text:
        return fallback
    if not text.isascii() or not text.isdigit():
        raise SettingsError(f"{name} must be a whole number")
    return int(text)
