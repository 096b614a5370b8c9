"""Flux's and Argo CD's own judgement of an object: their libraries in a Go program, built once for its content.

The scripts and expressions are those of gitops/: what users paste is what is judged by.
"""

import fcntl
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from remit.cluster import build, toolchain
from remit.cluster.layout import cache_folder

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).with_name("gitops")
ARGO = ROOT / "gitops" / "argocd" / "argocd-cm.yaml"
FLUX = ROOT / "gitops" / "flux" / "kustomization.yaml"
JUDGE_SECONDS = 60


@dataclass(frozen=True)
class Action:
    """An entry of Argo CD's menu: what the object would be after it."""

    disabled: bool
    result: dict[str, Any]


@dataclass(frozen=True)
class Verdict:
    """What each of them says of one object."""

    kstatus: str
    argo: str
    argo_says: str
    flux: str
    actions: dict[str, Action]


def judge(objects: Iterable[dict[str, Any]]) -> list[Verdict]:
    """Have objects judged, in their order."""
    order = {"scripts": argo_scripts(), "expressions": flux_expressions()}
    lines = [json.dumps(each) for each in (order, *objects)]
    done = subprocess.run(
        [program()], input="\n".join(lines), capture_output=True, text=True, check=False, timeout=JUDGE_SECONDS
    )
    assert done.returncode == 0, done.stderr
    return [verdict(json.loads(line)) for line in done.stdout.splitlines()]


def verdict(said: dict[str, Any]) -> Verdict:
    """Read one line of the program's."""
    actions = {name: Action(each["disabled"], each["result"]) for name, each in said["actions"].items()}
    return Verdict(said["kstatus"], said["argo"], said["argoSays"], said["flux"], actions)


def argo_scripts() -> dict[str, Any]:
    """Return the scripts by group and kind, as Argo CD reads them from its ConfigMap."""
    customizations = yaml.safe_load(yaml.safe_load(ARGO.read_text())["data"]["resource.customizations"])
    found = {}
    for key, given in customizations.items():
        actions = yaml.safe_load(given.get("actions", "{}"))
        found[key] = {
            "health": given["health.lua"],
            "discovery": actions.get("discovery.lua", ""),
            "actions": {each["name"]: each["action.lua"] for each in actions.get("definitions", ())},
        }
    return found


def flux_expressions() -> dict[str, str]:
    """Return the expressions of the one entry for the whole group."""
    (entry,) = yaml.safe_load(FLUX.read_text())["spec"]["healthCheckExprs"]
    return {name: entry[name] for name in ("inProgress", "failed", "current")}


@cache
def program() -> Path:
    """Return the program, built from its pinned sources when this content was not built here before."""
    store = cache_folder(os.environ, Path.home())
    go, version = toolchain.find_or_fetch(store, print)
    digest = hashlib.sha256(f"{version} {platform.machine()}".encode())
    for path in sorted(PROGRAM.iterdir()):
        digest.update(f"{path.name}\0".encode() + path.read_bytes())
    folder = store / "gitops"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / digest.hexdigest()[:16]
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            compile_into(target, go, build._environment(store, go))
    return target


def compile_into(target: Path, go: Path, environment: dict[str, str]) -> None:
    """Build the program; it is there whole, or not at all."""
    partial = target.with_suffix(".partial")
    line = [str(go), "build", "-o", str(partial), "."]
    done = subprocess.run(
        line, cwd=PROGRAM, env={**environment, "CGO_ENABLED": "0"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    partial.rename(target)
