"""Decides in which pod a process is that does not answer: by what it said of itself while it did.

Its address is no good for that where addresses for outside are announced: vip, netmode, a Service or a load balancer
may change while it misses one answer, and then nobody has the address any more though the process lives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from tdredis.manifests.services import has_external_pods
from tdredis.planning.snapshot import PodFacts, Snapshot
from tdredis.redis.facts import NodeFacts
from tdredis.redis.ports import REDIS_PORT

NOBODY_KNOWS: Final = ""  # uid of a pod of which only the name is known: it may be there, or not


def names_of(facts: NodeFacts, pod_ip: str) -> tuple[str, ...]:
    """What tells a process from others: its ids, and where it is reached."""
    announced = facts.announced
    places = [(pod_ip, REDIS_PORT)] + ([(announced.host, announced.port)] if announced else [])
    ids = (facts.view.me.id if facts.view else "", facts.run_id)
    return (*(each for each in ids if each), *(place_name(host, port) for host, port in places))


def place_name(host: str, port: int) -> str:
    return f"{host}:{port}"


def find_pod(
    snapshot: Snapshot, pods: Iterable[PodFacts], names: Iterable[str], port: int, is_at: Callable[[PodFacts], bool]
) -> PodFacts | None:
    """Which of *pods* has the process with one of *names*, the surest of them first; None: its pod is gone.

    Where nobody remembers (the operator has just begun), it is the pod that *is_at* its address. If addresses may have
    changed, *port* being one for outside or there being any, whoever is not heard and never was may be the one; and so
    may one of which only the name is known.
    """
    candidates = sorted(pods, key=lambda pod: pod.name)
    may_be_there = next((pod for pod in candidates if pod.uid == NOBODY_KNOWS), None)
    for name in names:
        if uid := snapshot.known_pods.get(name):
            return next((pod for pod in candidates if pod.uid == uid), None)
    if port == REDIS_PORT and not _announces_outside(snapshot):
        return next(filter(is_at, candidates), may_be_there)
    known = set(snapshot.known_pods.values())
    unheard = [pod for pod in candidates if pod.uid not in known and _may_be_anybody(snapshot, pod)]
    return min(unheard, key=lambda pod: (pod.name not in snapshot.nodes, not is_at(pod), pod.name), default=None)


def _may_be_anybody(snapshot: Snapshot, pod: PodFacts) -> bool:
    """A process runs, or ran, in it that has not said who it is."""
    if pod.name in snapshot.nodes:
        return not isinstance(snapshot.nodes[pod.name], NodeFacts)
    return pod.ever_ran


def _announces_outside(snapshot: Snapshot) -> bool:
    return has_external_pods(snapshot.resource) or any(
        ref.kind == "Service" and live.is_external_service for ref, live in snapshot.children.items()
    )
