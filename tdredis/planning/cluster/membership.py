"""Decides who is introduced to whom, who is forgotten, and who replicates whom."""

from __future__ import annotations

from collections.abc import Iterator

from tdredis.planning.cluster.free_slots import nobody_else_is_remembered
from tdredis.planning.cluster.members import Member
from tdredis.planning.cluster.resetting import (
    reset_empty_owners,
    reset_empty_replicas,
    reset_followers_of_others,
    reset_losers,
)
from tdredis.planning.cluster.world import Shard, World
from tdredis.planning.plan import Hold, Ruling
from tdredis.planning.pods import everybody_has_answered
from tdredis.planning.steps import (
    Forget,
    Meet,
    Replicate,
    Step,
)

SMALL = 16  # up to so many nodes everybody is introduced to everybody: 240 introductions at the most


def settle_disputes(world: World) -> Ruling:
    """Of two owners of the same slots one keeps them, by a rule; the other is reset. So is one of two in a shard, where
    it has no key; and one of a shard that is to get slots, where all follow others.
    """
    losers, empty, followers = reset_losers(world), reset_empty_replicas(world), reset_followers_of_others(world)
    surplus = Ruling() if losers.steps or losers.holds else reset_empty_owners(world)
    return Ruling(
        steps=(*losers.steps, *empty.steps, *surplus.steps, *followers.steps),
        holds=(*losers.holds, *surplus.holds, *followers.holds),
    )


def forget_ghosts(world: World) -> Ruling:
    """Ids that no process has any more are forgotten by all who know them, at once: gossip would bring them back.

    A node that forgets another forgets that slots are on their way from or to it (cluster.c, clusterDelNode), and with
    that where their keys are: such slots are closed first.
    """
    if not world.ghosts:
        return Ruling()
    if hold := everybody_has_answered(world.redis, "nodes that are gone are forgotten only when every process answers"):
        return Ruling(holds=(hold,))
    if hold := nobody_else_is_remembered(world):
        return Ruling(holds=(hold,))  # nothing else tells of them
    steps: list[Step] = []
    holds = []
    for ghost in world.ghosts:
        candidates = [member.name for member in world.members if member.view.me.primary_id == ghost]
        if candidates:
            why = f"{', '.join(candidates)} still replicates the lost node {ghost[:8]}: the engine's vote comes first"
            holds.append(Hold(guard="no_replica_of_the_lost_node", why=why))
            continue
        if open_at := [member.name for member in world.members if ghost in member.moves_with]:
            why = f"slots of {', '.join(open_at)} are open with the lost node {ghost[:8]}: they are closed first"
            holds.append(Hold(guard="no_slot_is_open", why=why))
            continue
        steps += [
            Forget(process=member.process, ghost_id=ghost, why=f"no pod has the node id {ghost[:8]}")
            for member in world.members
            if ghost in member.view.others
        ]
    return Ruling(steps=tuple(steps), holds=tuple(holds))


def introduce(world: World) -> Ruling:
    """Every process knows every other under its present address.

    In a small cluster each is introduced to all that it does not know; in a large one to those 1, 2, 4, 8, ... places
    to both sides, and gossip does the rest.
    """
    members = tuple(member for member in world.members if not member.pod.deleting)
    if world.unowned and not world.was_whole and world.redis.starting:
        # A new cluster is put together in one go; who comes first would only be introduced to nobody.
        return Ruling()
    if world.contested:
        why = (
            f"slots {world.contested} have two owners, and joining them would lose one side's keys: send FLUSHALL and"
            " CLUSTER RESET HARD to the nodes that are to be given up"
        )
        return Ruling(holds=(Hold(guard="no_slot_has_two_owners", why=why),))
    if hold := _copies_are_awaited(world):
        return Ruling(holds=(hold,))
    steps = []
    for place, member in enumerate(members):
        strangers = [
            other
            for other in world.strangers[member.name]
            if not other.pod.deleting and not member.is_handshaking_with(other)
        ]
        if not strangers:
            continue
        near = {members[number].name for number in _neighbours(place, len(members))}
        peers = tuple(other for other in strangers if other.name in near) or tuple(strangers[:1])
        if peers:
            steps.append(
                Meet(
                    process=member.process,
                    peers=tuple(peer.process for peer in peers),
                    why=f"{member.name} does not know them under their present address",
                )
            )
    return Ruling(steps=tuple(steps))


def _copies_are_awaited(world: World) -> Hold | None:
    """Where all owners forgot who they were, each who is still silent may come back as another owner of the same slots,
    and at an address where one has just been introduced to its earlier self. Once they know each other the engine lets
    one win, slot by slot, by an epoch that says nothing.
    """
    owners = [member for member in world.members if member.slots]
    if not world.was_whole or not owners or not all(member.met_nobody for member in owners):
        return None
    return everybody_has_answered(
        world.redis, "all owners lost their nodes.conf, and are introduced when every process answers"
    )


def _neighbours(place: int, count: int) -> Iterator[int]:
    if count <= SMALL:
        yield from range(count)
        return
    distance = 1
    while distance < count:
        yield (place + distance) % count
        yield (place - distance) % count
        distance *= 2


def attach_replicas(world: World) -> Ruling:
    """Every process of a shard that owns no slots replicates the one that does; in a new one, the one that is to."""
    steps = []
    for shard in world.shards:
        primary = shard.head
        if primary is None or (shard.is_leaving and shard.is_vacant):
            continue
        steps += [
            Replicate(process=member.process, primary=primary.process, why=_why_attach(member, shard))
            for member in shard.members
            if (_should_follow(member, primary) or _asks_a_wrong_address(member, primary))
            and member.knows(primary)
            and not member.pod.deleting
        ]
    return Ruling(steps=tuple(steps) or _make_themselves_known(world))


def _make_themselves_known(world: World) -> tuple[Step, ...]:
    """Replicas tell primaries that have not heard yet whom they replicate, and would not vote for them: a ping says it,
    which may take half of cluster-node-timeout to come, and so does an introduction. Source: cluster.c,
    clusterProcessPacket ("MEET", "master node changed for this slave": of a primary that it knows). In a large cluster
    pings do it.
    """
    if len(world.members) > SMALL:
        return ()
    steps: list[Step] = []
    for member in world.members:
        primary_id = member.view.me.primary_id
        if primary_id is None or member.pod.deleting:
            continue
        unaware = tuple(
            voter.process
            for voter in world.members
            if voter.slots and voter.id != primary_id and not voter.pod.deleting and not voter.votes_for(member)
            if primary_id in voter.view.others and voter.knows(member)
            if member.knows(voter) and not member.is_handshaking_with(voter)
        )
        if unaware:
            primary = world.by_id.get(primary_id)
            why = f"they have not heard yet that {member.name} replicates {primary.name if primary else primary_id[:8]}"
            steps.append(Meet(process=member.process, peers=unaware, why=why))
    return tuple(steps)


def _should_follow(member: Member, primary: Member) -> bool:
    return member is not primary and not member.slots and member.view.me.primary_id != primary.id


def _asks_a_wrong_address(member: Member, primary: Member) -> bool:
    """It knows where its primary is, and asks an outdated address for its data, for ever. Source: cluster.c,
    clusterProcessGossipSection: an address that a third one tells is written down and nothing else is done with it.
    """
    link, known = member.facts.replication, member.view.others.get(primary.id)
    if member.view.me.primary_id != primary.id or known is None or link.link_up is not False or not link.primary_host:
        return False
    return (link.primary_host, link.primary_port) != (known.ip, known.port)


def _why_attach(member: Member, shard: Shard) -> str:
    if shard.head is not None and _asks_a_wrong_address(member, shard.head):
        return f"it asks {member.facts.replication.primary_host} for its data, where {shard.head.name} no longer is"
    if member.is_replica:
        return f"it replicates a node outside shard {shard.name}"
    return f"it owns no slots and replicates nobody, and shard {shard.name} has its primary"
