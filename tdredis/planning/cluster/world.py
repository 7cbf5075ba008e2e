"""Decides what the answers of all nodes together say: shards, who owns which slots, who knows whom, what is missing.

Identity is the node id and the pod's name, never the IP.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property

from tdredis.api.rediscluster import RedisCluster
from tdredis.manifests.names import shard_names
from tdredis.manifests.services import CLUSTER_PORTS
from tdredis.planning.addresses import external_target, resting_place
from tdredis.planning.cluster.disputes import NO_DISPUTES, Disputes, find_disputes
from tdredis.planning.cluster.members import Member, build_member, descending
from tdredis.planning.cluster.remembered import REMEMBERED, lost_owners
from tdredis.planning.cluster.scale import Scale, recorded
from tdredis.planning.cluster.vacant import gone_pods, slotless_shards, vacant_shards
from tdredis.planning.loss import lost_data
from tdredis.planning.moving import Moving
from tdredis.planning.pods import Pods, unresponsive
from tdredis.planning.setting import Decision
from tdredis.planning.settings import decide_settings
from tdredis.planning.snapshot import ClusterSnapshot, PodFacts, Ref, Trouble
from tdredis.redis.facts import Announced, NodeFacts, Unknown
from tdredis.redis.proxy_errors import is_fault_of_proxy
from tdredis.redis.slots import ALL_SLOTS, NO_SLOTS, SlotRange, SlotSet, even_split
from tdredis.redis.views import KnownNode

PROXY_CATCHES_UP_S = 3.0  # a proxy looks for moved slots every second
PROXY_IS_STUCK_S = 5.0  # of nothing but errors; on a busy node an answer, or silence, comes between


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One StatefulSet of the cluster: *wanted* names the pods asked for, *members* all of its pods that answered."""

    index: int
    name: str
    wanted: tuple[str, ...]
    members: tuple[Member, ...]  # by pod name
    losers: frozenset[str] = frozenset()  # pods that own slots which are another's
    is_leaving: bool = False  # spec asks for fewer shards: it goes when it owns nothing
    owns_nothing: bool = False  # by the record and by what everybody says: it is to get slots, or to go
    is_vacant: bool = False  # nor is anything on its way to it, or left of what was

    @cached_property
    def owner(self) -> Member | None:
        """The member that owns slots: the most, then the lowest name."""
        owners = [member for member in self.members if member.slots and member.name not in self.losers]
        if len(owners) == 1:
            return owners[0]
        return max(owners, key=lambda member: (len(member.slots), descending(member.name)), default=None)

    @property
    def primary_to_be(self) -> Member | None:
        """Who owns the shard's slots, or would get them: the owner, else one that replicates nobody, with keys if there
        is any, then the lowest name.
        """
        primaries = [member for member in self.members if not member.is_replica and not member.pod.deleting]
        return self.owner or min(primaries, key=lambda member: (not member.facts.keys, member.name), default=None)

    @property
    def is_coming(self) -> bool:
        """It is new, and has nothing yet."""
        return self.is_vacant and not self.is_leaving

    @cached_property
    def head(self) -> Member | None:
        """Whom the shard's other processes are to follow: the owner; while it owns nothing, who is to be that."""
        return self.owner or (self.primary_to_be if self.owns_nothing else None)

    @cached_property
    def replicas_in_sync(self) -> tuple[Member, ...]:
        """Those that follow the head and have all of its data."""
        head = self.head
        if head is None:
            return ()
        return tuple(
            member
            for member in self.members
            if member.view.me.primary_id == head.id and member.facts.replication.link_up
        )

    @property
    def slots(self) -> SlotSet:
        return self.owner.slots if self.owner else NO_SLOTS


@dataclass(frozen=True)
class World:
    """Everything the rules ask for, read from one snapshot. *instance* has the effective values in its spec."""

    snapshot: ClusterSnapshot
    instance: RedisCluster
    shards: tuple[Shard, ...]
    disputes: Disputes = NO_DISPUTES
    scale: Scale | None = None
    gone: frozenset[str] = frozenset()  # names of pods that nothing waits for: their shards own nothing

    @cached_property
    def members(self) -> tuple[Member, ...]:
        return tuple(member for shard in self.shards for member in shard.members)

    @cached_property
    def settings(self) -> tuple[Decision, ...]:
        return decide_settings(self)

    @cached_property
    def by_id(self) -> Mapping[str, Member]:
        return {member.id: member for member in self.members}

    @cached_property
    def redis(self) -> Pods[NodeFacts]:
        """Without the record of a whole cluster no volume is expected to bring back slots or a node id. What a shard
        lacks that owns nothing keeps nobody waiting.
        """
        return _redis_pods(
            self.snapshot, self.shards, gone=self.gone, may_hold_data=self._is_on_volumes and self.was_whole
        )

    @cached_property
    def serving(self) -> Pods[NodeFacts]:
        """Those of shards that serve, or served: what is new, or owns nothing any more, leaves the cluster Ready."""
        vacant = {shard.name for shard in self.shards if shard.is_vacant}
        if not vacant:
            return self.redis
        others = [shard for shard in self.shards if not shard.is_vacant]
        gone = self.gone | {name for name in self.snapshot.pods if name.rpartition("-")[0] in vacant}
        return _redis_pods(self.snapshot, others, gone=gone, may_hold_data=self.redis.may_hold_data)

    @cached_property
    def misled(self) -> frozenset[str]:
        """Replicas without a key that are in sync with somebody who is at the address of their primary now, and is not
        it: what they had, if anything, went when they copied that one.
        """
        histories = {member.facts.replication.id for member in self.members if not member.is_replica} - {""}
        return frozenset(
            member.name
            for member in self.members
            if member.is_replica
            and member.view.me.primary_id not in self.by_id
            and member.facts.replication.id in histories
            and not member.facts.keys
        )

    @property
    def moving(self) -> Moving | None:
        """What moves slots at this moment; None: nothing does."""
        found = self.snapshot.moving
        return found if found is not None and found.is_under_way else None

    @property
    def is_resized(self) -> bool:
        """Shards are to come, to go, or to be filled."""
        return self.scale is not None and self.scale.is_changing

    @property
    def _is_on_volumes(self) -> bool:
        return bool(self.instance.spec.storage_class)

    @property
    def components(self) -> tuple[Pods[object], ...]:
        return (self.serving,)

    @cached_property
    def troubles(self) -> tuple[tuple[str, Trouble], ...]:
        """What is wrong with pods, those of Redis first, by name."""
        # A Deployment's pods that failed (evicted) stay listed for days after others took their place.
        proxies = (pod for pod in self.snapshot.proxies if not pod.finished)
        return (*self.serving.troubles, *((pod.name, pod.trouble) for pod in proxies if pod.trouble is not None))

    @cached_property
    def owned(self) -> SlotSet:
        return SlotSet.union(member.slots for member in self.members)

    @cached_property
    def unowned(self) -> SlotSet:
        return ALL_SLOTS - self.owned

    @cached_property
    def in_transit(self) -> SlotSet:
        """Slots that change their owner at this very moment: nodes are not asked all at once, so that two of different
        shards own one, or nobody does, and somebody has heard already whose it is.
        """
        if self.moving is None or not (self.unowned or self.twice_owned):
            return NO_SLOTS
        alive = self.by_id
        heard = SlotSet.union(
            known.slots for member in self.members for node_id, known in member.view.others.items() if node_id in alive
        )
        within = SlotSet.union(
            one.slots & other.slots
            for shard in self.shards
            for number, one in enumerate(shard.members)
            for other in shard.members[number + 1 :]
        )
        return (self.unowned & heard) | (self.twice_owned - within)

    @cached_property
    def twice_owned(self) -> SlotSet:
        seen = twice = 0
        for member in self.members:
            twice |= seen & member.slots.bits
            seen |= member.slots.bits
        return SlotSet(twice)

    @cached_property
    def open_slots(self) -> Mapping[int, tuple[Member, ...]]:
        """Slots whose moving somebody takes part in, ascending, and who. A replica only repeats its primary."""
        found: dict[int, list[Member]] = {}
        for member in (each for each in self.members if not each.is_replica):
            for slot in {*member.view.me.migrating, *member.view.me.importing}:
                found.setdefault(slot, []).append(member)
        return {slot: tuple(found[slot]) for slot in sorted(found)}

    @cached_property
    def lost_marks(self) -> frozenset[str]:
        """Ids of nodes that are gone, of which slots that are open still say that they take part."""
        named = {other for member in self.members if member.view.me.open_slots for other in member.moves_with}
        return frozenset(named - self.by_id.keys())

    @cached_property
    def free(self) -> SlotSet:
        """Slots that nobody owns and nobody has keys of; what is open, and not counted by everybody, may have some."""
        primaries = [member for member in self.members if not member.is_replica]
        held = [slot for slot in self.open_slots if any(each.facts.slot_keys.get(slot, 1) for each in primaries)]
        return self.unowned - self.in_transit - SlotSet.of(SlotRange(slot, slot) for slot in held)

    @cached_property
    def contested(self) -> SlotSet:
        """Slots with two owners of whom the engine would not choose the right one when they meet."""
        reset = {member.name for member in self.disputes.to_reset}
        others = [member for member in self.members if member.name not in reset]
        ours = SlotSet.union(each.slots & other.slots for each in self.disputes.to_reset for other in others)
        return self.disputes.open | ours

    @cached_property
    def recorded(self) -> tuple[SlotSet, ...] | None:
        """The slot map of status.slots, by shard; None: the cluster was never whole, or the record is not whole."""
        found = recorded(self.snapshot)
        if found is None or not {*found} <= {shard.name for shard in self.shards}:
            return None
        return tuple(found.get(shard.name, NO_SLOTS) for shard in self.shards)

    @cached_property
    def lost(self) -> Mapping[str, str]:
        """For shards that nobody owns and nobody has data of, once all have answered: what was there. Under REMEMBERED
        that of owners whom only others speak of.
        """
        if self.redis.has_unknown or self.redis.starting or self.redis.missing:
            return {}
        lines = {line.name: line for line in self.snapshot.cluster.status.shards}
        found = {}
        for shard in self.shards:
            if shard.owner is not None or shard.owns_nothing or not shard.members:
                continue
            if any(member.has_data and member.name not in self.misled for member in shard.members):
                continue
            found[shard.name] = lost_data(
                self.instance,
                lines.get(shard.name),
                name=f"shard {shard.name}",
                nodes={member.name: member.facts for member in shard.members},
                pods=[member.pod for member in shard.members],
                was_there=self.was_whole,
            )
        if self._is_on_volumes and not self.was_whole:
            shards = [(shard.owner, shard.members) for shard in self.shards]
            found[REMEMBERED] = lost_owners(self.instance, shards, ghosts=self.ghosts, free=self.free)
        return {name: why for name, why in found.items() if why}

    @cached_property
    def intended(self) -> tuple[SlotSet, ...]:
        """Which slots each shard is to own: as recorded, else an even split."""
        return self.recorded or even_split(len(self.shards))

    @cached_property
    def strangers(self) -> Mapping[str, tuple[Member, ...]]:
        """For each member, in order, the others that it does not know under their present address."""
        places = [((each.id, each.announces.host, each.announces.port), each) for each in self.members]
        # What many nodes say alike is compared once.
        unknown = {
            known: [other for place, other in places if place not in known]
            for known in {member.view.whereabouts for member in self.members}
        }
        return {
            member.name: tuple([other for other in unknown[member.view.whereabouts] if not member.knows(other)])
            for member in self.members
        }

    @cached_property
    def ghosts(self) -> tuple[str, ...]:
        """Ids that somebody knows and no process has."""
        told = {member.view.whereabouts for member in self.members}
        return tuple(sorted({node_id for known in told for node_id, _, _ in known if node_id not in self.by_id}))

    @property
    def was_whole(self) -> bool:
        return self.recorded is not None

    @cached_property
    def is_whole(self) -> bool:
        """Every slot is owned by exactly one process, and every process that answers says that the cluster works."""
        return (
            not self.unowned
            and not self.twice_owned
            and all(
                member.facts.cluster_ok is True
                for shard in self.shards
                if not shard.is_vacant
                for member in shard.members
            )
        )

    @cached_property
    def late_proxies(self) -> Mapping[str, Unknown]:
        """Proxy pods that have not been able to read for a while, though every shard has its primary."""
        if not self.is_whole:
            return {}
        late = self.snapshot.now - PROXY_CATCHES_UP_S
        return {pod: read for pod, read in unresponsive(self.snapshot.reads).items() if read.since < late}

    @cached_property
    def stuck_proxies(self) -> Mapping[str, Unknown]:
        """Those that have answered all that time, each time with an error that is their own."""
        stuck = self.snapshot.now - PROXY_IS_STUCK_S
        return {
            pod: read
            for pod, read in self.late_proxies.items()
            if read.refusing_since is not None and read.refusing_since < stuck and is_fault_of_proxy(read.error)
        }

    def is_at(self, pod: PodFacts, known: KnownNode) -> bool:
        """*pod* is reached where somebody knows a node, by its own address or by its own Service's."""
        own = resting_place(pod)
        service = self.snapshot.children.get(Ref("Service", pod.name))
        target = external_target(self.snapshot.cluster.spec, pod, service, tuple(CLUSTER_PORTS))
        places = {(own.host, own.port)} | ({(target.host, target.port)} if isinstance(target, Announced) else set())
        return (known.ip, known.port) in places


def build_world(snapshot: ClusterSnapshot, cluster: RedisCluster, scale: Scale | None = None) -> World:
    """What *snapshot* shows, with one shard for each StatefulSet of *cluster*, in order, of which those stay that
    *scale* says; None: all do.
    """
    names = shard_names(cluster)
    answered: dict[str, list[Member]] = {name: [] for name in names}
    services = {ref.name: live for ref, live in snapshot.children.items() if ref.kind == "Service"}
    for pod_name, node in sorted(snapshot.nodes.items()):
        shard = pod_name.rpartition("-")[0]
        pod = snapshot.pods.get(pod_name)
        if shard in answered and pod is not None and isinstance(node, NodeFacts) and node.view is not None:
            answered[shard].append(build_member(snapshot, pod, node, node.view, services.get(pod_name)))
    # Whatever the record says: who is judged to have lost its slots is reset.
    processes = _redis_pods(snapshot, may_hold_data=bool(cluster.spec.storage_class))
    staying = len(names) if scale is None else scale.staying
    slotless = slotless_shards(snapshot, answered) if scale is not None and scale.is_changing else frozenset()
    vacant = vacant_shards(slotless, answered)
    gone = gone_pods(snapshot, names, vacant)
    for name in vacant & {*names[staying:]}:
        # Who was reset is nobody's acquaintance, and is to be nobody's any more.
        answered[name] = [member for member in answered[name] if not member.met_nobody]
    members = [member for members in answered.values() for member in members]
    disputes = find_disputes(
        members,
        all_answer=not processes.has_unknown,
        is_moving=snapshot.moving is not None and snapshot.moving.is_under_way,
    )
    shards = (
        Shard(
            index=index,
            name=name,
            wanted=tuple(f"{name}-{ordinal}" for ordinal in range(cluster.spec.pods_per_shard)),
            members=tuple(answered[name]),
            losers=disputes.losers,
            is_leaving=index >= staying,
            owns_nothing=name in slotless,
            is_vacant=name in vacant,
        )
        for index, name in enumerate(names)
    )
    return World(snapshot=snapshot, instance=cluster, shards=tuple(shards), disputes=disputes, scale=scale, gone=gone)


def _redis_pods(
    snapshot: ClusterSnapshot, shards: Sequence[Shard] = (), *, gone: Set[str] = frozenset(), may_hold_data: bool
) -> Pods[NodeFacts]:
    wanted = tuple(pod for shard in shards if not shard.is_vacant for pod in shard.wanted)
    there, answers = snapshot.pods, snapshot.nodes
    if gone:
        there = {name: pod for name, pod in there.items() if name not in gone}
        answers = {name: node for name, node in answers.items() if name not in gone}
    return Pods(wanted=wanted, there=there, answers=answers, may_hold_data=may_hold_data, now=snapshot.now)
