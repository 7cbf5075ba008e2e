"""Decides what is set on running nodes and their pods: memory, users, timeouts, labels."""

from __future__ import annotations

from tdredis.manifests.redis_config import NODE_TIMEOUT_MS
from tdredis.planning.cluster.world import World
from tdredis.planning.objects import (
    label_role,
)
from tdredis.planning.plan import Ruling
from tdredis.planning.steps import (
    SetConfig,
)


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
        SetConfig(
            process=member.process,
            parameter="cluster-node-timeout",
            before=member.facts.node_timeout_ms,
            value=NODE_TIMEOUT_MS,
            why=why,
        )
        for member in world.members
        if member.facts.node_timeout_ms != NODE_TIMEOUT_MS
    ]
    return Ruling(steps=tuple(steps))
