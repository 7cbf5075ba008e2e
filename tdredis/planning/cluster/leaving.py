"""Decides how a shard that owns nothing any more goes: verified empty, reset, forgotten by all, then its objects.

It is reset before it is removed: its volumes may stay, and what comes up on them some day must know nobody, and claim
and hold nothing. Its pods go by way of its StatefulSet, which asks for none before it goes itself: pods of one that was
made anew have the resource as their owner too, and would stay behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from tdredis.api.json_object import JSONObject
from tdredis.manifests.names import SHARDS
from tdredis.planning.cluster.members import Member
from tdredis.planning.cluster.world import Shard, World
from tdredis.planning.objects import ref_of
from tdredis.planning.plan import Hold, Ruling
from tdredis.planning.pods import everybody_has_answered
from tdredis.planning.sentences import list_names
from tdredis.planning.snapshot import Ref
from tdredis.planning.steps import Remove, ResetNode

CLIENTS_HEAR_S: Final = 5.0  # those who write every few seconds at the least ask once more within it


def reset_leaving(world: World) -> Ruling:
    """Every process of a shard that has left its slots knows nobody, replicas first."""
    members = [member for shard in _empty_shards(world) for member in shard.members]
    if not members:
        return Ruling()
    if hold := _is_verified(world, members):
        return Ruling(holds=(hold,))
    return Ruling(
        steps=tuple(
            ResetNode(
                process=member.process,
                keys=0,
                is_replica=member.is_replica,
                apart=frozenset(),
                flushes=False,
                why=f"size is {world.snapshot.cluster.spec.size}, and {member.shard} owns no slot and has no key",
            )
            for member in sorted(members, key=lambda member: (not member.is_replica, member.name))
        )
    )


def shards_without_pods(world: World) -> frozenset[str]:
    """Shards whose pods go: nobody in them knows anybody, and nobody knows them. What has begun goes on."""
    empty = [shard for shard in _empty_shards(world) if not shard.members]
    may_begin = not world.ghosts and not world.redis.has_unknown and world.is_whole
    return frozenset(shard.name for shard in empty if may_begin or _asks_for_none(world, shard))


def without_pods(manifests: Iterable[JSONObject], shards: frozenset[str]) -> tuple[JSONObject, ...]:
    """*manifests*, of which the StatefulSets of *shards* ask for no pod."""
    return tuple(_without_pods(each) if ref_of(each) in _statefulsets(shards) else each for each in manifests)


def _statefulsets(shards: frozenset[str]) -> frozenset[Ref]:
    return frozenset(Ref("StatefulSet", name) for name in shards)


def _without_pods(manifest: JSONObject) -> JSONObject:
    spec = manifest["spec"]
    if not isinstance(spec, dict):
        raise TypeError("a StatefulSet without a spec")
    return {**manifest, "spec": {**spec, "replicas": 0}}


def _asks_for_none(world: World, shard: Shard) -> bool:
    live = world.snapshot.children.get(Ref("StatefulSet", shard.name))
    return live is not None and live.statefulset.replicas == 0


def remove_shards(world: World) -> Iterator[Remove]:
    """The StatefulSets of shards whose pods are gone, and then what else was theirs: a StatefulSet says that its shard
    is there.
    """
    snapshot = world.snapshot
    why = f"size is {snapshot.cluster.spec.size}, and it has no pods any more"
    with_pods = {name.rpartition("-")[0] for name in snapshot.pods}
    for shard in _empty_shards(world):
        if shard.name not in with_pods and _asks_for_none(world, shard):
            ref = Ref("StatefulSet", shard.name)
            yield Remove(ref=ref, api_version="apps/v1", uid=snapshot.children[ref].meta.uid, why=why)
    there = {shard.name for shard in world.shards}
    for ref, live in sorted(snapshot.children.items(), key=lambda item: item[0]):
        is_of_a_shard = ref.kind == "PodDisruptionBudget" and SHARDS in live.meta.annotations
        if world.was_whole and is_of_a_shard and ref.name not in there:
            yield Remove(ref=ref, api_version="policy/v1", uid=live.meta.uid, why="its shard is no more")


def _clients_are_sent_on(world: World, members: list[Member]) -> Hold | None:
    """Guard: whoever asks for a slot that has just left is told where it is now (MOVED). A process that is reset knows
    nobody, and one that is gone answers nobody: a client would wait until it gives up. Who did not see the last slot go
    takes it that it has just gone when he first heard of them.
    """
    moving, shards = world.snapshot.moving, {member.shard for member in members}
    emptied_s = moving.ended_s if moving is not None and moving.order.leaving & shards else None
    if emptied_s is None:
        emptied_s = min(member.facts.heard_s for member in members)
    if emptied_s >= CLIENTS_HEAR_S:
        return None
    names = list_names(sorted(shards))
    return Hold(guard="clients_are_sent_on", why=f"{names} sends clients on for {CLIENTS_HEAR_S:g} s")


def _empty_shards(world: World) -> list[Shard]:
    return [shard for shard in world.shards if shard.is_leaving and shard.is_vacant]


def _is_verified(world: World, members: list[Member]) -> Hold | None:
    """Guard: everybody agrees that all slots are the others', none is on its way, and no key is left. A replica has
    copies alone.
    """
    why = "shards that go are reset when every process answers"
    if hold := everybody_has_answered(world.redis, why):
        return hold
    if not world.is_whole or world.moving is not None:
        return Hold(guard="shards_are_whole", why="shards that go are reset when all others own all slots, at rest")
    ids = {member.id for member in members}
    if hold := _clients_are_sent_on(world, members):
        return hold
    busy = [slot for slot, others in world.open_slots.items() if any(each.id in ids for each in others)]
    if busy:
        return Hold(guard="no_slot_is_open", why=f"slot {busy[0]} is still open at a shard that is to go")
    with_keys = [member for member in members if not member.is_replica and member.facts.keys]
    if with_keys:
        first = with_keys[0]
        why = (
            f"{first.name} owns no slot and has {first.facts.keys} keys: {first.shard} stays until somebody has looked"
            f" at them. If nobody needs them: redis-cli -h {first.pod.ip} FLUSHALL"
        )
        return Hold(guard="no_key_is_left", about="spec", why=why)
    loading = [member.name for member in members if member.facts.loading]
    if loading:
        return Hold(guard="everybody_has_loaded", why=f"{list_names(loading)} still loads its data")
    return None
