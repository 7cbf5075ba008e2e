"""What a pass costs: `python -m bench passes`, a JSON line for a healthy RedisCluster of 6, 80, 200 and 1000 nodes.

pass_ms: CPU milliseconds of a whole pass that finds nothing to do, from the caches' objects and the Redis processes'
raw answers (INFO, CLUSTER NODES as that node sees it, CLUSTER INFO, CONFIG GET) to the status: everything that the
operator's own code does, except moving bytes. Sockets, RESP framing, the proxies' reads and the writing are not in it.
us_per_node: that by nodes. Both are medians of *--runs* passes; between two of them time passes, as in life: pings
and pongs of every line are others, offsets and memory too.

all_ms: the same when something has happened, so that every node's view of all others is asked for and read: by its
nature that grows with the square of the nodes.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

import msgspec

from bench._answers import CLUSTER_INFO, INFO
from tdredis.api.json_object import JSONObject
from tdredis.api.kinds import KINDS
from tdredis.kube.client import Client
from tdredis.kube.objects import parse_child, parse_custom, parse_pod
from tdredis.kube.resources import CUSTOM
from tdredis.manifests.peers import peer_user
from tdredis.manifests.pods import PULL_SECRET
from tdredis.manifests.redis_config import NODE_TIMEOUT_MS, backlog_mib
from tdredis.manifests.site import Site
from tdredis.observe.caches import CHILDREN, OPTIONAL_CHILDREN, Caches
from tdredis.observe.gather import NotKnownYetError, Observer
from tdredis.observe.lookups import Lookups
from tdredis.observe.questions import CLUSTER_NODE, CLUSTER_NODE_WITHOUT_VIEW
from tdredis.planning.decide import assess, plan, report
from tdredis.planning.plan import Plan, Verdict
from tdredis.planning.snapshot import Key
from tdredis.planning.steps import Apply
from tdredis.redis.slots import SlotSet, even_split
from tdredis.redislink.pool import Address, LinkPool
from tdredis.redislink.settings import SettingsMemory
from tests.unit.planning.simulated_cluster import SimulatedCluster

NODES = (6, 80, 200, 1000)
KEY = Key("RedisCluster", "redis", "redis-cluster-rat")
MEMORY_MIB = 128  # of each shard
T = TypeVar("T")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench passes", description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="*", default=list(NODES), help="even numbers: a replica a primary")
    parser.add_argument("--runs", type=int, default=9)
    chosen = parser.parse_args(arguments)
    for nodes in chosen.nodes:
        print(json.dumps(asyncio.run(_measure(nodes, chosen.runs))), flush=True)
    return 0


async def _measure(nodes: int, runs: int) -> dict[str, object]:
    world = World(nodes)
    await world.converge()
    passes = [await world.timed_pass() for _ in range(runs)]
    everything = [await world.timed_pass(all_views=True) for _ in range(max(3, runs // 3))]
    pass_ms = statistics.median(passes)
    return {
        "bench": "passes",
        "nodes": nodes,
        "pass_ms": round(pass_ms, 2),
        "us_per_node": round(1000 * pass_ms / nodes, 1),
        "all_ms": round(statistics.median(everything), 2),
    }


class World:
    """A healthy cluster as Kubernetes and its processes tell of it, in their own formats."""

    def __init__(self, nodes: int) -> None:
        assert nodes % 2 == 0 and nodes >= 6, "a primary and a replica a shard, three shards at least"
        size = nodes // 2
        without_proxy: JSONObject = {"enabled": False}  # its pods' reads are no part of this
        spec: JSONObject = {"size": size, "replicas": 1, "capacity": MEMORY_MIB * size, "proxy": without_proxy}
        self.kubernetes = SimulatedCluster(**spec)
        self.kubernetes.site = Site(endpoint_slices=True, disruption_budgets=True)
        self.caches = _Caches()
        self.processes = _Processes()
        self.now = 1_900_000_000.0
        self.chance = random.Random(nodes)  # noqa: S311 a simulation
        self.lookups = Lookups(now=lambda: self.now)
        self.observer = Observer(
            cast(Client, _Client()),
            cast(Caches, self.caches),
            cast("LinkPool[Key]", self.processes),
            self.lookups,
            site=self.kubernetes.site,
            now=lambda: self.now,
            steady=lambda: self.now - 1_800_000_000.1,
        )

    async def converge(self) -> None:
        """Everything is there, and says what it should."""
        self.caches.take(self.kubernetes)
        for _ in range(12):
            made = await self._pass(all_views=True)
            for step in made.steps:
                assert isinstance(step, Apply), f"a healthy cluster: {step}"
                self.kubernetes.apply_object(step)
            self.processes.take(self.kubernetes)
            self.caches.take(self.kubernetes)
            if made.verdict is Verdict.HEALTHY and not made.steps:
                return
        raise AssertionError(f"it does not come to rest: {made.verdict}, {made.steps[:3]}, {made.holds[:3]}")

    async def timed_pass(self, *, all_views: bool = False) -> float:
        """CPU milliseconds of one."""
        self.now += 15.0
        self.processes.time_passes(self.now, self.chance)
        return await self.run_pass(all_views=all_views)

    async def run_pass(self, *, all_views: bool = False) -> float:
        """The same, at once."""
        gc.collect()
        gc.disable()  # whose garbage it is would be chance
        started = time.process_time()
        made = await self._pass(all_views=all_views)
        took = time.process_time() - started
        gc.enable()
        assert made.verdict is Verdict.HEALTHY and not made.steps, f"{made.verdict}: {made.steps[:3]}"
        return took * 1000

    async def _pass(self, *, all_views: bool) -> Plan:
        try:
            snapshot = await self.observer.gather(KEY, at_peace=not all_views)
        except NotKnownYetError:  # the first time
            await self.lookups.settle()
            snapshot = await self.observer.gather(KEY, at_peace=not all_views)
        assert snapshot is not None
        assessment = assess(snapshot)
        made = plan(assessment)
        status = report(assessment, made)
        self.kubernetes.resource["status"] = msgspec.to_builtins(status)
        return made


class _Client:
    """No API server is asked: what there is, is in the caches."""

    async def find(self, *_: object) -> None:
        return None

    async def list(self, *_: object, **__: object) -> tuple[()]:
        return ()


class _Kept(dict[tuple[str, str], T]):
    """A cache with one resource in it."""

    in_order: tuple[T, ...] | None = None  # as the real cache has it

    def by_index(self, _key: Key) -> tuple[T, ...]:
        if self.in_order is None:
            self.in_order = tuple(self[name] for name in sorted(self))
        return self.in_order

    def get(self, namespace: str, name: str) -> T | None:  # type: ignore[override] # as the real cache has it
        return super().get((namespace, name))


class _Caches:
    """What `Caches` holds, without a server behind it."""

    def __init__(self) -> None:
        self.custom: Mapping[str, _Kept[Any]] = {kind: _Kept() for kind in KINDS}
        self.pods: _Kept[Any] = _Kept()
        self.pull_secrets: _Kept[Any] = _Kept({(KEY.namespace, PULL_SECRET): True})
        self.children: Mapping[str, _Kept[Any]] = {each.kind: _Kept() for each in (*CHILDREN, *OPTIONAL_CHILDREN)}

    def take(self, kubernetes: SimulatedCluster) -> None:
        custom = next(each for each in CUSTOM if each.kind == KEY.kind)
        self.custom[KEY.kind][KEY.namespace, KEY.name] = parse_custom(custom)(_text(kubernetes.resource))
        for resource in (*CHILDREN, *OPTIONAL_CHILDREN):
            found = {ref.name: live for ref, live in kubernetes.children.items() if ref.kind == resource.kind}
            kept = self.children[resource.kind]
            kept.clear()
            kept.in_order = None
            kept.update({(KEY.namespace, name): parse_child(resource)(_text(found[name])) for name in found})
        self.pods.clear()
        self.pods.in_order = None
        sets = _sets(kubernetes)
        for name, pod in kubernetes.pods.items():
            self.pods[KEY.namespace, name] = parse_pod(_text(_pod(sets, name, pod)))


def _text(value: object) -> bytes:
    return msgspec.json.encode(value)


def _pod(sets: Mapping[str, Any], name: str, pod: Any) -> JSONObject:
    """The pod *name* as the API server has it."""
    ref = name.rpartition("-")[0]
    live = sets[ref]
    template: Any = live["spec"]["template"]
    labels = {**template["metadata"]["labels"], "controller-revision-hash": pod.revision}
    if pod.role:
        labels["cache.tongdun.net/role"] = pod.role
    return {
        "metadata": {
            "name": name,
            "namespace": KEY.namespace,
            "uid": pod.uid,
            "labels": labels,
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "ownerReferences": [
                {"kind": "StatefulSet", "name": ref, "uid": live["metadata"]["uid"], "controller": True}
            ],
        },
        "spec": {**template["spec"], "nodeName": "node-1"},
        "status": {
            "phase": "Running",
            "podIP": pod.ip,
            "hostIP": "10.0.0.1",
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "PodScheduled", "status": "True"}],
            "containerStatuses": [
                {"name": each["name"], "ready": True, "restartCount": 0, "state": {"running": {"startedAt": None}}}
                for each in template["spec"]["containers"]
            ],
        },
    }


def _sets(kubernetes: SimulatedCluster) -> dict[str, Any]:
    return {ref.name: live for ref, live in kubernetes.children.items() if ref.kind == "StatefulSet"}


class _Processes:
    """What `LinkPool` reaches: a redis-server in each pod, in a cluster that works."""

    def __init__(self) -> None:
        self._nodes: dict[str, _Node] = {}  # by pod IP
        self.settings: SettingsMemory[Key] = SettingsMemory()

    def keep(self, _owner: Key, _addresses: object) -> None:
        """Connections are no part of this."""

    def admit(self, *_: object, **__: object) -> None:
        """Nor are passwords."""

    def accepted(self, *_: object) -> None:
        """As `LinkPool` has it of processes without one."""

    async def ask(self, _owner: Key, address: Address, commands: Sequence[Any], **_: object) -> list[object]:
        return self._nodes[address.ip].replies(tuple(commands))

    def take(self, kubernetes: SimulatedCluster) -> None:
        """Pods that are there now have a process each, which knows all others."""
        if len(self._nodes) == len(kubernetes.pods):
            return
        chance = random.Random(1)  # noqa: S311 a simulation
        self._nodes = {}
        shards = sorted(_sets(kubernetes), key=lambda name: int(name.rpartition("-")[2]))
        user = peer_user(kubernetes.cluster)
        for number, (shard, slots) in enumerate(zip(shards, even_split(len(shards)), strict=True)):
            primary = _Node(
                f"{chance.getrandbits(160):040x}", kubernetes.pods[f"{shard}-0"].ip, slots, number + 1, user
            )
            replica = _Node(f"{chance.getrandbits(160):040x}", kubernetes.pods[f"{shard}-1"].ip, None, number + 1, user)
            replica.primary = primary
            self._nodes |= {primary.ip: primary, replica.ip: replica}
        for node in self._nodes.values():
            # Each keeps the nodes in a hash table of its own seed.
            node.order = chance.sample(list(self._nodes.values()), len(self._nodes))
        self.time_passes(1_900_000_000.0, chance)

    def time_passes(self, now: float, chance: random.Random) -> None:
        for node in self._nodes.values():
            node.tell(now, chance)


def _sections(info: str) -> Iterator[tuple[str, str]]:
    """Title and text of each."""
    for section in info.split("# ")[1:]:
        yield section.partition("\r\n")[0], f"# {section}"


class _Node:
    """One redis-server, and what it answers at the moment."""

    def __init__(self, node_id: str, ip: str, slots: SlotSet | None, epoch: int, user: str) -> None:
        self.ip = ip
        self.primary: _Node | None = None
        self.order: list[_Node] = []
        self.answers: dict[tuple[str, ...], bytes] = {}
        self.config = {
            "cluster-node-timeout": str(NODE_TIMEOUT_MS).encode(),
            "cluster-announce-ip": ip.encode(),
            "cluster-announce-port": b"0",
            "cluster-announce-bus-port": b"0",
            "masteruser": user.encode(),
        }
        self._id, self._slots, self._epoch = node_id, slots, epoch
        self._run_id = node_id[::-1]
        self._replies: dict[tuple[Any, ...], list[object]] = {}

    def _answer(self, *command: Any) -> bytes | list[bytes]:
        if command[0] == "CONFIG":
            return [command[2].encode(), self.config.get(command[2], b"")]
        return self.answers[command]

    def replies(self, commands: tuple[Any, ...]) -> list[object]:
        """Made beforehand: this is not what is measured."""
        return self._replies[commands]

    def tell(self, now: float, chance: random.Random) -> None:
        memory = MEMORY_MIB * 2**20
        role = (
            f"role:slave\r\nmaster_host:{self.primary.ip}\r\nmaster_port:6379\r\nmaster_link_status:up\r\n"
            if (self.primary)
            else "role:master\r\nconnected_slaves:1\r\n"
        )
        info = INFO.format(
            run_id=self._run_id,
            uptime=int(now) % 10**6,
            used_memory=memory // 2 + chance.randrange(10**6),
            maxmemory=memory,
            backlog=backlog_mib(MEMORY_MIB) * 2**20,
            role=role,
            offset=int(now) * 100,
            offset_name="slave_repl_offset" if self.primary else "master_repl_offset",
        )
        count = len(self.order)
        self.answers = {
            **{("INFO", title.lower()): text.encode() for title, text in _sections(info)},
            ("CLUSTER", "NODES"): self._view(now, chance),
            ("CLUSTER", "INFO"): CLUSTER_INFO.format(nodes=count, size=count // 2, epoch=self._epoch).encode(),
        }
        asked = (CLUSTER_NODE.commands, CLUSTER_NODE_WITHOUT_VIEW.commands)
        self._replies = {commands: [self._answer(*command) for command in commands] for commands in asked}

    def _view(self, now: float, chance: random.Random) -> bytes:
        """CLUSTER NODES: of nobody it waits for more than a ping or two, and of everybody it has heard of late."""
        pinged = {chance.randrange(len(self.order)) for _ in range(2)}
        lines = []
        for number, node in enumerate(self.order):
            at = int(now * 1000)
            sent = at - 3 if number in pinged and node is not self else 0
            heard = 0 if node is self else at - chance.randrange(5000)
            before, after = node.own_line_as_myself if node is self else node.line
            lines.append(f"{before} {sent} {heard} {after}\n")
        return "".join(lines).encode()

    @property
    def line(self) -> tuple[str, str]:
        return self._line("slave" if self.primary else "master")

    @property
    def own_line_as_myself(self) -> tuple[str, str]:
        return self._line("myself,slave" if self.primary else "myself,master")

    def _line(self, flags: str) -> tuple[str, str]:
        """What stands before ping-sent and pong-recv, and behind them."""
        of = self.primary._id if self.primary else "-"
        slots = "".join(f" {each}" for each in self._slots.ranges()) if self._slots else ""
        return f"{self._id} {self.ip}:6379@16379 {flags} {of}", f"{self._epoch} connected{slots}"
