"""Decides how many shards there are at this moment, how many of them stay, and what memory each has meanwhile.

More shards are made at once, and are empty until slots have moved to them. Fewer are there until those that go own
nothing any more: they are the last ones. An edit back is no different from any other edit: what is there is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from tdredis.api.rediscluster import RedisCluster, RedisClusterSpec
from tdredis.manifests.claims import CLAIM
from tdredis.manifests.names import SHARDS, pod_names
from tdredis.planning.limits import MIB
from tdredis.planning.plan import Hold
from tdredis.planning.pods import Pods, everybody_has_answered
from tdredis.planning.sentences import list_names
from tdredis.planning.sizing import written_maxmemory_mib
from tdredis.planning.snapshot import ClusterSnapshot, Ref
from tdredis.redis.facts import NodeFacts
from tdredis.redis.loads import USABLE_PERCENT
from tdredis.redis.slots import ALL_SLOTS, SlotSet, parse_slots
from tdredis.redis.views import ClusterView

FEWEST = 3  # shards: fewer cannot vote when one dies
EMPTY_BYTES = MIB  # an engine without a key uses as much, and its backlog


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """*size* shards are there or are made, the first *staying* of them stay. *hold*: why those that spec does not want
    stay too. *is_changing*: some are to come, to go, or to be filled.
    """

    size: int
    staying: int
    hold: Hold | None = None
    is_changing: bool = False


def recorded_slots(record: Mapping[str, Sequence[str]]) -> Mapping[str, SlotSet] | None:
    """Who owned what when the cluster was whole; None: it never was, or the record is not whole."""
    try:
        slots = {name: parse_slots(ranges) for name, ranges in record.items()}
    except ValueError:
        return None
    whole = SlotSet.union(slots.values()) == ALL_SLOTS and sum(map(len, slots.values())) == len(ALL_SLOTS)
    return {name: owned for name, owned in slots.items() if owned} if whole else None


def recorded(snapshot: ClusterSnapshot) -> Mapping[str, SlotSet] | None:
    """The slot map of status.slots, as `recorded_slots` reads it."""
    record = snapshot.cluster.status.slots
    return snapshot.memo.once("recorded slots", (record,), lambda: recorded_slots(record))


def is_recorded(snapshot: ClusterSnapshot) -> bool:
    """The cluster was whole once."""
    return recorded(snapshot) is not None


def decide_scale(snapshot: ClusterSnapshot) -> Scale | None:
    """None: the cluster was never whole, and nothing is known of how many shards it had."""
    owned = recorded(snapshot)
    if owned is None:
        return None
    cluster = snapshot.cluster
    wanted = cluster.spec.size
    present = max(_present(snapshot, owned))
    begun = bool(cluster.status.resharding)
    if wanted < FEWEST:
        # Spec is refused, which says why. Until it is corrected those that are there stay, and are what they are.
        everybody = {shard_name(cluster, index) for index in range(present)}
        return Scale(size=present, staying=present, is_changing=begun or not everybody <= owned.keys())
    some_go = any(shard_name(cluster, index) in owned for index in range(wanted, present))
    if some_go and not begun and (hold := _room_is_there(snapshot, wanted, present)):
        return Scale(size=present, staying=present, hold=hold)
    names = {shard_name(cluster, index) for index in range(wanted)}
    is_changing = begun or present > wanted or not names <= owned.keys()
    return Scale(size=max(wanted, present), staying=wanted, is_changing=is_changing)


def shard_name(cluster: RedisCluster, index: int) -> str:
    return f"{cluster.name}-{index}"


def scaled_spec(snapshot: ClusterSnapshot, scale: Scale) -> RedisClusterSpec:
    """spec with the shards that are there, each with as much memory as it is to have in the end, and no less than it
    has now: where data is on its way, less would evict some of it.
    """
    spec = snapshot.cluster.spec
    if not scale.is_changing:
        return spec if scale.size == spec.size else msgspec.structs.replace(spec, size=scale.size)
    share = spec.maxmemory_mib
    written = written_maxmemory_mib(snapshot)
    if written is not None:
        share = 0 if 0 in (share, written) else max(share, written)
    scaled = msgspec.structs.replace(spec, size=scale.size)
    return scaled if scaled.maxmemory_mib == share else msgspec.structs.replace(scaled, capacity=share * scale.size)


def _present(snapshot: ClusterSnapshot, owned: Mapping[str, SlotSet]) -> Iterator[int]:
    """Numbers of shards, each one higher than its index: who owned slots, and who has a StatefulSet."""
    statefulsets = (ref.name for ref in snapshot.children if ref.kind == "StatefulSet")
    for name in (*owned, *statefulsets):
        cluster, _, index = name.rpartition("-")
        if cluster == snapshot.cluster.name and index.isdecimal():
            yield int(index) + 1


def _room_is_there(snapshot: ClusterSnapshot, wanted: int, present: int) -> Hold | None:
    """Guard: what the shards have that are to go fits the others. None: it does."""
    cluster = snapshot.cluster
    owners = _owners(snapshot)
    names = [shard_name(cluster, index) for index in range(present)]
    holders = {*names[wanted:]} & owners.keys()
    silent = [name for name, node in sorted(snapshot.nodes.items()) if not isinstance(node, NodeFacts)]
    unknown = sorted({*names[:wanted]} - owners.keys())
    if silent or unknown:
        why = f"no shard goes before every process has reported what it holds: {list_names(silent or unknown)} has not"
        return Hold(guard="shards_have_room", about="spec", why=why)
    share = cluster.spec.maxmemory_mib * MIB
    coming = sum(map(_data_bytes, (owners[name] for name in holders)))
    used = {name: owners[name].used_memory_bytes for name in names[:wanted]}
    room = sum(max(0, share * USABLE_PERCENT // 100 - each) for each in used.values())
    if not share or coming <= room:
        return None
    needed = _roughly_mib((sum(used.values()) + coming) * 100 // USABLE_PERCENT // wanted) * wanted
    why = (
        f"size {wanted} gives each shard {share // MIB} MiB; {list_names(sorted(holders))} hold about"
        f" {_roughly_mib(coming)} MiB, and the others have room for about {_roughly_mib(room, up=False)}:"
        f" write capacity: {needed} or more, or size: {present}"
    )
    return Hold(guard="shards_have_room", about="spec", why=why)


def _owners(snapshot: ClusterSnapshot) -> dict[str, NodeFacts]:
    """The process that owns most, by shard."""
    found: dict[str, NodeFacts] = {}
    for pod, node in sorted(snapshot.nodes.items()):
        if not isinstance(node, NodeFacts) or node.view is None or not node.view.me.slots:
            continue
        shard = pod.rpartition("-")[0]
        other = found.get(shard)
        if other is None or other.view is None or len(other.view.me.slots) < len(node.view.me.slots):
            found[shard] = node
    return found


def _data_bytes(node: NodeFacts) -> int:
    """About what its keys take, rather less: whoever moves them asks more closely."""
    if not node.keys:
        return 0
    return max(0, node.used_memory_bytes - (node.backlog_bytes or 0) - EMPTY_BYTES)


def _roughly_mib(size_bytes: int, *, up: bool = True) -> int:
    """Three digits of a binary number: a sentence in status must not change with every key that is written."""
    mib = max(0, math.ceil(size_bytes / MIB) if up else size_bytes // MIB)
    grain = 1 << max(0, mib.bit_length() - 3)
    return (math.ceil(mib / grain) if up else mib // grain) * grain


def size_begun(snapshot: ClusterSnapshot) -> int | None:
    """Of a cluster that was never whole: the size that its shards were made for, once slots may be owned; or that of
    the volumes of an earlier resource, where the shards that spec wants do not have all slots. None: that of spec.
    """
    made_for, earlier = _size_made_for(snapshot), size_of_volumes(snapshot)
    spec = snapshot.cluster.spec
    if made_for is not None and spec.size > made_for and _remembers_others(snapshot):
        made_for = spec.size  # somebody writes the size again that it had: without its other shards it never gets whole
    return max((size for size in (made_for, earlier) if size is not None), default=None)


def _size_made_for(snapshot: ClusterSnapshot) -> int | None:
    begun = any(
        not isinstance(node, NodeFacts) or (node.view and node.view.me.slots) for node in snapshot.nodes.values()
    )
    without_process = any(pod.ever_ran and name not in snapshot.nodes for name, pod in snapshot.pods.items())
    if not begun and not without_process:
        return None
    for ref in sorted(snapshot.children):
        size = snapshot.children[ref].meta.annotations.get(SHARDS) if ref.kind == "StatefulSet" else None
        if size is not None and size.isdecimal():
            return int(size)
    return None


def size_of_volumes(snapshot: ClusterSnapshot) -> int | None:
    """As many shards as have a volume that is older than the resource, where spec wants fewer and slots are missing:
    what is on those volumes is looked at before anybody gets the slots. A shard that was begun for that stays.
    """
    cluster = snapshot.cluster
    size = max(_shards_with_earlier_volumes(snapshot), default=0)
    on_volumes = any(live.claim_template for ref, live in snapshot.children.items() if ref.kind == "StatefulSet")
    if not FEWEST <= cluster.spec.size < size or not on_volumes:
        return None
    if Ref("StatefulSet", shard_name(cluster, size - 1)) in snapshot.children:
        return size
    if SlotSet.union(view.me.slots for view in _views(snapshot)) == ALL_SLOTS:
        return None
    redis = Pods(
        wanted=tuple(pod_names(cluster)),
        there=snapshot.pods,
        answers=snapshot.nodes,
        may_hold_data=False,
        now=snapshot.now,
    )
    return size if everybody_has_answered(redis, "") is None else None


def _shards_with_earlier_volumes(snapshot: ClusterSnapshot) -> Iterator[int]:
    """Their numbers, each one higher than the index."""
    cluster = snapshot.cluster
    for name, live in snapshot.claims.items():
        shard, _, _ordinal = name.removeprefix(f"{CLAIM}-").rpartition("-")
        owner, _, index = shard.rpartition("-")
        made = live.meta.creation_timestamp
        if owner == cluster.name and index.isdecimal() and made and made < cluster.metadata.creation_timestamp:
            yield int(index) + 1


def _remembers_others(snapshot: ClusterSnapshot) -> bool:
    """Some process knows an owner of slots that is none of those that answered."""
    views = _views(snapshot)
    answered = {view.me.id for view in views}
    return any(known.slots for view in views for known in view.others.values() if known.id not in answered)


def _views(snapshot: ClusterSnapshot) -> list[ClusterView]:
    return [node.view for node in snapshot.nodes.values() if isinstance(node, NodeFacts) and node.view is not None]
