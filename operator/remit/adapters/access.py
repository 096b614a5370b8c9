"""How to reach the apiserver: from the pod's own files, or from a kubeconfig. Tokens are read anew, for they rotate."""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from remit.ports import RemitError

ACCOUNT_DIRECTORY = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class AccessError(RemitError):
    """The settings do not say how to reach the apiserver."""


@dataclass(frozen=True, slots=True)
class Access:
    """An apiserver and who we are to it."""

    server: str
    authority: str = ""
    """PEM of the certificate authority; empty: the machine's own."""
    token_file: Path | None = None
    token: str = ""
    certificate: str = ""
    key: str = ""
    insecure: bool = False

    def read_token(self) -> str:
        """Return the bearer token as it is now; empty when certificates speak for us."""
        return self.token_file.read_text().strip() if self.token_file else self.token

    def tls(self) -> ssl.SSLContext:
        """Return a context that trusts the cluster's authority and shows our certificate."""
        context = ssl.create_default_context(cadata=self.authority or None)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate:
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as both:  # ssl loads keys from files only
                both.write(f"{self.certificate}\n{self.key}\n")
                both.flush()
                context.load_cert_chain(both.name)
        return context


def find_access(environment: Mapping[str, str]) -> Access:
    """Return KUBECONFIG's cluster if it is set, else the one that this pod runs in, else ~/.kube/config's."""
    if named := environment.get("KUBECONFIG"):
        return from_kubeconfig(Path(named.split(os.pathsep, 1)[0]))
    if environment.get("KUBERNETES_SERVICE_HOST"):
        return from_pod(environment)
    return from_kubeconfig(Path.home() / ".kube" / "config")


def from_pod(environment: Mapping[str, str], directory: Path = ACCOUNT_DIRECTORY) -> Access:
    """Return the access that Kubernetes gives to every pod with an account."""
    host, port = environment["KUBERNETES_SERVICE_HOST"], environment.get("KUBERNETES_SERVICE_PORT", "443")
    host = f"[{host}]" if ":" in host else host
    try:
        authority = (directory / "ca.crt").read_text()
    except OSError as error:
        raise AccessError(f"{directory}/ca.crt cannot be read: is the account's token mounted?") from error
    return Access(f"https://{host}:{port}", authority=authority, token_file=directory / "token")


def from_kubeconfig(path: Path) -> Access:
    """Return the access of a kubeconfig's current context."""
    try:
        config = yaml.safe_load(path.read_text())
        context = _named(config, "contexts", config["current-context"])["context"]
        cluster = _named(config, "clusters", context["cluster"])["cluster"]
        user = _named(config, "users", context["user"])["user"]
    except (OSError, yaml.YAMLError, KeyError, TypeError, StopIteration) as error:
        raise AccessError(f"{path} is not a kubeconfig with a current context: {type(error).__name__}") from error
    if "exec" in user or "auth-provider" in user:
        raise AccessError(f"{path}: plugins for credentials are not supported; use a token or a certificate")
    return Access(
        server=str(cluster["server"]).rstrip("/"),
        authority=_embedded(cluster, "certificate-authority", path.parent),
        token_file=path.parent / user["tokenFile"] if "tokenFile" in user else None,
        token=user.get("token", ""),
        certificate=_embedded(user, "client-certificate", path.parent),
        key=_embedded(user, "client-key", path.parent),
        insecure=bool(cluster.get("insecure-skip-tls-verify", False)),
    )


def _named(config: Mapping[str, Any], section: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(entry for entry in config[section] if entry["name"] == name)
    return found


def _embedded(section: Mapping[str, Any], field: str, directory: Path) -> str:
    """Return a PEM that stands in the file itself, or in a file that it names."""
    if data := section.get(f"{field}-data"):
        return base64.b64decode(data).decode()
    if named := section.get(field):
        return (directory / str(named)).read_text()
    return ""
