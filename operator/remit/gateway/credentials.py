"""What an upstream wants to see: Secrets as headers, each only for the hosts that it names itself."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from remit.api.names import ANNOTATION_HOSTS
from remit.api.reasons import CallReason
from remit.api.toolgrant import Credential
from remit.core.prepare import GrantedTool
from remit.gateway.call import Refused
from remit.ports import SecretNotReadableError, SecretReader, SecretUnavailableError

ASK_SECONDS: Final = 5.0
"""How long a call waits for an apiserver that does not answer."""
MAX_SECRET_BYTES: Final = 8192
UNUSABLE: Final = frozenset(
    {CallReason.SECRET_NOT_READABLE, CallReason.SECRET_KEY_MISSING, CallReason.HOST_NOT_ALLOWED}
)
"""Why a Secret may not be used."""


async def credentials_of(
    secrets: SecretReader, tool: GrantedTool, credentials: list[Credential]
) -> tuple[dict[str, str], tuple[str, ...]] | Refused:
    """Return the headers that carry the credentials, and their bare values; or why one may not be used."""
    headers: dict[str, str] = {}
    values: list[str] = []
    namespace, target = tool.grant.ref.namespace, host_of(url_of(tool))
    for credential in credentials:
        where = f"Secret {namespace}/{credential.secret_name}"
        try:
            async with asyncio.timeout(ASK_SECONDS):
                contents = await secrets.read(namespace, credential.secret_name)
        except (SecretUnavailableError, TimeoutError):
            return Refused(CallReason.AUTHORITY_STALE, f"{where} cannot be read now; try again", recorded=False)
        except SecretNotReadableError as error:
            return Refused(CallReason.SECRET_NOT_READABLE, str(error))
        if contents is None:
            return Refused(CallReason.SECRET_NOT_READABLE, f"{where} is not there")
        data, annotations = contents
        if not may_go_to(annotations.get(ANNOTATION_HOSTS, ""), target):
            message = (
                f"{where} does not name the host {target}: its owner allows it with "
                f"kubectl -n {namespace} annotate secret {credential.secret_name} {ANNOTATION_HOSTS}={target}"
            )
            return Refused(CallReason.HOST_NOT_ALLOWED, message)
        value = header_text(data.get(credential.secret_key))
        if value is None:
            message = f"{where} has no key {credential.secret_key} whose value fits a header"
            return Refused(CallReason.SECRET_KEY_MISSING, message)
        headers[credential.header] = credential.prefix + value
        values.append(value)
    return headers, tuple(values)


def header_text(content: bytes | None) -> str | None:
    """Return a Secret's value as a header may carry it, without the line's end that files have."""
    if content is None or len(content) > MAX_SECRET_BYTES:
        return None
    text = content.decode("latin-1").rstrip("\r\n")
    return text if text and text.isascii() and text.isprintable() and '"' not in text else None


def url_of(tool: GrantedTool) -> str:
    """Return the URL of the tool's upstream."""
    upstream = tool.grant.spec.upstream
    return upstream.mcp.url if upstream.mcp is not None else upstream.model.base_url if upstream.model else ""


@lru_cache(maxsize=1024)
def host_of(url: str) -> str:
    """Return host:port of a URL."""
    parts = urlsplit(url)
    return f"{parts.hostname or ''}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


@lru_cache(maxsize=1024)
def may_go_to(hosts: str, target: str) -> bool:
    """Tell whether the annotation names the target: HOST for any port of it, or HOST:PORT."""
    host = target.rpartition(":")[0]
    named = {entry.strip().lower() for entry in hosts.split(",")}
    return target in named or host in named
