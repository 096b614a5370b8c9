"""Trees of any size: what is built one by one, recursively and iteratively agrees, and nothing else passes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.support.evidence_runs import tree_root
from tests.support.memory_ledger import nodes_of

from remit.core.merkle import (
    Frontier,
    append,
    consistency_holds,
    consistency_proof,
    frontier_of,
    inclusion_holds,
    inclusion_proof,
    leaf_hash,
)

LEAVES = [leaf_hash(b"%d" % number) for number in range(304)]
NODES = nodes_of(LEAVES)
sizes = st.integers(1, 300)


@given(size=sizes)
def test_the_frontier_s_root_is_the_definition_s(size: int) -> None:
    tree = Frontier()
    for leaf in LEAVES[:size]:
        tree, completed = append(tree, leaf)
        assert all(node.hash == NODES(node.level, node.index) for node in completed)
    assert tree.root() == tree_root(LEAVES[:size])
    assert tree == frontier_of(size, NODES)


@given(data=st.data(), size=sizes)
def test_a_proof_holds_for_its_leaf_place_and_tree_only(data: st.DataObject, size: int) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, NODES)
    root = tree_root(LEAVES[:size])
    assert inclusion_holds(LEAVES[index], index, size, proof=proof, root=root)
    other = data.draw(st.integers(0, size + 3))
    if other != index:
        assert not inclusion_holds(LEAVES[index], other, size, proof=proof, root=root)
        assert not inclusion_holds(LEAVES[other], index, size, proof=proof, root=root)
    if proof:
        broken = list(proof)
        place = data.draw(st.integers(0, len(proof) - 1))
        broken[place] = bytes(32)
        assert not inclusion_holds(LEAVES[index], index, size, proof=broken, root=root)


@given(data=st.data(), new=sizes)
def test_a_prefix_is_shown_and_another_tree_is_not(data: st.DataObject, new: int) -> None:
    old = data.draw(st.integers(0, new))
    proof = consistency_proof(old, new, NODES)
    roots = tree_root(LEAVES[:old]), tree_root(LEAVES[:new])
    assert consistency_holds(old, roots[0], new, roots[1], proof=proof)
    if old:
        forged = tree_root([leaf_hash(b"forged"), *LEAVES[1:old]])
        assert not consistency_holds(old, forged, new, roots[1], proof=proof)
