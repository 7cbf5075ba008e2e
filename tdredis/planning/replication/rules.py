"""Decides what a RedisStandby or RedisStandalone needs next: the rules, in their order, and why they stand in it.

1. a primary before everything: while there is none nobody can write, and what is below cannot be decided; it needs
   nothing else, no API server either
2. objects: without its ConfigMap and Secret a pod does not start
3. clients' endpoints: they follow who is the primary now
4. everybody else follows it, a second primary first: it takes writes that will be lost
5. Sentinels last of the roles: they are told of a primary whose replicas they then find by themselves
6. pods that cannot run, labels, limits and addresses: they need no particular place
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tdredis.api.redisstandby import RedisStandby
from tdredis.manifests.endpoints import Target, build_standby_endpoints
from tdredis.manifests.names import client_service_name, replica_service_name, sentinel_name
from tdredis.manifests.redis_pods import container_resources
from tdredis.manifests.replication import build_replication_children
from tdredis.manifests.services import build_external_services, has_external_pods
from tdredis.planning.addresses import external_target, resting_place
from tdredis.planning.objects import (
    MIB,
    Ruling,
    keep,
    keep_claims,
    label_role,
    list_names,
    memory_limit_follows,
    outdated_pods,
    pod_monitors_are_served,
    ref_of,
    remove_switched_off,
    remove_unwanted_external,
    replace_troubled,
    resize_pods,
    service_ip,
    target_pods,
)
from tdredis.planning.plan import Hold
from tdredis.planning.pods import silence_hold
from tdredis.planning.replication.picture import SENTINEL_PORT, Member, Picture, Place, Replicated, Watcher
from tdredis.planning.snapshot import PodFacts, Ref
from tdredis.planning.steps import (
    AnnounceSentinel,
    FailOver,
    Follow,
    Promote,
    ResetWatch,
    SetConfig,
    SetWatch,
    Step,
    Unwatch,
    Watch,
)
from tdredis.redis.facts import REDIS_PORT, Announced


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What a rule looks at: the picture, and the resource with the values in force."""

    picture: Picture
    instance: Replicated


Rule = Callable[[World], Ruling]


# ---- objects


def keep_children(world: World) -> Ruling:
    """Every object is there and says what the spec wants; what it does not ask for any more goes."""
    snapshot = world.picture.snapshot
    children = build_replication_children(world.instance, snapshot.site, snapshot.passwords)
    external = build_external_services(world.instance)
    unwanted = (*remove_switched_off(snapshot, children), *remove_unwanted_external(snapshot, external))
    kept = keep(snapshot, (*children, *external)).steps
    return Ruling(
        steps=(*kept, *unwanted, *keep_claims(snapshot)),
        holds=pod_monitors_are_served(snapshot),
    )


def publish_endpoints(world: World) -> Ruling:
    """The client Service leads to the primary, the one for reading to the replicas that are in sync.

    A process that runs and does not answer keeps its place: silence is no proof that it is another by now. One that is
    proven dead loses it at once: a refused connection is tried again, a lost packet waited for.
    """
    picture, standby = world.picture, world.picture.standby
    if standby is None or (picture.primary is None and picture.in_failover):
        # A standalone's Service has a selector. And what a failover will say in a moment is not worth two writes now.
        return Ruling()
    primary = picture.primary
    replicas = {member.name for member in picture.replicas_in_sync()}
    steps: list[Step] = []
    for service, names in (
        (client_service_name(standby.name), {primary.name} if primary else set()),
        (replica_service_name(standby.name), replicas),
    ):
        steps += _publish(world, standby, service, names)
    return Ruling(steps=tuple(steps))


def _publish(world: World, standby: RedisStandby, service: str, names: set[str]) -> tuple[Step, ...]:
    snapshot, site = world.picture.snapshot, world.picture.snapshot.site
    address = service_ip(snapshot.children.get(Ref("Service", service)))
    if address is None:
        return ()  # the family of its addresses is the Service's, and can never be changed
    ipv6 = ":" in address
    ref = ref_of(build_standby_endpoints(standby, site, service, (), ipv6=ipv6))
    if not names or service == replica_service_name(standby.name):
        placed = set(target_pods(snapshot.children.get(ref)))
        names = names | {pod for pod in placed if pod in world.picture.silent and not world.picture.silent[pod].refused}
    targets = [
        Target(pod=pod.name, ip=pod.ip, node=pod.node, uid=pod.uid)
        for pod in (snapshot.pods[name] for name in sorted(names))
        if pod.ip and not pod.deleting
    ]
    return keep(snapshot, (build_standby_endpoints(standby, site, service, targets, ipv6=ipv6),)).steps


# ---- the primary


def have_a_primary(world: World) -> Ruling:
    """There is a primary: the Sentinels' own failover where one died, the operator's choice where nobody can vote."""
    picture = world.picture
    if picture.primary is not None:
        return Ruling()
    if picture.in_failover:
        return _held("no_failover_is_under_way", "a Sentinel is carrying out a failover")
    if len(picture.primaries) > 1:
        return _choose_among(picture, picture.primaries)
    if picture.agreed is not None and (sentinel := _failover_leader(picture)) is not None:
        return _fail_over(picture, sentinel)
    return _elect(picture)


def _fail_over(picture: Picture, sentinel: Watcher) -> Ruling:
    """Order of the guards is meaning: the first that refuses is the reason in status."""
    if proof := _proof_of_death(picture):
        return Ruling(steps=(_failover_step(sentinel, why=proof),))
    pod = picture.agreed_pod
    name = pod.name if pod else "the primary"
    return _held("primary_is_proven_dead", f"{name} does not answer, which is no proof that it died")


def _failover_step(sentinel: Watcher, *, why: str, primary: Member | None = None) -> FailOver:
    assert sentinel.watch is not None  # noqa: S101 who leads watches
    return FailOver(
        process=sentinel.process,
        master_name=sentinel.watch.name,
        primary=primary.process if primary else None,
        why=why,
    )


def _proof_of_death(picture: Picture) -> str:
    """Why the process that the Sentinels took for the primary is certainly no more; "": there is no proof.

    A refused connection alone is none: a firewall can refuse too. So the Sentinels must have lost it as well.
    """
    pod = picture.agreed_pod
    if picture.agreed is None:
        return ""
    if pod is None:
        return f"no pod has the primary's address {picture.agreed[0]} any more"
    if picture.chosen is not None:
        return f"{pod.name} was started anew, as a replica of nobody"
    unknown = picture.silent.get(pod.name)
    if unknown is None:
        return f"the process in {pod.name} ended" if pod.ever_ran or pod.finished else ""
    lost = [watcher for watcher in picture.watchers if watcher.watch and _has_lost(watcher)]
    if unknown.refused and 2 * len(lost) > len(picture.watchers):
        return f"{pod.name} refuses connections, and {len(lost)} of {len(picture.watchers)} Sentinels have lost it too"
    return ""


def _has_lost(watcher: Watcher) -> bool:
    return watcher.watch is not None and bool(watcher.watch.flags & {"disconnected", "s_down", "o_down"})


def _failover_leader(picture: Picture) -> Watcher | None:
    """The Sentinel to ask: one that knows a replica that could take over, the most of them, then the lowest name."""
    heirs = [member for member in picture.members if not member.is_primary and member.has_data and _may_lead(member)]

    def known(watcher: Watcher) -> int:
        if watcher.watch is None or (watcher.watch.host, watcher.watch.port) != picture.agreed:
            return 0
        places = {(replica.host, replica.port) for replica in watcher.watch.replicas if not replica.is_down}
        return sum(member.place in places and not member.is_at(picture.agreed) for member in heirs)

    able = [watcher for watcher in picture.watchers if known(watcher)]
    return min(able, key=lambda watcher: (-known(watcher), watcher.name), default=None)


def _may_lead(member: Member) -> bool:
    return not member.pod.deleting and not member.facts.loading


def _elect(picture: Picture) -> Ruling:
    """The operator chooses: nobody watches (yet), or those who watch know nobody who could take over."""
    able = tuple(member for member in picture.members if _may_lead(member))
    if not picture.recorded and not picture.instance.spec.storage_class and not any(m.has_data for m in able):
        # A new instance: nobody can have data, so the first pod need not wait for the others.
        first = picture.wanted_pods[0]
        if first in picture.starting_pods:
            return _held("pods_have_started", f"waiting for {first} to start")
        return _choose_among(picture, able)
    if picture.silent:
        return Ruling(holds=(silence_hold(picture.silent, "a primary is chosen only when every process answers"),))
    late = (*picture.unheard, *picture.starting_pods)
    if late:
        return _held("pods_have_started", f"a primary is chosen only when all have answered: {list_names(late)}")
    return _choose_among(picture, able)


def _choose_among(picture: Picture, members: tuple[Member, ...]) -> Ruling:
    """The one with the data: who has any, then the last primary, then the furthest, the most keys, the lowest name."""
    if not members:
        return _held("a_process_is_there", "no Redis process runs that could be the primary")
    if len(picture.primaries) > 1 and (picture.silent or picture.unheard):
        return _held("every_process_answers", "of two primaries one is chosen only when every process answers")
    best = min(
        members,
        key=lambda member: (
            not member.has_data,
            member.name != picture.recorded,
            -member.facts.replication.offset_bytes,
            -member.facts.keys,
            member.name,
        ),
    )
    if not best.is_primary:
        why = "it has the data" if best.has_data else "nobody has data, and it is the first"
        return Ruling(steps=(Promote(process=best.process, why=f"there is no primary; {why}"),))
    return Ruling(
        steps=tuple(_follow(member, best, f"{best.name} is the primary") for member in members if member is not best)
    )


def _held(guard: str, why: str) -> Ruling:
    return Ruling(holds=(Hold(guard=guard, why=why),))


# ---- replicas


def follow_the_primary(world: World) -> Ruling:
    """Everybody else replicates the primary, under the address that it has now. Second primaries are demoted first."""
    picture = world.picture
    primary = picture.primary
    if primary is None:
        return Ruling()
    others = [member for member in picture.members if member is not primary and not picture.is_attached(member)]
    wrong = [member for member in others if member.is_primary]
    steps = [_follow(member, primary, f"{primary.name} is the primary, and there is only one") for member in wrong]
    steps += [
        _follow(member, primary, f"{primary.name} is the primary, and it follows {_shown(member.follows)}")
        for member in others
        if not member.is_primary
    ]
    return Ruling(steps=tuple(steps))


def _follow(member: Member, primary: Member, why: str) -> Follow:
    host, port = primary.place
    return Follow(
        process=member.process, primary=primary.name, host=host, port=port, was_primary=member.is_primary, why=why
    )


def _shown(place: Place | None) -> str:
    return "nobody" if place is None or place[0] == "127.0.0.1" else f"{place[0]}:{place[1]}"


# ---- Sentinels


def set_watches(world: World) -> Ruling:
    """Every Sentinel watches the primary, with the settings of spec, and nothing else."""
    picture, standby = world.picture, world.picture.standby
    if standby is None or picture.primary is None or picture.in_failover:
        return Ruling()
    steps: list[Step] = []
    for watcher in picture.watchers:
        steps += _foreign(watcher, standby)
        if watcher.watch is None:
            if not _replicas_are_awaited(picture):
                steps.append(_watch(watcher, standby, picture.primary, replaces=False, why="it watches nobody yet"))
        elif picture.primary.place != (watcher.watch.host, watcher.watch.port):
            if not _hears_of_it(watcher, picture):
                why = f"it watches {watcher.watch.host}:{watcher.watch.port}, and {picture.primary.name} is the primary"
                steps.append(_watch(watcher, standby, picture.primary, replaces=True, why=why))
        else:
            steps += _settings(watcher, standby)
    return Ruling(steps=tuple(steps))


def _replicas_are_awaited(picture: Picture) -> bool:
    """A Sentinel asks a primary for its replicas when it begins to watch it, and then every ten seconds: so it begins
    when they are there, unless one does not come.
    """
    if picture.starting_pods:
        return True
    synced = {member.name for member in picture.replicas_in_sync()}
    return any(member is not picture.primary and member.name not in synced for member in picture.members) and any(
        member.facts.uptime_s < WAIT_FOR_SYNC_S for member in picture.members if member is picture.primary
    )


WAIT_FOR_SYNC_S = 20


def _hears_of_it(watcher: Watcher, picture: Picture) -> bool:
    """Sentinels tell each other of a new primary, through the Redis processes that they know, within two seconds."""
    watch = watcher.watch
    assert watch is not None and picture.primary is not None  # noqa: S101 the caller has looked
    knows_primary = any((replica.host, replica.port) == picture.primary.place for replica in watch.replicas)
    tells = any(
        other.watch is not None
        and (other.watch.host, other.watch.port) == picture.primary.place
        and other.watch.config_epoch > watch.config_epoch
        for other in picture.watchers
    )
    return knows_primary and tells


def _foreign(watcher: Watcher, standby: RedisStandby) -> Iterator[Unwatch]:
    for watch in watcher.facts.watches:
        if watch.name != standby.spec.sentinel.master_name:
            why = f"it is a Sentinel of {standby.name}, and watches only that"
            yield Unwatch(process=watcher.process, master_name=watch.name, why=why)


def _wanted_settings(standby: RedisStandby) -> tuple[tuple[str, int], ...]:
    sentinel = standby.spec.sentinel
    return (
        ("down-after-milliseconds", sentinel.down_after_milliseconds),
        ("failover-timeout", sentinel.failover_timeout_milliseconds),
        ("parallel-syncs", 1),
    )


def _watch(watcher: Watcher, standby: RedisStandby, primary: Member, *, replaces: bool, why: str) -> Watch:
    host, port = primary.place
    sentinel = standby.spec.sentinel
    return Watch(
        process=watcher.process,
        master_name=sentinel.master_name,
        host=host,
        port=port,
        quorum=sentinel.quorum,
        settings=_wanted_settings(standby),
        replaces=replaces,
        why=why,
    )


def _settings(watcher: Watcher, standby: RedisStandby) -> Iterator[SetWatch]:
    watch = watcher.watch
    assert watch is not None  # noqa: S101 the caller has looked
    found = {
        "quorum": watch.quorum,
        "down-after-milliseconds": watch.down_after_ms,
        "failover-timeout": watch.failover_timeout_ms,
        "parallel-syncs": watch.parallel_syncs,
    }
    for setting, value in (("quorum", standby.spec.sentinel.quorum), *_wanted_settings(standby)):
        if found[setting] != value:
            why = f"spec asks for {value}; it is {found[setting]}"
            yield SetWatch(process=watcher.process, master_name=watch.name, setting=setting, value=value, why=why)


def reset_stale_watches(world: World) -> Ruling:
    """A Sentinel that knows replicas or Sentinels which are no more finds them all anew; one at a time, and only while
    all the others could carry out a failover without it.
    """
    picture = world.picture
    if picture.standby is None or picture.primary is None or picture.in_failover:
        return Ruling()
    stale = [watcher for watcher in picture.watchers if _stale_places(watcher, picture)]
    if not stale:
        return Ruling()
    if hold := _others_are_informed(picture, stale):
        return Ruling(holds=(hold,))
    first = stale[0]
    gone = ", ".join(f"{host}:{port}" for host, port in _stale_places(first, picture))
    assert first.watch is not None  # noqa: S101 who knows stale places watches
    why = f"it still knows {gone}, where nobody is any more"
    return Ruling(steps=(ResetWatch(process=first.process, master_name=first.watch.name, why=why),))


def _stale_places(watcher: Watcher, picture: Picture) -> list[Place]:
    """Addresses it knows that no pod has."""
    if watcher.watch is None:
        return []
    live = {member.place for member in picture.members} | {
        (pod.ip, 6379) for pod in picture.snapshot.pods.values() if pod.ip
    }
    watching = {other.place for other in picture.watchers} | {
        (pod.ip, 26379) for pod in picture.snapshot.sentinel_pods.values() if pod.ip
    }
    replicas = {(known.host, known.port) for known in watcher.watch.replicas} - live
    sentinels = {(known.host, known.port) for known in watcher.watch.sentinels} - watching
    return sorted(replicas | sentinels)


def _others_are_informed(picture: Picture, stale: list[Watcher]) -> Hold | None:
    """None: go on."""
    guard = "other_sentinels_are_ready"
    if picture.silent or picture.unheard or picture.starting_pods or picture.silent_sentinels:
        return Hold(guard=guard, why="Sentinels forget nobody before every process has answered")
    missing = [name for name in picture.wanted_sentinels if name not in picture.snapshot.sentinels]
    if missing:
        return Hold(guard=guard, why=f"Sentinels forget nobody before all run: {list_names(missing)}")
    blind = [watcher.name for watcher in picture.watchers if lacks(watcher, picture)]
    # One that is both stale and lacking somebody is mended by the reset itself.
    others = [name for name in blind if name != stale[0].name]
    if others:
        return Hold(guard=guard, why=f"{list_names(others)} must know replicas and Sentinels first")
    return None


def lacks(watcher: Watcher, picture: Picture) -> tuple[str, ...]:
    """Pods that are there and that the Sentinel does not know, or holds for down."""
    if watcher.watch is None:
        return tuple(member.name for member in picture.members)
    replicas = {(known.host, known.port) for known in watcher.watch.replicas if not known.is_down}
    sentinels = {(known.host, known.port) for known in watcher.watch.sentinels if not known.is_down}
    return (
        *(member.name for member in picture.replicas_in_sync() if member.place not in replicas),
        *(other.name for other in picture.watchers if other is not watcher and other.place not in sentinels),
    )


# ---- pods


def replace_stuck_pods(world: World) -> Ruling:
    """A pod with trouble, made from a template that has changed since, is made anew: correcting a bad image heals.

    One that never ran goes at once. One that runs goes when it is a replica, or a Sentinel beside others that work; a
    primary hands over first.
    """
    picture, snapshot = world.picture, world.picture.snapshot
    wanted = [snapshot.pods[name] for name in picture.wanted_pods if name in snapshot.pods]
    steps: list[Step] = list(_replace_redis(picture, outdated_pods(snapshot, world.instance.name, wanted)))
    if picture.standby is not None:
        watching = [snapshot.sentinel_pods[n] for n in picture.wanted_sentinels if n in snapshot.sentinel_pods]
        outdated = outdated_pods(snapshot, sentinel_name(picture.standby), watching)
        never_ran = [pod for pod in outdated if not pod.ever_ran]
        steps += [replace_troubled(pod, "it never ran") for pod in never_ran]
        running = len(picture.watchers) > picture.standby.spec.sentinel.quorum
        if outdated and not never_ran and running:
            steps.append(replace_troubled(outdated[0], "the other Sentinels watch"))
    return Ruling(steps=tuple(steps))


def _replace_redis(picture: Picture, outdated: list[PodFacts]) -> Iterator[Step]:
    never_ran = [pod for pod in outdated if not pod.ever_ran]
    yield from (replace_troubled(pod, "it never ran") for pod in never_ran)
    primary = picture.primary
    if never_ran or not outdated or picture.silent or picture.unheard:
        return
    if picture.standby is None:
        yield replace_troubled(outdated[0], "it is the only one")
        return
    if primary is None:
        return
    replicas = [pod for pod in outdated if pod.name != primary.name]
    if replicas:
        yield replace_troubled(replicas[0], "it is a replica")
        return
    heirs = [member for member in picture.replicas_in_sync() if not member.pod.trouble]
    leader = _handover_leader(picture, heirs)
    if leader is not None:
        why = f"{primary.name} is to be made anew; {list_names([heir.name for heir in heirs])} has its data"
        yield _failover_step(leader, why=why, primary=primary)


def _handover_leader(picture: Picture, heirs: list[Member]) -> Watcher | None:
    """A Sentinel that knows the primary and somebody who can take over from it."""
    places = {heir.place for heir in heirs}
    able = [
        watcher
        for watcher in picture.watchers
        if watcher.watch is not None
        and not watcher.watch.is_down
        and picture.primary is not None
        and (watcher.watch.host, watcher.watch.port) == picture.primary.place
        and any((known.host, known.port) in places and not known.is_down for known in watcher.watch.replicas)
    ]
    return able[0] if able else None


# ---- labels, addresses, limits


def label_roles(world: World) -> Ruling:
    """Pods say who they are, for people and tools; nothing of ours goes by it."""
    picture, primary = world.picture, world.picture.primary
    if primary is None:
        return Ruling()
    steps = [label_role(picture.snapshot, primary.pod, "primary")]
    steps += [
        label_role(picture.snapshot, member.pod, "replica") for member in picture.members if picture.is_attached(member)
    ]
    return Ruling(steps=tuple(step for step in steps if step is not None))


def announce_addresses(world: World) -> Ruling:
    """Every process gives itself out under the address where its users reach it. Replicas and Sentinels are told of a
    changed one by the rules above, in the next pass.
    """
    steps: list[Step] = []
    holds: list[Hold] = []
    for member in world.picture.members:
        wanted = _announced(world, member.pod, "redis")
        if isinstance(wanted, Hold):
            holds.append(wanted)
        elif wanted is not None and member.place != (wanted.host, wanted.port):
            steps += _announce(member, wanted)
    for watcher in world.picture.watchers:
        wanted = _announced(world, watcher.pod, "sentinel")
        if isinstance(wanted, Announced) and watcher.place != (wanted.host, wanted.port):
            why = f"that is where its users reach it; it says {watcher.place[0]}:{watcher.place[1]}"
            steps.append(AnnounceSentinel(process=watcher.process, host=wanted.host, port=wanted.port, why=why))
    return Ruling(steps=tuple(steps), holds=tuple(holds[:1]))


def _announced(world: World, pod: PodFacts, port_name: str) -> Announced | Hold | None:
    """None: not known yet; what it says now will do."""
    snapshot = world.picture.snapshot
    if not has_external_pods(world.instance):
        return resting_place(pod, port=SENTINEL_PORT if port_name == "sentinel" else REDIS_PORT)
    return external_target(snapshot, pod, snapshot.children.get(Ref("Service", pod.name)), (port_name,))


def _announce(member: Member, wanted: Announced) -> Iterator[SetConfig]:
    why = f"that is where its users reach it; it says {member.place[0]}:{member.place[1]}"
    yield SetConfig(process=member.process, parameter="replica-announce-ip", value=wanted.host, why=why)
    yield SetConfig(process=member.process, parameter="replica-announce-port", value=wanted.port, why=why)


def follow_resources(world: World) -> Ruling:
    """Running containers may use what new ones would, where that can be changed in place."""
    return Ruling(steps=tuple(resize_pods(world.picture.snapshot, *container_resources(world.instance))))


def limit_memory(world: World) -> Ruling:
    """maxmemory of every process is what capacity gives it, and never more than its container has room for."""
    wanted = world.instance.spec.maxmemory_mib * MIB
    steps: list[Step] = []
    holds: list[Hold] = []
    for member in world.picture.members:
        if member.facts.maxmemory_bytes == wanted:
            continue
        if hold := memory_limit_follows(member.pod, wanted):
            holds.append(hold)
            continue
        why = f"capacity {world.instance.spec.capacity}; it has {member.facts.maxmemory_bytes // MIB} MiB"
        steps.append(SetConfig(process=member.process, parameter="maxmemory", value=wanted, why=why))
    return Ruling(steps=tuple(steps), holds=tuple(holds[:1]))


RULES: tuple[Rule, ...] = (
    have_a_primary,
    keep_children,
    publish_endpoints,
    follow_the_primary,
    set_watches,
    reset_stale_watches,
    replace_stuck_pods,
    label_roles,
    announce_addresses,
    follow_resources,
    limit_memory,
)

# What keeps an instance that exists together; none of these asks what spec wishes.
HEALING_RULES: tuple[Rule, ...] = (
    have_a_primary,
    publish_endpoints,
    follow_the_primary,
    set_watches,
    reset_stale_watches,
    label_roles,
    announce_addresses,
)
