"""Decides how a slot is closed that was left open while it was being moved: so that no key is lost, whoever has it.

Clients ask the owner of a slot first, whatever is open. It serves the keys that it has; while it gives the slot away,
it sends clients on for those that it has not, and the node that takes the slot over serves these alone. So the owner's
copy of a key is the one that clients know, and keys go from the owner to the other, never back: there they could be
written once more on their way. Slots that are open because an order to move them is carried out, or is about to be
given, are left to whoever does that: it finishes them first. What a killed mover has left of its own goes before it
would count as a user's key (execute/slot_marks.py). Source: redis.io, "CLUSTER SETSLOT"; cluster.c, getNodeByQuery.

- The owner alone has keys, or nobody: it keeps the slot. It stops sending clients on first. Only then, in another pass,
  is the other asked again and closed: meanwhile somebody may have written there.
- Another has keys too: the move is opened on both sides, finished, and the slot is the other's.
- Another alone has keys: the same, with nothing to move. The owner gives away first, so that it can get no new key.
- Clients are sent on to one who takes them, and a third one has keys too: it goes to the former first. It may just have
  been given a key that the third one has an older copy of.
"""

from __future__ import annotations

from collections.abc import Iterator

from tdredis.planning.cluster.members import Member, descending
from tdredis.planning.cluster.resharding import is_left_to_a_mover
from tdredis.planning.cluster.world import World
from tdredis.planning.plan import Hold, Ruling
from tdredis.planning.pods import everybody_has_answered
from tdredis.planning.sentences import list_names
from tdredis.planning.steps import CloseSlot, MoveKeys, OpenSlot, TakeSlot, TellOwner
from tdredis.redis.slots import SlotRange, SlotSet

SlotStep = CloseSlot | OpenSlot | TakeSlot | MoveKeys
# Steps of one kind are done in a pass. The one that can be refused for ever, for a key too large, keeps none waiting.
ORDER = (CloseSlot, OpenSlot, TakeSlot, MoveKeys)


def tell_new_owners(world: World) -> Ruling:
    """Who takes slots over hears at once who owns them since another took over for their owner.

    It believes no ping about a slot that it imports. So the dead one is the owner for it, until that one comes back as
    a replica: then nobody is, and it refuses every command until the slot is closed and a ping says whose it is.
    Source: cluster.c, clusterUpdateSlotsConfigWith ("the slot is in importing state"), clusterProcessPacket ("master
    turned into a slave"), clusterUpdateState.
    """
    if world.moving is not None or not world.open_slots:
        return Ruling()
    steps = []
    for member in (each for each in world.members if not each.is_replica and each.view.me.importing):
        imported = SlotSet.of(SlotRange(slot, slot) for slot in member.view.me.importing) - world.twice_owned
        for owner in (each for each in world.members if each is not member and each.slots & imported):
            known = member.view.others.get(owner.id)
            if known is None or known.is_replica:
                continue  # the engine would refuse it
            if unheard := (owner.slots & imported) - known.slots:
                why = f"{member.name} takes them over, and has not heard that {owner.name} owns them"
                steps.append(TellOwner(process=member.process, slots=unheard, owner=owner.process, why=why))
    return Ruling(steps=tuple(steps))


def close_open_slots(world: World) -> Ruling:
    """Every slot has an owner who has all of its keys, and nobody takes part in its moving."""
    if not world.open_slots or world.moving is not None or is_left_to_a_mover(world):
        return Ruling()
    if hold := everybody_has_answered(
        world.redis, "slots that are left open are closed only when every process answers"
    ):
        return Ruling(holds=(hold,))
    steps: list[SlotStep] = []
    for slot, involved in world.open_slots.items():
        primaries = [member for member in world.members if not member.is_replica]
        owners = [member for member in primaries if slot in member.slots]
        uncounted = [member.name for member in primaries if slot not in member.facts.slot_keys]
        if len(owners) > 1:
            continue  # whose it is is decided first
        if uncounted:
            if steps:
                break  # so many are looked at in one pass
            why = f"{list_names(uncounted)} did not say how many keys are in slot {slot}"
            return Ruling(holds=(Hold(guard="every_process_answers", why=why),))
        owner = owners[0] if owners else None
        steps += close_slot(slot, owner, primaries, involved)
    return Ruling(steps=tuple(sorted(steps, key=lambda step: ORDER.index(type(step)))))


def close_slot(
    slot: int, owner: Member | None, primaries: list[Member], involved: tuple[Member, ...]
) -> Iterator[SlotStep]:
    """The next step for *slot*: what the one after it is to be is seen when it is done."""
    others = [member for member in primaries if member is not owner and member.facts.slot_keys[slot]]
    if not others:
        yield from _keep(slot, owner, primaries, involved)
        return
    aim = owner.view.me.migrating.get(slot) if owner else None
    taking = next((each for each in primaries if each.id == aim and slot in each.view.me.importing), None)
    candidate = taking or max(
        others, key=lambda each: (each.id == aim, each.facts.slot_keys[slot], descending(each.name))
    )
    unmarked = [each for each in others if each is not candidate and slot not in each.view.me.importing]
    left = owner.facts.slot_keys[slot] if owner else 0
    keys, owned_by = candidate.facts.slot_keys[slot], owner.name if owner else "nobody"
    why = f"{candidate.name} has {keys} of its keys, {owned_by} owns it"
    if candidate not in others:
        why = f"{owned_by} owns it, sends clients on to {candidate.name}, and {others[0].name} has keys too"
    if left and owner:
        why += f" and has {left}"
    if owner and candidate.view.me.importing.get(slot) != owner.id:
        yield OpenSlot(process=candidate.process, slot=slot, direction="IMPORTING", other=owner.process, why=why)
    elif owner and aim != candidate.id:
        yield OpenSlot(process=owner.process, slot=slot, direction="MIGRATING", other=candidate.process, why=why)
    elif owner and left:
        yield MoveKeys(process=owner.process, target=candidate.process, slot=slot, why=why)
    elif unmarked:
        # A slot that is open nowhere is not looked at any more, and a third one's keys would be forgotten.
        for each in unmarked:
            yield OpenSlot(process=each.process, slot=slot, direction="IMPORTING", other=candidate.process, why=why)
    else:
        yield TakeSlot(process=candidate.process, slot=slot, why=why)


def _keep(
    slot: int, owner: Member | None, primaries: list[Member], involved: tuple[Member, ...]
) -> Iterator[CloseSlot]:
    """Nobody else has keys of it, as far as they are there: one that is not may come back, and have been given some."""
    if owner is None:
        return  # it is given to the recorded owner
    aim = owner.view.me.migrating.get(slot)
    is_told = any(each.id == aim for each in primaries)
    why = f"{owner.name} owns it, and nobody else has keys of it"
    for member in [owner] if owner in involved else involved:
        yield CloseSlot(process=member.process, slot=slot, nobody_else_has_keys=is_told and member is owner, why=why)
