"""Decides whether an edit of image would put an engine beside data that it cannot read, as far as tags tell."""

from __future__ import annotations

from collections.abc import Iterator

from tdredis.api.instance import InstanceSpec
from tdredis.planning.change import HeldFields
from tdredis.planning.conditions import has_been_ready
from tdredis.planning.plan import Hold
from tdredis.planning.snapshot import PodFacts, Snapshot
from tdredis.redis.engines import Engine, cannot_read, engine_of
from tdredis.redis.facts import NodeFacts


def image_change(snapshot: Snapshot, spec: InstanceSpec) -> Iterator[HeldFields]:
    """The image of those who wrote the data stays, where that of *spec* could not read it. *spec* has the effective
    volumes. What only replicas on emptyDirs ran may be taken back: they copy the data from a primary that can read it.
    """
    new = engine_of(spec.image)
    if new is None or not has_been_ready(snapshot.resource.status):
        return
    unreadable = {image: engine for image, engine in _wrote(snapshot, spec).items() if cannot_read(new, engine)}
    if not unreadable:
        return
    image, engine = max(unreadable.items(), key=lambda item: (item[1].major, item[1].minor or 0, item[0]))
    why = (
        f"{new} cannot be relied on to read what {engine} has written: write image: {image} again. To go back to {new},"
        " create another instance with it and copy the keys there"
    )
    yield {"image": image}, Hold(guard="engine_reads_the_data", about="spec", why=why)


def _wrote(snapshot: Snapshot, spec: InstanceSpec) -> dict[str, Engine]:
    """Engines whose files, or whose data in memory, the others go by; by the image that spec had for them."""
    pods = (pod for pod in snapshot.pods.values() if pod.ever_ran)
    writers = (pod for pod in pods if spec.storage_class or not _is_replica(snapshot, pod))
    images = {pod.made_of.get("image", "") for pod in writers}
    return {image: engine for image in images if (engine := engine_of(image)) is not None}


def _is_replica(snapshot: Snapshot, pod: PodFacts) -> bool:
    """Who does not answer may be the primary, unless another one of its shard is."""
    node = snapshot.nodes.get(pod.name)
    if isinstance(node, NodeFacts):
        return node.replication.role == "slave"
    shard = pod.name.rpartition("-")[0]
    others = (each for name, each in snapshot.nodes.items() if name != pod.name and name.rpartition("-")[0] == shard)
    return any(isinstance(each, NodeFacts) and _leads(each) for each in others)


def _leads(node: NodeFacts) -> bool:
    """In a cluster a primary without slots may be one that has just come up, and knows nobody."""
    return node.replication.role == "master" and (node.view is None or bool(node.view.me.slots))
