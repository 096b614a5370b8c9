"""What a scene stands on: one cluster, kubectl, waiting with a reason, and assertions that end the demo."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from rich.console import Console

Seen = TypeVar("Seen")
POLL_SECONDS = 0.1
BANK = "bank"
CORE = "bank-core"


class SceneError(Exception):
    """What a scene promised did not happen; the text says what was seen instead."""


@dataclass(frozen=True)
class Stage:
    """One cluster with Remit and the example on it.

    `images` maps a recipe's name to the reference that pods use; `outside` is HOST:PORT of something beyond the
    cluster that an ordinary pod can reach, empty where there is none to try.
    """

    kubeconfig: Path
    kubectl_path: str
    images: Mapping[str, str]
    example: Path
    outside: str = ""
    console: Console = field(default_factory=lambda: Console(highlight=False, width=110))

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        """Run kubectl and return what it printed; raises SceneError with its complaint."""
        line = [self.kubectl_path, *arguments]
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        done = subprocess.run(
            line, input=given, capture_output=True, text=True, env=environment, check=False, timeout=300
        )
        if done.returncode != 0:
            raise SceneError(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def get(self, kind: str, name: str, namespace: str = BANK) -> dict[str, Any]:
        """Return one object."""
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "-n", namespace, "-o", "json"))
        return found

    def apply(self, documents: str | list[dict[str, Any]]) -> None:
        """Apply YAML text or objects by server-side apply."""
        text = documents if isinstance(documents, str) else yaml.safe_dump_all(documents)
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", given=text)

    def apply_file(self, name: str) -> None:
        """Apply a file of the example, with the images that this stage has."""
        text = (self.example / name).read_text()
        self.apply(text.replace("image: example-bank", f"image: {self.images['bank-dispute']}"))

    def until(
        self, look: Callable[[], Seen], wanted: Callable[[Seen], object], why: str, within_seconds: float = 60
    ) -> Seen:
        """Look until `wanted` holds and return what was seen; raises SceneError with `why` and the last sight."""
        deadline = time.monotonic() + within_seconds
        last: object = None
        while time.monotonic() < deadline:
            try:
                seen = look()
            except SceneError as error:
                last = error
            else:
                if wanted(seen):
                    return seen
                last = seen
            time.sleep(POLL_SECONDS)
        raise SceneError(f"not within {within_seconds:.0f} s: {why}; last seen: {str(last)[:2000]}")

    def finished(self, run: str, within_seconds: float = 120) -> dict[str, Any]:
        """Wait until a run is finished and its evidence closed, and return its status."""

        def ended(status: dict[str, Any]) -> bool:
            return condition(status, "Finished") == "True" and "evidence" in status

        return self.until(
            lambda: dict(self.get("agentrun", run).get("status", {})), ended, f"{run} finishes", within_seconds
        )

    def bank_effects(self, account: str) -> dict[str, Any]:
        """Return what the bank's own database says of an account."""
        printed = self.kubectl(
            "exec", "-n", CORE, "deploy/core-banking", "--", "/usr/bin/python3.11", "-m", "bank", "inspect",
            "--db", "/data/bank.db", "--account", account,
        )  # fmt: skip
        found: dict[str, Any] = json.loads(printed)
        return found

    def say(self, text: str) -> None:
        """Tell the audience."""
        self.console.print(f"  {text}", markup=False)

    def show(self, *arguments: str) -> str:
        """Run kubectl before the audience."""
        self.console.print(f"\n  $ kubectl {' '.join(arguments)}", style="bold")
        printed = self.kubectl(*arguments)
        for line in printed.rstrip().splitlines():
            self.console.print(f"  {line}", markup=False, no_wrap=True, overflow="ellipsis")
        return printed


def condition(status: Mapping[str, Any], kind: str) -> str:
    """Return a condition's status, empty when it is not there."""
    return next((str(each["status"]) for each in status.get("conditions", []) if each["type"] == kind), "")


def expect(holds: object, otherwise: str) -> None:
    """End the demo when something does not hold."""
    if not holds:
        raise SceneError(otherwise)
