"""Decides what is wrong with a RedisStandby or RedisStandalone right now, as sentences: none means Ready.

Order is meaning: the first ailment is the reason in status.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tdredis.planning.conditions import Ailment
from tdredis.planning.objects import list_names
from tdredis.planning.replication.rules import World, lacks

Check = Callable[[World], Iterator[Ailment]]


def pods_run(world: World) -> Iterator[Ailment]:
    """Every pod that is wanted exists and nothing is wrong with it."""
    picture = world.picture
    for pod in picture.troubled_pods:
        assert pod.trouble is not None  # noqa: S101 that is what troubled means
        reason = pod.trouble.reason
        yield Ailment(reason=reason, message=f"pod {pod.name}: {pod.trouble.message or reason}", serious=False)
    if picture.missing_pods:
        message = f"not made yet: {list_names(picture.missing_pods)}"
        yield Ailment(reason="PodsMissing", message=message, serious=False)


def processes_answer(world: World) -> Iterator[Ailment]:
    for pod, unknown in (*world.picture.silent.items(), *world.picture.silent_sentinels.items()):
        yield Ailment(
            reason="NoAnswer", message=f"the process in pod {pod} does not answer: {unknown.error}", serious=False
        )


def there_is_one_primary(world: World) -> Iterator[Ailment]:
    picture = world.picture
    if len(picture.primaries) > 1:
        names = list_names([member.name for member in picture.primaries])
        yield Ailment(reason="TwoPrimaries", message=f"{names} all take themselves for the primary", serious=True)
    if picture.primary is None:
        yield Ailment(reason="NoPrimary", message="no process is the primary", serious=True)


def replicas_are_in_sync(world: World) -> Iterator[Ailment]:
    wanted, synced = len(world.picture.wanted_pods) - 1, len(world.picture.replicas_in_sync())
    if synced < wanted:
        yield Ailment(reason="ReplicasNotInSync", message=f"{synced} of {wanted} replicas in sync", serious=False)


def sentinels_watch(world: World) -> Iterator[Ailment]:
    picture = world.picture
    watching = sentinels_ready(world)
    if watching < len(picture.wanted_sentinels):
        message = f"{watching} of {len(picture.wanted_sentinels)} Sentinels watch the primary"
        yield Ailment(reason="SentinelsNotReady", message=message, serious=False)
    for watcher in picture.watchers:
        if watcher.watch is not None and (missing := lacks(watcher, picture)):
            message = f"{watcher.name} does not know {list_names(missing)} yet"
            yield Ailment(reason="SentinelsDisagree", message=message, serious=False)
            break


def sentinels_ready(world: World) -> int:
    """Sentinels that answer and watch the present primary, which is not down in their eyes."""
    primary = world.picture.primary
    return sum(
        primary is not None
        and watcher.watch is not None
        and (watcher.watch.host, watcher.watch.port) == primary.place
        and not watcher.watch.is_down
        for watcher in world.picture.watchers
    )


def pods_are_ready(world: World) -> Iterator[Ailment]:
    picture, snapshot = world.picture, world.picture.snapshot
    waiting = [name for name in picture.wanted_pods if name in snapshot.pods and not snapshot.pods[name].ready]
    waiting += [
        name
        for name in picture.wanted_sentinels
        if name in snapshot.sentinel_pods and not snapshot.sentinel_pods[name].ready
    ]
    if waiting:
        wanted = len(picture.wanted_pods) + len(picture.wanted_sentinels)
        message = f"{len(waiting)} of {wanted} pods are not ready: {list_names(waiting)}"
        yield Ailment(reason="PodsNotReady", message=message, serious=False)


CHECKS: tuple[Check, ...] = (
    pods_run,
    processes_answer,
    there_is_one_primary,
    replicas_are_in_sync,
    sentinels_watch,
    pods_are_ready,
)


def ailments(world: World) -> tuple[Ailment, ...]:
    """Everything that is wrong, in the order of CHECKS."""
    return tuple(ailment for check in CHECKS for ailment in check(world))
