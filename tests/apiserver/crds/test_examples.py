"""Every object of ours under examples/ is one that the apiserver takes, with unknown fields refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.kube import Kube

from remit.api.kinds import KINDS
from remit.api.meta import API_VERSION

EXAMPLES = Path(__file__).parents[3] / "examples"
PLURALS = {kind.name: kind.plural for kind in KINDS}


def objects() -> list[tuple[str, dict[str, Any]]]:
    """Return every object of our kinds, with where it stands."""
    return [
        (f"{path.relative_to(EXAMPLES)}:{found['metadata']['name']}", found)
        for path in sorted(EXAMPLES.rglob("*.yaml"))
        for found in yaml.safe_load_all(path.read_text())
        if isinstance(found, dict) and found.get("apiVersion") == API_VERSION
    ]


FOUND = dict(objects())


@pytest.mark.parametrize("place", FOUND)
def test_an_example_is_taken(kube: Kube, namespace: str, place: str) -> None:
    given = {**FOUND[place], "metadata": {**FOUND[place]["metadata"], "namespace": namespace}}
    path = f"/apis/{API_VERSION}/namespaces/{namespace}/{PLURALS[given['kind']]}?dryRun=All&fieldValidation=Strict"
    assert kube.send("POST", path, given).message == ""


@pytest.mark.parametrize("field", ["risk", "inputSchema", "constraints"])
def test_a_lenient_client_that_misspells_a_field_widens_nothing(kube: Kube, namespace: str, field: str) -> None:
    [grant] = [found for place, found in FOUND.items() if place.endswith("grants.yaml:core-banking")]
    tool = {**grant["spec"]["tools"][0]}
    tool[f"{field}s"] = tool.pop(field)
    body = {**grant, "metadata": {"name": "misspelt"}, "spec": {**grant["spec"], "tools": [tool]}}
    path = f"/apis/{API_VERSION}/namespaces/{namespace}/toolgrants?dryRun=All&fieldValidation=Ignore"
    assert f"spec.tools[0].{field}: Required value" in kube.send("POST", path, body).message
