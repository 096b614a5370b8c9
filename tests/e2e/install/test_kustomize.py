"""`kubectl apply -k` of an overlay as docs/install.md has it is enough, and `remit uninstall` takes it away again."""

import os
import re
from pathlib import Path
from typing import Any

import yaml
from tests.support.installed import Place
from tests.support.polling import eventually

from remit.cli.manifests import find_root

EXAMPLE = re.compile(r"```yaml\n(.*?kind: Kustomization\n.*?)```", re.DOTALL)
LEFT = "clusterroles,clusterrolebindings,validatingadmissionpolicies,mutatingadmissionpolicies,crd,namespaces"


def overlay(place: Place, folder: Path) -> Path:
    """Write the overlay of the docs, with the images of this tree; returns its folder."""
    found = EXAMPLE.search((find_root() / "docs" / "install.md").read_text())
    assert found is not None, "docs/install.md shows an overlay"
    made: dict[str, Any] = yaml.safe_load(found[1])
    made["resources"] = [os.path.relpath(find_root() / "manifests" / "base", folder)]
    references = {"remit-controller": place.images.controller, "remit-gateway": place.images.gateway}
    for image in made["images"]:
        image["newName"], _, image["newTag"] = references[image["name"]].rpartition(":")
    (patched,) = made["patches"]
    patched["patch"] = patched["patch"].replace("registry.example.com/remit-harness:1.2.3", place.images.harness)
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(made, sort_keys=False))
    return folder


def test_an_overlay_as_the_docs_have_it_installs_all_and_it_goes_again(place: Place, tmp_path: Path) -> None:
    folder = overlay(place, tmp_path)
    place.kubectl("apply", "--server-side", "-k", str(folder))
    place.until_up()
    place.settle_in("default")
    place.govern("default", "kustomized")
    eventually(place.lacks, lambda lacking: lacking == [], within_seconds=60, why="remit check finds nothing missing")
    place.kubectl("apply", "--server-side", "-k", str(folder))  # the same again is how it is upgraded

    place.take(purge=True)
    eventually(
        lambda: {name for name in place.names(LEFT) if "remit" in name},
        lambda left: left == set(),
        within_seconds=60,
        why="nothing of it is left",
    )
