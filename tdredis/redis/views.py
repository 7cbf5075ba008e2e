"""Decides how one node's view of the cluster is read: CLUSTER NODES, line by line.

Source: redis.io, "CLUSTER NODES" (serialization format), Redis 4 to 8 and Valkey 7 to 9.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TypeAlias
from weakref import WeakValueDictionary

from tdredis.redis.slots import NO_SLOTS, SlotSet, parse_slots


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownNode:
    """One line of CLUSTER NODES: what the asked node believes of one node."""

    id: str
    ip: str  # "" while the asked node does not know it
    port: int
    flags: frozenset[str]
    primary_id: str | None  # None: not a replica
    config_epoch: int
    link_connected: bool
    slots: SlotSet = NO_SLOTS
    open_slots: tuple[str, ...] = ()  # "[93-<-id]" importing, "[93->-id]" migrating, as printed

    @property
    def myself(self) -> bool:
        return "myself" in self.flags

    @property
    def migrating(self) -> dict[int, str]:
        """Slots that it gives away: the id of the node that each goes to. A node says that of itself only."""
        return _parse_open(self.open_slots, "->-")

    @property
    def importing(self) -> dict[int, str]:
        """Slots that it takes over: the id of the node that each comes from. A node says that of itself only."""
        return _parse_open(self.open_slots, "-<-")

    @property
    def is_replica(self) -> bool:
        return "slave" in self.flags

    @property
    def failed(self) -> bool:
        """Agreed by a majority (fail), not one node's suspicion (fail?)."""
        return "fail" in self.flags

    @property
    def in_handshake(self) -> bool:
        return "handshake" in self.flags


Whereabouts: TypeAlias = tuple[str, str, int]  # node id, ip and port


@dataclass(frozen=True, kw_only=True)
class ClusterView:
    """What one node believes of all, keyed by node id. *me* is its own line."""

    me: KnownNode
    others: dict[str, KnownNode] = field(default_factory=dict)

    @cached_property
    def whereabouts(self) -> frozenset[Whereabouts]:
        """Of itself and of all nodes that it has met: in a cluster at peace every node has the same set, one object."""
        met = [node for node in self.others.values() if not node.in_handshake]
        return _shared(frozenset([(node.id, node.ip, node.port) for node in (self.me, *met)]))

    def knows(self, node_id: str) -> bool:
        """Handshakes do not count: such an id is made up until the other side answers."""
        known = self.others.get(node_id)
        return node_id == self.me.id or (known is not None and not known.in_handshake)

    def reaches(self, node_id: str) -> bool:
        """It is itself, or knows it, is connected, and does not miss it."""
        known = self.others.get(node_id)
        if known is None or not self.knows(node_id):
            return node_id == self.me.id
        return known.link_connected and not known.flags & {"fail", "fail?"}


# When a node was last pinged and heard of: what differs in each answer, and is no part of a view.
_TIMES = re.compile(r" \d+ \d+ (?=\d+ (?:dis)?connected)")
# By a digest of what they were read of without that. A view is here as long as somebody has it.
_READ: WeakValueDictionary[bytes, ClusterView] = WeakValueDictionary()


def parse_cluster_nodes(text: str) -> ClusterView:
    """CLUSTER NODES to a view: the one that somebody still has, if the same was read before. Raises ValueError when a
    line has another shape, or none is the node's own.
    """
    digest = hashlib.blake2b(_TIMES.sub(" ", text).encode(), digest_size=16).digest()
    found = _READ.get(digest)
    if found is None:
        found = _READ[digest] = _read_view(text)
    return found


def _read_view(text: str) -> ClusterView:
    me: KnownNode | None = None
    others: dict[str, KnownNode] = {}
    for line in text.splitlines():
        if not line:
            continue
        words = line.split(" ", 7)
        if len(words) < 8:
            raise ValueError(f"CLUSTER NODES line has {len(words)} words, expected 8 or more: {line!r}")
        node_id, address, flags, primary, _ping, _pong, epoch, rest = words
        node = _parse_node(node_id, address, flags, primary, epoch, rest)
        if flags.startswith("myself"):
            me = node
        else:
            others[node_id] = node
    if me is None:
        raise ValueError("CLUSTER NODES has no line flagged myself")
    return ClusterView(me=me, others=others)


@lru_cache(maxsize=64)
def _shared(found: frozenset[Whereabouts]) -> frozenset[Whereabouts]:
    """The first object that was equal to *found*: a thousand equal sets are compared by identity."""
    return found


@lru_cache(maxsize=8192)
def _parse_node(node_id: str, address: str, flags: str, primary: str, epoch: str, rest: str) -> KnownNode:  # noqa: PLR0917 the words of a line, which are its key
    """One line without the times of pings and pongs: what a thousand nodes say of one node is read once.

    *rest*: state of the link, and slots.
    """
    link, *words = rest.split(" ")
    ip, port = _parse_address(address)
    ranges = [word for word in words if word]
    return KnownNode(
        id=node_id,
        ip=ip,
        port=port,
        flags=frozenset(flags.split(",")),
        primary_id=None if primary == "-" else primary,
        config_epoch=int(epoch),
        link_connected=link == "connected",
        slots=parse_slots(word for word in ranges if not word.startswith("[")),
        open_slots=tuple(word for word in ranges if word.startswith("[")),
    )


def _parse_open(words: tuple[str, ...], arrow: str) -> dict[int, str]:
    found = (word.strip("[]").split(arrow) for word in words if arrow in word)
    return {int(slot): node_id for slot, node_id in found}


def _parse_address(text: str) -> tuple[str, int]:
    """``ip:port[@bus][,hostname...]``; an IPv6 address has colons of its own."""
    endpoint = text.partition(",")[0].partition("@")[0]
    ip, _, port = endpoint.rpartition(":")
    return ip, int(port)
