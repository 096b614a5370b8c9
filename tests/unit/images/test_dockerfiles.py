"""The Dockerfiles say the same as the Docker-less recipes."""

import json
import shlex
from pathlib import Path

import pytest

from remit.images.archive import ENVIRONMENT
from remit.images.base import PACKAGES, USER_ID
from remit.images.recipe import RECIPES

ROOT = Path(__file__).resolve().parents[3]
NAMES = tuple(RECIPES)


def instructions(name: str) -> list[tuple[str, str]]:
    """Return (keyword, rest) of each line, continuations joined."""
    text = (ROOT / "images" / f"Dockerfile.{name}").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(keyword, rest) for keyword, _, rest in (line.partition(" ") for line in lines)]


def last_stage(name: str) -> list[tuple[str, str]]:
    """Return the instructions of the stage that is shipped."""
    lines = instructions(name)
    start = max(at for at, (keyword, _) in enumerate(lines) if keyword == "FROM")
    return lines[start:]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_paths_are_copied(name: str) -> None:
    copied = {
        tuple(rest.split()) for keyword, rest in last_stage(name) if keyword == "COPY" and not rest.startswith("--from")
    }
    assert copied == {(copy.source, f"/{copy.target}") for copy in RECIPES[name].copies}


@pytest.mark.parametrize("name", NAMES)
def test_every_copied_path_exists_and_reaches_the_docker_context(name: str) -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for copy in RECIPES[name].copies:
        assert (ROOT / copy.source).exists(), copy.source
        assert any(Path(copy.source).is_relative_to(folder) for folder in allowed), copy.source


@pytest.mark.parametrize("name", NAMES)
def test_the_same_process_starts_as_the_same_user_in_the_same_environment(name: str) -> None:
    stage = last_stage(name)
    entry_points = [json.loads(rest) for keyword, rest in stage if keyword == "ENTRYPOINT"]
    assert entry_points == [list(RECIPES[name].entrypoint)]
    assert [rest for keyword, rest in stage if keyword == "USER"] == [f"{USER_ID}:{USER_ID}"]
    assert sorted(rest for keyword, rest in stage if keyword == "ENV") == sorted(ENVIRONMENT)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_wheels_are_chosen_by_hash(name: str) -> None:
    runs = " ".join(rest for keyword, rest in instructions(name) if keyword == "RUN")
    assert ("uv export" in runs) == bool(RECIPES[name].wheels)
    for option in RECIPES[name].wheels:
        assert option in shlex.split(runs)
    assert runs.count("--require-hashes") == (2 if RECIPES[name].wheels else 0)


@pytest.mark.parametrize("name", NAMES)
def test_debian_packages_are_among_those_of_the_base(name: str) -> None:
    base = next(rest for keyword, rest in instructions(name) if keyword == "RUN")
    installed = base.partition("--no-install-recommends")[2].partition("&&")[0].split()
    assert set(installed) <= set(PACKAGES)


def test_the_harness_image_holds_the_vocabulary_and_nothing_that_decides() -> None:
    harness = RECIPES["harness"]
    assert [copy.source for copy in harness.copies] == [
        "operator/remit/__init__.py",
        "operator/remit/api",
        "operator/remit/harness",
    ]
    assert harness.wheels == ()
