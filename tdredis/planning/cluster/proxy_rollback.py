"""Decides when proxies are made again as before, because what spec makes of them now does not come up.

As where pods of Redis go back (planning/rollback.py), with a record of its own: Redis may have come up from the same
edit. Kubernetes keeps the old proxies meanwhile; but no change gets to them any more, nor a new one if one dies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tdredis.api.rediscluster import RedisCluster, RedisClusterSpec
from tdredis.api.rollout import RolloutStatus
from tdredis.manifests.made_of import RESTART
from tdredis.manifests.names import proxy_name
from tdredis.manifests.proxy import MADE_OF, proxy_digest, proxy_values
from tdredis.planning.change import HeldFields
from tdredis.planning.cluster.world import World
from tdredis.planning.live import Live
from tdredis.planning.plan import Hold
from tdredis.planning.refused import spec_problems
from tdredis.planning.rollback import IS_SEEN_S, Watched, judge
from tdredis.planning.snapshot import ClusterSnapshot, PodFacts, Ref
from tdredis.planning.template_values import ASKED, digest, read, with_values, write


def proxies_back(snapshot: ClusterSnapshot, spec: RedisClusterSpec) -> Iterator[HeldFields]:
    """Decider: an edit that was given up is not effective."""
    cluster = snapshot.cluster
    record = cluster.status.proxy_rollout
    if record is None or not record.failed or cluster.spec.rollout.rollback != "auto":
        return
    good = read(record.last_good)
    if not good or _tried(cluster, good) != record.tried:
        return
    before = with_values(spec, _edited(cluster.spec, good), good)
    why = (
        f"generation {record.generation} is not carried out by the proxies, which are made as before: {record.failed}."
        f" Write other values, or these again; to try the same once more, give {RESTART} another value"
        " (rollout.rollback)"
    )
    yield (
        {"proxy_image": before.proxy_image, "proxy": before.proxy},
        Hold(guard="new_proxies_come_up", about="spec", why=why),
    )


def watch_proxies(world: World) -> Watched:
    """What is to be written down of them, and when they are looked at again."""
    snapshot, cluster, effective = world.snapshot, world.snapshot.cluster, world.instance.spec
    before = cluster.status.proxy_rollout
    live = snapshot.children.get(Ref("Deployment", proxy_name(cluster.name)))
    if spec_problems(snapshot) or cluster.spec.paused or not effective.proxy.enabled or live is None:
        return Watched(record=before)
    record = before or RolloutStatus()
    good = read(record.last_good)
    tried = _tried(cluster, good) if cluster.spec.rollout.rollback == "auto" else ""
    if record.failed and tried == record.tried and proxy_digest(effective) != proxy_digest(cluster.spec):
        return Watched(record=before)  # they are as before
    is_current = live.meta.annotations.get(MADE_OF) == proxy_digest(effective)
    newest = _newest(snapshot, live) if is_current else ()
    if newest and _are_all(world, live, newest):
        return Watched(record=RolloutStatus(last_good=write(proxy_values(effective))))
    if not good:
        return Watched(record=before)
    if record.tried != tried:
        record = RolloutStatus(last_good=record.last_good, tried=tried)
    if not tried or record.came_up or record.failed or not is_current:
        return Watched(record=record)
    if any(pod.ready and pod.trouble is None for pod in newest):
        return Watched(
            record=RolloutStatus(last_good=record.last_good, tried=record.tried, came_up=True), look_s=IS_SEEN_S
        )
    troubles = [
        (pod.created, f"pod {pod.name}", f"{pod.trouble.reason}: {pod.trouble.message}")
        for pod in newest
        if pod.trouble is not None
    ]
    words = snapshot.creation_failures.get(proxy_name(cluster.name), "")
    refused = ((proxy_name(cluster.name), words),) if words and not newest else ()
    return judge(snapshot, record, troubles, refused)


def _edited(spec: RedisClusterSpec, good: Mapping[str, Any]) -> dict[str, Any]:
    return {path: value for path, value in proxy_values(spec).items() if good.get(path) != value}


def _tried(cluster: RedisCluster, good: Mapping[str, Any]) -> str:
    """A digest of what spec says otherwise than *good*, and of the request to try it once more."""
    edit = _edited(cluster.spec, good) if good else {}
    return digest({**edit, ASKED: cluster.metadata.annotations.get(RESTART, "")}) if edit else ""


def _newest(snapshot: ClusterSnapshot, live: Live) -> tuple[PodFacts, ...]:
    """Pods of the Deployment's present template: those of the hash that came last, if they are as many as its
    controller counts. (): there is none yet, or it cannot be told.

    Pods and the Deployment are watched apart: its status may count the first new pod before that is seen, and the last
    old one, as many and well, would be taken for it. So all pods, and those that are well, are counted too.
    """
    view, there = live.deployment, _proxies(snapshot)
    if view.observed_generation != live.meta.generation or len(there) != view.replicas:
        return ()
    if sum(pod.ready for pod in there) > live.available_replicas:
        return ()
    by_hash: dict[str, list[PodFacts]] = {}
    for pod in there:
        by_hash.setdefault(pod.revision, []).append(pod)
    newest = max(by_hash.values(), key=lambda pods: min(pod.created for pod in pods), default=[])
    return tuple(newest) if len(newest) == view.updated_replicas else ()


def _proxies(snapshot: ClusterSnapshot) -> list[PodFacts]:
    """As a Deployment's controller counts them. Source: controller_utils.go, FilterActivePods."""
    return [pod for pod in snapshot.proxies if not pod.finished and not pod.deleting]


def _are_all(world: World, live: Live, newest: tuple[PodFacts, ...]) -> bool:
    """All proxies are made from it, and are well."""
    there = _proxies(world.snapshot)
    well = [pod for pod in newest if pod.ready and pod.trouble is None]
    return len(there) == len(well) >= max(live.deployment.replicas, world.instance.spec.proxy.replicas)
