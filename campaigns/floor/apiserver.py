"""An etcd and a kube-apiserver of the floor's version on this machine: no nodes, no controllers, one admin."""

import json
import secrets
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.support.polling import eventually
from tests.support.programs import build_program

from remit.cluster.cluster import prepare
from remit.cluster.commands import run

PINS = Path(__file__).parent
VERSION = "v1.33.13"
LINKER = "-s -w " + " ".join(
    f"-X k8s.io/component-base/version.{key}={value}"
    for key, value in {"gitVersion": VERSION, "gitMajor": "1", "gitMinor": "33"}.items()
)


@dataclass(frozen=True)
class Floor:
    """A running apiserver, as tests use a cluster."""

    kubeconfig_path: Path
    kubectl_path: Path

    def kubectl(self, *arguments: str, given: str = "") -> str:
        """Run kubectl as the admin."""
        return run(self.kubectl_path, "--kubeconfig", self.kubeconfig_path, *arguments, given=given.encode())


@contextmanager
def running(log: Path) -> Iterator[Floor]:
    """Start both, and end them at the end."""
    products = prepare(print)
    program = build_program(PINS, "k8s.io/kubernetes/cmd/kube-apiserver", LINKER)
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as ended:
        folder = Path(scratch)
        etcd, peer, port = free_port(), free_port(), free_port()
        token = secrets.token_hex(16)
        prepare_files(folder, token, port)
        for line in (etcd_line(products, folder, etcd, peer), apiserver_line(program, folder, etcd, port)):
            ended.enter_context(process(line, log))
        floor = Floor(folder / "kubeconfig", products / "bin" / "kubectl")
        eventually(
            lambda: is_ready(floor), within_seconds=90, every_seconds=0.5, why=f"the apiserver serves; its log: {log}"
        )
        yield floor


def is_ready(floor: Floor) -> bool:
    """Tell whether the apiserver serves."""
    done = subprocess.run(
        [floor.kubectl_path, "--kubeconfig", floor.kubeconfig_path, "get", "--raw", "/readyz"],
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


@contextmanager
def process(line: list[str], log: Path) -> Iterator[None]:
    """Run a program beside us."""
    with log.open("ab") as sink:
        started = subprocess.Popen(line, stdout=sink, stderr=sink)
        try:
            yield
        finally:
            started.terminate()
            started.wait(timeout=30)


def prepare_files(folder: Path, token: str, port: int) -> None:
    """Write the admin's token, his kubeconfig and the key that signs service accounts' tokens."""
    (folder / "tokens.csv").write_text(f'{token},admin,admin,"system:masters"\n')
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    (folder / "accounts.key").write_bytes(private)
    cluster = {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "floor",
        "clusters": [{"name": "floor", "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "floor", "context": {"cluster": "floor", "user": "admin"}}],
    }
    (folder / "kubeconfig").write_text(json.dumps(config))


def etcd_line(products: Path, folder: Path, port: int, peer: int) -> list[str]:
    """Return the command line of etcd."""
    url, peers = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer}"
    return [
        f"{products}/bin/etcd",
        f"--data-dir={folder}/etcd",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=default={peers}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def apiserver_line(program: Path, folder: Path, etcd: int, port: int) -> list[str]:
    """Return the command line of the apiserver."""
    return [
        str(program),
        f"--etcd-servers=http://127.0.0.1:{etcd}",
        f"--secure-port={port}",
        "--bind-address=127.0.0.1",
        f"--cert-dir={folder}/served",
        f"--token-auth-file={folder}/tokens.csv",
        "--authorization-mode=Node,RBAC",
        # Nobody is there to make a namespace's default account.
        "--disable-admission-plugins=ServiceAccount",
        "--enable-admission-plugins=NodeRestriction",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={folder}/accounts.key",
        f"--service-account-signing-key-file={folder}/accounts.key",
        "--service-cluster-ip-range=10.255.0.0/24",
    ]


def free_port() -> int:
    """Return a port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
