"""Watches every status that the controller writes while tests run, and lints it: whatever a test looks at besides."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from remit.adapters.access import from_kubeconfig
from remit.api.kinds import KINDS
from remit.api.names import CONTROLLER_FIELD_MANAGER
from remit.core.conditions import violations

STREAM_SECONDS = 5
PAUSE_SECONDS = 0.5
Object = dict[str, Any]


class StatusWatch:
    """What was seen so far."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self.seen: set[tuple[str, str]] = set()
        self.faults: list[str] = []
        self.over = threading.Event()

    def look(self, thing: Object) -> None:
        """Lint one state of an object, once; statuses that a test wrote itself are its own business."""
        metadata, status = thing["metadata"], thing.get("status") or {}
        state = metadata["uid"], metadata["resourceVersion"]
        if state in self.seen or "conditions" not in status or not is_controllers(thing):
            return
        self.seen.add(state)
        found = violations(status)
        if found:
            self.faults.append(f"{thing['kind']} {metadata['namespace']}/{metadata['name']}: {found} in {status}")

    def follow(self, plural: str) -> None:
        """Watch one kind until it is over; it may be installed only later, and its apiserver may go and come back."""
        while not self.over.is_set():
            with suppress(OSError, http.client.HTTPException, ValueError):
                self.follow_once(plural)
            self.over.wait(PAUSE_SECONDS)

    def follow_once(self, plural: str) -> None:
        """Read one stream to its end."""
        access = from_kubeconfig(self.kubeconfig)
        address = urlsplit(access.server)
        connection = http.client.HTTPSConnection(
            str(address.hostname), address.port or 443, context=access.tls(), timeout=2 * STREAM_SECONDS
        )
        try:
            connection.request("GET", f"/apis/remit.dev/v1alpha1/{plural}?watch=true&timeoutSeconds={STREAM_SECONDS}")
            answer = connection.getresponse()
            while answer.status == http.HTTPStatus.OK and not self.over.is_set() and (line := answer.readline()):
                change = json.loads(line)
                if change["type"] in {"ADDED", "MODIFIED"}:
                    self.look(change["object"])
        finally:
            connection.close()


def is_controllers(thing: Object) -> bool:
    """Tell whether the conditions are the controller's, and nobody else's."""
    writers = {
        (entry["manager"], entry["operation"])
        for entry in thing["metadata"].get("managedFields", ())
        if "f:conditions" in entry.get("fieldsV1", {}).get("f:status", {})
    }
    return writers == {(CONTROLLER_FIELD_MANAGER, "Apply")}


@contextmanager
def watched_statuses(kubeconfig: Path) -> Iterator[StatusWatch]:
    """Watch all kinds while the block runs; the caller asks for the faults."""
    watch = StatusWatch(kubeconfig)
    threads = [threading.Thread(target=watch.follow, args=(kind.plural,), daemon=True) for kind in KINDS]
    for thread in threads:
        thread.start()
    try:
        yield watch
    finally:
        watch.over.set()
        for thread in threads:
            thread.join(3 * STREAM_SECONDS)
