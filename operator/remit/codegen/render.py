"""Writes manifests as YAML that people can read and diff. Pure."""

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import yaml

NOTICE = "# GENERATED from operator/remit by `make generate`. Edit the source, not this file.\n"


class _Dumper(yaml.SafeDumper):
    """Repeats a value rather than pointing at it with an anchor."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the library's signature
        return True


def to_yaml(manifests: Iterable[dict[str, Any]]) -> str:
    """Return one YAML stream that says where it comes from."""
    return NOTICE + "---\n".join(_text(json.dumps(manifest)) for manifest in manifests)


@lru_cache(maxsize=2048)
def _text(manifest: str) -> str:
    """Return a manifest, given as JSON, as YAML: the same one is in several files, and writing YAML is slow."""
    return yaml.dump(json.loads(manifest), Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)
