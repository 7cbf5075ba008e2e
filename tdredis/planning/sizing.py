"""Decides the order in which more memory is given: the running containers first, then maxmemory and what new pods get.

A resize in place can be refused, or wait for ever. Until it is done a pod that ends comes back as it was: a template
that is ahead would make a pod that fits on no node, and a redis.conf that is ahead one that the kernel ends.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import TypeGuard

from tdredis.api.instance import Instance
from tdredis.api.json_object import JSON, JSONObject, object_at
from tdredis.manifests.asked import ASKED, Asked, build_asked
from tdredis.manifests.drift import parse_quantity
from tdredis.manifests.names import REDIS_CONTAINER
from tdredis.manifests.redis_pods import container_resources
from tdredis.planning.earlier import is_changed_by_others
from tdredis.planning.limits import MIB, may_be_resized, memory_limit_follows
from tdredis.planning.objects import ref_of
from tdredis.planning.plan import Hold, is_for_good
from tdredis.planning.snapshot import PodFacts, Ref, Snapshot
from tdredis.planning.steps import ResizePod, Step

_OF_MEMORY = ("maxmemory ", "repl-backlog-size ")  # lines of redis.conf
Resources = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Lag:
    """What keeps its words of memory and CPUs, because a running container is to be given more first: the templates of
    *statefulsets*, and redis.conf if *conf*.
    """

    statefulsets: frozenset[str]
    conf: bool


def find_lag(snapshot: Snapshot, instance: Instance) -> Lag:
    """*instance* says what each Redis container is to have, and what its process is to use."""
    requests, limits = container_resources(instance)
    asked, maxmemory_bytes = {**limits, **requests}, instance.spec.maxmemory_mib * MIB
    awaited = (
        name.rpartition("-")[0] for name, pod in snapshot.pods.items() if _is_awaited(snapshot, pod, asked, limits)
    )
    running = (pod for pod in snapshot.pods.values() if pod.running and not pod.deleting)
    return Lag(
        statefulsets=frozenset(awaited),
        conf=maxmemory_bytes > 0 and any(memory_limit_follows(pod, maxmemory_bytes) for pod in running),
    )


def behind_the_pods(snapshot: Snapshot, manifests: Iterable[JSONObject], lag: Lag) -> tuple[JSONObject, ...]:
    """*manifests*, of which those in *lag* say of memory and CPUs what the live objects do."""
    return tuple(
        _keep_template(snapshot, each, lag.statefulsets)
        if each["kind"] == "StatefulSet"
        else _keep_conf(snapshot, each)
        if each["kind"] == "ConfigMap" and lag.conf
        else each
        for each in manifests
    )


def written_maxmemory_mib(snapshot: Snapshot) -> int | None:
    """What the file for the next start of a process gives it; 0: no limit. None: there is no file yet."""
    live = snapshot.children.get(Ref("ConfigMap", snapshot.resource.name))
    if live is None:
        return None

    def read() -> int | None:
        conf = _conf(live.json)
        if not conf:
            return None
        limit = _maxmemory(conf)
        return 0 if math.isinf(limit) else int(limit)

    return snapshot.memo.once("written maxmemory", (live,), read)


def resize_refusal(failed: Step | None, kind: str, words: str) -> Hold | None:
    """Guard: the server gives a container what spec asks for. *kind*: of the refusal, with its status first."""
    if not isinstance(failed, ResizePod) or not is_for_good(kind):
        return None
    why = f"{words}: it stays as it is, and so does the template of new pods. Ask for less, or make room on its node"
    return Hold(guard="resize_is_accepted", about="spec", why=why)


def _keep_template(snapshot: Snapshot, manifest: JSONObject, awaited: Set[str]) -> JSONObject:
    """*awaited*: StatefulSets whose pods are to be given more first."""
    live = snapshot.children.get(ref_of(manifest))
    if live is None or ref_of(manifest).name not in awaited:
        return manifest
    kept = _with_resources(manifest, _resources(live.json))
    asked = build_asked(live.made.asked or Asked())
    return _replaced(kept, ("spec", "template", "metadata", "annotations"), {ASKED: asked})


def _is_awaited(snapshot: Snapshot, pod: PodFacts, requests: Resources, limits: Resources) -> bool:
    """It runs, has less than it is to have, and can be given that in place."""
    if not snapshot.site.pod_resize or not pod.running or pod.deleting:
        return False
    if pod.given_requests == requests and pod.given_limits == limits:
        return False
    if is_changed_by_others(snapshot, pod, requests, limits):
        return False
    if not _has_less(pod.given_requests, requests) and not _has_less(pod.given_limits, limits):
        return False
    return may_be_resized(snapshot, pod, requests, limits)


def _has_less(has: Resources, wanted: Resources) -> bool:
    pairs = ((parse_quantity(has.get(name)), parse_quantity(value)) for name, value in wanted.items())
    return any(one is not None and other is not None and one < other for one, other in pairs)


def _with_resources(manifest: JSONObject, resources: JSON) -> JSONObject:
    match manifest:
        case {"spec": {"template": {"spec": {"containers": [*containers]}}}}:
            changed = [_with(each, resources) if _is_redis(each) else each for each in containers]
            return _replaced(manifest, ("spec", "template", "spec"), {"containers": changed})
        case _:
            return manifest


def _with(container: JSONObject, resources: JSON) -> JSON:
    rest = {name: value for name, value in container.items() if name != "resources"}
    return {**rest, "resources": resources} if resources else rest


def _replaced(manifest: JSONObject, path: tuple[str, ...], part: JSONObject) -> JSONObject:
    if not path:
        return {**manifest, **part}
    return {**manifest, path[0]: _replaced(object_at(manifest, path[0]), path[1:], part)}


def _resources(statefulset: JSONObject) -> JSON:
    match statefulset:
        case {"spec": {"template": {"spec": {"containers": [*containers]}}}}:
            return next((each.get("resources") for each in containers if _is_redis(each)), None)
        case _:
            return None


def _is_redis(container: JSON) -> TypeGuard[JSONObject]:
    return isinstance(container, dict) and container.get("name") == REDIS_CONTAINER


def _keep_conf(snapshot: Snapshot, manifest: JSONObject) -> JSONObject:
    live = snapshot.children.get(Ref("ConfigMap", ref_of(manifest).name))
    if live is None:
        return manifest
    before, wanted = _conf(live.json), _conf(manifest)
    if not before or _maxmemory(before) >= _maxmemory(wanted):
        return manifest
    kept = {line.split(" ")[0]: line for line in before.splitlines() if line.startswith(_OF_MEMORY)}
    lines = [kept.get(line.split(" ")[0], line) for line in wanted.splitlines()]
    return _replaced(manifest, ("data",), {"redis.conf": "\n".join(lines) + "\n"})


def _conf(config_map: JSONObject) -> str:
    match config_map:
        case {"data": {"redis.conf": str(text)}}:
            return text
        case _:
            return ""


def _maxmemory(conf: str) -> float:
    """MiB; without a limit it is infinite."""
    found = [line.split()[1].removesuffix("mb") for line in conf.splitlines() if line.startswith("maxmemory ")]
    return float(found[-1]) or float("inf") if found else float("inf")
