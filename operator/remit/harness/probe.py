"""`python -m remit.harness probe TARGETS`: tries every way out of a sandbox and says which are open.

It runs in a pod like any sandbox. What it finds is its termination message. One way must be open, that to the gateway:
where not even that one is, nothing is proven by the others being closed.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

ATTEMPT_SECONDS = 2.0
CONTROL_SECONDS = 20.0
PAUSE_SECONDS = 0.2
MAX_REACHED = 20
TERMINATION_LOG = Path("/dev/termination-log")
METADATA = ("169.254.169.254:80", "[fd00:ec2::254]:80")
NODE_PORTS = (10250, 6443, 22)
"""The kubelet's, the apiserver's and that of who looks after the machine."""
_QUESTION = b"\x13\x37\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x0akubernetes\x07default\x03svc\x00\x00\x01\x00\x01"


def split(address: str) -> tuple[str, int]:
    """Return host and port of HOST:PORT, where HOST may stand in brackets."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def joined(host: str, port: int) -> str:
    """Return HOST:PORT."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def connects(address: str) -> bool:
    """Tell whether a TCP connection comes about."""
    try:
        with socket.create_connection(split(address), ATTEMPT_SECONDS):
            return True
    except OSError:
        return False


def resolves(address: str) -> bool:
    """Tell whether a name server answers, by UDP or TCP."""
    host, port = split(address)
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.settimeout(ATTEMPT_SECONDS)
            link.sendto(_QUESTION, (host, port))
            return bool(link.recv(512))
    except OSError:
        return connects(address)


def ways_out(given: Mapping[str, Sequence[str]], environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return (what, address) of all that must be closed: what was given, and what a pod knows by itself."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "443")
    found = [("apiserver", joined(host, int(port)))] if host else []
    found += [("metadata", address) for address in METADATA]
    return found + [(what, address) for what, addresses in given.items() for address in addresses]


def node_addresses(environment: Mapping[str, str]) -> list[str]:
    """Return where the pod's own node may listen."""
    hosts = [host for host in environment.get("REMIT_NODE_ADDRESSES", "").split(",") if host]
    return [joined(host, port) for host in hosts for port in NODE_PORTS]


def attempt_all(ways: Sequence[tuple[str, str]], nodes: Sequence[str]) -> tuple[set[str], set[str]]:
    """Try everything at once; return what was reached, the node apart: a NetworkPolicy may not close that."""
    with ThreadPoolExecutor(max_workers=32) as pool:
        tried = [
            (f"{what} {where}", pool.submit(resolves if what == "dns" else connects, where)) for what, where in ways
        ]
        own = [(where, pool.submit(connects, where)) for where in nodes]
        reached = {name for name, done in tried if done.result()}
        return reached, {where for where, done in own if done.result()}


def reaches_gateway(gateway: str, pause: Callable[[float], None] = time.sleep) -> bool:
    """Tell whether the one open way is open; its policy may take a moment."""
    address = urlsplit(gateway)
    where = joined(address.hostname or "", address.port or 80)
    for _ in range(int(CONTROL_SECONDS / PAUSE_SECONDS)):
        if connects(where):
            return True
        pause(PAUSE_SECONDS)
    return False


def probe(gateway: str, targets: str, environment: Mapping[str, str] = os.environ, log: Path = TERMINATION_LOG) -> int:
    """Try in the pod's first moment, and again once the way to the gateway is open; leave the findings behind."""
    ways, nodes = ways_out(json.loads(targets), environment), node_addresses(environment)
    early, early_node = attempt_all(ways, nodes)
    control = reaches_gateway(gateway)
    late, late_node = attempt_all(ways, nodes)
    found = {
        "control": control,
        "tried": len(ways),
        "reached": sorted(early | late)[:MAX_REACHED],
        "nodesTried": len(nodes),
        "node": sorted(early_node | late_node)[:MAX_REACHED],
    }
    log.write_text(json.dumps(found))
    return 0
