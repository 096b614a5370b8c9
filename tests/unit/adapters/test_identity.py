"""Tokens and Secrets over the Kubernetes API: what is asked, what is kept, and for how long."""

import asyncio
import base64
import json
from typing import Any

import pytest
from tests.support.fake_authority import POD_UID, FakeCluster, a_review, a_secret

from remit.adapters.identity import TokenReviewIdentity, expiry_of, identity_in
from remit.adapters.secrets import KubernetesSecrets
from remit.ports import ClusterError, IdentityUnavailableError, PodIdentity, SecretNotReadableError


class SetClock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds


def a_token(**claims: Any) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{body}.sig"


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def identity(cluster: FakeCluster, clock: SetClock) -> TokenReviewIdentity:
    return TokenReviewIdentity(cluster, clock)


async def test_a_good_token_is_kept_for_seconds(
    cluster: FakeCluster, clock: SetClock, identity: TokenReviewIdentity
) -> None:
    cluster.tokens["t"] = a_review()
    wanted = PodIdentity("bank", "remit-agent-clerk", "run-1-1", POD_UID)
    assert await identity.authenticate("t") == wanted
    clock.seconds += 9
    await identity.authenticate("t")
    assert cluster.reviews == 1
    clock.seconds += 2
    await identity.authenticate("t")
    assert cluster.reviews == 2


async def test_a_token_is_never_kept_past_its_end(
    cluster: FakeCluster, clock: SetClock, identity: TokenReviewIdentity
) -> None:
    token = a_token(exp=1003)
    cluster.tokens[token] = a_review()
    await identity.authenticate(token)
    clock.seconds += 4
    del cluster.tokens[token]
    assert await identity.authenticate(token) is None


async def test_a_pod_that_goes_takes_its_tokens_along(cluster: FakeCluster, identity: TokenReviewIdentity) -> None:
    cluster.tokens["t"] = a_review()
    await identity.authenticate("t")
    identity.forget("another")
    await identity.authenticate("t")
    assert cluster.reviews == 1
    identity.forget(POD_UID)
    await identity.authenticate("t")
    assert cluster.reviews == 2


async def test_an_answer_that_was_under_way_when_the_pod_went_is_not_kept(
    cluster: FakeCluster, identity: TokenReviewIdentity
) -> None:
    cluster.tokens["t"] = a_review()
    asking = asyncio.ensure_future(identity.authenticate("t"))
    await asyncio.wait([asking], timeout=0)
    identity.forget(POD_UID)
    await asking
    await identity.authenticate("t")
    assert cluster.reviews == 2


async def test_many_at_once_ask_once(cluster: FakeCluster, identity: TokenReviewIdentity) -> None:
    cluster.tokens["t"] = a_review()
    await asyncio.gather(*(identity.authenticate("t") for _ in range(20)))
    assert cluster.reviews == 1


async def test_a_flood_of_one_bad_token_is_no_flood_of_reviews(
    cluster: FakeCluster, identity: TokenReviewIdentity
) -> None:
    for _ in range(20):
        assert await identity.authenticate("bad") is None
    assert cluster.reviews == 1


async def test_nobody_to_ask_is_not_a_bad_token(cluster: FakeCluster, identity: TokenReviewIdentity) -> None:
    cluster.away = True
    with pytest.raises(IdentityUnavailableError):
        await identity.authenticate("t")


@pytest.mark.parametrize("token", ["", "x" * 20_000])
async def test_what_cannot_be_a_token_is_not_asked_about(
    token: str, cluster: FakeCluster, identity: TokenReviewIdentity
) -> None:
    assert await identity.authenticate(token) is None
    assert cluster.reviews == 0


@pytest.mark.parametrize(
    "status",
    [
        {},
        {**a_review(), "authenticated": "true"},
        {**a_review(), "audiences": ["kubernetes"]},
        {**a_review(), "user": {"username": "system:serviceaccount:bank"}},
        {**a_review(), "user": {"username": "system:serviceaccount:a:b:c", "extra": a_review()["user"]["extra"]}},
    ],
)
def test_what_is_not_a_pods_token_is_nobodys(status: dict[str, Any]) -> None:
    assert identity_in(status) is None


@pytest.mark.parametrize("token", ["", "a.b", "a.!!!.c", a_token(), a_token(exp="soon")])
def test_a_token_without_an_end_says_nothing(token: str) -> None:
    assert expiry_of(token) is None


async def test_a_secret_is_kept_for_seconds_and_a_rotation_is_seen(cluster: FakeCluster, clock: SetClock) -> None:
    secrets = KubernetesSecrets(cluster, clock, "remit-system")
    cluster.put(a_secret("one", "bank.example"))
    assert await secrets.read("bank", "bank-key") == ({"key": b"one"}, {"remit.dev/hosts": "bank.example"})
    cluster.put(a_secret("two", "bank.example"))
    clock.seconds += 4
    found = await secrets.read("bank", "bank-key")
    assert found is not None
    assert found[0] == {"key": b"two"}


async def test_an_absent_secret_is_none(cluster: FakeCluster, clock: SetClock) -> None:
    assert await KubernetesSecrets(cluster, clock, "remit-system").read("bank", "bank-key") is None


async def test_a_secret_that_may_not_be_read_says_what_to_apply(cluster: FakeCluster, clock: SetClock) -> None:
    cluster.unreadable.add("bank-key")
    with pytest.raises(SecretNotReadableError, match="--serviceaccount=remit-system:remit-gateway"):
        await KubernetesSecrets(cluster, clock, "remit-system").read("bank", "bank-key")


async def test_an_apiserver_that_is_away_is_not_an_absent_secret(cluster: FakeCluster, clock: SetClock) -> None:
    cluster.away = True
    with pytest.raises(SecretNotReadableError) as caught:
        await KubernetesSecrets(cluster, clock, "remit-system").read("bank", "bank-key")
    assert isinstance(caught.value.__cause__, ClusterError)
