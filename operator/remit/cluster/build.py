"""Builds the cluster's programs from their pinned sources, once, into a folder named by content."""

import fcntl
import json
import os
import platform
import shutil
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from remit.cluster import machine, recipe, toolchain
from remit.cluster.commands import SHOWN_BYTES, run
from remit.cluster.errors import BuildError
from remit.cluster.machine import SEARCH_PATH, Say
from remit.cluster.recipe import Lanes, Product

CRDS = "calico-crds.json"
PARTIAL = ".partial-"
REMIND_SECONDS = 20.0
NEEDED_BYTES = 8_000_000_000
"""Sources, Go's build cache and the programs, with some air."""


@dataclass
class Progress:
    """Counts the programs that are done and says so, a line each; knows what is under way."""

    say: Say
    total: int
    done: int = 0
    under_way: dict[str, float] = field(default_factory=dict)
    failed: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, name: str, now: float) -> None:
        """Note that a program is under way."""
        with self.lock:
            self.under_way[name] = now

    def finish(self, name: str, now: float) -> None:
        """Say that one more is done."""
        with self.lock:
            self.done += 1
            self.say(f"[{self.done:>2}/{self.total}] {name} … {now - self.under_way.pop(name):.0f} s")

    def remind(self, now: float) -> None:
        """Say what is under way, so that a long silence is not taken for the end."""
        with self.lock:
            waiting = ", ".join(f"{name} ({now - began:.0f} s)" for name, began in self.under_way.items())
            self.say(f"        building {waiting}")


def products_folder(cache: Path, lanes: Lanes, version: str) -> Path:
    """Name the folder of finished products."""
    named = recipe.digest(lanes, recipe.pins(lanes), version, platform.machine())
    return cache / "cluster" / named


def ensure(cache: Path, say: Say) -> Path:
    """Give the folder of finished products; build them first if they are not there.

    Raises:
        BuildError: a source is not to be had, does not match its checksum or does not compile.
        MachineError: a tool for building is missing and cannot be installed.

    """
    lanes = recipe.lanes(sandboxed=machine.can_sandbox())
    known = toolchain.find(cache)
    if known is not None and (there := products_folder(cache, lanes, known[1])).exists():
        return there
    (cache / "cluster").mkdir(parents=True, exist_ok=True)
    with _only_builder(cache / "cluster", say):
        go, version = known or toolchain.find_or_fetch(cache, say)
        target = products_folder(cache, lanes, version)
        if not target.exists():
            machine.require(machine.TO_BUILD, say)
            _require_room(cache)
            _build(Order(cache, go, lanes, say), target)
    return target


@contextmanager
def _only_builder(folder: Path, say: Say) -> Iterator[None]:
    """Wait until nobody else builds; clear away what an interrupted build left."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("somebody else builds the cluster's programs: waiting for them")
            fcntl.flock(handle, fcntl.LOCK_EX)
        for leftover in folder.glob(f"{PARTIAL}*"):
            shutil.rmtree(leftover)
        yield
    finally:
        os.close(handle)


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be built, by which compiler."""

    cache: Path
    go: Path
    lanes: Lanes
    say: Say


def _build(order: Order, target: Path) -> None:
    began = time.monotonic()
    order.say("building the cluster's programs from source: some minutes, this once")
    partial = target.with_name(f"{PARTIAL}{target.name}")
    (partial / "bin").mkdir(parents=True)
    shutil.copytree(recipe.MODULES, partial / "modules")
    progress = Progress(order.say, len(recipe.products(order.lanes)))
    workshop = Workshop(order.go, partial, _environment(order.cache, order.go), progress)
    with ThreadPoolExecutor(len(order.lanes)) as beside:
        _follow([beside.submit(workshop.build_all, lane) for lane in order.lanes], progress)
    workshop.keep_crds()
    shutil.rmtree(partial / "modules")
    partial.rename(target)
    order.say(f"built in {time.monotonic() - began:.0f} s")


def _follow(lanes: Iterable[Future[None]], progress: Progress) -> None:
    """Wait for all lanes and show that they move; a failure keeps the others from going on."""
    left = set(lanes)
    while left:
        ended, left = wait(left, timeout=REMIND_SECONDS, return_when=FIRST_COMPLETED)
        if not ended:
            progress.remind(time.monotonic())
        for lane in ended:
            if lane.exception() is not None:
                progress.failed = True
                lane.result()


def _require_room(cache: Path) -> None:
    free = shutil.disk_usage(cache).free
    if free < NEEDED_BYTES:
        raise BuildError(f"{cache} has {free / 1e9:.1f} GB left; building needs {NEEDED_BYTES / 1e9:.0f} GB")


def _environment(cache: Path, go: Path) -> dict[str, str]:
    """Build with the pins only: checksums come from go.sum, and nothing may change them."""
    kept = ("HOME", "GOPROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE", "TMPDIR")
    proxies = (*kept, *(name.lower() for name in kept if name.endswith("_PROXY")))
    return {
        **{name: os.environ[name] for name in proxies if name in os.environ},
        "PATH": f"{go.parent}:{SEARCH_PATH}",
        "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false -modcacherw",
        "GOCACHE": str(cache / "go-build"),
        "GOMODCACHE": str(cache / "go-mod"),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        **toolchain.places(cache),
    }


@dataclass(frozen=True, slots=True)
class Workshop:
    """One build under way."""

    go: Path
    folder: Path
    environment: dict[str, str]
    progress: Progress

    def build_all(self, lane: tuple[Product, ...]) -> None:
        """Build programs one after the other."""
        for product in lane:
            if self.progress.failed:
                return
            self.progress.begin(product.name, time.monotonic())
            self._build(product)
            self.progress.finish(product.name, time.monotonic())

    def _build(self, product: Product) -> None:
        arguments = [
            *(str(self.go), "build", "-tags", product.tags, "-ldflags", product.linker),
            *("-o", str(self.folder / "bin" / product.name), product.package),
        ]
        c_compiler = {"CGO_ENABLED": str(int(product.c_compiler))}
        done = subprocess.run(
            arguments,
            cwd=self.folder / "modules" / product.pins,
            env={**self.environment, **c_compiler},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise BuildError(f"{product.name} does not build: {done.stderr[-SHOWN_BYTES:]}")

    def keep_crds(self) -> None:
        """Keep Calico's CRDs beside the programs, in the form the apiserver reads fastest."""
        where = run(
            *(self.go, "list", "-m", "-f", "{{.Dir}}", recipe.CALICO),
            environment=self.environment,
            folder=self.folder / "modules" / "calico",
            error=BuildError,
        )
        folder = Path(where.strip()) / "libcalico-go" / "config" / "crd"
        crds = [yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yaml"))]
        if not crds:
            raise BuildError(f"no CRDs in {folder}")
        (self.folder / CRDS).write_text(json.dumps(crds))
