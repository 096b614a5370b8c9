"""A cluster of their own for tests that install and remove Remit: they change what holds in all of it."""

import os
from collections.abc import Iterator

import pytest
from tests.support.installed import Place

from remit.cli.install import Images
from remit.cluster import Cluster
from remit.images.build import build_image
from remit.images.recipe import recipe_of


@pytest.fixture(scope="session")
def own() -> Iterator[Cluster]:
    """A cluster that nothing else uses: beside one named by REMIT_TEST_CLUSTER it has a name like it."""
    cluster = Cluster(f"{os.environ.get('REMIT_TEST_CLUSTER', 'remit')}-install")
    cluster.down()
    cluster.up()
    yield cluster
    cluster.down()


@pytest.fixture(scope="session")
def loaded(own: Cluster) -> Place:
    """The cluster with the images of this tree."""
    references = []
    for name in ("controller", "gateway", "harness"):
        built = build_image(recipe_of(name))
        own.load_image(built.path)
        references.append(built.reference)
    return Place(own, Images(*references))


@pytest.fixture
def place(loaded: Place) -> Iterator[Place]:
    """The same, without Remit before and after."""
    if loaded.names("crd,namespace", "-l", "app.kubernetes.io/part-of=remit"):  # an interrupted trial's
        loaded.take(purge=True)
    yield loaded
    loaded.take(purge=True)
