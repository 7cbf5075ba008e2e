"""Decides what the answer of one cluster node says: who it is, what it owns, whom it knows, where it is reached."""

from __future__ import annotations

import msgspec

from tdredis.manifests.services import CLUSTER_PORTS, has_external_pods
from tdredis.planning.addresses import external_target, resting_place
from tdredis.planning.live import Live
from tdredis.planning.plan import Hold
from tdredis.planning.process import Process
from tdredis.planning.snapshot import ClusterSnapshot, PodFacts
from tdredis.redis.facts import Announced, NodeFacts
from tdredis.redis.slots import SlotSet
from tdredis.redis.views import ClusterView, KnownNode


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A Redis process that answered. A struct, as rules look at each of thousands a dozen times."""

    name: str  # of its pod
    id: str
    shard: str
    pod: PodFacts
    facts: NodeFacts
    view: ClusterView
    slots: SlotSet  # what it says it owns itself
    is_replica: bool
    announces: Announced
    target: Announced | Hold | None  # what it is to announce; None: not known yet
    may_move: bool  # its pod has a Service of its own, whose address it announces, or will, or did a moment ago
    hosts: frozenset[str]  # with *ports*: all at which it is reached, or is about to be
    ports: frozenset[int]

    @property
    def moves_with(self) -> frozenset[str]:
        """Ids of nodes to or from which slots of it are on their way. A replica only repeats its primary."""
        if self.is_replica:
            return frozenset()
        return frozenset((*self.view.me.migrating.values(), *self.view.me.importing.values()))

    @property
    def has_place(self) -> bool:
        """It owns slots, or follows somebody."""
        return self.is_replica or bool(self.slots)

    @property
    def has_data(self) -> bool:
        """It has keys, loads some, or has been in sync with a primary, which may have had none."""
        link = self.facts.replication
        return self.facts.keys > 0 or self.facts.loading or (self.is_replica and link.was_linked)

    @property
    def process(self) -> Process:
        return Process(pod=self.pod.name, uid=self.pod.uid, ip=self.pod.ip or "", id=self.id)

    def knows(self, other: Member) -> bool:
        """It has met *other*, and under an address it has now.

        Gossip needs seconds to carry a change of what is announced. Meanwhile the pod's own address is as good, and one
        under which they talk: an introduction would change nothing.
        """
        if other.id == self.id:
            return True
        known = self.view.others.get(other.id)
        if known is None or known.in_handshake:
            return False
        return other.is_at(known) or (other.may_move and known.link_connected)

    def votes_for(self, other: Member) -> bool:
        """It has heard that *other* replicates the primary that it does: it refuses its vote to anybody else. That is
        told by pings, so that it may take half of cluster-node-timeout.

        Source: cluster.c, clusterSendFailoverAuthIfNeeded ("it is a master node"), clusterCron.
        """
        known = self.view.others.get(other.id)
        return known is not None and known.is_replica and known.primary_id == other.view.me.primary_id

    def is_handshaking_with(self, other: Member) -> bool:
        """It was introduced to *other* and waits for the answer."""
        return any(node.in_handshake and other.is_at(node) for node in self.view.others.values())

    def is_at(self, known: KnownNode) -> bool:
        return known.ip in self.hosts and known.port in self.ports

    @property
    def met_nobody(self) -> bool:
        return not self.view.others

    def cannot_reach(self, other: Member) -> bool:
        """It knows *other*, and does not reach it (any more)."""
        return other.id in self.view.others and not self.view.reaches(other.id)

    def sees_as_owner(self, owner: Member, slots: SlotSet) -> bool:
        """It has heard of nobody who owns *slots* with a newer claim than *owner*."""
        known = self.view.others.get(owner.id)
        return known is not None and not slots - known.slots


def descending(name: str) -> tuple[int, ...]:
    """A key under which the lowest name is the greatest: ties go to it."""
    return tuple(-ord(letter) for letter in name)


def build_member(
    snapshot: ClusterSnapshot, pod: PodFacts, facts: NodeFacts, view: ClusterView, service: Live | None
) -> Member:
    """*service*: the pod's own, if it has one."""
    own = resting_place(pod)
    announces = facts.announced or own
    target: Announced | Hold | None = own
    if has_external_pods(snapshot.cluster):
        target = external_target(snapshot.cluster.spec, pod, service, tuple(CLUSTER_PORTS))
    places = (own, announces, target) if isinstance(target, Announced) else (own, announces)
    return Member(
        name=pod.name,
        id=view.me.id,
        shard=pod.name.rpartition("-")[0],
        pod=pod,
        facts=facts,
        view=view,
        slots=view.me.slots,
        is_replica=view.me.is_replica,
        announces=announces,
        target=target,
        may_move=service is not None,
        hosts=frozenset([place.host for place in places]),
        ports=frozenset([place.port for place in places]),
    )
