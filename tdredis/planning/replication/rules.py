"""Decides what a RedisStandby or RedisStandalone needs next: the rules, in their order, and why they stand in it.

1. a primary before everything: while there is none nobody can write, and what is below cannot be decided; it needs
   nothing else, no API server either; and it takes writes, if the write policy lets it
2. Sentinels are told at once whom their failover has made the primary: their clients need no API server for it
3. objects: without its ConfigMap and Secret a pod does not start
4. clients' endpoints: they follow who is the primary now
5. everybody else follows it, a second primary first: it takes writes that will be lost; under which address a replica
   is to be found it says when it connects, and so it knows before
6. Sentinels last of the roles: they are told of a primary whose replicas they then find by themselves
7. pods that cannot run, labels and limits: they need no particular place
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tdredis.api.json_object import JSONObject
from tdredis.api.redisstandby import RedisStandby
from tdredis.manifests.endpoints import Target, build_standby_endpoints
from tdredis.manifests.names import client_service_name, replica_service_name
from tdredis.manifests.replication import build_replication_children
from tdredis.manifests.services import build_external_services, has_external_pods
from tdredis.planning.families import targets_of_family
from tdredis.planning.limits import limit_memory, resize_containers
from tdredis.planning.objects import (
    keep,
    keep_claims,
    label_role,
    pod_monitors_are_served,
    ref_of,
    remove_switched_off,
    restore_labels,
    service_ip,
)
from tdredis.planning.peers import log_in_to_peers
from tdredis.planning.plan import Hold, Ruling
from tdredis.planning.replication.members import Member, Place
from tdredis.planning.replication.passing import client_pod, pods_beside, send_clients_on
from tdredis.planning.replication.primary import (
    follow_the_primary,
    hand_over_full,
    hand_over_leaving,
    have_a_primary,
    vouch_for_replicas,
)
from tdredis.planning.replication.sentinels import reset_stale_watches, set_watches, tell_of_sentinels
from tdredis.planning.replication.stuck_pods import replace_stuck_pods
from tdredis.planning.replication.unannounced import remove_unannounced
from tdredis.planning.replication.world import World
from tdredis.planning.replication.write_policy import keep_write_policy
from tdredis.planning.rules import Rule
from tdredis.planning.settings import keep_settings, settings_to_keep, with_kept
from tdredis.planning.sizing import behind_the_pods, find_lag
from tdredis.planning.snapshot import PodFacts
from tdredis.planning.steps import AnnounceSentinel, Reconnect, SetConfig, Step
from tdredis.planning.trials import may_be_announced
from tdredis.planning.volumes import keep_volumes
from tdredis.redis.facts import Announced

# ---- objects


def keep_labels(world: World) -> Ruling:
    """Every pod has the labels by which it is found."""
    return restore_labels((*world.snapshot.pods.values(), *world.snapshot.sentinel_pods.values()))


def keep_children(world: World) -> Ruling:
    """Every object is there and says what the spec wants; what it does not ask for any more goes."""
    snapshot, instance = world.snapshot, world.instance
    lag, settings = find_lag(snapshot, instance), settings_to_keep(world)
    entrance, beside = client_pod(world), pods_beside(world)

    def build() -> Iterable[JSONObject]:
        children = build_replication_children(
            instance, snapshot.site, snapshot.passwords, primary=entrance, surplus=beside
        )
        kept = with_kept(instance, settings, behind_the_pods(snapshot, children, lag))
        return (*kept, *build_external_services(instance))

    made_of = (instance, snapshot.site, snapshot.passwords, lag, settings, entrance, beside)
    kept = keep(snapshot, "children", made_of, build)
    volumes = keep_volumes(snapshot, instance, kept.steps)
    unwanted = (*remove_switched_off(snapshot, instance), *remove_unannounced(world))
    return Ruling(
        steps=(*kept.steps, *unwanted, *keep_claims(snapshot), *volumes.steps),
        holds=(*kept.holds, *volumes.holds, *pod_monitors_are_served(snapshot)),
    )


def publish_endpoints(world: World) -> Ruling:
    """The client Service leads to the primary, the one for reading to the replicas that are in sync.

    A process that runs and does not answer keeps its place: silence is no proof that it is another by now. One that is
    proven dead loses it at once: a refused connection is tried again, a lost packet waited for. And without a primary
    that answers, or before the others have been told of a new one, readers keep the replicas they have: nobody is more
    up to date.
    """
    standby = world.standby
    if standby is None or (world.primary is None and world.in_failover):
        # A standalone's Service has a selector. And what a failover will say in a moment is not worth two requests now.
        return Ruling()
    primary = world.primary
    replicas = {member.name for member in world.replicas_in_sync()}
    rulings = [
        _publish(world, standby, service, names)
        for service, names in (
            (client_service_name(standby.name), {primary.name} if primary else set()),
            (replica_service_name(standby.name), replicas),
        )
    ]
    # Both Services are of one family: what holds for one need not be said of the other.
    return Ruling(
        steps=tuple(step for each in rulings for step in each.steps), holds=rulings[0].holds or rulings[1].holds
    )


def _publish(world: World, standby: RedisStandby, service: str, names: set[str]) -> Ruling:
    snapshot, site = world.snapshot, world.snapshot.site
    address = service_ip(snapshot, service)
    if address is None:
        return Ruling()  # the family of its addresses is the Service's, and can never be changed
    ipv6 = ":" in address
    ref = ref_of(build_standby_endpoints(standby, site, service, (), ipv6=ipv6))
    if not names or service == replica_service_name(standby.name):
        live = snapshot.children.get(ref)
        placed = set(live.target_pods if live else ())
        names = names | {
            pod for pod in placed if pod in world.redis.unresponsive and not world.redis.unresponsive[pod].refused
        }
        if (world.primary is None or world.in_failover) and service == replica_service_name(standby.name):
            names = names | {
                member.name
                for member in world.members
                if member.name in placed and member.has_data and member is not world.primary
            }
    targets = [
        Target(pod=pod.name, ip=pod.ip, node=pod.node, uid=pod.uid)
        for pod in (snapshot.pods[name] for name in sorted(names))
        # A primary that is being deleted keeps its place until it has handed over.
        if pod.ip and (not pod.deleting or service == client_service_name(standby.name))
    ]
    targets, holds = targets_of_family(service, address, targets)
    kept = keep(
        snapshot,
        f"endpoints of {service}",
        (standby, site, tuple(targets), ipv6),
        lambda: [build_standby_endpoints(standby, site, service, targets, ipv6=ipv6)],
    )
    return Ruling(steps=kept.steps, holds=(*kept.holds, *holds))


# ---- labels, addresses, limits


def label_roles(world: World) -> Ruling:
    """Pods say who they are, for people and tools; nothing of ours goes by it."""
    primary = world.primary
    if primary is None:
        return Ruling()
    steps = [label_role(world.snapshot, primary.pod, "primary")]
    steps += [
        label_role(world.snapshot, member.pod, "replica") for member in world.members if world.is_attached(member)
    ]
    return Ruling(steps=tuple(step for step in steps if step is not None))


def announce_addresses(world: World) -> Ruling:
    """Every process announces the address where its users reach it. Replicas and Sentinels are told of a
    primary's changed one by the rules below, in the next pass; a replica itself says its own only when it connects.
    """
    steps: list[Step] = []
    holds: list[Hold] = []
    for member in world.members:
        wanted = _to_announce(world, member.pod, "redis", member.place)
        if isinstance(wanted, Hold):
            holds.append(wanted)
        elif wanted is not None:
            steps += _announce(member, wanted)
        elif world.primary is not None and world.has_another_name(member) and not steps:
            # One at a time: the primary may have to wait for what its replicas acknowledge.
            why = f"{world.primary.name} does not know it as {member.place[0]}:{member.place[1]} yet"
            steps.append(Reconnect(process=member.process, why=why))
    for watcher in world.watchers:
        wanted = _to_announce(world, watcher.pod, "sentinel", watcher.place)
        if isinstance(wanted, Hold):
            holds.append(wanted)
        elif wanted is not None:
            why = f"that is where its users reach it; it says {watcher.place[0]}:{watcher.place[1]}"
            steps.append(AnnounceSentinel(process=watcher.process, host=wanted.host, port=wanted.port, why=why))
    return Ruling(steps=tuple(steps), holds=tuple(holds[:1]))


def _to_announce(world: World, pod: PodFacts, port_name: str, place: Place) -> Announced | Hold | None:
    """Under which address the process in *pod*, which says that it is at *place*, is to announce itself. None: it does
    already, or its address is not known, or not tried, yet.
    """
    wanted = world.target(pod, port_name)
    if not isinstance(wanted, Announced) or place == (wanted.host, wanted.port):
        return wanted if isinstance(wanted, Hold) else None
    if not has_external_pods(world.instance):
        return wanted  # going back is always allowed
    allowed = may_be_announced(world.snapshot, pod.name, wanted)
    return allowed if isinstance(allowed, Hold) else wanted if allowed else None


def _announce(member: Member, wanted: Announced) -> Iterator[SetConfig]:
    why = "that is where its users reach it"
    host, port = member.place
    yield SetConfig(process=member.process, parameter="replica-announce-ip", before=host, value=wanted.host, why=why)
    yield SetConfig(process=member.process, parameter="replica-announce-port", before=port, value=wanted.port, why=why)


RULES: tuple[Rule[World], ...] = (
    Rule(have_a_primary),
    Rule(keep_write_policy),
    Rule(hand_over_leaving),
    Rule(hand_over_full),
    Rule(keep_labels),
    Rule(tell_of_sentinels),
    Rule(keep_children, needs_valid_spec=True),
    Rule(publish_endpoints),
    Rule(send_clients_on),
    Rule(announce_addresses),
    Rule(follow_the_primary),
    Rule(vouch_for_replicas),
    Rule(set_watches),
    Rule(replace_stuck_pods, needs_valid_spec=True),
    Rule(reset_stale_watches),  # after whoever asks a Sentinel for a failover
    Rule(label_roles),
    Rule(resize_containers, needs_valid_spec=True),
    Rule(log_in_to_peers, needs_valid_spec=True),
    Rule(limit_memory, needs_valid_spec=True),
    Rule(keep_settings, needs_valid_spec=True),
)
