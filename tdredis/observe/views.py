"""Decides of which nodes of a large cluster a pass asks what they believe of all others (CLUSTER NODES).

A thousand nodes tell a thousand lines each, and in a cluster at peace all of them the same as in the pass before. So
only some are asked in turn, and what the others said last is taken as it was while nothing says that it changed: the
same process, role, primary and address, the same CLUSTER INFO. Such a pass may find that there is nothing to do, and
nothing else: no step rests on a view that was not read in the same pass (`Snapshot.views_are_kept`, controllers/loop).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from tdredis.redis.facts import NodeFacts, Unknown
from tdredis.redis.views import ClusterView
from tdredis.redislink.pool import Address

IN_TURN = 16  # so many nodes are asked in each pass; a cluster of no more is asked whole

Signs: TypeAlias = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class _Kept:
    signs: Signs
    view: ClusterView


class Views:
    """Of one cluster: what each node believed when it was last asked, and by what it is told that this may be old."""

    def __init__(self) -> None:
        self._kept: dict[Address, _Kept] = {}
        self._asked = 0  # how many were, of those in turn

    def due(self, addresses: Collection[Address]) -> frozenset[Address]:
        """Who is to be asked in this pass: everybody, if the cluster is small or somebody was never asked."""
        if len(addresses) <= IN_TURN or not self._kept.keys() >= set(addresses):
            return frozenset(addresses)
        ring = sorted(addresses, key=lambda address: address.uid)
        start = self._asked % len(ring)
        self._asked += IN_TURN
        return frozenset((*ring, *ring)[start : start + IN_TURN])

    def learn(self, nodes: Iterable[tuple[Address, NodeFacts | Unknown]]) -> None:
        """*nodes* are all there are, and what they answered just now."""
        self._kept = {
            address: _Kept(_signs(node), node.view)
            for address, node in nodes
            if isinstance(node, NodeFacts) and node.view is not None
        }

    def complete(self, nodes: Mapping[Address, NodeFacts | Unknown]) -> Mapping[Address, ClusterView] | None:
        """The views of those of *nodes* that were not asked for theirs. None: something happened, all must be asked."""
        found: dict[Address, ClusterView] = {}
        for address, node in nodes.items():
            kept = self._kept.get(address)
            if not isinstance(node, NodeFacts) or kept is None or kept.signs != _signs(node):
                return None
            if node.view is None:
                found[address] = kept.view
            elif node.view != kept.view:
                return None
        return found


def _signs(node: NodeFacts) -> Signs:
    """What changes when a node's view of the cluster does, as far as it tells that by itself."""
    link = node.replication
    return node.run_id, link.role, link.primary_host, link.primary_port, node.announced, node.cluster_counts
