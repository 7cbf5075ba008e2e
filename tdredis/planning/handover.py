"""Decides what becomes of a handover that somebody asked for, by an annotation of the resource.

Who was the primary when it was asked stands in status before anything is done: so an operator that dies in the middle
does not hand back what was handed over already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tdredis.api.instance import HandoverStatus, Instance
from tdredis.planning.plan import Hold
from tdredis.planning.rolling import Next, Shard, Yield, candidates_of

HANDOVER: Final = "cache.tongdun.net/handover"
MOST: Final = 64  # letters of it that count
OTHERS_THAT_SENTINELS_MAY_CHOOSE: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """*record*: what status says of it, None if it was never asked. *step*: what comes next, None if nothing does."""

    record: HandoverStatus | None
    step: Next | None = None


def decide_handover(instance: Instance, shards: Sequence[Shard]) -> Handover:
    """*shards*: all that there are; those of a cluster can be told to whom, a standby's Sentinels choose themselves."""
    record, asked = instance.status.handover, instance.metadata.annotations.get(HANDOVER, "")[:MOST]
    if not asked or (record is not None and record.asked == asked and record.done):
        return Handover(record=record)
    named = next((each for each in shards if any(copy.name == asked for copy in each.copies)), None)
    shard = named or (shards[0] if len(shards) == 1 else None)
    if shard is None:
        why = f"{HANDOVER}: {asked} is no pod of this cluster: write the name of the one that is to be a primary"
        return Handover(record=record, step=Hold(guard="handover_names_a_pod", about="spec", why=why))
    if instance.KIND == "RedisStandalone" and len(shard.copies) == 1:
        why = f"{HANDOVER}: a standalone has nobody to hand over to: remove the annotation"
        return Handover(record=record, step=Hold(guard="handover_names_a_pod", about="spec", why=why))
    primary = next((copy for copy in shard.copies if copy.is_primary), None)
    target = asked if named else ""
    if record is None or record.asked != asked:
        is_done = primary is not None and primary.name == target
        record = HandoverStatus(asked=asked, primary=primary.name if primary else "", done=is_done)
        why = "it is written down first who is the primary"
        waits = Hold(guard="handover_is_recorded", why=why)
        return Handover(record=record, step=None if is_done else waits)
    if primary is None:
        return Handover(record=record)
    if primary.name == target or (not target and primary.name != record.primary):
        return Handover(record=HandoverStatus(asked=asked, primary=record.primary, done=True))
    return Handover(record=record, step=_next(instance, shard, target))


def _next(instance: Instance, shard: Shard, target: str) -> Next:
    primary = next(copy for copy in shard.copies if copy.is_primary)
    able = candidates_of(shard, primary)
    others = len(shard.copies) - 1
    if target and instance.KIND == "RedisStandby" and others >= OTHERS_THAT_SENTINELS_MAY_CHOOSE:
        why = f"{HANDOVER}: Sentinels choose among {others} replicas: write anything that is no pod's name"
        return Hold(guard="handover_names_a_pod", about="spec", why=why)
    chosen = tuple(name for name in able if name == target or not target)
    if not chosen:
        why = f"{target or 'no replica'} does not have all of the data" if target else "no replica has all of the data"
        return Hold(guard="copies_are_whole", why=f"{HANDOVER}: {why}")
    return Yield(shard=shard.name, primary=primary.name, candidates=chosen, why="a handover was asked for")
