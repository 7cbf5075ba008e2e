"""Decides how much running containers and processes may use, and in which order that changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Final

from tdredis.api.instance import InstanceSpec
from tdredis.api.rediscluster import RedisClusterSpec
from tdredis.api.settings import as_texts
from tdredis.manifests.asked import Asked, build_asked
from tdredis.manifests.drift import parse_quantity
from tdredis.manifests.names import REDIS_CONTAINER
from tdredis.manifests.redis_config import backlog_mib
from tdredis.manifests.redis_pods import container_resources
from tdredis.planning.earlier import asked_of
from tdredis.planning.health import Limited, World
from tdredis.planning.plan import Hold, Ruling
from tdredis.planning.snapshot import PodFacts, Snapshot
from tdredis.planning.steps import ResizePod, SetConfig
from tdredis.redis.facts import NodeFacts

MIB: Final = 2**20
BACKLOG: Final = "repl-backlog-size"
ROOM_PERCENT: Final = 110  # of maxmemory is what a container needs at the least: buffers and fragments are not in it
RESIZABLE: Final = ("cpu", "memory")


def resize_pods(snapshot: Snapshot, requests: Mapping[str, str], limits: Mapping[str, str]) -> tuple[ResizePod, ...]:
    """Running Redis containers get the CPUs and memory that a new one would. What they have beyond that stays until
    they are recreated: in place nothing can be taken away altogether. A memory limit is lowered behind maxmemory.
    """
    if not snapshot.site.pod_resize:
        return ()
    # As the server completes it: who names a limit only requests as much.
    asked = _only_resizable({**limits, **requests})
    capped = _only_resizable(limits)
    wanted = Asked(requests=asked, limits=capped)
    return tuple(
        ResizePod(
            pod=name,
            uid=pod.uid,
            container=REDIS_CONTAINER,
            requests=tuple(sorted(asked.items())),
            limits=tuple(sorted(capped.items())),
            record=build_asked(_after(snapshot, pod, wanted)),
            why=f"its container is to have {_sentence(capped or asked)}",
        )
        for name, pod in sorted(snapshot.pods.items())
        if pod.running
        and not pod.deleting
        and _is_to_be_told(snapshot, pod, wanted)
        and may_be_resized(snapshot, pod, asked, capped)
    )


def _is_to_be_told(snapshot: Snapshot, pod: PodFacts, wanted: Asked) -> bool:
    """It was last told something else. What it has is no sign of that where it says what it was told: somebody else
    changed it since, or as it was made, and would again.
    """
    told = asked_of(snapshot, pod) or Asked(requests=pod.requests, limits=pod.limits)
    return _lacks(told.requests, wanted.requests) or _lacks(told.limits, wanted.limits)


def _after(snapshot: Snapshot, pod: PodFacts, wanted: Asked) -> Asked:
    """In place nothing can be taken away altogether."""
    told = asked_of(snapshot, pod) or Asked()
    return Asked(requests={**told.requests, **wanted.requests}, limits={**told.limits, **wanted.limits})


def resize_containers(world: World) -> Ruling:
    """Running containers may use what new ones would, where Kubernetes can change that in place."""
    return Ruling(steps=resize_pods(world.snapshot, *container_resources(world.instance)))


def limit_memory(world: World) -> Ruling:
    """maxmemory of every process is what capacity gives it, once its container has the room."""
    growing = {step.pod for step in resize_pods(world.snapshot, *container_resources(world.instance))}
    found = limit_maxmemory(world.members, world.instance.spec, growing)
    # Where nothing is resized in place new pods give it, and what is pending says how far that is.
    return found if world.snapshot.site.pod_resize else Ruling(steps=found.steps)


def limit_maxmemory(members: Iterable[Limited], spec: InstanceSpec, growing: set[str]) -> Ruling:
    """maxmemory of every process is what capacity gives it; more of it once its container has the room. That of the
    pods in *growing* gets it in a moment.
    """
    wanted = spec.maxmemory_mib * MIB
    # Who names it in spec.config decides it.
    backlog = None if BACKLOG in as_texts(spec.config) else backlog_mib(spec.maxmemory_mib) * MIB
    share = f"capacity {spec.capacity}"
    if isinstance(spec, RedisClusterSpec):
        share += f" over {spec.size} shards"
    steps: list[SetConfig] = []
    holds: list[Hold] = []
    for member in members:
        now = member.facts.maxmemory_bytes
        if now == wanted:
            steps += _raise_backlog(member, backlog, share)
            continue
        # Less is always better than what there is, and so is a limit where there is none.
        hold = memory_limit_follows(member.pod, wanted) if wanted > now > 0 else None
        if hold is None:
            steps.append(SetConfig(process=member.process, parameter="maxmemory", before=now, value=wanted, why=share))
            had = member.facts.backlog_bytes
            if backlog is not None and had not in (None, backlog):
                steps.append(SetConfig(process=member.process, parameter=BACKLOG, before=had, value=backlog, why=share))
        elif member.pod.name not in growing and not _is_growing(member.pod, wanted):
            holds.append(hold)
    return Ruling(steps=tuple(steps), holds=tuple(holds[:1]))


def _raise_backlog(member: Limited, backlog_bytes: int | None, share: str) -> Iterator[SetConfig]:
    """More of it than capacity gives was set by hand, for a replica that is slow, and stays."""
    now = member.facts.backlog_bytes
    if now is not None and backlog_bytes is not None and now < backlog_bytes:
        yield SetConfig(process=member.process, parameter=BACKLOG, before=now, value=backlog_bytes, why=share)


def _is_growing(pod: PodFacts, maxmemory_bytes: int) -> bool:
    """Its container was promised the room, and nothing is in the way of it."""
    promised = parse_quantity(pod.limits.get("memory"))
    return pod.resize_trouble is None and promised is not None and maxmemory_bytes * ROOM_PERCENT <= promised * 100


def memory_limit_follows(pod: PodFacts, maxmemory_bytes: int) -> Hold | None:
    """Guard: the container has room for *maxmemory_bytes* and a tenth more. Else the kernel would end the process
    before Redis evicts anything.
    """
    limit = parse_quantity(pod.given_limits.get("memory"))
    if limit is None or maxmemory_bytes * ROOM_PERCENT <= limit * 100:
        return None
    trouble = pod.resize_trouble
    advice = (
        f"raising it in place is {trouble.reason} ({trouble.message})"
        if trouble
        else "it must be raised first, in place or by recreating the pod"
    )
    why = (
        f"maxmemory {maxmemory_bytes // MIB} MiB and a tenth more do not fit the memory limit"
        f" {pod.given_limits['memory']} of {pod.name}: {advice}"
    )
    return Hold(guard="memory_limit_follows", about="spec", why=why)


def _only_resizable(quantities: Mapping[str, str]) -> dict[str, str]:
    return {name: quantities[name] for name in RESIZABLE if name in quantities}


def _sentence(quantities: Mapping[str, str]) -> str:
    return " and ".join(f"{name} {value}" for name, value in sorted(quantities.items()))


def _lacks(has: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return any(parse_quantity(has.get(name)) != parse_quantity(value) for name, value in wanted.items())


def may_be_resized(snapshot: Snapshot, pod: PodFacts, requests: Mapping[str, str], limits: Mapping[str, str]) -> bool:
    """Kubernetes refuses what would change the pod's class; a limit under what the process may use would kill it."""
    alone = not snapshot.resource.spec.monitor_image and not snapshot.resource.spec.pod.containers
    before = _class(pod.requests, pod.limits)
    if alone and before != _class({**pod.requests, **requests}, {**pod.limits, **limits}):
        return False
    new, old = parse_quantity(limits.get("memory")), parse_quantity(pod.limits.get("memory"))
    if new is None or (old is not None and new >= old):
        return True
    node = snapshot.nodes.get(pod.name)
    if not isinstance(node, NodeFacts):
        return False
    return max(node.maxmemory_bytes * ROOM_PERCENT, node.used_memory_bytes * 100) <= new * 100


def _class(requests: Mapping[str, str], limits: Mapping[str, str]) -> str:
    """Source: kubernetes.io, "Pod Quality of Service Classes", for a pod of one container."""
    if not _only_resizable({**requests, **limits}):
        return "BestEffort"
    same = all(_number(requests, name) == _number(limits, name) is not None for name in RESIZABLE)
    return "Guaranteed" if same else "Burstable"


def _number(quantities: Mapping[str, str], name: str) -> Decimal | None:
    return parse_quantity(quantities.get(name))
