"""The Cluster port over plain aiohttp: a third of a client library's CPU for the same requests.

Nothing here decides or tries again, except that a watch goes on where it broke off for as long as it can.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
import msgspec
from yarl import URL

from remit.adapters.access import Access
from remit.adapters.resources import Resource
from remit.ports import ClusterError

APPLY = "application/apply-patch+yaml"
JSON = "application/json"
MERGE = "application/merge-patch+json"
PAGE = 500
REQUEST_SECONDS = 30.0
WATCH_SECONDS = 240
SILENCE_SECONDS = 15.0
"""How much longer than it was asked to last a watch may be silent before it counts as dead."""
MAX_ANSWER_BYTES = 256 * 1024 * 1024
UNAUTHORIZED, NOT_FOUND, CONFLICT, GONE = 401, 404, 409, 410
REFUSED = 400

Object = dict[str, Any]
Objects = list[Object]


class KubernetesCluster:
    """A Kubernetes API, as one account sees it. Use it as an async context manager, or close it."""

    def __init__(self, access: Access, *, watch_seconds: int = WATCH_SECONDS, within: str = "") -> None:
        """Reach this apiserver; a watch is renewed, and so proves that it lives, every `watch_seconds`.

        `within` is the one namespace that lists and watches of all namespaces see, where we may see no other.
        """
        self._access = access
        self._within = within
        self._watch_seconds = watch_seconds
        self._token = ""
        self._open: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        if self._open is not None:
            await self._open.close()
            self._open = None

    async def get(self, api_version: str, kind: str, namespace: str, name: str) -> Object | None:
        """Return the object, None when there is none."""
        try:
            return await self._request("GET", Resource(api_version, kind).path(namespace, name))
        except ClusterError as error:
            if error.code == NOT_FOUND:
                return None
            raise

    async def list(self, api_version: str, kind: str, namespace: str, selector: str = "") -> Objects:
        """Return the objects; an empty namespace means all."""
        objects, _ = await self.list_at(api_version, kind, namespace, selector)
        return objects

    async def list_at(self, api_version: str, kind: str, namespace: str, selector: str = "") -> tuple[Objects, str]:
        """Return the objects and the version of the collection that they were read at."""
        objects: Objects = []
        query = {"limit": str(PAGE)} | self._choice(kind, selector)
        while True:
            page = await self._request("GET", Resource(api_version, kind).path(namespace or self._within), query)
            # items of a list do not say what they are
            objects.extend({"apiVersion": api_version, "kind": kind, **entry} for entry in page.get("items") or ())
            if not (further := page["metadata"].get("continue")):
                return objects, str(page["metadata"].get("resourceVersion", ""))
            query["continue"] = further

    async def served_kinds(self, api_version: str) -> frozenset[str]:
        """Return the kinds that are served at this version; none when the version is not."""
        root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        try:
            found = await self._request("GET", root)
        except ClusterError as error:
            if error.code == NOT_FOUND:
                return frozenset()
            raise
        return frozenset(str(resource["kind"]) for resource in found.get("resources") or ())

    async def apply(self, manifest: Mapping[str, Any], manager: str) -> Object:
        """Server-side apply, forced; returns the object as stored."""
        return await self._apply(manifest, manager, "")

    async def apply_status(self, manifest: Mapping[str, Any], manager: str) -> Object:
        """Server-side apply of the status subresource, forced."""
        return await self._apply(manifest, manager, "status")

    async def create(self, manifest: Mapping[str, Any], manager: str) -> Object:
        """Create; when it exists already, return what exists."""
        resource, metadata = Resource(manifest["apiVersion"], manifest["kind"]), manifest["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata.get("name", "")
        try:
            return await self._request("POST", resource.path(namespace), {"fieldManager": manager}, manifest)
        except ClusterError as error:
            if error.reason != "AlreadyExists":
                raise
            exists = await self.get(resource.api_version, resource.kind, namespace, name)
            if exists is None:  # it went in between: the caller tries again
                raise
            return exists

    async def patch(self, api_version: str, kind: str, patch: Mapping[str, Any], manager: str) -> Object:
        """Merge a patch into the object that its metadata names, if it is still in that state."""
        metadata = patch["metadata"]
        path = Resource(api_version, kind).path(metadata.get("namespace", ""), metadata["name"])
        return await self._request("PATCH", path, {"fieldManager": manager}, patch, content_type=MERGE)

    async def delete(self, api_version: str, kind: str, namespace: str, name: str, uid: str) -> None:  # noqa: PLR0917 - the port's signature
        """Delete exactly the object with this UID; absent is success, and so is another one of the name."""
        options = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        try:
            await self._request("DELETE", Resource(api_version, kind).path(namespace, name), {}, options)
        except ClusterError as error:
            if error.code not in {NOT_FOUND, CONFLICT}:
                raise

    async def watch(self, api_version: str, kind: str, selector: str = "") -> AsyncIterator[tuple[str, Object]]:
        """Yield (type, object): first every object as ADDED, then SYNCED, then changes, and BOOKMARKs.

        SYNCED and BOOKMARK carry only `metadata.resourceVersion`. A BOOKMARK comes also whenever the stream was
        renewed: the apiserver answered, and nothing was missed. Ends when the version is too old to go on from;
        raises ClusterError when the apiserver cannot be reached.
        """
        objects, version = await self.list_at(api_version, kind, "", selector)
        for entry in objects:
            yield "ADDED", entry
        yield "SYNCED", _mark(version)
        query = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(self._watch_seconds)}
        query |= self._choice(kind, selector)
        while True:
            async for change, entry in self._stream(Resource(api_version, kind), query | {"resourceVersion": version}):
                if change == "ERROR":
                    if entry.get("code") == GONE:
                        return
                    raise ClusterError(str(entry.get("message", "")), str(entry.get("reason", "")), REFUSED)
                version = str(entry["metadata"].get("resourceVersion") or version)
                yield change, entry if change != "BOOKMARK" else _mark(version)

    def _choice(self, kind: str, selector: str) -> dict[str, str]:
        """Return the selectors of a list or watch."""
        only_home = {"fieldSelector": f"metadata.name={self._within}"} if self._within and kind == "Namespace" else {}
        return only_home | ({"labelSelector": selector} if selector else {})

    async def _apply(self, manifest: Mapping[str, Any], manager: str, subresource: str) -> Object:
        metadata = manifest["metadata"]
        path = Resource(manifest["apiVersion"], manifest["kind"]).path(
            metadata.get("namespace", ""), metadata["name"], subresource
        )
        return await self._request(
            "PATCH", path, {"fieldManager": manager, "force": "true"}, manifest, content_type=APPLY
        )

    async def _stream(self, resource: Resource, query: Mapping[str, str]) -> AsyncIterator[tuple[str, Object]]:
        """Yield one watch's events until the apiserver ends it, a connection that breaks included."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_SECONDS)
        url = self._url(resource.path(self._within), query)
        try:
            async with self._session().get(url, headers=self._headers(), timeout=timeout) as answer:
                if answer.status >= REFUSED:
                    await self._refuse(answer)
                yield "BOOKMARK", _mark(query["resourceVersion"])
                async for line in _lines(answer.content, self._watch_seconds + SILENCE_SECONDS):
                    event = msgspec.json.decode(line)
                    yield event["type"], event["object"]
        except (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError, TimeoutError):
            return  # it broke off under way: the next stream goes on from the last version
        except (aiohttp.ClientError, OSError) as error:
            raise ClusterError(f"the apiserver cannot be reached: {error}", "Unreachable") from error

    async def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        *,
        content_type: str = JSON,
    ) -> Object:
        """Send one request; a token that rotated under way is read again once."""
        sent = msgspec.json.encode(body) if body is not None else None
        url = self._url(path, query or {})
        for last in (False, True):
            headers = self._headers(fresh=last) | ({"Content-Type": content_type} if sent is not None else {})
            try:
                async with self._session().request(method, url, data=sent, headers=headers) as answer:
                    if answer.status == UNAUTHORIZED and not last:
                        continue
                    if answer.status >= REFUSED:
                        await self._refuse(answer)
                    answered: Object = msgspec.json.decode(await answer.read())
                    return answered
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise ClusterError(f"the apiserver cannot be reached: {error}", "Unreachable") from error
        raise AssertionError("unreachable: the second round returns or raises")

    async def _refuse(self, answer: aiohttp.ClientResponse) -> None:
        """Raise what the apiserver said."""
        text = (await answer.read()).decode("utf-8", "replace")
        try:
            status = msgspec.json.decode(text)
            message, reason = str(status["message"]), str(status.get("reason", ""))
        except (ValueError, KeyError, TypeError):
            message, reason = text[:500] or f"HTTP {answer.status}", ""
        raise ClusterError(message, reason, answer.status)

    def _session(self) -> aiohttp.ClientSession:
        if self._open is None:
            self._open = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._access.tls(), limit=0, keepalive_timeout=60),
                timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS),
                headers={"Accept": JSON, "User-Agent": "remit"},
                auto_decompress=True,
                read_bufsize=2**18,
            )
        return self._open

    def _headers(self, *, fresh: bool = False) -> dict[str, str]:
        if fresh or not self._token:
            self._token = self._access.read_token()
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def _url(self, path: str, query: Mapping[str, str]) -> URL:
        return URL(f"{self._access.server}{path}" + (f"?{urlencode(query)}" if query else ""), encoded=True)


def _mark(version: str) -> Object:
    return {"metadata": {"resourceVersion": version}}


async def _lines(content: aiohttp.StreamReader, silence_seconds: float) -> AsyncIterator[bytes]:
    """Yield whole lines of any length; raises TimeoutError when the stream is silent for too long."""
    rest = b""
    while True:
        async with asyncio.timeout(silence_seconds):
            chunk = await content.readany()
        if not chunk:
            return
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line
