"""RFC 6962 Merkle trees over SHA-256: append, inclusion and consistency, building and checking. Pure.

A tree of n leaves is known by its frontier: the roots of the perfect subtrees that n is the sum of, widest first.
That is all that an append needs. Proofs need subtrees from further back: they come from a `Nodes` function that
returns the hash of the perfect subtree (level, index), level 0 being the leaves.
Building follows RFC 9162 §2.1.3.1 and §2.1.4.1 (recursive), checking §2.1.3.2 and §2.1.4.2 (iterative): two
independent readings of the same tree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()

Nodes = Callable[[int, int], bytes]
"""Hash of the perfect subtree at (level, index)."""


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf that holds `entry`."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node over two subtrees."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Node:
    """A perfect subtree: it covers the leaves from index * 2**level to (index + 1) * 2**level - 1."""

    level: int
    index: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Frontier:
    """A tree of `size` leaves: the roots of its perfect subtrees, widest first."""

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def root(self) -> bytes:
        """Return the root of the tree."""
        if not self.hashes:
            return EMPTY_ROOT
        root = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            root = node_hash(left, root)
        return root


def append(frontier: Frontier, leaf: bytes) -> tuple[Frontier, tuple[Node, ...]]:
    """Return the tree with one more leaf, and the perfect subtrees above it that became complete, lowest first."""
    hashes = list(frontier.hashes)
    completed = []
    node, index, level = leaf, frontier.size, 0
    while index & 1:
        node = node_hash(hashes.pop(), node)
        index >>= 1
        level += 1
        completed.append(Node(level, index, node))
    hashes.append(node)
    return Frontier(frontier.size + 1, tuple(hashes)), tuple(completed)


def frontier_of(size: int, nodes: Nodes) -> Frontier:
    """Return the frontier of the first `size` leaves."""
    hashes = []
    start = 0
    for level in reversed(range(size.bit_length())):
        if size >> level & 1:
            hashes.append(nodes(level, start >> level))
            start += 1 << level
    return Frontier(size, tuple(hashes))


def inclusion_proof(index: int, size: int, nodes: Nodes) -> tuple[bytes, ...]:
    """Return the proof that leaf `index` is in the tree of the first `size` leaves, its sibling first."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    proof = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(_range_root(middle, end, nodes))
            end = middle
        else:
            proof.append(_range_root(start, middle, nodes))
            start = middle
    return tuple(reversed(proof))


def consistency_proof(old: int, new: int, nodes: Nodes) -> tuple[bytes, ...]:
    """Return the proof that the tree of the first `old` leaves is a prefix of that of the first `new`."""
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {old} is no prefix of one of {new}")
    if old in {0, new}:
        return ()
    proof = []
    start, end, whole = 0, new, True
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            proof.append(_range_root(middle, end, nodes))
            end = middle
        else:
            proof.append(_range_root(start, middle, nodes))
            start, whole = middle, False
    if not whole:
        proof.append(_range_root(start, end, nodes))
    return tuple(reversed(proof))


def inclusion_holds(leaf: bytes, index: int, size: int, *, proof: Sequence[bytes], root: bytes) -> bool:
    """Tell whether `proof` shows that the leaf hash stands at `index` in the tree of `size` leaves with `root`."""
    if not 0 <= index < size:
        return False
    place, last, node = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            node = node_hash(sibling, node)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            node = node_hash(node, sibling)
        place >>= 1
        last >>= 1
    return last == 0 and node == root


def consistency_holds(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, *, proof: Sequence[bytes]
) -> bool:
    """Tell whether `proof` shows that the old tree is a prefix of the new one."""
    if old_size > new_size or old_size < 0:
        return False
    if old_size == 0:
        return not proof and old_root == EMPTY_ROOT
    if old_size == new_size:
        return not proof and old_root == new_root
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    return bool(path) and _both_roots(old_size - 1, new_size - 1, path) == (old_root, new_root)


def _both_roots(place: int, last: int, path: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    """Compute the old and the new root from a consistency path; None when its length is wrong."""
    while place & 1:
        place >>= 1
        last >>= 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return None
        if place & 1 or place == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            new = node_hash(new, sibling)
        place >>= 1
        last >>= 1
    return (old, new) if last == 0 else None


def _split(count: int) -> int:
    """Return the largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1


def _range_root(start: int, end: int, nodes: Nodes) -> bytes:
    """Return the root of the leaves from start up to end, whose left parts are perfect subtrees."""
    count = end - start
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return nodes(level, start >> level)
    middle = start + _split(count)
    return node_hash(_range_root(start, middle, nodes), _range_root(middle, end, nodes))
