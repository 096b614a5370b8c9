"""Which bundle comes into force, and the bytes of those that older versions wrote."""

from copy import deepcopy
from typing import Any

from tests.support.bundles import a_bundle, an_agent

from remit.adapters.cel import CelEngine
from remit.adapters.schemas import JsonSchemaEngine
from remit.core.compile import load_bundle
from remit.core.digest import canonical, digest_of
from remit.core.prepare import CompiledBundle
from remit.core.revisions import GRACE_SECONDS, MOST_UNNEEDED, Kept, admitted, earlier, sort_out


def later(generation: int = 2, **spec: Any) -> CompiledBundle:
    agent = an_agent(**spec)
    agent["metadata"]["generation"] = generation
    return a_bundle(agent)


def of(bundle: CompiledBundle) -> dict[str, Any]:
    return {"name": "remit-agent-teller-1", "digest": bundle.digest}


def held(bundle: CompiledBundle) -> dict[str, Any]:
    return {"data": bundle.bundle.document()}


def a_revision(number: int) -> dict[str, Any]:
    metadata = {"name": f"r{number}", "uid": f"uid-{number}"}
    return {"metadata": metadata, "revision": number, "data": {"number": number}}


def test_a_bundle_that_says_the_same_is_the_revision_before() -> None:
    before, now = a_bundle(), later(warm={"replicas": 3})
    assert now.digest != before.digest
    force = admitted(now.bundle, now.digest, of(before), held(before))
    assert (force.digest, digest_of(force.document)) == (before.digest, before.digest)


def test_a_bundle_that_says_something_else_is_a_new_one() -> None:
    before, now = a_bundle(), later(owner="else@example.com")
    assert admitted(now.bundle, now.digest, of(before), held(before)).digest == now.digest


def test_a_revision_that_is_gone_or_forged_is_no_revision_before() -> None:
    before, now = a_bundle(), later()
    forged = held(before)
    forged["data"]["agent"]["ref"]["generation"] = 7
    things: list[Any] = [None, forged, {"data": {}}]
    for thing in things:
        assert admitted(now.bundle, now.digest, of(before), thing).digest == now.digest


def test_the_first_bundle_comes_into_force() -> None:
    now = a_bundle()
    assert admitted(now.bundle, now.digest, {}, None).digest == now.digest


def test_how_many_pods_stand_ready_is_not_in_the_document() -> None:
    assert later(1, warm={"replicas": 3}).digest == a_bundle().digest


def test_a_bundle_keeps_the_bytes_that_an_older_version_wrote() -> None:
    document = deepcopy(a_bundle().bundle.document())
    for policy in document["policies"]:
        del policy["spec"]["runs"]
    loaded = load_bundle(document, rules=CelEngine(), schemas=JsonSchemaEngine())
    assert isinstance(loaded, CompiledBundle)
    assert (loaded.document, loaded.digest) == (canonical(document), digest_of(document))
    assert loaded.digest != a_bundle().digest


def test_what_is_needed_stays_and_what_is_not_has_its_moment() -> None:
    revisions = [a_revision(number) for number in range(3)]
    first = sort_out(revisions, {"r2"}, {}, now=0.0)
    assert ([each.name for each in first.stay], first.go, first.next_look) == (["r2", "r1", "r0"], (), GRACE_SECONDS)
    known = {each.revision["metadata"]["uid"]: each for each in first.stay}
    assert sort_out(revisions, {"r2"}, known, now=GRACE_SECONDS - 1).go == ()
    over = sort_out(revisions, {"r2"}, known, now=GRACE_SECONDS)
    assert ([each.name for each in over.stay], [each.name for each in over.go]) == (["r2"], ["r1", "r0"])
    assert over.next_look is None


def test_what_is_needed_again_has_its_whole_moment_again() -> None:
    (revision,) = revisions = [a_revision(1)]
    known = {"uid-1": Kept(revision, "sha256:kept", 0.0)}
    again = sort_out(revisions, {"r1"}, known, now=GRACE_SECONDS - 1)
    assert again.stay == (Kept(revision, "sha256:kept"),)
    known = {"uid-1": again.stay[0]}
    assert sort_out(revisions, set(), known, now=GRACE_SECONDS).next_look == 2 * GRACE_SECONDS


def test_a_bounded_number_has_its_moment() -> None:
    revisions = [a_revision(number) for number in range(MOST_UNNEEDED + 2)]
    assert [each.name for each in sort_out(revisions, set(), {}, now=0.0).go] == ["r1", "r0"]


def test_the_one_in_force_is_not_among_the_earlier() -> None:
    kept = [Kept(a_revision(2), "sha256:b"), Kept(a_revision(1), "sha256:a")]
    assert earlier(kept, "r2") == [{"name": "r1", "digest": "sha256:a"}]
