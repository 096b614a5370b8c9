"""The components of a cluster: how each is started and where its health is asked. Pure."""

from dataclasses import dataclass

from remit.cluster.configs import DNS_HEALTH_PORT, Settings
from remit.cluster.layout import NODE_NAME

ETCD = "http://127.0.0.1:2379"


@dataclass(frozen=True, slots=True)
class Component:
    """One long-running program of the cluster."""

    name: str
    arguments: tuple[str, ...]
    health: str = ""
    """A URL that answers 200 when all is well; empty: asked in another way."""
    environment: tuple[tuple[str, str], ...] = ()
    config: tuple[str, ...] = ()
    """Configuration files it was started with: a change of one means a new start."""


NAMES = (
    "etcd",
    "containerd",
    "apiserver",
    "controller-manager",
    "scheduler",
    "kubelet",
    "proxy",
    "felix",
    "dns",
)
"""In the order of their start."""
BEFORE_APISERVER = ("etcd", "containerd", "apiserver")


def components(settings: Settings) -> tuple[Component, ...]:
    """List the components in the order of their start."""
    made = (
        _etcd(settings),
        _containerd(settings),
        _apiserver(settings),
        _controller_manager(settings),
        _scheduler(settings),
        _kubelet(settings),
        _proxy(settings),
        _felix(settings),
        _dns(settings),
    )
    assert tuple(each.name for each in made) == NAMES  # noqa: S101  # one list, written twice
    return made


def _etcd(settings: Settings) -> Component:
    return Component(
        "etcd",
        (
            f"{settings.products}/bin/etcd",
            f"--data-dir={settings.layout.root}/etcd",
            f"--listen-client-urls={ETCD}",
            f"--advertise-client-urls={ETCD}",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ),
    )


def _containerd(settings: Settings) -> Component:
    return Component(
        "containerd",
        (
            f"{settings.products}/bin/containerd",
            f"--config={settings.layout.config}/containerd.toml",
            "--log-level=warn",
        ),
        config=("containerd.toml",),
    )


def _apiserver(settings: Settings) -> Component:
    pki, addresses = settings.layout.pki, settings.addresses
    return Component(
        "apiserver",
        (
            f"{settings.products}/bin/kube-apiserver",
            f"--etcd-servers={ETCD}",
            f"--bind-address={addresses.node}",
            f"--advertise-address={addresses.node}",
            "--secure-port=6443",
            f"--service-cluster-ip-range={addresses.services}",
            f"--tls-cert-file={pki}/apiserver.crt",
            f"--tls-private-key-file={pki}/apiserver.key",
            f"--client-ca-file={pki}/ca.crt",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki}/service-account.pub",
            f"--service-account-signing-key-file={pki}/service-account.key",
            "--kubelet-preferred-address-types=InternalIP",
            f"--kubelet-client-certificate={pki}/kubelet-client.crt",
            f"--kubelet-client-key={pki}/kubelet-client.key",
            f"--kubelet-certificate-authority={pki}/ca.crt",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            *_aggregation(settings),
            f"--audit-policy-file={settings.layout.config}/audit.json",
            f"--audit-log-path={settings.layout.audit_log}",
            "--audit-log-maxsize=100",
            "--audit-log-maxbackup=2",
        ),
        health=f"{addresses.server}/readyz",
        config=("audit.json",),
    )


def _aggregation(settings: Settings) -> tuple[str, ...]:
    pki = settings.layout.pki
    return (
        f"--requestheader-client-ca-file={pki}/ca.crt",
        # One authority signs everybody: without the name, any of them could speak for any user.
        "--requestheader-allowed-names=aggregator",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={pki}/aggregator.crt",
        f"--proxy-client-key-file={pki}/aggregator.key",
    )


def _controller_manager(settings: Settings) -> Component:
    pki, addresses = settings.layout.pki, settings.addresses
    return Component(
        "controller-manager",
        (
            f"{settings.products}/bin/kube-controller-manager",
            *_credentials(settings, "controller-manager"),
            f"--service-account-private-key-file={pki}/service-account.key",
            f"--root-ca-file={pki}/ca.crt",
            f"--flex-volume-plugin-dir={settings.layout.root}/flexvolumes",
            "--use-service-account-credentials",
            "--leader-elect=false",
            # At its default rate it takes seconds to make an account for each of its controllers; and whoever
            # compares with it here must not win by its brakes.
            "--kube-api-qps=1000",
            "--kube-api-burst=1000",
            "--concurrent-job-syncs=50",
            "--allocate-node-cidrs=true",
            f"--cluster-cidr={addresses.pods}",
            f"--service-cluster-ip-range={addresses.services}",
            f"--bind-address={addresses.node}",
        ),
        health=f"https://{addresses.node}:10257/healthz",
    )


def _scheduler(settings: Settings) -> Component:
    return Component(
        "scheduler",
        (
            f"{settings.products}/bin/kube-scheduler",
            *_credentials(settings, "scheduler"),
            "--leader-elect=false",
            f"--bind-address={settings.addresses.node}",
        ),
        health=f"https://{settings.addresses.node}:10259/healthz",
    )


def _credentials(settings: Settings, user: str) -> tuple[str, ...]:
    path = f"{settings.layout.pki}/{user}.kubeconfig"
    return (
        f"--kubeconfig={path}",
        f"--authentication-kubeconfig={path}",
        f"--authorization-kubeconfig={path}",
    )


def _kubelet(settings: Settings) -> Component:
    return Component(
        "kubelet",
        (
            f"{settings.products}/bin/kubelet",
            f"--config={settings.layout.config}/kubelet.json",
            f"--kubeconfig={settings.layout.pki}/kubelet.kubeconfig",
            f"--hostname-override={NODE_NAME}",
            f"--node-ip={settings.addresses.node}",
            f"--root-dir={settings.layout.root}/kubelet",
        ),
        health=f"http://{settings.addresses.node}:10248/healthz",
        config=("kubelet.json",),
    )


def _proxy(settings: Settings) -> Component:
    return Component(
        "proxy",
        (
            f"{settings.products}/bin/kube-proxy",
            f"--kubeconfig={settings.layout.pki}/proxy.kubeconfig",
            f"--hostname-override={NODE_NAME}",
            "--proxy-mode=iptables",
            f"--cluster-cidr={settings.addresses.pods}",
            "--conntrack-max-per-core=0",
            f"--healthz-bind-address={settings.addresses.node}:10256",
        ),
        health=f"http://{settings.addresses.node}:10256/healthz",
    )


def _felix(settings: Settings) -> Component:
    return Component(
        "felix",
        (f"{settings.products}/bin/calico-felix",),
        health=f"http://{settings.addresses.node}:9099/readiness",
        environment=(
            ("FELIX_DATASTORETYPE", "kubernetes"),
            ("KUBECONFIG", f"{settings.layout.pki}/calico.kubeconfig"),
            ("FELIX_FELIXHOSTNAME", NODE_NAME),
            ("FELIX_LOGFILEPATH", "none"),
            ("FELIX_LOGSEVERITYSCREEN", "Warning"),
            ("FELIX_USAGEREPORTINGENABLED", "false"),
            ("FELIX_DEFAULTENDPOINTTOHOSTACTION", "ACCEPT"),
            ("FELIX_BPFENABLED", "false"),
            ("FELIX_HEALTHENABLED", "true"),
            ("FELIX_HEALTHHOST", settings.addresses.node),
        ),
    )


def _dns(settings: Settings) -> Component:
    return Component(
        "dns",
        (f"{settings.products}/bin/coredns", f"-conf={settings.layout.config}/Corefile"),
        health=f"http://{settings.addresses.node}:{DNS_HEALTH_PORT}/ready",
        config=("Corefile",),
    )
