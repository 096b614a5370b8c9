"""Plans: they converge, also from a crash at any place, and none leaves a pod uncovered wherever it breaks off."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from remit.core.plan import Action, Apply, Create, Delete, Reference, matches, plan, reference_of

Manifest = dict[str, Any]
State = dict[Reference, Manifest]
NAMES = st.sampled_from(["deny", "agent"])


def child(kind: str, name: str, spec: int) -> Manifest:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"namespace": "bank", "name": name}, "spec": {"value": spec}}


PROTECTION = st.fixed_dictionaries(
    {
        ("NetworkPolicy", "deny"): st.just(1),
        ("NetworkPolicy", "agent"): st.integers(1, 2),
        ("ServiceAccount", "agent"): st.integers(1, 2),
        ("ControllerRevision", "agent"): st.integers(1, 2),
        ("Pod", "run"): st.integers(1, 2),
    }
)
WANTED = PROTECTION.map(lambda kinds: [child(kind, name, spec) for (kind, name), spec in kinds.items()])


@st.composite
def states(draw: st.DrawFn) -> State:
    """Draw what may stand there: any part of the children, right or wrong; a pod only where the policy stands."""
    state: State = {}
    for kind, name in (("NetworkPolicy", "deny"), ("NetworkPolicy", "agent"), ("ServiceAccount", "agent")):
        if draw(st.booleans()):
            put(state, child(kind, name, draw(st.integers(1, 3))))
    if draw(st.booleans()):
        put(state, child("ControllerRevision", "agent", draw(st.integers(1, 3))))
    if is_covered_place(state) and draw(st.booleans()):
        put(state, child("Pod", "run", draw(st.integers(1, 3))))
    return state


def put(state: State, manifest: Manifest) -> None:
    reference = reference_of(manifest)
    uid = f"uid-{reference.kind}-{reference.name}"
    state[reference] = {**manifest, "metadata": {**manifest["metadata"], "uid": uid}}


def is_covered_place(state: State) -> bool:
    return Reference("NetworkPolicy", "bank", "deny") in state


def is_covered(state: State) -> bool:
    return is_covered_place(state) or not any(reference.kind == "Pod" for reference in state)


def act(state: State, action: Action) -> None:
    match action:
        case Apply(manifest):
            put(state, dict(manifest))
        case Create(manifest):
            if reference_of(manifest) not in state:
                put(state, dict(manifest))
        case Delete():
            found = state.get(action.reference)
            if found is not None and found["metadata"]["uid"] == action.uid:
                del state[action.reference]


def converge(state: State, wanted: list[Manifest], rounds: int = 8) -> None:
    for _ in range(rounds):
        for action in plan(wanted, state):
            act(state, action)
            assert is_covered(state)


def is_as_wanted(state: State, wanted: list[Manifest]) -> bool:
    return all(matches(manifest, state.get(reference_of(manifest))) for manifest in wanted)


@given(states(), WANTED)
def test_plans_converge_and_then_do_nothing(state: State, wanted: list[Manifest]) -> None:
    converge(state, wanted)

    assert is_as_wanted(state, wanted)
    assert plan(wanted, state) == ()


@given(states(), WANTED, st.integers(0, 12))
def test_a_crash_at_any_place_is_made_good(state: State, wanted: list[Manifest], crash_after: int) -> None:
    done = 0
    while done < crash_after and (actions := plan(wanted, state)):
        for action in actions[: crash_after - done]:
            act(state, action)
            done += 1
            assert is_covered(state)

    converge(state, wanted)

    assert is_as_wanted(state, wanted)


@given(states(), WANTED)
def test_a_pod_is_created_only_behind_everything_that_protects_it(state: State, wanted: list[Manifest]) -> None:
    actions = plan(wanted, state)
    if any(isinstance(action, Create) and action.manifest["kind"] == "Pod" for action in actions):
        assert is_as_wanted(state, [manifest for manifest in wanted if manifest["kind"] != "Pod"])
        assert len(actions) == 1


@given(states(), st.lists(st.sampled_from(["NetworkPolicy", "ServiceAccount", "Pod"]), max_size=3))
def test_deletions_take_pods_first(state: State, kinds: list[str]) -> None:
    surplus = [thing for reference, thing in state.items() if reference.kind in kinds]
    deleted = [action.reference.kind for action in plan([], state, surplus) if isinstance(action, Delete)]

    assert deleted == sorted(deleted, key=lambda kind: kind != "Pod")
    for action in plan([], dict(state), surplus):
        act(state, action)
        assert is_covered(state) or "NetworkPolicy" not in kinds or "Pod" not in kinds
