"""Decides what every Sentinel watches, and when one looks for replicas and other Sentinels again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tdredis.api.redisstandby import RedisStandby
from tdredis.manifests.peers import peer_user
from tdredis.planning.plan import Hold, Ruling
from tdredis.planning.replication.members import Member, Place, Watcher
from tdredis.planning.replication.world import PORTS, World
from tdredis.planning.sentences import list_names
from tdredis.planning.snapshot import PodFacts
from tdredis.planning.steps import (
    ConfigureMonitor,
    Monitor,
    PublishHellos,
    RemoveMonitor,
    SentinelHello,
    SetAuthPass,
    Step,
)
from tdredis.redis.facts import Announced
from tdredis.redis.ports import SENTINEL_PORT
from tdredis.redis.sentinels import Watch

SENTINEL_ASKS_S = 2.0  # it sends a PING every second
WAIT_FOR_SYNC_S = 20  # so young a primary's replicas are waited for before a Sentinel looks for them


def set_watches(world: World) -> Ruling:
    """Every Sentinel watches the primary, with the settings of spec, and nothing else."""
    standby, primary = world.standby, world.primary
    if standby is None or primary is None or world.in_failover:
        return Ruling()
    steps: list[Step] = []
    for watcher in world.watchers:
        steps += _foreign(watcher, standby)
        if watcher.watch is None:
            if not _replicas_are_awaited(world, primary):
                steps.append(_watch(watcher, world, primary, standby, why="it watches no primary yet"))
        elif not _is_of(watcher.watch, primary):
            if not _hears_of_it(watcher.watch, world, primary) and not _ahead(watcher, watcher.watch, world, primary):
                why = f"it watches {watcher.watch.host}:{watcher.watch.port}, and {primary.name} is the primary"
                steps.append(_watch(watcher, world, primary, standby, why=why))
        else:
            steps += _settings(watcher, watcher.watch, standby)
            if watcher.watch.is_shut_out and world.snapshot.passwords.redis and _refuses_for_a_password(primary):
                why = "the primary refuses what it asks: it has no password, or a wrong one"
                name, user = watcher.watch.name, _user(world)
                steps.append(SetAuthPass(process=watcher.process, master_name=name, user=user, why=why))
    return Ruling(steps=tuple(steps))


def _refuses_for_a_password(primary: Member) -> bool:
    """No other reason is known why *primary* would answer a PING with an error: it can write to its disk (MISCONF), and
    has not been busy (BUSY) since a Sentinel asked it last. One that loads, or lost its primary, is no error to them
    (sentinel.c, sentinelPingReplyCallback).
    """
    failed_s = primary.facts.write_failed_s
    can_write = not primary.facts.write_error and (failed_s is None or failed_s > SENTINEL_ASKS_S)
    return can_write and primary.facts.heard_s > SENTINEL_ASKS_S


def _replicas_are_awaited(world: World, primary: Member) -> bool:
    """A Sentinel asks a primary for its replicas when it begins to watch it, and then every ten seconds: so it begins
    when they are there, unless one does not come.
    """
    if primary.facts.uptime_s >= WAIT_FOR_SYNC_S:
        return False
    return bool(world.redis.starting) or len(world.replicas_in_sync()) < len(world.members) - 1


def _hears_of_it(watch: Watch, world: World, primary: Member) -> bool:
    """Sentinels tell each other of a new primary, through the Redis processes that they know, within two seconds. One
    that is cut off from the others hears nothing, and goes on sending clients to the old one.
    """
    knows_primary = any((replica.host, replica.port) == primary.place for replica in watch.replicas)
    reached = {(known.host, known.port) for known in watch.sentinels if not known.is_down}
    tells = any(
        other.watch is not None
        and other.place in reached
        and _is_of(other.watch, primary)
        and other.watch.config_epoch > watch.config_epoch
        for other in world.watchers
    )
    return knows_primary and tells


def _foreign(watcher: Watcher, standby: RedisStandby) -> Iterator[RemoveMonitor]:
    for watch in watcher.facts.watches:
        if watch.name != standby.spec.sentinel.master_name:
            why = f"it is a Sentinel of {standby.name}, and watches only that"
            yield RemoveMonitor(process=watcher.process, master_name=watch.name, why=why)


def _wanted_settings(standby: RedisStandby) -> tuple[tuple[str, int], ...]:
    sentinel = standby.spec.sentinel
    return (
        ("down-after-milliseconds", sentinel.down_after_milliseconds),
        ("failover-timeout", sentinel.failover_timeout_milliseconds),
        ("parallel-syncs", 1),
    )


def _user(world: World) -> str:
    """As whom Sentinels log in: a process that does not know the instance's own user yet would shut them out."""
    user = peer_user(world.instance)
    return user if all(member.facts.masteruser == user for member in world.members) else ""


def _watch(watcher: Watcher, world: World, primary: Member, standby: RedisStandby, *, why: str) -> Monitor:
    host, port = primary.place
    sentinel = standby.spec.sentinel
    return Monitor(
        process=watcher.process,
        master_name=sentinel.master_name,
        host=host,
        port=port,
        quorum=sentinel.quorum,
        settings=_wanted_settings(standby),
        user=_user(world),
        replaces=watcher.watch is not None,
        why=why,
    )


def _settings(watcher: Watcher, watch: Watch, standby: RedisStandby) -> Iterator[ConfigureMonitor]:
    found = {
        "quorum": watch.quorum,
        "down-after-milliseconds": watch.down_after_ms,
        "failover-timeout": watch.failover_timeout_ms,
        "parallel-syncs": watch.parallel_syncs,
    }
    for setting, value in (("quorum", standby.spec.sentinel.quorum), *_wanted_settings(standby)):
        if found[setting] != value:
            yield ConfigureMonitor(
                process=watcher.process,
                master_name=watch.name,
                setting=setting,
                before=found[setting],
                value=value,
                why="spec asks for it",
            )


def tell_of_sentinels(world: World) -> Ruling:
    """Sentinels hear of each other, and of a new primary, at once, not when they come to tell each other."""
    primary = world.primary
    if world.standby is None or primary is None:
        return Ruling()
    steps: list[Step] = []
    for watcher in world.watchers:
        watch = watcher.watch
        if watch is None:
            continue
        if _is_of(watch, primary):
            others, why = _unknown_peers(watcher, watch, world, primary), "they watch the same primary"
        else:
            others, why = _ahead(watcher, watch, world, primary), f"{primary.name} is the primary"
        if others:
            name = watch.name
            steps.append(PublishHellos(process=watcher.process, master_name=name, others=others, why=why))
    return Ruling(steps=tuple(steps))


def _is_of(watch: Watch, primary: Member) -> bool:
    return primary.place == (watch.host, watch.port)


def _unknown_peers(watcher: Watcher, watch: Watch, world: World, primary: Member) -> tuple[SentinelHello, ...]:
    """Those who watch *primary* too, and of whom the Sentinel has not heard."""
    known = {(other.host, other.port) for other in watch.sentinels}
    return tuple(
        _hello(other, primary, config_epoch=other.watch.config_epoch)
        for other in world.watchers
        if other is not watcher and other.facts.id and other.place not in known
        if other.watch is not None and _is_of(other.watch, primary)
    )


def _ahead(watcher: Watcher, watch: Watch, world: World, primary: Member) -> tuple[SentinelHello, ...]:
    """One who has a newer configuration, in which *primary* is the primary.

    That is also the one that carries out the failover: it has chosen the replica, which says that it is a primary, but
    it asks only once a second. What it will say then is known: its configuration epoch is a newer one, at least the
    next (sentinel.c, sentinelStartFailover).
    """
    if not any(primary.is_at((replica.host, replica.port)) for replica in watch.replicas):
        return ()  # it watches something else
    for other in world.watchers:
        theirs = other.watch
        if other is watcher or theirs is None or not other.facts.id:
            continue
        if _is_of(theirs, primary) and theirs.config_epoch > watch.config_epoch:
            return (_hello(other, primary, config_epoch=theirs.config_epoch),)
        if world.is_chosen_by(other, primary) and theirs.config_epoch >= watch.config_epoch:
            return (_hello(other, primary, config_epoch=theirs.config_epoch + 1),)
    return ()


def _hello(watcher: Watcher, primary: Member, *, config_epoch: int) -> SentinelHello:
    host, port = watcher.place
    return SentinelHello(
        name=watcher.name,
        host=host,
        port=port,
        id=watcher.facts.id,
        primary_host=primary.place[0],
        primary_port=primary.place[1],
        config_epoch=config_epoch,
    )


def reset_stale_watches(world: World) -> Ruling:
    """A Sentinel that knows replicas or Sentinels which are no more, or takes a replica that may be chosen for one that
    may not, looks for them all again; one at a time, and only while the others could carry out a failover without it,
    or as well as with it.

    It stops watching and begins again: then it asks the primary for its replicas at once, where otherwise, as after
    SENTINEL RESET, it would wait for ten seconds; and it is told of the other Sentinels and of the configuration epoch.
    """
    standby, primary = world.standby, world.primary
    if standby is None or primary is None or world.in_failover:
        return Ruling()
    stale = {watcher.name: why for watcher in world.watchers if (why := _why_stale(watcher, world))}
    if not stale:
        return Ruling()
    # One that does not know the replicas could not carry out a failover: it has nothing to lose.
    candidates = [watcher for watcher in world.watchers if watcher.name in stale]
    first = next((watcher for watcher in candidates if lacks_replicas(watcher, world)), candidates[0])
    if hold := _others_are_informed(world, first):
        return Ruling(holds=(hold,))
    return Ruling(steps=(_watch(first, world, primary, standby, why=stale[first.name]),))


def _why_stale(watcher: Watcher, world: World) -> str:
    if places := _stale_places(watcher, world):
        return f"it still knows {', '.join(f'{host}:{port}' for host, port in places)}, where none of our processes is"
    if names := _passed_over(watcher, world):
        return f"{list_names(names)} may be promoted by now, and it has not asked since"
    return ""


def _passed_over(watcher: Watcher, world: World) -> list[str]:
    """Replicas that it reaches, and would not choose because of the priority that they had when it asked them last."""
    known = watcher.watch.replicas if watcher.watch else ()
    passed_over = {(each.host, each.port) for each in known if not each.is_down and not each.priority}
    return [
        each.name for each in world.replicas_in_sync() if each.facts.replication.priority and each.place in passed_over
    ]


def _stale_places(watcher: Watcher, world: World) -> list[Place]:
    """Addresses it knows that nobody has, or that a process has besides the one that it announces: once
    that process is the primary, a Sentinel would consider it a second one, and have it follow itself.

    Not those that the primary itself names: somebody attached a replica that is not ours, or one of ours has connected
    too early (announce_addresses), and a Sentinel that forgot it would hear of it again at once.
    """
    if watcher.watch is None or world.primary is None:
        return []
    snapshot = world.snapshot
    replicas = {(known.host, known.port) for known in watcher.watch.replicas}
    replicas -= _living(world, world.members, snapshot.pods, "redis")
    replicas -= world.primary.facts.replication.replicas
    sentinels = {(known.host, known.port) for known in watcher.watch.sentinels}
    # They know each other by their ids, and a new address of one from what it says of itself.
    sentinels -= _living(world, world.watchers, snapshot.sentinel_pods, "sentinel")
    sentinels -= {(pod.ip, SENTINEL_PORT) for pod in snapshot.sentinel_pods.values() if pod.ip}
    return sorted(replicas | sentinels)


def _living(
    world: World, answering: Sequence[Member | Watcher], pods: Mapping[str, PodFacts], port_name: str
) -> set[Place]:
    """Where every process announces itself; of those who do not answer, or are about to be told another address, all
    where they may do so.
    """
    found: set[Place] = set()
    places = {each.name: each.place for each in answering}
    for name, pod in pods.items():
        place, target = places.get(name), world.target(pod, port_name)
        wanted = (target.host, target.port) if isinstance(target, Announced) else None
        if place is not None:
            found.add(place)
        if place is None or place != wanted:
            found |= {(pod.ip or "", PORTS[port_name]), *((wanted,) if wanted else ())}
    return found


def _others_are_informed(world: World, first: Watcher) -> Hold | None:
    """None: *first* may begin again."""
    guard = "other_sentinels_are_ready"
    if world.redis.has_unknown or world.redis.starting or world.sentinels.unresponsive:
        return Hold(guard=guard, why="a Sentinel starts its watch again only when every process has answered")
    missing = [name for name in world.sentinels.wanted if name not in world.snapshot.sentinels]
    if missing:
        return Hold(
            guard=guard, why=f"a Sentinel starts its watch again only when all of them run: {list_names(missing)}"
        )
    # One that is both stale and lacking somebody is fixed by beginning again itself, but those who lack more go before.
    most = len(lacks_replicas(first, world))
    blind = [
        watcher.name
        for watcher in world.watchers
        if watcher is not first and (lacks_sentinels(watcher, world) or len(lacks_replicas(watcher, world)) > most)
    ]
    if blind:
        return Hold(guard=guard, why=f"{list_names(blind)} must know replicas and Sentinels first")
    tilted = [watcher.name for watcher in world.watchers if watcher is not first and watcher.facts.in_tilt]
    if tilted:
        return Hold(guard=guard, why=f"{list_names(tilted)} could not fail over at the moment: in TILT")
    return None


def lacks(watcher: Watcher, world: World) -> tuple[str, ...]:
    """Pods that are there and that the Sentinel does not know, considers down, or would not choose as yet."""
    return (*lacks_replicas(watcher, world), *lacks_sentinels(watcher, world))


def lacks_replicas(watcher: Watcher, world: World) -> tuple[str, ...]:
    known = watcher.watch.replicas if watcher.watch else ()
    able = {(each.host, each.port) for each in known if not each.is_down and each.priority}
    fit = (member for member in world.replicas_in_sync() if not member.facts.write_error)
    return tuple(member.name for member in fit if member.place not in able)


def lacks_sentinels(watcher: Watcher, world: World) -> tuple[str, ...]:
    known = watcher.watch.sentinels if watcher.watch else ()
    able = {(each.host, each.port) for each in known if not each.is_down}
    return tuple(other.name for other in world.watchers if other is not watcher and other.place not in able)
