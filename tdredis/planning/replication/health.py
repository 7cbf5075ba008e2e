"""Decides what is wrong with a RedisStandby or RedisStandalone right now, as sentences: none means Ready.

Order is meaning: the first finding is the reason in status.
"""

from __future__ import annotations

from collections.abc import Iterator

from tdredis.planning.disks import disks_that_fail
from tdredis.planning.findings import Finding, last_copy_goes, syncs_that_fail
from tdredis.planning.health import Check, pods_are_ready, pods_run, processes_answer
from tdredis.planning.replication.sentinels import lacks
from tdredis.planning.replication.world import World
from tdredis.planning.replication.write_policy import writes_are_taken
from tdredis.planning.sentences import list_names


def disks_take_writes(world: World) -> Iterator[Finding]:
    return disks_that_fail(world.snapshot, world.instance.spec, frozenset(member.name for member in world.primaries))


def there_is_one_primary(world: World) -> Iterator[Finding]:
    if len(world.primaries) > 1:
        names = list_names([member.name for member in world.primaries])
        yield Finding(reason="TwoPrimaries", message=f"{names} all report role:master", serious=True)
    if world.primary is None and not any(unknown.full for unknown in world.redis.unresponsive.values()):
        yield Finding(reason="NoPrimary", message="no process is the primary", serious=True, part_of_start=True)


def data_is_there(world: World) -> Iterator[Finding]:
    if world.lost:
        yield Finding(reason="DataLost", message=world.lost, serious=True)


def the_last_copy_stays(world: World) -> Iterator[Finding]:
    primary = world.primary
    if primary is not None and not any(not member.pod.deleting for member in world.replicas_in_sync()):
        yield from last_copy_goes(primary.pod, wanted=len(world.redis.wanted) - 1)


def replicas_are_in_sync(world: World) -> Iterator[Finding]:
    wanted, synced = len(world.redis.wanted) - 1, len(world.replicas_in_sync())
    if synced < wanted:
        yield Finding(
            reason="ReplicasNotInSync",
            message=f"{synced} of {wanted} replicas in sync",
            serious=False,
            part_of_start=True,
        )


def syncs_come_to_an_end(world: World) -> Iterator[Finding]:
    primary = world.primary
    if primary is not None:
        followers = (each for each in world.members if each.follows and primary.is_at(each.follows))
        yield from syncs_that_fail(((each.name, each.facts) for each in followers), primary.name, primary.facts)


def sentinels_watch(world: World) -> Iterator[Finding]:
    watching = sentinels_ready(world)
    if watching < len(world.sentinels.wanted):
        message = f"{watching} of {len(world.sentinels.wanted)} Sentinels watch the primary"
        yield Finding(reason="SentinelsNotReady", message=message, serious=False, part_of_start=True)
    for watcher in world.watchers:
        if watcher.watch is not None and (missing := lacks(watcher, world)):
            message = f"{watcher.name} does not know {list_names(missing)} yet"
            yield Finding(reason="SentinelsDisagree", message=message, serious=False, part_of_start=True)
            break


def sentinels_ready(world: World) -> int:
    """Sentinels that answer and watch the present primary, which is not down in their eyes."""
    primary = world.primary
    return sum(
        primary is not None
        and watcher.watch is not None
        and (watcher.watch.host, watcher.watch.port) == primary.place
        and not watcher.watch.is_down
        for watcher in world.watchers
    )


CHECKS: tuple[Check[World], ...] = (
    data_is_there,
    disks_take_writes,
    the_last_copy_stays,
    pods_run,
    processes_answer,
    there_is_one_primary,
    writes_are_taken,
    syncs_come_to_an_end,
    replicas_are_in_sync,
    sentinels_watch,
    pods_are_ready,
)
