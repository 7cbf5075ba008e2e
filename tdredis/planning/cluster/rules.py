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
9. what left its slots is reset when nothing is open any more, and removed when nobody knows it
10. addresses for outside when the cluster works: nodes find each other by them
11. memory limits, timeouts and labels last: they need no particular place
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tdredis.api.json_object import JSONObject
from tdredis.manifests.children import build_children
from tdredis.manifests.endpoints import Target, build_endpoints
from tdredis.manifests.names import SHARDS, client_service_name
from tdredis.manifests.services import build_external_services
from tdredis.planning.cluster.announcing import announce_addresses, remove_unannounced
from tdredis.planning.cluster.failover import hand_over_full, hand_over_leaving, replace_dead_primaries
from tdredis.planning.cluster.free_slots import assign_free_slots
from tdredis.planning.cluster.leaving import remove_shards, reset_leaving, shards_without_pods, without_pods
from tdredis.planning.cluster.membership import attach_replicas, forget_ghosts, introduce, settle_disputes
from tdredis.planning.cluster.peers import log_in_to_peers
from tdredis.planning.cluster.proxies import keep_proxy, remove_unwanted_proxy, replace_stuck_proxies
from tdredis.planning.cluster.settings import label_roles, set_node_timeout
from tdredis.planning.cluster.slots_healing import close_open_slots, tell_new_owners
from tdredis.planning.cluster.stuck_pods import replace_stuck_pods
from tdredis.planning.cluster.world import World
from tdredis.planning.families import targets_of_family
from tdredis.planning.limits import limit_memory, resize_containers
from tdredis.planning.objects import (
    keep,
    keep_claims,
    pod_monitors_are_served,
    ref_of,
    remove_switched_off,
    restore_labels,
    service_ip,
)
from tdredis.planning.plan import Ruling
from tdredis.planning.rules import Rule
from tdredis.planning.settings import keep_settings, settings_to_keep, with_kept
from tdredis.planning.sizing import behind_the_pods, find_lag
from tdredis.planning.steps import Remove
from tdredis.planning.volumes import keep_volumes


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
    snapshot, cluster = world.snapshot, world.instance
    lag, settings, emptied = find_lag(snapshot, cluster), settings_to_keep(world), shards_without_pods(world)

    def build() -> Iterable[JSONObject]:
        children = build_children(cluster, snapshot.site, snapshot.passwords)
        kept = with_kept(cluster, settings, behind_the_pods(snapshot, without_pods(children, emptied), lag))
        return (*kept, *build_external_services(cluster))

    kept = keep(snapshot, "children", (cluster, snapshot.site, snapshot.passwords, lag, settings, emptied), build)
    volumes = keep_volumes(snapshot, cluster, kept.steps)
    return Ruling(
        steps=(*kept.steps, *keep_claims(snapshot), *volumes.steps),
        holds=(*kept.holds, *volumes.holds, *pod_monitors_are_served(snapshot)),
    )


def remove_unwanted(world: World) -> Ruling:
    """What the spec no longer asks for goes: what is switched off, and shards that never began."""
    others = (
        *remove_switched_off(world.snapshot, world.instance),
        *remove_unannounced(world),
        *_surplus_shards(world),
        *remove_shards(world),
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
    silent = _published_pods(world) & set(world.redis.unresponsive) if world.redis.unresponsive else set()
    names = sorted(owners | silent)
    targets = [
        Target(pod=pod.name, ip=pod.ip, node=pod.node, uid=pod.uid)
        for pod in (snapshot.pods[name] for name in names)
        if pod.ip and not pod.deleting
    ]
    address = service_ip(snapshot, client_service_name(world.instance.name))
    if address is None:
        return Ruling()  # the family of its addresses is the Service's, and can never be changed
    targets, holds = targets_of_family(client_service_name(world.instance.name), address, targets)
    made_of = (world.instance, snapshot.site, tuple(targets), ":" in address)
    kept = keep(
        snapshot,
        "endpoints",
        made_of,
        lambda: [build_endpoints(world.instance, snapshot.site, targets, ipv6=":" in address)],
    )
    return Ruling(steps=kept.steps, holds=(*kept.holds, *holds))


def _published_pods(world: World) -> set[str]:
    manifest = build_endpoints(world.instance, world.snapshot.site, ())
    live = world.snapshot.children.get(ref_of(manifest))
    return set(live.target_pods if live else ())


RULES: tuple[Rule[World], ...] = (
    Rule(fail_over),
    Rule(tell_new_owners),
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
    Rule(reset_leaving, needs_valid_spec=True),
    Rule(announce_addresses, needs_valid_spec=True),
    Rule(resize_containers, needs_valid_spec=True),
    Rule(log_in_to_peers, needs_valid_spec=True),
    Rule(limit_memory, needs_valid_spec=True),
    Rule(set_node_timeout, needs_valid_spec=True),
    Rule(keep_settings, needs_valid_spec=True),
    Rule(label_roles, needs_valid_spec=True),
)
