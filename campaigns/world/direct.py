"""The apiserver as a campaign speaks to it: straight, as whoever it wants to be, beside every fault."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from multidict import CIMultiDict

from remit.adapters.access import Access, from_kubeconfig

Object = dict[str, Any]
JSON = "application/json"
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
GATEWAY = "system:serviceaccount:remit-system:remit-gateway"
PLURALS = {
    "Agent": "/apis/remit.dev/v1alpha1/{}/agents",
    "ToolGrant": "/apis/remit.dev/v1alpha1/{}/toolgrants",
    "Policy": "/apis/remit.dev/v1alpha1/{}/policies",
    "AgentRun": "/apis/remit.dev/v1alpha1/{}/agentruns",
    "Pod": "/api/v1/{}/pods",
    "ServiceAccount": "/api/v1/{}/serviceaccounts",
    "ResourceQuota": "/api/v1/{}/resourcequotas",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/{}/networkpolicies",
    "ControllerRevision": "/apis/apps/v1/{}/controllerrevisions",
    "Lease": "/apis/coordination.k8s.io/v1/{}/leases",
}


class DirectError(Exception):
    """The apiserver refused what a campaign itself asked for."""


def path_of(kind: str, namespace: str, name: str = "") -> str:
    """Return the path of a kind's collection in a namespace, or of one object."""
    return PLURALS[kind].format(f"namespaces/{namespace}") + (f"/{name}" if name else "")


class Direct:
    """A client with no retries; use it as an async context manager."""

    def __init__(self, access: Access) -> None:
        """Speak as this access's account, or as whom it impersonates."""
        self._access = access
        self._open: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=self._access.tls(), limit=0)
        self._open = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """The open session."""
        if self._open is None:
            raise DirectError("not open")
        return self._open

    async def send(
        self, method: str, path: str, body: Any = None, *, kind: str = JSON, user: str = "", groups: Sequence[str] = ()
    ) -> tuple[int, Object]:
        """Send one request; returns code and body."""
        headers = CIMultiDict({"Content-Type": kind} | ({"Impersonate-User": user} if user else {}))
        headers.extend(("Impersonate-Group", group) for group in groups)
        sent = None if body is None else json.dumps(body).encode()
        async with self.session.request(method, self._access.server + path, data=sent, headers=headers) as answer:
            text = await answer.read()
            return answer.status, json.loads(text) if text[:1] == b"{" else {"message": text.decode()[:500]}

    async def must(
        self, method: str, path: str, body: Any = None, *, kind: str = JSON, user: str = "", groups: Sequence[str] = ()
    ) -> Object:
        """Send one request that may not fail."""
        code, found = await self.send(method, path, body, kind=kind, user=user, groups=groups)
        if code >= 400:
            raise DirectError(f"{method} {path}: {code} {found.get('message', '')}")
        return found

    async def create(self, thing: Mapping[str, Any], namespace: str) -> Object:
        """Create an object in the namespace, as a user would write it."""
        spec = {key: value for key, value in thing["spec"].items() if key != "requester"}
        made = {**thing, "metadata": {**thing["metadata"], "namespace": namespace}, "spec": spec}
        return await self.must("POST", path_of(thing["kind"], namespace), made)

    async def patch(self, kind: str, namespace: str, name: str, change: Mapping[str, Any], *, part: str = "") -> Object:
        """Merge a patch into an object, or into its `part`."""
        path = path_of(kind, namespace, name) + (f"/{part}" if part else "")
        return await self.must("PATCH", path, change, kind=MERGE)

    async def delete(self, kind: str, namespace: str, name: str, **options: Any) -> None:
        """Delete; absent is as well."""
        path = path_of(kind, namespace, name)
        code, found = await self.send("DELETE", path, {"propagationPolicy": "Background", **options})
        if code >= 400 and code not in {404, 409}:
            raise DirectError(f"DELETE {path}: {code} {found.get('message', '')}")

    async def delete_as(self, user: str, kind: str, namespace: str, name: str) -> None:
        """Delete as one of Kubernetes' own, whom admission lets take away what is ours."""
        await self.must("DELETE", path_of(kind, namespace, name), {}, user=user)

    async def say(self, thing: Mapping[str, Any], status: Mapping[str, Any]) -> int:
        """Apply the gateway's part of an object's status; returns the code."""
        metadata = thing["metadata"]
        path = f"{path_of(thing['kind'], metadata['namespace'], metadata['name'])}/status"
        body = {
            "apiVersion": "remit.dev/v1alpha1",
            "kind": thing["kind"],
            "metadata": {"name": metadata["name"], "uid": metadata["uid"]},
            "status": status,
        }
        code, _ = await self.send(
            "PATCH", f"{path}?fieldManager=remit-gateway&force=true", body, kind=APPLY, user=GATEWAY
        )
        return code

    async def token(self, account: str) -> str:
        """Return a token of an account of the install namespace."""
        path = f"/api/v1/namespaces/remit-system/serviceaccounts/{account}/token"
        made = await self.must("POST", path, {"spec": {"expirationSeconds": 7200}})
        return str(made["status"]["token"])


def administrator(kubeconfig: Path) -> Direct:
    """Return a client of the administrator's."""
    return Direct(from_kubeconfig(kubeconfig))
