"""The apiserver judges the corpus: every valid object is taken, every invalid one refused with exactly these words.

A file with several documents is one object as it changes: all but the last are taken.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.kube import Answer, Kube

from remit.api.kinds import KINDS

HERE = Path(__file__).parent
PLURALS = {kind.name: kind.plural for kind in KINDS}
REFUSED = "# refused: "


def files(folder: str) -> list[Path]:
    """Return the files of all kinds."""
    return sorted(HERE.glob(f"*/{folder}/*.yaml"))


def sentence(path: Path) -> str:
    """Return the id of a case."""
    return f"{path.parent.parent.name}:{path.stem}"


def answers(kube: Kube, namespace: str, path: Path) -> list[Answer]:
    """Send the states of one object one after the other."""
    given: list[Answer] = []
    for state in yaml.safe_load_all(path.read_text()):
        given.append(send(kube, namespace, state, given[-1].body if given else None))
    first = given[0].body
    if given[0].code == 201:
        kube.delete(f"{collection(namespace, first['kind'])}/{first['metadata']['name']}")
    return given


def send(kube: Kube, namespace: str, state: dict[str, Any], stored: dict[str, Any] | None) -> Answer:
    """Create the object, or replace what is stored."""
    where = collection(namespace, state["kind"])
    if stored is None:
        return kube.create(where, state)
    state["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"]
    if "requester" in stored["spec"]:
        state["spec"].setdefault("requester", stored["spec"]["requester"])
    return kube.send("PUT", f"{where}/{state['metadata']['name']}?fieldValidation=Strict", state)


def collection(namespace: str, kind: str) -> str:
    """Return the path of a kind's objects."""
    return f"/apis/remit.dev/v1alpha1/namespaces/{namespace}/{PLURALS[kind]}"


@pytest.mark.parametrize("path", files("valid"), ids=sentence)
def test_valid_objects_are_taken(kube: Kube, namespace: str, path: Path) -> None:
    assert [answer.message for answer in answers(kube, namespace, path)] == [""] * path.read_text().count("apiVersion:")


@pytest.mark.parametrize("path", files("invalid"), ids=sentence)
def test_invalid_objects_are_refused_in_these_words(kube: Kube, namespace: str, path: Path) -> None:
    *before, last = answers(kube, namespace, path)
    wanted = path.read_text().splitlines()[0].removeprefix(REFUSED)
    if not kube.stamps:  # an older apiserver puts it in words of its own
        assert ([answer.message for answer in before], last.code // 100) == (["" for _ in before], 4)
        return
    assert [answer.message for answer in [*before, last]] == [*("" for _ in before), wanted]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_kind_has_a_corpus(kind: Any) -> None:
    folder = HERE / kind.name.lower()
    assert len(list((folder / "invalid").glob("*.yaml"))) >= 8
    assert list((folder / "valid").glob("*.yaml"))
