"""The way from a cluster to the internet, for those who ask for it: `up --internet`.

The one change to the machine itself: a firewall table of the cluster's own name, and forwarding switched on.
Both go with the cluster.
"""

import ipaddress
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from remit.cluster.commands import run
from remit.cluster.errors import MachineError, StartError
from remit.cluster.layout import Addresses

FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
RESOLVERS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
"""The second one tells what a resolver of the machine's own, on a loopback address, asks in turn."""


def forwarding() -> str:
    """Tell whether the machine forwards packets: `0` or `1`."""
    return FORWARDING.read_text().strip()


def switch_on(addresses: Addresses, say: Callable[[str], None]) -> None:
    """Translate the cluster's addresses on their way out, and let the machine forward them."""
    run("nft", "-f", "-", given=table(addresses).encode(), error=StartError)
    if forwarding() != "1":
        FORWARDING.write_text("1\n")
    if "-P FORWARD DROP" in run("iptables", "-S", "FORWARD", error=StartError):
        say(f"this machine's firewall drops what it forwards: allow {addresses.link} in and out, or pods stay inside")


def switch_off(addresses: Addresses) -> bool:
    """Take the table away; tell whether it was there."""
    if shutil.which("nft") is None:
        return False
    tables = run("nft", "list", "tables", error=StartError).splitlines()
    if f"table ip {addresses.link}" not in tables:
        return False
    run("nft", "delete", "table", "ip", addresses.link, error=StartError)
    return True


def restore_forwarding(before: str) -> None:
    """Put forwarding back to what it was before the first cluster needed it."""
    if forwarding() != before:
        FORWARDING.write_text(f"{before}\n")


def table(addresses: Addresses) -> str:
    """Render the firewall table; loading it twice leaves one."""
    name = addresses.link
    sources = f"{{ {addresses.pods}, {addresses.node} }}"
    return "\n".join(
        [
            f"add table ip {name}",
            f"delete table ip {name}",
            f"table ip {name} {{",
            "  chain out {",
            "    type nat hook postrouting priority 100;",
            f'    ip saddr {sources} oifname != "{name}" masquerade',
            "  }",
            "}",
            "",
        ]
    )


def nameservers(texts: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """Find the name servers that the cluster can reach: those of the machine that are not the machine itself.

    Raises:
        MachineError: there is none.

    """
    for text in texts if texts is not None else [path.read_text() for path in RESOLVERS if path.exists()]:
        named = re.findall(r"^nameserver\s+(\S+)", text, re.MULTILINE)
        if found := tuple(each for each in named if _is_outside(each)):
            return found
    raise MachineError("no name server in /etc/resolv.conf that a cluster could reach: --internet needs one")


def _is_outside(server: str) -> bool:
    try:
        return not ipaddress.IPv4Address(server).is_loopback
    except ValueError:
        return False
