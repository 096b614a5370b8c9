"""One embedded cluster, by name: the face of this package for the CLI, tests and benchmarks."""

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from remit.cluster import build, images, machine, outbound, registry, status, stop
from remit.cluster.api import Api
from remit.cluster.commands import run
from remit.cluster.components import NAMES
from remit.cluster.configs import Settings
from remit.cluster.errors import ClusterError
from remit.cluster.layout import (
    Layout,
    cache_folder,
    default_name,
    layout_of,
    state_folder,
)
from remit.cluster.machine import Say
from remit.cluster.start import Starter


def _silent(_line: str) -> None:
    """Say nothing."""


def _default_name() -> str:
    return default_name(os.environ)


@dataclass(frozen=True)
class Cluster:
    """An embedded cluster; nothing happens before a method is called.

    The name is $REMIT_CLUSTER or `remit`; state lies in $REMIT_STATE or /var/lib/remit, built
    programs in $REMIT_CACHE or ~/.cache/remit.
    """

    name: str = field(default_factory=_default_name)

    @property
    def layout(self) -> Layout:
        """Where its files are."""
        return layout_of(self.name, state_folder(os.environ))

    @property
    def kubeconfig_path(self) -> Path:
        """The administrator's kubeconfig, complete in one file."""
        return self.layout.kubeconfig

    @property
    def audit_log_path(self) -> Path:
        """The apiserver's audit log: a JSON line for each write, and for all that Remit's own accounts ask."""
        return self.layout.audit_log

    @property
    def service_account_key_path(self) -> Path:
        """The key that signs service account tokens, for tests that need a strange token."""
        return self.layout.pki / "service-account.key"

    @property
    def kubectl_path(self) -> Path:
        """The kubectl that was built with it."""
        return self._program("kubectl")

    @property
    def host_address(self) -> str:
        """The machine's own address as the cluster sees it: the first thing beyond the cluster."""
        return self._record().addresses.host

    @property
    def exists(self) -> bool:
        """Whether it was brought up and not taken down since; it may still be unwell."""
        return registry.read(self.layout) is not None

    def up(self, say: Say = _silent, *, internet: bool | None = None) -> None:
        """Bring it up, or heal it: all that does not run, or is unwell, is started.

        `internet` gives its pods a way to the internet, or takes it; None keeps what it has, at first none.

        Raises:
            ClusterError: see its kinds in remit.cluster.errors; the message says what to do.

        """
        machine.require_root()
        layout = self.layout
        machine.require(machine.TO_RUN, say)
        record = registry.enrol(layout, build.ensure(_cache(), say), internet=internet)
        with registry.locked(layout.root):
            self._open_or_close(record, say)
            settings = _settings(layout, record)
            Starter(settings, Api(record.addresses.server, layout.pki), say).bring_up()
        if not settings.sandboxed:
            say("no RuntimeClass gvisor: gVisor's shim needs CAP_SYS_RESOURCE, which this machine does not give")

    def _open_or_close(self, record: registry.Record, say: Say) -> None:
        if record.internet:
            machine.require(machine.FOR_INTERNET, say)
            outbound.switch_on(record.addresses, say)
        else:
            stop.close_way_out(self.layout, record)

    def down(self) -> bool:
        """Leave nothing of it on the machine; tell whether there was anything."""
        machine.require_root()
        return stop.take_down(self.layout)

    def status(self) -> tuple[status.Row, ...]:
        """Look at every component once; empty when there is no such cluster."""
        record = registry.read(self.layout)
        if record is None:
            return ()
        settings = _settings(self.layout, record)
        return status.rows(settings, Api(settings.addresses.server, self.layout.pki))

    def load_image(self, archive: Path) -> None:
        """Load an image archive so that its pods can run with imagePullPolicy IfNotPresent."""
        images.load(self._program("ctr"), self.layout.containerd_socket, archive.absolute())

    def pin_image(self, reference: str) -> str:
        """Name a loaded image NAME:TAG by its digest, NAME@sha256:HEX."""
        return images.pin(self._program("ctr"), self.layout.containerd_socket, reference)

    def images(self) -> frozenset[str]:
        """List the images that are loaded."""
        return images.names(self._program("ctr"), self.layout.containerd_socket)

    def kubectl(self, *arguments: str, given: str = "") -> str:
        """Run kubectl as the administrator and give what it printed.

        Raises:
            ClusterError: it failed; the message holds what it said.

        """
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig_path)}
        line: tuple[str | Path, ...] = (self._program("kubectl"), *arguments)
        return run(*line, environment=environment, given=given.encode())

    def kubectl_here(self, *arguments: str) -> int:
        """Run kubectl with this process's own input and output; give its exit code."""
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig_path)}
        line = [str(self._program("kubectl")), *arguments]
        return subprocess.run(line, env=environment, check=False).returncode

    def log_path(self, component: str) -> Path:
        """Give a component's log.

        Raises:
            ClusterError: there is no component of that name.

        """
        if component not in {*NAMES, "room", "audit", "cni"}:
            raise ClusterError(f"no component {component!r}: one of {', '.join(NAMES)}")
        return self.layout.logs / f"{component}.log"

    def _program(self, name: str) -> Path:
        return Path(self._record().products) / "bin" / name

    def _record(self) -> registry.Record:
        record = registry.read(self.layout)
        if record is None:
            raise ClusterError(f"there is no cluster {self.name!r}: remit cluster up")
        return record


def load_image(name: str, archive: Path) -> None:
    """Load an image archive into the cluster of that name."""
    Cluster(name).load_image(archive)


def names() -> tuple[str, ...]:
    """List the clusters of this machine."""
    return registry.clusters(state_folder(os.environ))


def prepare(say: Say = _silent) -> Path:
    """Build the programs if they are not there yet; give their folder."""
    return build.ensure(_cache(), say)


def _cache() -> Path:
    return cache_folder(os.environ, Path.home())


def _settings(layout: Layout, record: registry.Record) -> Settings:
    nameservers = outbound.nameservers() if record.internet else ()
    return Settings(layout, record.addresses, Path(record.products), machine.look(), nameservers)
