"""Every role of every way to install: nothing is wide, and nobody can list Secrets."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from remit.cli.manifests import find_root

ROOT = find_root()
HELM = re.compile(r"^\s*\{\{-?[^\n]*\}\}\s*$", re.MULTILINE)
INLINE = re.compile(r"\{\{[^}]*\}\}")
FILES = [
    *sorted((ROOT / "manifests").rglob("*.yaml")),
    *sorted((ROOT / "charts").glob("*/templates/**/*.yaml")),
    *sorted((ROOT / "examples").rglob("*.yaml")),
    *sorted((ROOT / "gitops").rglob("*.yaml")),
]


def roles() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every role with where it is; what Helm would fill in is taken as a word."""
    for path in FILES:
        text = INLINE.sub("filled-in", HELM.sub("", path.read_text()))
        for manifest in yaml.safe_load_all(text):
            if isinstance(manifest, dict) and str(manifest.get("kind", "")).endswith("Role"):
                yield f"{path.relative_to(ROOT)}:{manifest['metadata']['name']}", manifest


ROLES = dict(roles())


def test_the_roles_of_every_way_to_install_are_found() -> None:
    files = {name.rpartition(":")[0] for name in ROLES}
    assert {
        "manifests/base/rbac.yaml",
        "manifests/install.yaml",
        "manifests/install-admin.yaml",
        "manifests/install-namespaced.yaml",
        "charts/remit/templates/rbac.yaml",
    } <= files


@pytest.mark.parametrize("name", ROLES)
def test_no_role_lists_secrets_or_says_all(name: str) -> None:
    for rule in ROLES[name].get("rules") or ():
        words = {*rule.get("apiGroups", ()), *rule.get("resources", ()), *rule.get("verbs", ())}
        assert "*" not in words
        if "secrets" in rule.get("resources", ()):
            assert set(rule["verbs"]) == {"get"}
            assert rule.get("resourceNames"), "a Secret is read by its name"
