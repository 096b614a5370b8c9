"""Joins the room's network to the machine: one veth pair, two routes. Changes no sysctl, no rule."""

import ipaddress
import json
from collections.abc import Iterable

from remit.cluster.commands import run
from remit.cluster.errors import StartError
from remit.cluster.layout import Addresses, Network
from remit.cluster.processes import Identity


def join(addresses: Addresses, room: Identity) -> None:
    """Make sure that machine and room reach each other; mends what is missing."""
    if not (_has(addresses.link) and _inner_is_up(room)):
        leave(addresses)
        _make_pair(addresses, room)
    for reach in (addresses.pods, addresses.services):
        _ip("route", "replace", reach, "via", addresses.node, "dev", addresses.link)


def _make_pair(addresses: Addresses, room: Identity) -> None:
    _ip(
        *("link", "add", addresses.link, "type", "veth"),
        *("peer", "name", "eth0", "netns", str(room.pid)),
    )
    _ip("address", "add", f"{addresses.host}/30", "dev", addresses.link)
    _ip("link", "set", addresses.link, "up")
    inside = ("nsenter", f"--net=/proc/{room.pid}/ns/net", "ip")
    run(*inside, "address", "add", f"{addresses.node}/30", "dev", "eth0", error=StartError)
    run(*inside, "link", "set", "eth0", "up", error=StartError)
    run(*inside, "route", "add", "default", "via", addresses.host, error=StartError)


def leave(addresses: Addresses) -> None:
    """Remove the pair, and with it both routes, if it is still there."""
    if _has(addresses.link):
        _ip("link", "delete", addresses.link)


def routes() -> Iterable[Network]:
    """List the ranges that the machine has routes to, the default route aside."""
    listed = json.loads(_ip("-json", "-4", "route", "show", "table", "all"))
    return [
        ipaddress.IPv4Network(route["dst"], strict=False)
        for route in listed
        if route["dst"] != "default" and route.get("type") not in {"broadcast", "multicast"}
    ]


def _has(link: str) -> bool:
    return any(each["ifname"] == link for each in json.loads(_ip("-json", "link", "show")))


def _inner_is_up(room: Identity) -> bool:
    inside = ("nsenter", f"--net=/proc/{room.pid}/ns/net", "ip")
    listed = json.loads(run(*inside, "-json", "link", "show", error=StartError))
    return any(each["ifname"] == "eth0" for each in listed)


def _ip(*arguments: str) -> str:
    return run("ip", *arguments, error=StartError)
