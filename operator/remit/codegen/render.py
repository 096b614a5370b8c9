"""Writes manifests as YAML that people can read and diff. Pure."""

from collections.abc import Iterable
from typing import Any

import yaml

NOTICE = "# GENERATED from operator/remit by `make generate`. Edit the source, not this file.\n"


class _Dumper(yaml.SafeDumper):
    """Repeats a value rather than pointing at it with an anchor."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the library's signature
        return True


def to_yaml(manifests: Iterable[dict[str, Any]]) -> str:
    """Return one YAML stream that says where it comes from."""
    texts = (
        yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True) for manifest in manifests
    )
    return NOTICE + "---\n".join(texts)
