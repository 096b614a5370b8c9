"""Runs attacks for a while and hands in what happened as the run's result, through the sidecar.

With the argument `battery` each of the whole battery's is made once.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping

from hostile import attacks, battery

ROUNDS_SECONDS = float(os.environ.get("ROUNDS_SECONDS", "8"))
DOOR = os.environ.get("REMIT_URL", "http://127.0.0.1:8765")


def plan(order: Mapping[str, str]) -> dict[str, Callable[[], str]]:
    """Return the attacks by name; the run's input says where things are, since there is no DNS to ask."""
    return {
        "dns": lambda: attacks.resolve("exfiltrate.example.com", order["dns"]),
        "internet": lambda: attacks.connect(order["internet"]),
        "apiserver": lambda: attacks.read_apiserver(order["apiserver"]),
        "metadata": lambda: attacks.connect("169.254.169.254:80"),
        "bank": lambda: attacks.connect(order["bank"]),
        "other-pod": lambda: attacks.connect(order["otherPod"]),
        "control-port": lambda: attacks.connect(order["controlPort"]),
        "secret": attacks.find_secrets,
        "root-file-system": attacks.write_root,
        "root-user": attacks.become_root,
        "raw-socket": attacks.open_raw_socket,
    }


def attempt(attack: Callable[[], str]) -> tuple[bool, str]:
    """Make one attack and return (succeeded, what happened)."""
    try:
        return True, attack()
    except OSError as error:
        return False, f"{type(error).__name__}: {error}"[:120]


def call(method: str, path: str, body: object = None) -> dict[str, object]:
    """Speak the run contract through the sidecar; it may need a moment to listen."""
    payload = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(DOOR + path, payload, {"Content-Type": "application/json"}, method=method)  # noqa: S310 (the sidecar)
    for pause in (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 0.0):
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 (the sidecar)
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error.code} {error.read()[:300]!r}") from error
        except OSError:
            time.sleep(pause)
    raise SystemExit(f"{method} {path}: nobody answers")


def main() -> None:
    """Attack until the time is over; one success is enough to be a success."""
    order = call("GET", "/run/v1/input")["input"]
    if not isinstance(order, dict):
        raise SystemExit("the run has no input")
    report: dict[str, dict[str, object]] = {}
    whole = sys.argv[1:] == ["battery"]
    until = time.monotonic() + (0 if whole else ROUNDS_SECONDS)
    first = True
    while first or time.monotonic() < until:
        first = False
        for name, attack in (battery.plan(order) if whole else plan(order)).items():
            succeeded, happened = attempt(attack)
            if succeeded or name not in report:
                report[name] = {"succeeded": succeeded, "happened": happened}
    call("POST", "/run/v1/result", {"outcome": "Succeeded", "result": {"attacks": report}, "stop": "Answered"})


if __name__ == "__main__":
    main()
