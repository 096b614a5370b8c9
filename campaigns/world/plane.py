"""A control plane alone: etcd, apiserver and the parts of the controller-manager that delete what nobody owns.

No node and no scheduler: pods are what the campaign says they are. All of it is processes of this user on loopback,
out of the programs that the embedded cluster is built from.
"""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.guards import until_guards_stand
from tests.support.kube import Kube

from remit.cli.manifests import Images, release, to_stream
from remit.cluster import pki, prepare
from remit.cluster.layout import Addresses

START_SECONDS = 60.0
POLL_SECONDS = 0.05
CONTROLLERS = "namespace-controller,garbage-collector-controller,serviceaccount-controller"
INSTALL = "remit-system"


class PlaneError(Exception):
    """The control plane does not come up; the text holds the end of a log."""


def free_port() -> int:
    """Return a port of loopback that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Plane:
    """The processes, and how to reach them."""

    folder: Path
    programs: Path
    port: int = field(default_factory=free_port)
    etcd_ports: tuple[int, int] = field(default_factory=lambda: (free_port(), free_port()))
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def server(self) -> str:
        """The apiserver's URL."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.folder / "admin.kubeconfig"

    def start(self) -> None:
        """Start everything and wait until the apiserver is ready and Remit's kinds and policies are in force."""
        pki.make(self.folder / "pki", Addresses(0))
        for user in ("admin", "controller-manager"):
            path = self.folder / f"{user}.kubeconfig"
            path.write_bytes(pki.kubeconfig(self.folder / "pki", user, self.server))
        self.launch("etcd", self._etcd())
        self.launch("apiserver", self._apiserver())
        self.wait(lambda: self.answers("/readyz"), "the apiserver")
        self.launch("controller-manager", self._controller_manager())

    def launch(self, name: str, line: Sequence[str]) -> None:
        """Start one program; its log is beside its name."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(line, stdout=log, stderr=log, cwd=self.folder)

    def stop(self, *names: str) -> None:
        """Kill programs, all of them when none is named: nothing of this plane is to be kept."""
        for name in names or tuple(reversed(self.processes)):
            process = self.processes.pop(name, None)
            if process is None:
                continue
            process.kill()
            process.wait()

    def restart(self, name: str) -> None:
        """Kill one program and start it anew on what it has stored."""
        self.stop(name)
        self.launch(name, {"etcd": self._etcd, "apiserver": self._apiserver}[name]())

    def answers(self, path: str) -> bool:
        """Tell whether the apiserver says yes to a GET."""
        done = subprocess.run(self.kubectl_line("get", "--raw", path), capture_output=True, check=False)
        return done.returncode == 0

    def kubectl(self, *arguments: str, given: str = "") -> str:
        """Run kubectl as the administrator."""
        done = subprocess.run(self.kubectl_line(*arguments), input=given.encode(), capture_output=True, check=False)
        if done.returncode != 0:
            raise PlaneError(done.stderr.decode()[-2000:])
        return done.stdout.decode()

    def kubectl_line(self, *arguments: str) -> list[str]:
        """Return kubectl's command line."""
        return [str(self.programs / "kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments]

    def wait(self, look: Callable[[], bool], what: str) -> None:
        """Wait until it is so; a program that ended meanwhile is said with its last words."""
        deadline = time.monotonic() + START_SECONDS
        while not look():
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise PlaneError(f"{name} ended: {self.last_words(name)}")
            if time.monotonic() > deadline:
                raise PlaneError(f"no {what} within {START_SECONDS:g} s: {self.last_words('apiserver')}")
            time.sleep(POLL_SECONDS)

    def last_words(self, name: str) -> str:
        """Return the end of a program's log."""
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace")[-1500:] if path.exists() else ""

    def _etcd(self) -> list[str]:
        client, peer = (f"http://127.0.0.1:{port}" for port in self.etcd_ports)
        return [
            f"{self.programs}/etcd",
            f"--data-dir={self.folder}/etcd",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]

    def _apiserver(self) -> list[str]:
        keys = self.folder / "pki"
        return [
            f"{self.programs}/kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{self.etcd_ports[0]}",
            "--bind-address=127.0.0.1",
            "--advertise-address=10.0.0.1",
            "--endpoint-reconciler-type=none",
            f"--secure-port={self.port}",
            f"--service-cluster-ip-range={Addresses(0).services}",
            f"--tls-cert-file={keys}/apiserver.crt",
            f"--tls-private-key-file={keys}/apiserver.key",
            f"--client-ca-file={keys}/ca.crt",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={keys}/service-account.pub",
            f"--service-account-signing-key-file={keys}/service-account.key",
            "--authorization-mode=RBAC",
        ]

    def _controller_manager(self) -> list[str]:
        path = self.folder / "controller-manager.kubeconfig"
        return [
            f"{self.programs}/kube-controller-manager",
            f"--kubeconfig={path}",
            f"--authentication-kubeconfig={path}",
            f"--authorization-kubeconfig={path}",
            f"--service-account-private-key-file={self.folder}/pki/service-account.key",
            f"--controllers={CONTROLLERS}",
            "--use-service-account-credentials",
            "--leader-elect=false",
            "--kube-api-qps=500",
            "--kube-api-burst=500",
            "--secure-port=0",
        ]


def install(plane: Plane) -> None:
    """Put Remit's kinds, accounts and admission policies in place, and what the controller looks for at home."""
    parts = [manifest for manifest in release(Images("", "", "")) if manifest["kind"] != "Deployment"]
    kinds = [manifest for manifest in parts if manifest["kind"] in {"Namespace", "CustomResourceDefinition"}]
    apply = ("apply", "--server-side", "--force-conflicts", "--field-manager=remit-install", "-f", "-")
    plane.kubectl(*apply, given=to_stream(kinds))
    names = [f"crd/{kind['metadata']['name']}" for kind in kinds if kind["kind"] != "Namespace"]
    plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", *names)
    plane.kubectl(*apply, given=to_stream([*parts, *_leases_anywhere(), *_tokens_of_nodes()]))
    until_guards_stand(Kube(plane.kubeconfig))


def _tokens_of_nodes() -> list[dict[str, object]]:
    """Let nodes ask for their pods' tokens: nobody else authorizes them here."""
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "campaign-nodes"}
    rule = {"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"]}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:nodes"}
    head = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "campaign-nodes"}}
    return [
        {**head, "kind": "ClusterRole", "rules": [rule]},
        {**head, "kind": "ClusterRoleBinding", "roleRef": role, "subjects": [subject]},
    ]


def _leases_anywhere() -> list[dict[str, object]]:
    """Let the controller have a lease in every namespace: each world of a campaign has its own."""
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "campaign-leases"}
    rule = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["*"]}
    subject = {"kind": "ServiceAccount", "name": "remit-controller", "namespace": INSTALL}
    head = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "campaign-leases"}}
    return [
        {**head, "kind": "ClusterRole", "rules": [rule]},
        {**head, "kind": "ClusterRoleBinding", "roleRef": role, "subjects": [subject]},
    ]


@contextmanager
def plane(programs: Path | None = None) -> Iterator[Plane]:
    """A control plane with Remit installed, gone at the end."""
    home = programs or prepare()
    with TemporaryDirectory(prefix="remit-plane-") as folder:
        made = Plane(Path(folder), home / "bin")
        try:
            made.start()
            install(made)
            yield made
        finally:
            made.stop()
