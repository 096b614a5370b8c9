"""Makes the cluster's keys, certificates and kubeconfigs. They never leave its state folder."""

import base64
import datetime as dt
import ipaddress
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from remit.cluster.layout import NODE_NAME, Addresses

NOT_BEFORE = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
NOT_AFTER = dt.datetime(2099, 1, 1, tzinfo=dt.UTC)
"""A cluster of a machine outlives no clock trouble: its certificates do not look at the date."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a certificate is for."""

    file: str
    name: str
    group: str = ""
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Authority:
    """The key that signs all others, with its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def subjects(addresses: Addresses) -> tuple[Subject, ...]:
    """List every certificate the cluster needs."""
    service = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")
    server = (*service, "127.0.0.1", addresses.node, addresses.kubernetes_service)
    return (
        Subject("apiserver", "kube-apiserver", hosts=server),
        Subject("aggregator", "aggregator"),
        Subject("kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
        Subject("kubelet", f"system:node:{NODE_NAME}", "system:nodes", (NODE_NAME, addresses.node)),
        *(Subject(file, name, group) for file, (name, group) in USERS.items()),
    )


USERS = {
    "admin": ("admin", "system:masters"),
    "calico": ("calico", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "proxy": ("system:kube-proxy", ""),
    "dns": ("dns", "system:masters"),
}
"""Certificates that get a kubeconfig, beside the kubelet's: file → user, group."""


def make(folder: Path, addresses: Addresses) -> None:
    """Make what is missing; what is there stays, so that tokens and copies of it stay good."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = _authority(folder)
    for subject in subjects(addresses):
        if not (folder / f"{subject.file}.crt").exists():
            _issue(folder, authority, subject)
    if not (folder / "service-account.pub").exists():
        _service_account_key(folder)
    for user in (*USERS, "kubelet"):
        path = folder / f"{user}.kubeconfig"
        if not path.exists():
            _write(path, kubeconfig(folder, user, addresses.server))


def kubeconfig(folder: Path, user: str, server: str) -> bytes:
    """Render a kubeconfig that needs no other file (JSON is YAML too)."""
    cluster = {"server": server, "certificate-authority-data": _base64(folder / "ca.crt")}
    identity = {
        "client-certificate-data": _base64(folder / f"{user}.crt"),
        "client-key-data": _base64(folder / f"{user}.key"),
    }
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "remit", "cluster": cluster}],
        "users": [{"name": user, "user": identity}],
        "contexts": [{"name": "remit", "context": {"cluster": "remit", "user": user}}],
        "current-context": "remit",
    }
    return json.dumps(config, indent=2).encode() + b"\n"


def _authority(folder: Path) -> Authority:
    key_file, file = folder / "ca.key", folder / "ca.crt"
    if not (file.exists() and key_file.exists()):
        # Nobody trusts what another authority signed; the service accounts' key stands by itself.
        for signed in (*folder.glob("*.crt"), *folder.glob("*.kubeconfig")):
            signed.unlink()
        made = _new_authority()
        _write(key_file, _private(made.key))
        _write(file, _pem(made.certificate))
    key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101  # nobody else writes this file
    return Authority(key, x509.load_pem_x509_certificate(file.read_bytes()))


def _new_authority() -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(Subject("ca", "remit-embedded-ca"))
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = _builder(name, name, key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(usage, critical=True)
    return Authority(key, builder.sign(key, hashes.SHA256()))


def _issue(folder: Path, authority: Authority, subject: Subject) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_name(subject), authority.certificate.subject, key.public_key())
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if subject.hosts:
        names = x509.SubjectAlternativeName(_alternatives(subject.hosts))
        builder = builder.add_extension(names, critical=False)
    certificate = builder.sign(authority.key, hashes.SHA256())
    _write(folder / f"{subject.file}.key", _private(key))
    _write(folder / f"{subject.file}.crt", _pem(certificate))


def _service_account_key(folder: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    _write(folder / "service-account.key", _private(key))
    _write(folder / "service-account.pub", public)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOT_BEFORE)
        .not_valid_after(NOT_AFTER)
    )


def _name(subject: Subject) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, subject.name)]
    if subject.group:
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, subject.group))
    return x509.Name(parts)


def _alternatives(hosts: Iterable[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for host in hosts:
        if host.replace(".", "").isdigit():
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        else:
            names.append(x509.DNSName(host))
    return names


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _write(path: Path, content: bytes) -> None:
    """Write a file that nobody else may read, whole or not at all."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.touch(mode=0o600)
    fresh.write_bytes(content)
    fresh.rename(path)
