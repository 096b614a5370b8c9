"""Brings a cluster up, or what is missing of it: the same path for the first start and for healing."""

import hashlib
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from remit.cluster import cgroups, configs, health, images, network, objects, pki, room
from remit.cluster.api import Api
from remit.cluster.build import CRDS
from remit.cluster.components import BEFORE_APISERVER, Component, components
from remit.cluster.configs import PAUSE_IMAGE, Settings
from remit.cluster.errors import StartError
from remit.cluster.layout import Layout
from remit.cluster.machine import SEARCH_PATH, Say
from remit.cluster.processes import Identity, is_alive, kill, load, save, wait_until

READY_SECONDS = 90.0
GRACE_SECONDS = 8.0
"""How long a component that ran before may be unwell until it is started anew."""
START_LIMIT = 3
PLACERS = 4
POLL_SECONDS = 0.05
LOG_LIMIT_BYTES = 50_000_000


@dataclass(frozen=True, slots=True)
class Starter:
    """One pass over a cluster that ends with all of it healthy, or with an error."""

    settings: Settings
    api: Api
    say: Say
    starts: Counter[str] = field(default_factory=Counter)
    """How often each component was started in this pass."""

    def bring_up(self) -> None:
        """Start all that does not run, then wait until everything is well."""
        render(self.settings)
        home = self._room()
        network.join(self.settings.addresses, home)
        everything = components(self.settings)
        first = [each for each in everything if each.name in BEFORE_APISERVER]
        self._start_missing(first, home)
        self._await_health(first, home)
        with ThreadPoolExecutor(2) as beside:
            placing = beside.submit(self._place_objects)
            loading = beside.submit(self._load_pause_image)
            self._start_missing([each for each in everything if each.name != "felix"], home)
            placing.result()
            loading.result()
        self._start_missing(everything, home)
        self._await_health(everything, home)
        wait_until(self._takes_pods, "the default service account", seconds=READY_SECONDS)
        self._tidy_volumes()

    def _takes_pods(self) -> bool:
        return self.api.get("/api/v1/namespaces/default/serviceaccounts/default").found

    def _room(self) -> Identity:
        layout = self.settings.layout
        if (there := room.current(layout)) is not None:
            return there
        room.end(layout)
        for stale in layout.run.glob("*.json"):
            stale.unlink()
        cgroups.make(layout.cgroup)
        # A machine that went down left it: nothing in it is alive.
        layout.containerd_socket.unlink(missing_ok=True)
        return room.make(layout, (layout.root, self.settings.products.parent))

    def _start_missing(self, wanted: Iterable[Component], home: Identity) -> None:
        for component in wanted:
            there = load(identity_file(self.settings.layout, component.name))
            recipe = recipe_of(component, self.settings)
            if there is not None and is_alive(there) and there.recipe == recipe:
                continue
            kill(there)
            self._start(component, home, recipe)

    def _start(self, component: Component, home: Identity, recipe: str) -> None:
        layout = self.settings.layout
        log = layout.logs / f"{component.name}.log"
        if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
            log.rename(log.with_suffix(".log.1"))
        search = ("PATH", f"{self.settings.products}/bin:{SEARCH_PATH}")
        variables = [f"{name}={value}" for name, value in (search, *component.environment)]
        line = ["env", "-i", *variables, *component.arguments]
        identity = room.start(home, log, line, recipe)
        save(identity_file(layout, component.name), identity)
        self.starts[component.name] += 1
        self.say(f"started {component.name}")

    def _place_objects(self) -> None:
        settings = self.settings
        objects.make_folders(settings)
        crds = json.loads((settings.products / CRDS).read_text())
        wanted = [objects.Placed(objects.CRDS, crd) for crd in crds]
        wanted += [*objects.network(settings), *objects.dns(settings), *objects.storage(settings)]
        if settings.sandboxed:
            wanted.append(objects.runtime_class())
        with ThreadPoolExecutor(PLACERS) as placers:
            for finished in [placers.submit(self._place, placed) for placed in wanted]:
                finished.result()

    def _place(self, placed: objects.Placed) -> None:
        wait_until(
            lambda: self.api.ensure(placed.collection, placed.body),
            f"the apiserver to take {placed.collection}",
            seconds=30,
        )

    def _load_pause_image(self) -> None:
        layout, ctr = self.settings.layout, self.settings.products / "bin" / "ctr"
        wait_until(layout.containerd_socket.exists, "containerd", seconds=30)
        if PAUSE_IMAGE in images.names(ctr, layout.containerd_socket):
            return
        archive = layout.config / "busybox.tar"
        images.write_busybox_archive(archive)
        images.load(ctr, layout.containerd_socket, archive)
        archive.unlink()

    def _await_health(self, wanted: Sequence[Component], home: Identity) -> None:
        """Wait until nobody complains; what ended, or stays unwell for long, is started anew."""
        began = time.monotonic()
        while complaints := self._complaints(wanted):
            waited = time.monotonic() - began
            if waited > READY_SECONDS or self._keeps_ending(complaints):
                raise StartError(self._explain(complaints))
            if waited > GRACE_SECONDS:
                self._end_stuck(complaints)
            self._start_missing(wanted, home)
            time.sleep(POLL_SECONDS)

    def _keeps_ending(self, complaints: dict[str, str]) -> bool:
        return any(self.starts[name] > START_LIMIT for name in complaints)

    def _end_stuck(self, complaints: dict[str, str]) -> None:
        """End what ran before this pass and still is unwell; what this pass started gets its time."""
        for name, said in complaints.items():
            if not self.starts[name]:
                self.say(f"{name} is unwell ({said}): starting it anew")
                kill(load(identity_file(self.settings.layout, name)))

    def _complaints(self, wanted: Iterable[Component]) -> dict[str, str]:
        found = {each.name: self._complaint(each) for each in wanted}
        return {name: said for name, said in found.items() if said}

    def _complaint(self, component: Component) -> str:
        there = load(identity_file(self.settings.layout, component.name))
        if there is None or not is_alive(there):
            return "not running"
        return health.complaint(component, there, self.settings, self.api)

    def _explain(self, complaints: dict[str, str]) -> str:
        layout = self.settings.layout
        told = [
            f"{name}: {said}; the end of its log:\n{room.last_lines(layout.logs / f'{name}.log')}"
            for name, said in complaints.items()
        ]
        afresh = f"`remit cluster down --name {layout.name}` and another `up` start afresh, with nothing kept"
        return "\n".join([*told, afresh])

    def _tidy_volumes(self) -> None:
        if count := objects.recycle(self.api, self.settings):
            self.say(f"emptied {count} volumes that nobody claims any more")


def render(settings: Settings) -> None:
    """Write the configuration files, the keys and the administrator's kubeconfig."""
    layout = settings.layout
    for folder in (layout.run, layout.logs, layout.config, layout.private):
        folder.mkdir(parents=True, exist_ok=True)
    pki.make(layout.pki, settings.addresses)
    shutil.copyfile(layout.pki / "admin.kubeconfig", layout.kubeconfig)
    layout.kubeconfig.chmod(0o600)
    _give_to_caller(layout.kubeconfig)
    for name, content in configs.files(settings).items():
        path = layout.config / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def _give_to_caller(path: Path) -> None:
    """Let the person behind sudo use the cluster without it."""
    if "SUDO_UID" in os.environ:
        os.chown(path, int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"]))


def identity_file(layout: Layout, component: str) -> Path:
    """Give the file that says which process a component is."""
    return layout.run / f"{component}.json"


def recipe_of(component: Component, settings: Settings) -> str:
    """Digest all that a component is started with, so that a change is seen."""
    rendered = configs.files(settings)
    read = [rendered[each] for each in component.config]
    trusted = (settings.layout.pki / "ca.crt").read_text()
    parts = (component.arguments, component.environment, read, trusted)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
