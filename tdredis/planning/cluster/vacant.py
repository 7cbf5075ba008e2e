"""Decides which shards own nothing, so that nobody waits for them: those that are to get slots, and those that left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from tdredis.planning.cluster.members import Member
from tdredis.planning.cluster.scale import recorded
from tdredis.planning.snapshot import ClusterSnapshot
from tdredis.redis.slots import ALL_SLOTS, SlotSet


def slotless_shards(snapshot: ClusterSnapshot, answered: Mapping[str, Sequence[Member]]) -> frozenset[str]:
    """Shards that own no slot: by the record, by themselves, and by what others believe of them and of whom they
    follow. While some slot has no owner at all none is: it may be theirs.
    """
    owned = recorded(snapshot) or {}
    members = [member for each in answered.values() for member in each]
    found = set()
    for name, own in answered.items():
        if name in owned and SlotSet.union(each.slots for each in members) != ALL_SLOTS:
            continue
        # The engine makes an emptied primary a replica of who has its slots now (cluster-allow-replica-migration).
        others = {each.id for each in members if each.shard != name}
        ids = ({each.id for each in own} | {each.view.me.primary_id for each in own if each.is_replica}) - others
        said = (known for each in members for known in (each.view.me, *each.view.others.values()) if known.slots)
        if not any(known.id in ids for known in said):
            found.add(name)
    return frozenset(found)


def vacant_shards(slotless: Set[str], answered: Mapping[str, Sequence[Member]]) -> frozenset[str]:
    """Those of *slotless* that take part in no move. Keys of a slot that is open may have come before the slot."""
    something_is_open = any(each.view.me.open_slots for members in answered.values() for each in members)
    if not something_is_open:
        return frozenset(slotless)
    return frozenset(
        name
        for name in slotless
        if not any(
            each.view.me.open_slots or (each.facts.keys and not _copies_others(each, name, answered))
            for each in answered[name]
        )
    )


def _copies_others(member: Member, name: str, answered: Mapping[str, Sequence[Member]]) -> bool:
    """It replicates a process of another shard than *name*: its keys are that one's."""
    primary_id = member.view.me.primary_id
    return any(each.id == primary_id for shard, members in answered.items() if shard != name for each in members)


def gone_pods(snapshot: ClusterSnapshot, names: Sequence[str], vacant: Set[str]) -> frozenset[str]:
    """Pods that are sent away, of shards that are no more; and those without a process, of shards that own nothing."""
    return frozenset(
        name
        for name, pod in snapshot.pods.items()
        if ((shard := name.rpartition("-")[0]) not in names and pod.deleting)
        or (shard in vacant and name not in snapshot.nodes)
    )
