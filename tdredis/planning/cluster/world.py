"""Decides what the answers of all nodes together say: shards, who owns which slots, who knows whom, what is missing.

Identity is the node id and the pod's name, never the IP.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from tdredis.api.rediscluster import RedisCluster
from tdredis.manifests.names import shard_names
from tdredis.manifests.services import CLUSTER_PORTS
from tdredis.planning.addresses import external_target, resting_place
from tdredis.planning.cluster.disputes import NO_DISPUTES, Disputes, find_disputes
from tdredis.planning.cluster.members import Member, build_member, descending
from tdredis.planning.loss import lost_data
from tdredis.planning.pods import Pods, unresponsive
from tdredis.planning.setting import Decision
from tdredis.planning.settings import decide_settings
from tdredis.planning.snapshot import ClusterSnapshot, PodFacts, Ref, Trouble
from tdredis.redis.facts import Announced, NodeFacts, Unknown
from tdredis.redis.proxy_errors import is_fault_of_proxy
from tdredis.redis.slots import ALL_SLOTS, NO_SLOTS, SlotRange, SlotSet, even_split, parse_slots
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

    @cached_property
    def replicas_in_sync(self) -> tuple[Member, ...]:
        """Those that follow the owner and have all of its data."""
        owner = self.owner
        if owner is None:
            return ()
        return tuple(
            member
            for member in self.members
            if member.view.me.primary_id == owner.id and member.facts.replication.link_up
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
        """Without the record of a whole cluster no volume is expected to bring back slots or a node id."""
        return _redis_pods(self.snapshot, self.shards, may_hold_data=self._is_on_volumes and self.was_whole)

    @property
    def _is_on_volumes(self) -> bool:
        return bool(self.instance.spec.storage_class)

    @property
    def components(self) -> tuple[Pods[object], ...]:
        return (self.redis,)

    @cached_property
    def troubles(self) -> tuple[tuple[str, Trouble], ...]:
        """What is wrong with pods, those of Redis first, by name."""
        # A Deployment's pods that failed (evicted) stay listed for days after others took their place.
        proxies = (pod for pod in self.snapshot.proxies if not pod.finished)
        return (*self.redis.troubles, *((pod.name, pod.trouble) for pod in proxies if pod.trouble is not None))

    @cached_property
    def owned(self) -> SlotSet:
        return SlotSet.union(member.slots for member in self.members)

    @cached_property
    def unowned(self) -> SlotSet:
        return ALL_SLOTS - self.owned

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
    def free(self) -> SlotSet:
        """Slots that nobody owns and nobody has keys of; what is open, and not counted by everybody, may have some."""
        primaries = [member for member in self.members if not member.is_replica]
        held = [slot for slot in self.open_slots if any(each.facts.slot_keys.get(slot, 1) for each in primaries)]
        return self.unowned - SlotSet.of(SlotRange(slot, slot) for slot in held)

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
        record, names = self.snapshot.cluster.status.slots, tuple(shard.name for shard in self.shards)
        return self.snapshot.memo.once("recorded slots", (record, names), lambda: _read_record(record, names))

    @cached_property
    def lost(self) -> Mapping[str, str]:
        """For shards that nobody owns and nobody has data of, once all have answered: what was there."""
        if self.redis.has_unknown or self.redis.starting or self.redis.missing:
            return {}
        lines = {line.name: line for line in self.snapshot.cluster.status.shards}
        found = {}
        for shard in self.shards:
            if shard.owner is not None or not shard.members or any(member.has_data for member in shard.members):
                continue
            found[shard.name] = lost_data(
                self.instance,
                lines.get(shard.name),
                name=f"shard {shard.name}",
                nodes={member.name: member.facts for member in shard.members},
                pods=[member.pod for member in shard.members],
                was_there=self.was_whole,
            )
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
            and all(member.facts.cluster_ok is True for member in self.members)
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


def _read_record(record: Mapping[str, Sequence[str]], names: Sequence[str]) -> tuple[SlotSet, ...] | None:
    try:
        found = tuple(parse_slots(record.get(name, ())) for name in names)
    except ValueError:
        return None
    whole = SlotSet(sum(slots.bits for slots in found)) == ALL_SLOTS and sum(map(len, found)) == len(ALL_SLOTS)
    return found if whole else None


def build_world(snapshot: ClusterSnapshot, cluster: RedisCluster) -> World:
    """What *snapshot* shows, with one shard for each StatefulSet of *cluster*, in order."""
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
    members = [member for members in answered.values() for member in members]
    disputes = find_disputes(members, all_answer=not processes.has_unknown)
    shards = (
        Shard(
            index=index,
            name=name,
            wanted=tuple(f"{name}-{ordinal}" for ordinal in range(cluster.spec.pods_per_shard)),
            members=tuple(answered[name]),
            losers=disputes.losers,
        )
        for index, name in enumerate(names)
    )
    return World(snapshot=snapshot, instance=cluster, shards=tuple(shards), disputes=disputes)


def _redis_pods(snapshot: ClusterSnapshot, shards: Sequence[Shard] = (), *, may_hold_data: bool) -> Pods[NodeFacts]:
    wanted = tuple(pod for shard in shards for pod in shard.wanted)
    return Pods(
        wanted=wanted, there=snapshot.pods, answers=snapshot.nodes, may_hold_data=may_hold_data, now=snapshot.now
    )
