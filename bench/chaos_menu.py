"""The faults of a chaos run: each breaks one thing of one resource, and returns when it has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.chaos_schedule import Draw
from tdredis.kube.client import Client
from tdredis.kube.resources import PODS
from tdredis.manifests.claims import CLAIM
from tdredis.redis.slots import parse_slots
from tdredis.redislink.errors import LinkError
from tests.e2e.nodes import tell, view
from tests.e2e.world import BIN, Kube, Operator, Subject, eventually

ENDS_S = 120.0  # no fault lasts longer
DRAIN_S = 60


@dataclass
class Place:
    """Where the faults happen. *claims*: the pods' data outlives them."""

    kube: Kube
    client: Client
    operator: Operator
    subjects: list[Subject]
    claims: bool
    operator_is_down: asyncio.Lock = field(default_factory=asyncio.Lock)


class InapplicableError(Exception):
    """The fault is nothing for that resource, or there is no such pod at the moment: the next one is drawn."""


async def _pod(subject: Subject, draw: Draw, *components: str) -> str:
    """Raises InapplicableError."""
    pods: list[str] = []
    for component in components:
        pods += sorted(await subject.pods(component))
    return _choose(draw, pods)


def _way(draw: Draw, ways: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    return ways[int(draw.way * len(ways))]


def _choose(draw: Draw, pods: Sequence[str]) -> str:
    if not pods:
        raise InapplicableError
    return pods[int(draw.pod * len(pods))]


def _only(subject: Subject, kind: str) -> None:
    if subject.kind.kind != kind:
        raise InapplicableError


async def _tell(subject: Subject, pod: str, *command: str | int) -> None:
    """To Redis, behind the operator's back. Raises InapplicableError where nobody listens, or it is refused."""
    try:
        await tell(subject, pod, command)
    except (LinkError, KeyError) as error:
        raise InapplicableError from error


async def _node(subject: Subject, draw: Draw) -> str:
    """The node of one of its Redis pods. Raises InapplicableError."""
    nodes = [pod["spec"].get("nodeName", "") for _, pod in sorted((await subject.pods()).items())]
    return _choose(draw, [node for node in nodes if node])


async def _fault(place: Place, *words: str) -> None:
    """One of localkube's own. Raises InapplicableError for what it cannot do at the moment: the pod is gone."""
    process = await asyncio.create_subprocess_exec(
        str(BIN / "localkube"),
        *("fault", "--kubeconfig", str(place.kube.kubeconfig), *words),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(ENDS_S):
        if await process.wait() != 0:
            raise InapplicableError


async def kill_redis(place: Place, subject: Subject, draw: Draw) -> None:
    pod = await _pod(subject, draw, "redis")
    await _fault(place, "kill", "-c", "redis", f"{subject.namespace}/{pod}")


async def kill_sentinel_or_proxy(place: Place, subject: Subject, draw: Draw) -> None:
    pod = await _pod(subject, draw, "sentinel", "proxy")
    await _fault(place, "kill", f"{subject.namespace}/{pod}")


async def delete_pod(place: Place, subject: Subject, draw: Draw) -> None:
    # On an emptyDir the pod of a standalone is its only copy.
    components = ("redis", "sentinel", "proxy") if subject.kind.kind != "RedisStandalone" else ()
    pod = await _pod(subject, draw, *components)
    await place.client.delete(PODS, subject.namespace, pod)


async def freeze_redis(place: Place, subject: Subject, draw: Draw) -> None:
    pod = await _pod(subject, draw, "redis")
    await _fault(place, "freeze", "--for", f"{draw.lasts_s:.1f}s", f"{subject.namespace}/{pod}")


async def cut_off_redis(place: Place, subject: Subject, draw: Draw) -> None:
    """From its peers, not from its clients."""
    pods = [name for component in ("redis", "sentinel") for name in sorted(await subject.pods(component))]
    pod = _choose(draw, pods)
    others = ",".join(f"{subject.namespace}/{name}" for name in pods if name != pod)
    if others:
        await _fault(place, "cut", "--for", f"{draw.lasts_s:.1f}s", f"{subject.namespace}/{pod}", others)


async def drop_packets(place: Place, subject: Subject, draw: Draw) -> None:
    pod = await _pod(subject, draw, "redis", "sentinel", "proxy")
    side = f"{subject.namespace}/{pod}"
    await _fault(place, "drop", "--percent", "30", "--for", f"{draw.lasts_s:.1f}s", side, "others")


async def delay_packets(place: Place, subject: Subject, draw: Draw) -> None:
    pod = await _pod(subject, draw, "redis", "sentinel", "proxy")
    side = f"{subject.namespace}/{pod}"
    await _fault(place, "delay", "--by", "100ms", "--jitter", "50ms", "--for", f"{draw.lasts_s:.1f}s", side, "others")


async def fail_node(place: Place, subject: Subject, draw: Draw) -> None:
    """Everything on a node ends at once, of all resources, and starts again when the node is back."""
    node = await _node(subject, draw)
    await _fault(place, "fail-node", "--for", f"{draw.lasts_s:.1f}s", node)


async def partition_node(place: Place, subject: Subject, draw: Draw) -> None:
    node = await _node(subject, draw)
    await _fault(place, "partition-node", "--for", f"{draw.lasts_s:.1f}s", node)


async def lose_memory(place: Place, subject: Subject, draw: Draw) -> None:
    """A node of the cluster dies, and does not know any more who it is."""
    _only(subject, "RedisCluster")
    pod = await _pod(subject, draw, "redis")
    await place.kube.kubectl(
        *("exec", "-n", subject.namespace, pod, "-c", "redis", "--", "sh", "-c", "echo nonsense > /data/nodes.conf")
    )
    await _fault(place, "kill", "-c", "redis", f"{subject.namespace}/{pod}")


async def open_slot(place: Place, subject: Subject, draw: Draw) -> None:  # noqa: ARG001 the signature of the menu
    """Somebody began to move a slot by hand, and went home."""
    _only(subject, "RedisCluster")
    status = (await subject.get())["status"]
    pods = [shard.get("primary", "") for shard in status["shards"]]
    owner = _choose(draw, [pod for pod in pods if pod])
    slots = parse_slots(status["slots"][owner.rpartition("-")[0]])
    other = _choose(draw, [pod for pod in pods if pod not in ("", owner)])
    try:
        other_id = (await view(subject, other)).me.id
    except (LinkError, KeyError) as error:
        raise InapplicableError from error
    slot = list(slots)[int(draw.pod * len(slots))]
    await _tell(subject, owner, "CLUSTER", "SETSLOT", slot, "MIGRATING", other_id)


async def make_second_primary(place: Place, subject: Subject, draw: Draw) -> None:  # noqa: ARG001
    _only(subject, "RedisStandby")
    primary = await subject.primary()
    replica = _choose(draw, [pod for pod in sorted(await subject.pods()) if pod != primary])
    await _tell(subject, replica, "REPLICAOF", "NO", "ONE")


async def kill_operator(place: Place, subject: Subject, draw: Draw) -> None:  # noqa: ARG001 the signature of the menu
    async with place.operator_is_down:
        process = place.operator.process
        assert process is not None
        process.kill()
        await process.wait()
        await asyncio.sleep(draw.lasts_s / 2)  # the fault itself
        await place.operator.start()


async def stop_api(place: Place, subject: Subject, draw: Draw) -> None:  # noqa: ARG001
    await _fault(place, "stop-api", "--for", f"{draw.lasts_s:.1f}s")


async def refuse_requests(place: Place, subject: Subject, draw: Draw) -> None:  # noqa: ARG001
    await _fault(place, "refuse", "--percent", "30", "--for", f"{draw.lasts_s:.1f}s")


async def delay_watches(place: Place, subject: Subject, draw: Draw) -> None:  # noqa: ARG001
    await _fault(place, "delay-watch", "--by", "1s", "--for", f"{draw.lasts_s:.1f}s")


async def forget_history(place: Place, subject: Subject, draw: Draw) -> None:  # noqa: ARG001
    await _fault(place, "forget-history")


async def exchange_addresses(place: Place, subject: Subject, draw: Draw) -> None:
    """Two Redis pods, of whichever resources, come back with each other's address."""
    mine = f"{subject.namespace}/{await _redis_pod_with_copies(subject, draw)}"
    every = [
        f"{one.namespace}/{name}"
        for one in place.subjects
        if one.kind.kind != "RedisStandalone"
        for name in sorted(await one.pods())
    ]
    others = [name for name in every if name != mine]
    if not others:
        raise InapplicableError
    await _fault(place, "exchange-addresses", mine, others[int(draw.way * len(others))])


async def fill_disk(place: Place, subject: Subject, draw: Draw) -> None:
    pod = await _pod(subject, draw, "redis")
    await _fault(place, "fill-volume", "--for", f"{draw.lasts_s:.1f}s", f"{subject.namespace}/{pod}", CLAIM)


_INCREMENTS, _BASE, _MANIFEST = ("appendonlydir/" + end for end in ("*.incr.aof", "*.base.*", "*.manifest"))
_AOF_DAMAGE = (
    (_INCREMENTS, "truncate"),
    (_INCREMENTS, "nuls"),
    (_INCREMENTS, "garbage"),
    (_INCREMENTS, "delete"),
    (_BASE, "truncate"),
    (_BASE, "nuls"),
    (_MANIFEST, "truncate"),
    (_MANIFEST, "garbage"),
    (_MANIFEST, "delete"),
)


async def break_append_only_file(place: Place, subject: Subject, draw: Draw) -> None:
    """A process dies and finds its data damaged. Not a standalone's: nobody else has what is lost with it."""
    pod = f"{subject.namespace}/{await _redis_pod_with_copies(subject, draw)}"
    file, how = _way(draw, _AOF_DAMAGE)
    await _fault(place, "break-file", pod, CLAIM, file, "--how", how, "--bytes", "40", "--kill", "redis")


_TORN = (("truncate", "60"), ("truncate", "4000"), ("nuls", "60"), ("last-line", "1"))


async def tear_nodes_conf(place: Place, subject: Subject, draw: Draw) -> None:
    """A node of the cluster dies while it writes down who it is."""
    _only(subject, "RedisCluster")
    pod = await _pod(subject, draw, "redis")
    how, size = _way(draw, _TORN)
    words = ("--how", how, "--bytes", size, "--text", "vars currentEpoch", "--kill", "redis")
    await _fault(place, "break-file", f"{subject.namespace}/{pod}", CLAIM, "nodes.conf", *words)


async def drain_after_drain(place: Place, subject: Subject, draw: Draw) -> None:
    """One node, and as soon as it is empty another one. Only this resource's pods: see `delete_pod`."""
    pod = await _redis_pod_with_copies(subject, draw)
    pods = await subject.pods()
    nodes = sorted({one["spec"].get("nodeName", "") for one in pods.values()} - {""})
    first = pods[pod]["spec"].get("nodeName", "")
    second = nodes[int(draw.way * len(nodes))] if nodes else ""
    if not first or second == first:
        raise InapplicableError
    words = ("--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={DRAIN_S}s")
    selector = f"--pod-selector=app.kubernetes.io/instance={subject.name}"
    for node in (first, second):
        try:
            # One that a disruption budget holds up for so long is given up.
            await place.kube.kubectl("drain", node, *words, selector)
        finally:
            await _uncordon(place, node)


async def _uncordon(place: Place, node: str) -> None:
    """Again and again: the other lane may have stopped the API server."""

    async def takes_pods() -> bool:
        return (await place.kube.kubectl("uncordon", node))[0] == 0

    await eventually(takes_pods, f"{node} takes pods again", deadline_s=ENDS_S)


async def slow_script(place: Place, subject: Subject, draw: Draw) -> None:
    """Where a process dies, everything begins late: its start script, probes, hooks."""
    pod = f"{subject.namespace}/{await _pod(subject, draw, 'redis')}"
    slow = ("slow-scripts", "--by", "2s", "--start", "--for", f"{draw.lasts_s:.1f}s", pod)
    await _during(_fault(place, *slow), _fault(place, "kill", "-c", "redis", pod))


async def hang_request(place: Place, subject: Subject, draw: Draw) -> None:
    """A request to the API server gets no answer, while somebody dies."""
    (verb,) = _way(draw, (("PATCH",), ("PUT",), ("POST",), ("GET",)))
    hung = ("hang", "--verb", verb, "--count", "1", "--for", f"{draw.lasts_s:.1f}s")
    await _during(_fault(place, *hung), kill_redis(place, subject, draw))


async def _during(lasting: Awaitable[None], struck: Awaitable[None]) -> None:
    """Raises what either raises, when both have ended."""
    for found in await asyncio.gather(lasting, struck, return_exceptions=True):
        if found is not None:
            raise found


async def _redis_pod_with_copies(subject: Subject, draw: Draw) -> str:
    """Raises InapplicableError for a standalone: nobody else has its data."""
    if subject.kind.kind == "RedisStandalone":
        raise InapplicableError
    return await _pod(subject, draw, "redis")


Fault = Callable[[Place, Subject, Draw], Awaitable[None]]
MENU: Mapping[str, Fault] = {
    each.__name__: each
    for each in (
        kill_redis,
        kill_sentinel_or_proxy,
        delete_pod,
        freeze_redis,
        cut_off_redis,
        drop_packets,
        delay_packets,
        fail_node,
        partition_node,
        lose_memory,
        open_slot,
        make_second_primary,
        kill_operator,
        stop_api,
        refuse_requests,
        delay_watches,
        forget_history,
        exchange_addresses,
        fill_disk,
        break_append_only_file,
        tear_nodes_conf,
        drain_after_drain,
        slow_script,
        hang_request,
    )
}
_DELETES_PODS = frozenset(("delete_pod", "exchange_addresses", "drain_after_drain"))


def takes_a_copy(fault: str, *, claims: bool) -> bool:
    """Whether a copy of the data is gone with it. One such at a time: what has lost all copies nobody can have."""
    return fault == "break_append_only_file" or (fault in _DELETES_PODS and not claims)
