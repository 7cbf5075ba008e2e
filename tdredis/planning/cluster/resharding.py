"""Decides whether slots are to move between shards, which shards are to be emptied, and what has to be done before.

What is wanted is read from what is there: a shard that is to go and owns slots, one that stays and owns none. One thing
is remembered, and written before the first slot moves: that it was begun. A shard that has got its first slots looks
like any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tdredis.api.changes import ChangeClass
from tdredis.planning.addresses import resting_place
from tdredis.planning.assessment import Others
from tdredis.planning.change import Change, UnderWay, Waits
from tdredis.planning.cluster.world import Shard, World
from tdredis.planning.limits import MIB
from tdredis.planning.moving import MoveOrder, Moving, State
from tdredis.planning.plan import Hold, Ruling
from tdredis.planning.refused import spec_problems
from tdredis.planning.sentences import list_names
from tdredis.planning.steps import MoveSlots, RedisStep
from tdredis.redis.places import Place

REBALANCE: Final = "cache.tongdun.net/rebalance"
LOOK_S: Final = 1.0  # how often it is told how far it is
MOST: Final = 64  # letters of the annotation that count


def asked(world: World) -> str:
    """By the annotation, and not carried out yet; "": nobody did."""
    cluster = world.snapshot.cluster
    value = cluster.metadata.annotations.get(REBALANCE, "")[:MOST]
    return "" if value == cluster.status.rebalanced else value


def is_wanted(world: World) -> bool:
    """Slots are to move, or do so."""
    if world.scale is None or not (world.is_resized or asked(world)):
        return False
    if any(shard.is_leaving and not shard.is_vacant for shard in world.shards):
        return True
    if is_done(world):
        return False
    begun = bool(world.snapshot.cluster.status.resharding)
    is_auto = world.instance.spec.scale.rebalance == "auto"
    return bool(asked(world)) or (is_auto and (begun or any(shard.is_coming for shard in world.shards)))


def is_migrating(world: World) -> bool:
    """Shards come, go, or are filled: not where new ones stay empty until somebody asks."""
    return is_wanted(world) or (world.scale is not None and any(shard.is_leaving for shard in world.shards))


def is_done(world: World) -> bool:
    """What was begun has been carried out: whoever did it has said so of the very same shards, and request."""
    moving = world.snapshot.moving
    if moving is None or moving.state is not State.DONE or not world.snapshot.cluster.status.resharding:
        return False
    if moving.order.asked != asked(world):
        return False
    named = {place.name for place in moving.order.shards}
    staying = {shard.name for shard in world.shards if not shard.is_leaving}
    if any(shard.owns_nothing and not shard.is_leaving for shard in world.shards):
        return False
    return not moving.order.leaving & staying and staying <= named


def resharding(world: World) -> int:
    """status.resharding as it is to be written: how many shards there were, and 0 when nothing is to move."""
    before = world.snapshot.cluster.status.resharding
    if spec_problems(world.snapshot):
        return before  # nothing is begun, and what was begun goes on when it is corrected
    if not is_wanted(world):
        return 0
    return before or sum(1 for shard in world.shards if not shard.is_vacant)


def rebalanced(world: World) -> str:
    """status.rebalanced as it is to be written."""
    status = world.snapshot.cluster.status
    return asked(world) if asked(world) and is_done(world) else status.rebalanced


def move_slots(world: World, others: Others) -> Ruling:
    """The order as long as it is wanted and nothing else comes first. Without it in a plan, whoever carries it out
    ends what is open and stops.
    """
    if not is_wanted(world):
        return Ruling()
    if hold := _waits_for(world, others):
        return Ruling(holds=(hold,))
    order = _order(world)
    step = MoveSlots(order=order, why=_why(world, order))
    return Ruling(steps=(step,), holds=tuple(_told(world.snapshot.moving, order)))


def is_left_to_a_mover(world: World) -> bool:
    """Slots that are open are finished by the order that is given in this pass."""
    if not is_wanted(world) or spec_problems(world.snapshot):
        return False
    return bool(world.snapshot.cluster.status.resharding) and _is_ready(world) is None


def _why(world: World, order: MoveOrder) -> str:
    if order.leaving:
        return f"size is {world.snapshot.cluster.spec.size}, and they own slots"
    return "a rebalance was asked for" if asked(world) else f"size is {world.snapshot.cluster.spec.size}"


def _told(moving: Moving | None, order: MoveOrder) -> Iterator[Hold]:
    """What whoever moves slots says that a person should read."""
    if moving is None or moving.order.leaving != order.leaving:
        return
    if moving.state is State.REFUSED:
        yield Hold(guard="shards_have_room", about="spec", why=f"{moving.why}: raise capacity, or write size again")
    if moving.state is State.FAILED:
        yield Hold(guard="slots_move", why=f"it is tried again: {moving.why}")
    if moving.stuck:
        more = f" and {len(moving.stuck) - 3} more" if len(moving.stuck) > 3 else ""
        why = f"{'; '.join(moving.stuck[:3])}{more}: their slots stay where they are, the others move"
        yield Hold(guard="keys_can_be_moved", about="spec", why=why)


def _order(world: World) -> MoveOrder:
    spec = world.instance.spec
    fills = spec.scale.rebalance == "auto" or bool(asked(world))
    named = frozenset() if world.moving is None else world.moving.order.leaving
    shards = [
        shard
        for shard in world.shards
        # One that has just been emptied stays in its order: another order would begin anew.
        if (not shard.is_vacant or (shard.name in named if shard.is_leaving else fills)) and shard.head is not None
    ]
    return MoveOrder(
        shards=tuple(_place(shard) for shard in shards),
        leaving=frozenset(shard.name for shard in shards if shard.is_leaving),
        asked=asked(world),
        pace="fast" if spec.scale.pace == "fast" else "gentle",
    )


def _place(shard: Shard) -> Place:
    head = shard.head
    if head is None:
        raise ValueError(f"shard {shard.name} has no primary")
    at = resting_place(head.pod)
    copies = frozenset(member.id for member in shard.members if member is not head)
    return Place(name=shard.name, id=head.id, host=at.host, port=at.port, copies=copies)


# ---- guards, in their order: the first that refuses is the reason in status


def _waits_for(world: World, others: Others) -> Hold | None:
    if not world.snapshot.cluster.status.resharding:
        why = "it is written down first that slots are to move"
        return Hold(guard="resharding_is_recorded", why=why)
    barriers = [step for step in others.repairs.steps if isinstance(step, RedisStep) and step.barrier]
    if barriers:
        return Hold(guard="nothing_else_is_to_be_done", why=f"slots move when all is well: {barriers[0]}")
    return _is_ready(world) or _comes_next(world, others)


def _is_ready(world: World) -> Hold | None:
    return _shards_are_whole(world) or _new_shards_are_up(world) or _memory_has_grown(world)


def _comes_next(world: World, others: Others) -> Hold | None:
    """Guard: pods are not recreated, and no primary hands over, while slots move. Those who began are let end: what a
    mover that died left open is finished first.
    """
    if not others.next_ or (world.open_slots and world.moving is None):
        return None
    return Hold(guard="rolls_come_first", why=f"slots move when that is done: {others.next_}")


def _shards_are_whole(world: World) -> Hold | None:
    """Guard: every slot has its owner, every shard that has some its primary, and one that stays its replicas."""
    if world.lost_marks:
        why = "slots that a lost primary took part in are closed first"
        return Hold(guard="no_slot_is_open", why=why)
    if lost := (world.unowned | world.twice_owned) - world.in_transit:
        return Hold(guard="shards_are_whole", why=f"slots move when each has one owner, which {lost} have not")
    for shard in (each for each in world.shards if not each.is_vacant):
        owner, wanted = shard.head, len(shard.wanted) - 1
        if owner is None or owner.pod.deleting:
            why = f"slots move when every shard has its primary, which {shard.name} has not"
            return Hold(guard="shards_are_whole", why=why)
        if owner.facts.write_error:
            why = f"slots move when every primary takes writes, which {owner.name} does not ({owner.facts.write_error})"
            return Hold(guard="shards_are_whole", why=why)
        synced = sum(1 for each in shard.replicas_in_sync if not each.pod.deleting)
        if synced < wanted and not shard.is_leaving:
            why = f"slots move when replicas are in sync: {synced} of {wanted} of {shard.name} are"
            return Hold(guard="shards_are_whole", why=why)
    return None


def _new_shards_are_up(world: World) -> Hold | None:
    """Guard: a new shard has all its processes, in sync, known to all, and without a key."""
    for shard in (each for each in world.shards if each.is_coming):
        if hold := _is_up(world, shard):
            return hold
    return None


def _is_up(world: World, shard: Shard) -> Hold | None:
    snapshot = world.snapshot
    for name in shard.wanted:
        pod = snapshot.pods.get(name)
        if pod is None:
            words = snapshot.creation_failures.get(shard.name, "")
            if words:
                return Hold(guard="new_shards_can_start", about="spec", why=f"{name} is not created: {words}")
            return Hold(guard="new_shards_are_up", why=f"{name} is not created yet")
        if pod.trouble is not None:
            why = f"{name}: {pod.trouble.message or pod.trouble.reason}"
            return Hold(guard="new_shards_can_start", about="spec", why=why)
    head, wanted = shard.head, len(shard.wanted) - 1
    if head is None or len(shard.replicas_in_sync) < wanted:
        why = f"{shard.name}: {len(shard.replicas_in_sync)} of {wanted} replicas in sync with its primary to be"
        return Hold(guard="new_shards_are_up", why=why)
    if head.facts.keys:
        why = (
            f"{head.name} has {head.facts.keys} keys and no slot: they are of an earlier life of its volume. If nobody"
            f" needs them: redis-cli -h {head.pod.ip} FLUSHALL"
        )
        return Hold(guard="new_shards_can_start", about="spec", why=why)
    strange = [name for name, others in world.strangers.items() if any(each.shard == shard.name for each in others)]
    if strange:
        return Hold(guard="new_shards_are_up", why=f"{list_names(strange)} does not know all of {shard.name} yet")
    return None


def _memory_has_grown(world: World) -> Hold | None:
    """Guard: a shard that is to hold more has its memory by then: the primary, and the replicas that copy it."""
    wanted = world.instance.spec.maxmemory_mib * MIB
    late = [
        member.name
        for shard in world.shards
        if not shard.is_leaving
        for member in shard.members
        if member.facts.maxmemory_bytes > 0 and not 0 < wanted <= member.facts.maxmemory_bytes
    ]
    if not late:
        return None
    amount = f"{wanted // MIB} MiB" if wanted else "memory without a limit"
    why = f"slots move when those that get some have {amount}, which {list_names(late)} has not yet"
    return Hold(guard="memory_is_given_first", why=why)


# ---- what is told


def scale_changes(world: World) -> Iterator[Change]:
    """The change of size, while shards come, go, or are filled."""
    scale = world.scale
    if scale is None or not (is_wanted(world) or any(each.is_vacant or each.is_leaving for each in world.shards)):
        return
    before, wanted = _size_before(world), world.snapshot.cluster.spec.size
    field, old, new = ("size", str(before), str(wanted)) if before != wanted else ("size", "", "")
    yield Change(field=field, old=old, new=new, class_=ChangeClass.MOVED, state=_state(world))


def _size_before(world: World) -> int:
    leaving = [shard for shard in world.shards if shard.is_leaving]
    if leaving:
        return len(world.shards)
    return world.snapshot.cluster.status.resharding or sum(1 for shard in world.shards if not shard.is_vacant)


def _of_this_change(world: World) -> Moving | None:
    """What is known of the order that this change needs; None: it was not given yet, and what was moved before it, for
    another one, says nothing of it.
    """
    moving = world.snapshot.moving
    if moving is None or moving.state is State.STOPPED or moving.order.asked != asked(world):
        return None
    leaving = {shard.name for shard in world.shards if shard.is_leaving}
    holding = {shard.name for shard in world.shards if shard.is_leaving and not shard.is_vacant}
    if moving.state is State.DONE and not leaving:
        return None  # else it would not be wanted any more
    return moving if holding <= moving.order.leaving <= leaving else None


def _state(world: World) -> UnderWay | Waits:
    moving = _of_this_change(world)
    if not is_wanted(world):
        vacant = [shard.name for shard in world.shards if shard.is_vacant]
        leaving = [shard.name for shard in world.shards if shard.is_leaving]
        if leaving:
            how = f"{list_names(leaving)} own no slot any more and are removed"
        else:
            how = f"{list_names(vacant)} stay empty until {REBALANCE} asks for more (scale.rebalance: manual)"
        return UnderWay(
            done=len(world.shards) - len(vacant), of=len(world.shards), how=how, things="shards", are="serve"
        )
    if moving is None or not moving.slots_total:
        owning = sum(1 for shard in world.shards if shard.is_leaving and not shard.is_vacant)
        how = "slots of those that are to go move next" if owning else "slots move when all of them are up"
        if world.moving is not None:
            how = "what their slots hold is counted"
        done = sum(1 for shard in world.shards if not shard.is_vacant)
        return UnderWay(done=done, of=len(world.shards), how=how, things="shards", are="own slots")
    mib = f"{moving.bytes_done // MIB} of {moving.bytes_total // MIB} MiB"
    return UnderWay(
        done=moving.slots_done,
        of=moving.slots_total,
        how=f"{mib} of data, at the pace {moving.order.pace}",
        things="slots",
        are="have moved",
        left_s=_left_s(moving),
    )


def _left_s(moving: Moving) -> float | None:
    """At the pace so far, by bytes where there are any. None: too little has been seen."""
    done, total = (
        (moving.bytes_done, moving.bytes_total) if moving.bytes_total else (moving.slots_done, moving.slots_total)
    )
    if not moving.is_under_way or not done or moving.begun_s < LOOK_S:
        return None
    return moving.begun_s * (total - done) / done
