"""Asks the components how they are. Reads only."""

import datetime as dt
import http.client
import socket
import ssl
import urllib.parse
from http import HTTPStatus
from pathlib import Path

from remit.cluster.api import Api
from remit.cluster.components import Component
from remit.cluster.configs import Settings
from remit.cluster.layout import NODE_NAME
from remit.cluster.processes import Identity, started_at

TIMEOUT_SECONDS = 2.0
CLOCK_SECONDS = 1.5
"""Both times are kept in whole seconds."""
WELL = (HTTPStatus.OK, HTTPStatus.NO_CONTENT)
NODE = f"/api/v1/nodes/{NODE_NAME}"


def complaint(component: Component, there: Identity, settings: Settings, api: Api) -> str:
    """Say what is wrong with a running component; empty when it is well."""
    match component.name:
        case "apiserver" | "etcd":
            path = "/readyz" if component.name == "apiserver" else "/readyz/etcd"
            return _from_apiserver(api, path)
        case "containerd":
            return _listens(settings.layout.containerd_socket)
        case "kubelet":
            return _answers(component.health) or _node_complaint(api, started_at(there))
        case _:
            return _answers(component.health)


def _node_complaint(api: Api, since: float) -> str:
    """Find fault with the node; what a kubelet of the past said of it does not count."""
    try:
        answer = api.get(NODE)
    except OSError as problem:
        return str(problem)
    if not answer.found:
        return "node is not there"
    conditions = answer.json()["status"].get("conditions", ())
    ready = next((each for each in conditions if each["type"] == "Ready"), None)
    if ready is None or ready["status"] != "True":
        return "node is not Ready"
    heard = dt.datetime.fromisoformat(ready["lastHeartbeatTime"]).timestamp()
    return "" if heard >= since - CLOCK_SECONDS else "node was not heard of since the kubelet started"


def _from_apiserver(api: Api, path: str) -> str:
    try:
        answer = api.get(path)
    except OSError as problem:
        return str(problem)
    return "" if answer.found else f"{path}: {answer.status}"


def _listens(path: Path) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(TIMEOUT_SECONDS)
        try:
            client.connect(str(path))
        except OSError as problem:
            return f"{path.name}: {problem}"
    return ""


def _answers(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    connection = _connection(parts)
    try:
        connection.request("GET", parts.path)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as problem:
        return str(problem) or type(problem).__name__
    finally:
        connection.close()
    return "" if status in WELL else f"{parts.path}: {status}"


def _connection(parts: urllib.parse.SplitResult) -> http.client.HTTPConnection:
    if parts.scheme == "http":
        return http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_SECONDS)
    # Controller manager and scheduler make their own certificates; nothing secret is asked.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(parts.netloc, timeout=TIMEOUT_SECONDS, context=context)
