"""Decides what the answer of one cluster node says: who it is, what it owns, whom it knows, where it is reached."""

from __future__ import annotations

from dataclasses import dataclass

from tdredis.manifests.services import CLUSTER_PORTS, has_external_pods
from tdredis.planning.addresses import external_target, resting_place
from tdredis.planning.plan import Hold
from tdredis.planning.process import Process
from tdredis.planning.snapshot import ClusterSnapshot, PodFacts, Ref
from tdredis.redis.facts import Announced, NodeFacts
from tdredis.redis.slots import SlotSet
from tdredis.redis.views import ClusterView, KnownNode


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A Redis process that answered."""

    shard: str
    pod: PodFacts
    facts: NodeFacts
    view: ClusterView
    target: Announced | Hold | None  # what it is to announce; None: not known yet
    may_move: bool  # its pod has a Service of its own, whose address it announces, or will, or did a moment ago
    hosts: frozenset[str]  # with *ports*: all at which it is reached, or is about to be
    ports: frozenset[int]

    @property
    def name(self) -> str:
        return self.pod.name

    @property
    def id(self) -> str:
        return self.view.me.id

    @property
    def slots(self) -> SlotSet:
        """What it says it owns itself."""
        return self.view.me.slots

    @property
    def is_replica(self) -> bool:
        return self.view.me.is_replica

    @property
    def has_data(self) -> bool:
        """It has keys, loads some, or has been in sync with a primary, which may have had none."""
        link = self.facts.replication
        return self.facts.keys > 0 or self.facts.loading or (self.is_replica and link.was_linked)

    @property
    def process(self) -> Process:
        return Process(pod=self.pod.name, uid=self.pod.uid, ip=self.pod.ip or "", id=self.id)

    @property
    def announces(self) -> Announced:
        return self.facts.announced or resting_place(self.pod)

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


def build_member(snapshot: ClusterSnapshot, pod: PodFacts, facts: NodeFacts, view: ClusterView) -> Member:
    own = resting_place(pod)
    target: Announced | Hold | None = own
    service = snapshot.children.get(Ref("Service", pod.name))
    if has_external_pods(snapshot.cluster):
        target = external_target(snapshot.cluster.spec, pod, service, tuple(CLUSTER_PORTS))
    places = {own, facts.announced or own, target if isinstance(target, Announced) else own}
    return Member(
        shard=pod.name.rpartition("-")[0],
        pod=pod,
        facts=facts,
        view=view,
        target=target,
        may_move=service is not None,
        hosts=frozenset(place.host for place in places),
        ports=frozenset(place.port for place in places),
    )
