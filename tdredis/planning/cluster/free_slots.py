"""Decides who gets slots that nobody owns."""

from __future__ import annotations

from tdredis.planning.cluster.members import Member
from tdredis.planning.cluster.remembered import REMEMBERED
from tdredis.planning.cluster.world import Shard, World
from tdredis.planning.loss import wants_to_begin_anew
from tdredis.planning.plan import Hold, Ruling
from tdredis.planning.pods import everybody_has_answered, nobody_is_unknown
from tdredis.planning.sentences import list_names
from tdredis.planning.steps import (
    AssignSlots,
    Step,
)
from tdredis.redis.slots import SlotSet


def assign_free_slots(world: World) -> Ruling:
    """Slots that nobody owns go to the shard they are recorded for; a new cluster's are split evenly.

    Order of the guards is meaning: the first that refuses is the reason in status.
    """
    if not world.free:
        return Ruling()
    if _is_new(world):
        return _assign_first_slots(world)
    if hold := everybody_has_answered(world.redis, "slots are assigned only when every process answers"):
        return Ruling(holds=(hold,))
    if hold := nobody_else_is_remembered(world):
        return Ruling(holds=(hold,))
    steps: list[Step] = []
    for shard, intended in zip(world.shards, world.intended, strict=True):
        free = intended & world.free
        if not free:
            continue
        owner = _no_orphan_has(world, free) or _may_own_more(world, shard)
        if isinstance(owner, Hold):
            return Ruling(holds=(owner,))  # all or nothing: a part of the data is not the data
        steps.append(_assign(world, shard, owner, free))
    return Ruling(steps=tuple(steps))


def nobody_else_is_remembered(world: World) -> Hold | None:
    """Guard: of a cluster that is made again on its volumes nobody is missing who owned slots."""
    why = world.lost.get(REMEMBERED, "")
    if not why or wants_to_begin_anew(world.snapshot.cluster):
        return None
    return Hold(guard="data_is_not_lost", why=why)


def _is_new(world: World) -> bool:
    """It never was whole, and no volume can bring back what an older cluster knew."""
    return not world.was_whole and not world.instance.spec.storage_class


def _assign_first_slots(world: World) -> Ruling:
    """The first pod of each new shard gets its slots as soon as it answers, without waiting for the other shards.

    A primary that sees no slots at all for more than two seconds after its start counts itself to a minority, and then
    takes no write for another cluster-node-timeout (cluster.c, clusterUpdateState). Nobody can write to the half of a
    cluster meanwhile: it demands full coverage.
    """
    why = "slots are assigned only when every process answers"
    if hold := nobody_is_unknown(world.redis, why):
        return Ruling(holds=(hold,))
    steps: list[Step] = []
    holds: list[Hold] = []
    for shard, intended in zip(world.shards, world.intended, strict=True):
        free = intended & world.unowned
        if not free:
            continue
        owner = _first_pod_is_awaited(world, shard) or _may_own_more(world, shard)
        if isinstance(owner, Hold):
            holds.append(owner)
        else:
            steps.append(_assign(world, shard, owner, free))
    return Ruling(steps=tuple(steps), holds=tuple(holds))


def _first_pod_is_awaited(world: World, shard: Shard) -> Hold | None:
    """The first pod is the primary while it can be."""
    answered = {member.name for member in shard.members}
    first = shard.wanted[0]
    if first not in answered and first in world.redis.starting:
        return Hold(guard="pods_have_started", why=f"waiting for {first} to start")
    return None


def _assign(world: World, shard: Shard, owner: Member, free: SlotSet) -> AssignSlots:
    believed = SlotSet.union(known.slots for known in owner.view.others.values())
    return AssignSlots(
        process=owner.process,
        shard=shard.name,
        slots=free,
        config_epoch=shard.index + 1 if owner.met_nobody and owner.view.me.config_epoch == 0 else None,
        why=f"{len(free)} slots of shard {shard.name} have no owner"
        + (" and status.slots records them here" if world.was_whole else ""),
        taken=free & believed,
    )


def _no_orphan_has(world: World, free: SlotSet) -> Hold | None:
    """Guard: nobody replicates a dead primary that owned some of these slots. The record may not know that they were
    its: it is written once a pass, and slots move in between.
    """
    orphans = [
        member.name
        for member in world.members
        if member.is_replica
        and (known := member.view.others.get(member.view.me.primary_id or "")) is not None
        and known.id not in world.by_id
        and known.slots & free
    ]
    if not orphans:
        return None
    why = f"{list_names(orphans)} may hold the data of these slots: the engine's vote comes first"
    return Hold(guard="no_replica_holds_the_data", why=why)


def _may_own_more(world: World, shard: Shard) -> Member | Hold:
    """The process of *shard* that may be given slots, or the guard that refuses them to all."""
    if not shard.members:
        return Hold(guard="every_shard_has_a_process", why=f"no process of shard {shard.name} runs")
    orphans = [
        member.name for member in shard.members if member.is_replica and member.view.me.primary_id not in world.by_id
    ]
    if orphans:
        why = f"{list_names(tuple(orphans))} may hold the data of shard {shard.name}: the engine's vote comes first"
        return Hold(guard="no_replica_holds_the_data", why=why)
    if (why := world.lost.get(shard.name, "")) and not wants_to_begin_anew(world.snapshot.cluster):
        return Hold(guard="data_is_not_lost", why=why)
    if shard.primary_to_be is None or shard.primary_to_be.pod.deleting:
        why = f"no process of shard {shard.name} that stays can own slots"
        return Hold(guard="a_primary_is_there", why=why)
    return shard.primary_to_be
