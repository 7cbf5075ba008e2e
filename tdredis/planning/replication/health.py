"""Decides what is wrong with a RedisStandby or RedisStandalone right now, as sentences: none means Ready.

Order is meaning: the first finding is the reason in status.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tdredis.planning.conditions import Finding
from tdredis.planning.disks import disks_that_fail
from tdredis.planning.findings import (
    claims_that_stay,
    last_copy_goes,
    pods_that_fail,
    pods_that_stay,
    syncs_that_fail,
    unready_pods,
    unresponsive_processes,
)
from tdredis.planning.objects import list_names
from tdredis.planning.replication.sentinels import lacks
from tdredis.planning.replication.world import World
from tdredis.planning.replication.write_policy import writes_are_taken

Check = Callable[[World], Iterator[Finding]]


def pods_run(world: World) -> Iterator[Finding]:
    snapshot = world.snapshot
    yield from claims_that_stay(snapshot.kept_claims, world.missing_pods)
    yield from pods_that_fail(world.troubled_pods, world.missing_pods, snapshot.creation_failures)
    yield from pods_that_stay({**snapshot.pods, **snapshot.sentinel_pods}, snapshot.now)


def processes_answer(world: World) -> Iterator[Finding]:
    snapshot = world.snapshot
    return unresponsive_processes(
        {**world.unresponsive, **world.unresponsive_sentinels},
        (*world.wanted_pods, *world.wanted_sentinels),
        {**snapshot.pods, **snapshot.sentinel_pods},
    )


def disks_take_writes(world: World) -> Iterator[Finding]:
    return disks_that_fail(world.snapshot, frozenset(member.name for member in world.primaries))


def there_is_one_primary(world: World) -> Iterator[Finding]:
    if len(world.primaries) > 1:
        names = list_names([member.name for member in world.primaries])
        yield Finding(reason="TwoPrimaries", message=f"{names} all report role:master", serious=True)
    if world.primary is None and not any(unknown.full for unknown in world.unresponsive.values()):
        yield Finding(reason="NoPrimary", message="no process is the primary", serious=True)


def data_is_there(world: World) -> Iterator[Finding]:
    if world.lost:
        yield Finding(reason="DataLost", message=world.lost, serious=True)


def the_last_copy_stays(world: World) -> Iterator[Finding]:
    primary = world.primary
    if primary is not None and not any(not member.pod.deleting for member in world.replicas_in_sync()):
        yield from last_copy_goes(primary.pod, wanted=len(world.wanted_pods) - 1)


def replicas_are_in_sync(world: World) -> Iterator[Finding]:
    wanted, synced = len(world.wanted_pods) - 1, len(world.replicas_in_sync())
    if synced < wanted:
        yield Finding(reason="ReplicasNotInSync", message=f"{synced} of {wanted} replicas in sync", serious=False)


def syncs_come_to_an_end(world: World) -> Iterator[Finding]:
    primary = world.primary
    if primary is not None:
        followers = (each for each in world.members if each.follows and primary.is_at(each.follows))
        yield from syncs_that_fail(((each.name, each.facts) for each in followers), primary.name, primary.facts)


def sentinels_watch(world: World) -> Iterator[Finding]:
    watching = sentinels_ready(world)
    if watching < len(world.wanted_sentinels):
        message = f"{watching} of {len(world.wanted_sentinels)} Sentinels watch the primary"
        yield Finding(reason="SentinelsNotReady", message=message, serious=False)
    for watcher in world.watchers:
        if watcher.watch is not None and (missing := lacks(watcher, world)):
            message = f"{watcher.name} does not know {list_names(missing)} yet"
            yield Finding(reason="SentinelsDisagree", message=message, serious=False)
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


def pods_are_ready(world: World) -> Iterator[Finding]:
    snapshot = world.snapshot
    wanted = (*world.wanted_pods, *world.wanted_sentinels)
    return unready_pods(wanted, {**snapshot.pods, **snapshot.sentinel_pods})


CHECKS: tuple[Check, ...] = (
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


def findings(world: World) -> tuple[Finding, ...]:
    """Everything that is wrong, in the order of CHECKS."""
    return tuple(finding for check in CHECKS for finding in check(world))
