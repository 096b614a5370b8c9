"""The apiserver as a test speaks to it: one request at a time, as whoever the test wants to be."""

import http.client
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from remit.adapters.access import from_kubeconfig

Body = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What the apiserver said."""

    code: int
    body: Body

    @property
    def message(self) -> str:
        """The apiserver's own words on a refusal."""
        return str(self.body.get("message", ""))


@dataclass(frozen=True)
class Kube:
    """An apiserver; `user` and `groups` are impersonated, empty means the kubeconfig's own."""

    kubeconfig: Path
    user: str = ""
    groups: tuple[str, ...] = ()
    stamps: bool = True
    """Whether the apiserver writes into a run who asks for it; else we do, as users of it must."""

    def acting_as(self, user: str, *groups: str) -> "Kube":
        """Return the same apiserver, spoken to as somebody else."""
        return Kube(self.kubeconfig, user, groups, stamps=self.stamps)

    def send(self, method: str, path: str, body: Body | list[Body] | None = None, *, kind: str = "") -> Answer:
        """Send one request; `kind` is the content type where it is not plain JSON."""
        access = from_kubeconfig(self.kubeconfig)
        if not self.stamps and isinstance(body, dict):
            body = self.stamped(method, path, body)
        address = urlsplit(access.server)
        connection = http.client.HTTPSConnection(
            str(address.hostname), address.port or 443, context=access.tls(), timeout=30
        )
        try:
            connection.putrequest(method, path)
            payload = b"" if body is None else json.dumps(body).encode()
            for name, value in self.headers(kind or "application/json", len(payload)):
                connection.putheader(name, value)
            if token := access.read_token():
                connection.putheader("Authorization", f"Bearer {token}")
            connection.endheaders(payload)
            answer = connection.getresponse()
            return Answer(answer.status, json.loads(answer.read() or b"{}"))
        finally:
            connection.close()

    def headers(self, content_type: str, length: int) -> list[tuple[str, str]]:
        """Return the headers of a request."""
        found = [("Content-Type", content_type), ("Content-Length", str(length)), ("Accept", "application/json")]
        if self.user:
            found.append(("Impersonate-User", self.user))
        return found + [("Impersonate-Group", group) for group in self.groups]

    def create(self, path: str, body: Body) -> Answer:
        """Create, with fields that the schema does not know refused."""
        return self.send("POST", f"{path}?fieldValidation=Strict", body)

    def stamped(self, method: str, path: str, body: Body) -> Body:
        """Return a run with who asks for it, where it does not say."""
        makes = method == "POST" or (method == "PATCH" and "fieldManager" in path and "/status" not in path)
        if not makes or "/agentruns" not in path or "requester" in body.get("spec", {}):
            return body
        return {**body, "spec": {**body.get("spec", {}), "requester": self.requester()}}

    def requester(self) -> Body:
        """Return who we are to the apiserver, as a run says it."""
        if self.user:
            return {"username": self.user, "uid": "", "groups": [*self.groups, "system:authenticated"]}
        return {"username": "admin", "uid": "admin", "groups": ["system:masters", "system:authenticated"]}

    def patch(self, path: str, body: Body) -> Answer:
        """Change by merge patch."""
        return self.send("PATCH", f"{path}?fieldValidation=Strict", body, kind="application/merge-patch+json")

    def get(self, path: str) -> Answer:
        """Read."""
        return self.send("GET", path)

    def delete(self, path: str) -> Answer:
        """Delete."""
        return self.send("DELETE", path, {"propagationPolicy": "Background"})
