"""The whole battery, each attack once: what security people try first inside a container."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hostile import attacks, kernel, network


def plan(order: Mapping[str, str]) -> dict[str, Callable[[], str]]:
    """Return every attack by name, those that could end the pod last."""
    return {
        **network.attacks(order),
        "secret": attacks.find_secrets,
        "root-file-system": attacks.write_root,
        "root-user": attacks.become_root,
        "raw-socket": attacks.open_raw_socket,
        **kernel.ATTACKS,
    }
