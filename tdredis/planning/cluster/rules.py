"""Decides what a RedisCluster needs next: the rules, in their order, and why they stand in it.

0. a dead primary before everything: its shard takes no writes, and nothing else is needed for it, no API server either
1. objects: without its ConfigMap and Secret a pod does not start
2. pods that can never run are replaced when the template has changed since: nothing is lost with them
3. clients' endpoints, before anything disruptive: they follow who owns slots now
4. disputes about slots, before anybody is joined to anybody
5. ghosts are forgotten before slots are assigned: a ghost with a higher epoch would take the slots back
6. slots before introductions: the first epoch can only be set on a node that has met nobody
7. introductions before attaching: a replica must know its primary
8. open slots are closed when nodes know each other: what moves one names the other
9. addresses for outside when the cluster works: nodes find each other by them
10. memory limits, timeouts and labels last: they need no particular place
"""

from __future__ import annotations

from collections.abc import Iterator

from tdredis.manifests.endpoints import Target, build_endpoints
from tdredis.manifests.names import SHARDS, client_service_name
from tdredis.manifests.redis_config import NODE_TIMEOUT_MS
from tdredis.manifests.redis_pods import container_resources
from tdredis.manifests.services import build_external_services
from tdredis.planning.cluster.announcing import announce, remove_unannounced
from tdredis.planning.cluster.failover import hand_over_full, hand_over_leaving, replace_dead_primaries
from tdredis.planning.cluster.members import Member, descending
from tdredis.planning.cluster.proxies import keep_proxy, remove_unwanted_proxy, replace_stuck_proxies
from tdredis.planning.cluster.resetting import reset_empty_replicas, reset_losers
from tdredis.planning.cluster.slots_healing import close_open_slots as close_slots
from tdredis.planning.cluster.world import Shard, World
from tdredis.planning.families import targets_of_family
from tdredis.planning.loss import wants_to_begin_anew
from tdredis.planning.objects import (
    keep,
    keep_claims,
    label_role,
    limit_maxmemory,
    nothing_to_lose,
    outdated_pods,
    pod_monitors_are_served,
    ref_of,
    remove_switched_off,
    replace_troubled,
    resize_pods,
    restore_labels,
    service_ip,
)
from tdredis.planning.peers import set_peer_users
from tdredis.planning.plan import Hold, Ruling
from tdredis.planning.pods import everybody_has_answered, nobody_is_unknown
from tdredis.planning.rules import Rule
from tdredis.planning.sentences import list_names
from tdredis.planning.sizing import behind_the_pods
from tdredis.planning.snapshot import PodFacts
from tdredis.planning.steps import (
    AssignSlots,
    Forget,
    HandOver,
    Meet,
    Remove,
    Replicate,
    SetConfig,
    Step,
)
from tdredis.redis.slots import SlotSet

SMALL = 16  # up to so many nodes everybody is introduced to everybody: 240 introductions at the most


def fail_over(world: World) -> Ruling:
    """A shard whose primary is proven dead gets another, at once; one whose primary is being deleted, before it goes;
    and one whose primary refuses writes because its disk is full.
    """
    dead, leaving, full = replace_dead_primaries(world), hand_over_leaving(world), hand_over_full(world)
    return Ruling(steps=(*dead.steps, *leaving.steps, *full.steps), holds=(*dead.holds, *full.holds))


# ---- objects


def keep_labels(world: World) -> Ruling:
    """Every Redis pod has the labels by which it is found."""
    return restore_labels(world.snapshot.pods.values())


def keep_children(world: World) -> Ruling:
    """Every object is there and says what the spec wants."""
    snapshot = world.snapshot
    sizes = container_resources(world.instance)
    children = behind_the_pods(snapshot, world.children, *sizes, world.instance.spec.maxmemory_mib)
    kept = keep(snapshot, (*children, *build_external_services(world.instance)))
    return Ruling(steps=(*kept.steps, *keep_claims(snapshot)), holds=(*kept.holds, *pod_monitors_are_served(snapshot)))


def remove_unwanted(world: World) -> Ruling:
    """What the spec no longer asks for goes: what is switched off, and shards that never began."""
    others = (
        *remove_switched_off(world.snapshot, world.children),
        *remove_unannounced(world),
        *_surplus_shards(world),
    )
    return Ruling(steps=(*remove_unwanted_proxy(world), *others))


def _surplus_shards(world: World) -> Iterator[Remove]:
    """Shards beyond size, of a cluster in which nobody ever owned a slot: size was changed while it began."""
    if world.was_whole or world.owned or world.redis.has_unknown:
        return
    for ref, live in sorted(world.snapshot.children.items(), key=lambda item: item[0]):
        is_shard = ref.kind in ("StatefulSet", "PodDisruptionBudget") and SHARDS in live.meta.annotations
        if is_shard and ref.name not in {shard.name for shard in world.shards}:
            version = "apps/v1" if ref.kind == "StatefulSet" else "policy/v1"
            yield Remove(ref=ref, api_version=version, uid=live.meta.uid, why=f"size is {world.instance.spec.size}")


def publish_endpoints(world: World) -> Ruling:
    """The client Service leads to the processes that own slots, and to no other.

    One that runs and does not answer keeps its place: silence is no proof that it lost its slots.
    """
    snapshot = world.snapshot
    losers = world.disputes.losers
    owners = {member.name for member in world.members if member.slots and member.name not in losers}
    placed = _published_pods(world)
    names = sorted(owners | (placed & set(world.redis.unresponsive)))
    targets = [
        Target(pod=pod.name, ip=pod.ip, node=pod.node, uid=pod.uid)
        for pod in (snapshot.pods[name] for name in names)
        if pod.ip and not pod.deleting
    ]
    address = service_ip(snapshot, client_service_name(world.instance.name))
    if address is None:
        return Ruling()  # the family of its addresses is the Service's, and can never be changed
    targets, holds = targets_of_family(client_service_name(world.instance.name), address, targets)
    kept = keep(snapshot, (build_endpoints(world.instance, snapshot.site, targets, ipv6=":" in address),))
    return Ruling(steps=kept.steps, holds=(*kept.holds, *holds))


def _published_pods(world: World) -> set[str]:
    manifest = build_endpoints(world.instance, world.snapshot.site, ())
    live = world.snapshot.children.get(ref_of(manifest))
    return set(live.target_pods if live else ())


# ---- pods


def replace_stuck_pods(world: World) -> Ruling:
    """A pod with trouble, made from a template that has changed since, is recreated: correcting a bad image heals.

    With OnDelete nobody else would. One that has nothing to lose goes at once. One that runs (the exporter
    beside Redis fails, say) goes when it is a replica of a cluster that works; a primary hands over first.
    """
    snapshot = world.snapshot
    steps: list[Step] = []
    for shard in world.shards:
        pods = [snapshot.pods[name] for name in shard.wanted if name in snapshot.pods]
        outdated = outdated_pods(snapshot, shard.name, pods)
        idle = {pod.name: why for pod in outdated if (why := _nothing_to_lose(world, shard, pod))}
        steps += [replace_troubled(pod, idle[pod.name]) for pod in outdated if pod.name in idle]
        if not idle and world.is_whole and not world.redis.has_unknown:
            steps += _replace_running(world, shard, {pod.name for pod in outdated})
    return Ruling(steps=tuple(steps))


def _nothing_to_lose(world: World, shard: Shard, pod: PodFacts) -> str:
    never = "" if world.was_whole or world.owned else "nobody ever owned a slot"
    owner = shard.owner.name if shard.owner else ""
    return nothing_to_lose(world.snapshot, pod, world.instance.spec, never=never, owner=owner)


def _replace_running(world: World, shard: Shard, outdated: set[str]) -> list[Step]:
    """At most one step a shard: a replica goes, or the primary hands over to a replica that is in sync and stays."""
    replicas = [member for member in shard.members if member is not shard.owner and member.name in outdated]
    if replicas:
        return [replace_troubled(replicas[0].pod, "it is a replica")]
    heirs = [member for member in world.replicas_in_sync(shard) if member.name not in outdated]
    if shard.owner is None or shard.owner.name not in outdated or not heirs:
        return []
    heir = max(heirs, key=lambda member: (member.facts.replication.offset_bytes, descending(member.name)))
    why = f"{shard.owner.name} will be recreated; {heir.name} has its data"
    return [HandOver(process=heir.process, shard=shard.name, why=why)]


# ---- membership


def settle_disputes(world: World) -> Ruling:
    """Of two owners of the same slots one keeps them, by a rule; the other begins anew."""
    losers, empty = reset_losers(world), reset_empty_replicas(world)
    return Ruling(steps=(*losers.steps, *empty.steps), holds=losers.holds)


def forget_ghosts(world: World) -> Ruling:
    """Ids that no process has any more are forgotten by all who know them, at once: gossip would bring them back."""
    if not world.ghosts:
        return Ruling()
    if hold := everybody_has_answered(world.redis, "nodes that are gone are forgotten only when every process answers"):
        return Ruling(holds=(hold,))
    steps: list[Step] = []
    holds = []
    for ghost in world.ghosts:
        heirs = [member.name for member in world.members if member.view.me.primary_id == ghost]
        if heirs:
            why = f"{', '.join(heirs)} still replicates the lost node {ghost[:8]}: the engine's vote comes first"
            holds.append(Hold(guard="no_replica_of_the_lost_node", why=why))
            continue
        steps += [
            Forget(process=member.process, ghost_id=ghost, why=f"no pod has the node id {ghost[:8]}")
            for member in world.members
            if ghost in member.view.others
        ]
    return Ruling(steps=tuple(steps), holds=tuple(holds))


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
    steps: list[Step] = []
    for shard, intended in zip(world.shards, world.intended, strict=True):
        free = intended & world.free
        if not free:
            continue
        if hold := _may_own_more(world, shard):
            return Ruling(holds=(hold,))  # all or nothing: a part of the data is not the data
        assert shard.primary_to_be is not None  # noqa: S101 _may_own_more has looked
        steps.append(_assign(world, shard, shard.primary_to_be, free))
    return Ruling(steps=tuple(steps))


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
        if hold := _first_pod_is_awaited(world, shard) or _may_own_more(world, shard):
            holds.append(hold)
            continue
        assert shard.primary_to_be is not None  # noqa: S101 _may_own_more has looked
        steps.append(_assign(world, shard, shard.primary_to_be, free))
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
        why=f"{len(free)} slots of shard {shard.name} belong to nobody"
        + (" and status.slots records them here" if world.was_whole else ""),
        taken=free & believed,
    )


def _may_own_more(world: World, shard: Shard) -> Hold | None:
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
    return None


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
    and at an address where one has just been introduced to its former self. Once they know each other the engine lets
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
    """Every process of a shard that owns no slots replicates the one that does."""
    steps = []
    for shard in world.shards:
        primary = shard.owner
        if primary is None:
            continue
        steps += [
            Replicate(process=member.process, primary=primary.process, why=_why_attach(member, shard))
            for member in shard.members
            if (_should_follow(member, primary) or _has_lost_its_way(member, primary))
            and member.knows(primary)
            and not member.pod.deleting
        ]
    return Ruling(steps=tuple(steps))


def _should_follow(member: Member, primary: Member) -> bool:
    return member is not primary and not member.slots and member.view.me.primary_id != primary.id


def _has_lost_its_way(member: Member, primary: Member) -> bool:
    """It knows where its primary is, and asks at a former address for its data, for ever. Source: cluster.c,
    clusterProcessGossipSection: an address that a third one tells is written down and nothing else is done with it.
    """
    link, known = member.facts.replication, member.view.others.get(primary.id)
    if member.view.me.primary_id != primary.id or known is None or link.link_up is not False or not link.primary_host:
        return False
    return (link.primary_host, link.primary_port) != (known.ip, known.port)


def _why_attach(member: Member, shard: Shard) -> str:
    if shard.owner is not None and _has_lost_its_way(member, shard.owner):
        return f"it asks {member.facts.replication.primary_host} for its data, where {shard.owner.name} is no more"
    if member.is_replica:
        return f"it replicates a node outside shard {shard.name}"
    return f"it owns no slots and replicates nobody, and shard {shard.name} has its primary"


def close_open_slots(world: World) -> Ruling:
    """A slot that somebody left open while it was moved is closed where its keys are."""
    return close_slots(world)


# ---- configuration


def announce_addresses(world: World) -> Ruling:
    """Every node announces the address at which it is to be reached."""
    return announce(world)


def resize_containers(world: World) -> Ruling:
    """Running containers may use what new ones would, where Kubernetes can change that in place."""
    return Ruling(steps=resize_pods(world.snapshot, *container_resources(world.instance)))


def log_in_to_peers(world: World) -> Ruling:
    """Nobody follows, or is followed by, a process of another instance that has a former address of ours."""
    return set_peer_users(world.instance, world.members)


def limit_memory(world: World) -> Ruling:
    """maxmemory of every process is what capacity gives it, once its container has the room."""
    growing = {step.pod for step in resize_pods(world.snapshot, *container_resources(world.instance))}
    return limit_maxmemory(world.members, world.instance.spec, growing)


def label_roles(world: World) -> Ruling:
    """A pod's label says what it is, as far as it has said so itself."""
    snapshot = world.snapshot
    labels = (
        label_role(snapshot, member.pod, "replica" if member.is_replica else "primary")
        for member in world.members
        if member.is_replica or (member.slots and member.name not in world.disputes.losers)
    )
    return Ruling(steps=tuple(step for step in labels if step is not None))


def set_node_timeout(world: World) -> Ruling:
    """Blank nodes start with a short node timeout, so that a new cluster takes writes at once; then it is raised.

    Only in a cluster that works: until then the timeout is also how long a primary waits before it takes writes.
    """
    if not world.is_whole:
        return Ruling()
    why = "the cluster works; the short timeout was for its beginning"
    steps = [
        SetConfig(process=member.process, parameter="cluster-node-timeout", value=NODE_TIMEOUT_MS, why=why)
        for member in world.members
        if member.facts.node_timeout_ms != NODE_TIMEOUT_MS
    ]
    return Ruling(steps=tuple(steps))


RULES: tuple[Rule[World], ...] = (
    Rule(fail_over),
    Rule(keep_labels),
    Rule(keep_children, needs_valid_spec=True),
    Rule(keep_proxy, needs_valid_spec=True),
    Rule(remove_unwanted, needs_valid_spec=True),
    Rule(replace_stuck_pods, needs_valid_spec=True),
    Rule(replace_stuck_proxies, needs_valid_spec=True),
    Rule(publish_endpoints),
    Rule(settle_disputes),
    Rule(forget_ghosts),
    Rule(assign_free_slots),
    Rule(introduce),
    Rule(attach_replicas),
    Rule(close_open_slots),
    Rule(announce_addresses, needs_valid_spec=True),
    Rule(resize_containers, needs_valid_spec=True),
    Rule(log_in_to_peers, needs_valid_spec=True),
    Rule(limit_memory, needs_valid_spec=True),
    Rule(set_node_timeout, needs_valid_spec=True),
    Rule(label_roles, needs_valid_spec=True),
)
