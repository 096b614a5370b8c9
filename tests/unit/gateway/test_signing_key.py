"""The key that signs the log: given or made once, published once, and never another than the log began with."""

import stat
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.support.fake_cluster import FakeCluster
from tests.support.objects import a_namespace

from remit.adapters.signing import SigningKeyError, generate_key
from remit.gateway.signing_key import find_signer, published
from remit.ports import ClusterError

HOME = "remit-system"
PLACE = ("ConfigMap", HOME, "remit-verifier-key")


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """Where an installation mounts a key, if it has one."""
    return tmp_path / "given.key"


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Where the ledger is, once it has begun."""
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "ledger.sqlite"


def test_a_key_that_was_given_is_used_and_none_is_made(given: Path, ledger: Path) -> None:
    key, verifier = generate_key()
    given.write_text(key)
    assert find_signer(given, ledger).verifier.text() == verifier.strip()
    assert list(ledger.parent.iterdir()) == []


def test_without_one_the_gateway_makes_its_own_and_keeps_it_to_itself(given: Path, ledger: Path) -> None:
    first = find_signer(given, ledger)
    (made,) = ledger.parent.iterdir()
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    ledger.touch()
    assert find_signer(given, ledger).verifier.text() == first.verifier.text()


def test_a_key_that_comes_later_does_not_take_over(given: Path, ledger: Path) -> None:
    first = find_signer(given, ledger)
    given.write_text(generate_key()[0])
    assert find_signer(given, ledger).verifier.text() == first.verifier.text()


def test_a_ledger_that_has_begun_is_never_signed_by_a_new_key(given: Path, ledger: Path) -> None:
    ledger.touch()
    with pytest.raises(SigningKeyError, match="give back the key"):
        find_signer(given, ledger)


def test_what_an_interrupted_start_left_is_replaced(given: Path, ledger: Path) -> None:
    (ledger.parent / "ed25519.new").write_text("half a k")
    assert find_signer(given, ledger).verifier.text()


def a_cluster(**config_map: object) -> FakeCluster:
    """A cluster, with the ConfigMap if it has any fields."""
    cluster = FakeCluster()
    cluster.put(a_namespace(HOME))
    if config_map:
        cluster.put(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": PLACE[2], "namespace": HOME}, **config_map}
        )
    return cluster


async def test_what_verifies_the_log_is_published_for_ever() -> None:
    cluster = a_cluster(labels={})
    assert await published(cluster, HOME, "vkey-text")
    assert cluster.objects[PLACE]["data"] == {"vkey": "vkey-text"}
    assert cluster.objects[PLACE]["immutable"] is True
    cluster.writes.clear()
    assert await published(cluster, HOME, "vkey-text")
    assert cluster.writes == []


async def test_what_stands_there_is_never_replaced_and_a_difference_is_said() -> None:
    cluster = a_cluster(data={"vkey": "of the auditor"})
    with capture_logs() as logs:
        assert await published(cluster, HOME, "vkey-text")
    assert cluster.writes == []
    assert [line["log_level"] for line in logs] == ["error"]


async def test_it_is_tried_again_until_the_place_is_there_and_may_be_written() -> None:
    assert not await published(a_cluster(), HOME, "vkey-text")
    refusing = a_cluster(labels={})
    refusing.refusals["apply ConfigMap"] = ClusterError("no", "Forbidden", 403)
    assert not await published(refusing, HOME, "vkey-text")
