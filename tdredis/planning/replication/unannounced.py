"""Decides when a pod's own Service goes that spec does not ask for any more: when nobody uses where it leads.

Replicas, Sentinels and their clients are told of the pods' own addresses one after another. One that still uses a
Service would lose its primary with it.
"""

from __future__ import annotations

from collections.abc import Iterator

from tdredis.manifests.services import build_external_services
from tdredis.planning.addresses import leads_from
from tdredis.planning.objects import remove_unwanted_external
from tdredis.planning.replication.members import Place
from tdredis.planning.replication.world import World
from tdredis.planning.steps import Remove


def remove_unannounced(world: World) -> tuple[Remove, ...]:
    """Pods' own Services that are not wanted any more, once every process answers and none uses them."""
    snapshot = world.snapshot
    found = remove_unwanted_external(snapshot, build_external_services(world.instance))
    if not found or not _everybody_has_said(world):
        return ()
    used = set(_used(world))
    return tuple(step for step in found if not any(leads_from(snapshot.children[step.ref], *place) for place in used))


def _everybody_has_said(world: World) -> bool:
    """Every process that runs; one that is restarted begins with its pod's own address."""
    return not world.redis.unresponsive and not world.sentinels.unresponsive


def _used(world: World) -> Iterator[Place]:
    """Where processes say that they are, and where they take others to be."""
    for member in world.members:
        yield member.place
        if member.follows is not None:
            yield member.follows
        yield from member.facts.replication.replicas
    for watcher in world.watchers:
        yield watcher.place
        for watch in watcher.facts.watches:
            yield watch.host, watch.port
            yield from ((known.host, known.port) for known in (*watch.replicas, *watch.sentinels))
