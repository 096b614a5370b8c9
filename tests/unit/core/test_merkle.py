"""RFC 6962 trees: the known roots of Certificate Transparency's own test data, and the edges of the proofs."""

from __future__ import annotations

import pytest
from tests.support.memory_ledger import nodes_of

from remit.core.merkle import (
    EMPTY_ROOT,
    Frontier,
    append,
    consistency_holds,
    consistency_proof,
    frontier_of,
    inclusion_holds,
    inclusion_proof,
    leaf_hash,
)

LEAVES = [
    bytes.fromhex(leaf)
    for leaf in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
HASHES = [leaf_hash(leaf) for leaf in LEAVES]


def grown(size: int) -> Frontier:
    tree = Frontier()
    for leaf in HASHES[:size]:
        tree, _ = append(tree, leaf)
    return tree


@pytest.mark.parametrize("size", range(9))
def test_the_roots_are_those_of_certificate_transparency(size: int) -> None:
    assert grown(size).root().hex() == ROOTS[size]
    assert frontier_of(size, nodes_of(HASHES)) == grown(size)


@pytest.mark.parametrize("size", range(1, 9))
def test_every_leaf_is_shown_to_be_in_every_tree(size: int) -> None:
    root = bytes.fromhex(ROOTS[size])
    for index in range(size):
        proof = inclusion_proof(index, size, nodes_of(HASHES))
        assert inclusion_holds(HASHES[index], index, size, proof=proof, root=root)


@pytest.mark.parametrize("new", range(9))
def test_every_tree_is_shown_to_be_a_prefix_of_every_later_one(new: int) -> None:
    for old in range(new + 1):
        proof = consistency_proof(old, new, nodes_of(HASHES))
        assert consistency_holds(old, bytes.fromhex(ROOTS[old]), new, bytes.fromhex(ROOTS[new]), proof=proof)


def test_a_known_inclusion_proof() -> None:
    proof = [hashed.hex() for hashed in inclusion_proof(0, 8, nodes_of(HASHES))]
    assert proof == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]


def test_completed_subtrees_are_those_whose_last_leaf_came() -> None:
    _, completed = append(grown(3), HASHES[3])
    assert [(node.level, node.index) for node in completed] == [(1, 1), (2, 0)]
    assert completed[1].hash.hex() == ROOTS[4]
    assert append(grown(4), HASHES[4])[1] == ()


@pytest.mark.parametrize(("index", "size"), [(0, 0), (-1, 3), (3, 3)])
def test_no_proof_for_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError):
        inclusion_proof(index, size, nodes_of(HASHES))
    assert not inclusion_holds(HASHES[0], index, size, proof=[], root=HASHES[0])


def test_no_proof_from_a_larger_tree_to_a_smaller() -> None:
    with pytest.raises(ValueError):
        consistency_proof(3, 2, nodes_of(HASHES))
    assert not consistency_holds(3, HASHES[0], 2, HASHES[0], proof=[])


def test_a_proof_that_is_too_long_or_too_short_does_not_hold() -> None:
    proof = inclusion_proof(2, 7, nodes_of(HASHES))
    root = bytes.fromhex(ROOTS[7])
    assert not inclusion_holds(HASHES[2], 2, 7, proof=proof[:-1], root=root)
    assert not inclusion_holds(HASHES[2], 2, 7, proof=(*proof, HASHES[0]), root=root)
    steps = consistency_proof(3, 7, nodes_of(HASHES))
    old = bytes.fromhex(ROOTS[3])
    assert not consistency_holds(3, old, 7, root, proof=steps[:-1])
    assert not consistency_holds(3, old, 7, root, proof=(*steps, HASHES[0]))
    assert not consistency_holds(3, old, 7, root, proof=())


def test_only_the_empty_tree_is_a_prefix_without_proof() -> None:
    assert consistency_holds(0, EMPTY_ROOT, 7, bytes.fromhex(ROOTS[7]), proof=())
    assert not consistency_holds(0, HASHES[0], 7, bytes.fromhex(ROOTS[7]), proof=())
    assert not consistency_holds(7, HASHES[0], 7, bytes.fromhex(ROOTS[7]), proof=())
