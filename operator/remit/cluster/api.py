"""Talks to the cluster's own apiserver: the few plain HTTPS calls that starting it needs."""

import http.client
import json
import ssl
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any

from remit.cluster.errors import StartError

TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes

    @property
    def found(self) -> bool:
        """Whether it is the object that was asked for."""
        return self.status == HTTPStatus.OK

    def json(self) -> Any:
        """Read the body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Api:
    """One apiserver, with the administrator's certificate."""

    server: str
    pki: Path

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.pki / "ca.crt")
        context.load_cert_chain(self.pki / "admin.crt", self.pki / "admin.key")
        return context

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None, kind: str = "json") -> Answer:
        """Make one request; `kind` is the last part of the body's media type.

        Raises:
            OSError: nobody answers, or the connection broke.

        """
        host = urllib.parse.urlsplit(self.server).netloc
        connection = http.client.HTTPSConnection(host, context=self._tls, timeout=TIMEOUT_SECONDS)
        content = None if body is None else json.dumps(body).encode()
        try:
            connection.request(method, path, body=content, headers={"Content-Type": f"application/{kind}"})
            response = connection.getresponse()
            return Answer(response.status, response.read())
        except http.client.HTTPException as broken:
            raise ConnectionError(f"{method} {path}: {broken!r}") from broken
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        """Read one object or list."""
        return self.call("GET", path)

    def is_ready(self) -> bool:
        """Tell whether the apiserver serves, its store included."""
        try:
            return self.get("/readyz").found
        except OSError:
            return False

    def ensure(self, collection: str, body: Mapping[str, Any]) -> bool:
        """Create an object that may already be there; tell whether its kind is known yet.

        Raises:
            StartError: the apiserver refuses it.

        """
        answer = self.call("POST", collection, body)
        match answer.status:
            case HTTPStatus.CREATED | HTTPStatus.CONFLICT:
                return True
            # A Service that names its address finds it taken, by itself, before its name.
            case HTTPStatus.UNPROCESSABLE_ENTITY if self.get(f"{collection}/{body['metadata']['name']}").found:
                return True
            case HTTPStatus.NOT_FOUND | HTTPStatus.FORBIDDEN | HTTPStatus.TOO_MANY_REQUESTS:
                return False
            case _:
                name = body["metadata"]["name"]
                said = answer.body.decode(errors="replace")
                raise StartError(f"{body['kind']}/{name}: {answer.status} {said}")
