"""A Redis Cluster on Kubernetes as plain data: applies steps as the real parts would, gossips when told to.

What it stands for is proven elsewhere (the end-to-end tests run the same plans on real processes); here thousands of
worlds a second can be interrupted, broken and healed.
"""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import dataclass, field

import msgspec

from tdredis.api.json_object import JSONObject
from tdredis.api.kinds import parse
from tdredis.api.rediscluster import RedisCluster
from tdredis.manifests.site import Passwords, Site
from tdredis.planning.cluster.planner import plan
from tdredis.planning.cluster.report import report
from tdredis.planning.plan import Plan
from tdredis.planning.snapshot import ClusterSnapshot, PodFacts, Ref, Trouble
from tdredis.planning.steps import (
    Apply,
    AssignSlots,
    FailOverShard,
    Forget,
    HandOver,
    Meet,
    Remove,
    ReplacePod,
    Replicate,
    ResizePod,
    SetConfig,
    Step,
)
from tdredis.redis.facts import Announced, NodeFacts, Replication, Unknown
from tdredis.redis.slots import ALL_SLOTS, NO_SLOTS, SlotSet
from tdredis.redis.views import ClusterView, KnownNode

SPEC: JSONObject = {
    "app": "cluster-rat",
    "capacity": 384,
    "dc": "hz",
    "env": "demo",
    "image": "redis:7.0",
    "monitorimage": "oliver006/redis_exporter:v1.45",
    "netmode": "ClusterIP",
    "proxyimage": "envoyproxy/envoy:v1.40",
    "proxysecret": "door",
    "realname": "dba",
    "secret": "vault",
    "size": 3,
    "storageclass": "",
    "vip": "",
}


Address = tuple[str, int]


@dataclass
class Node:
    """A redis-server. *known* maps node ids to the address it believes; those in *unlinked* it does not reach there."""

    id: str
    ip: str
    maxmemory: int
    known: dict[str, Address] = field(default_factory=dict)
    unlinked: set[str] = field(default_factory=set)
    announced: dict[str, str] = field(default_factory=dict)  # cluster-announce-...: value
    slots: SlotSet = NO_SLOTS
    primary: str | None = None
    epoch: int = 0
    keys: int = 0
    used_mib: int = 1
    timeout_ms: int = 1000
    silent: bool = False

    @property
    def address(self) -> Address:
        """What it tells others."""
        port = int(self.announced.get("cluster-announce-port", "0"))
        return self.announced.get("cluster-announce-ip", self.ip), port or 6379


@dataclass
class Pod:
    name: str
    uid: str
    revision: str
    node: Node | None
    trouble: Trouble | None = None
    stopped: bool = False  # its container ended, or ends over and over: the node comes back with what it has
    deleting: bool = False
    age_s: float = 0.0
    role: str = ""
    resources: dict[str, dict[str, str]] = field(default_factory=dict)  # of its Redis container


class SimulatedCluster:
    def __init__(self, **spec: object) -> None:
        self.resource: JSONObject = {
            "metadata": {
                "name": "redis-cluster-rat",
                "namespace": "redis",
                "uid": "uid-rat",
                "generation": 1,
                "creationTimestamp": "2026-01-02T03:04:05Z",
            },
            "spec": {**SPEC, **spec},  # type: ignore[dict-item]
            "status": {},
        }
        self.now = 1_000_000.0
        self.site = Site(images={}, endpoint_slices=True, disruption_budgets=True)
        self.children: dict[Ref, JSONObject] = {}
        self.pods: dict[str, Pod] = {}
        self.bad_images: set[str] = set()
        self.unschedulable: set[str] = set()
        self.status_writes = 0
        self.proxies: tuple[PodFacts, ...] = ()
        self.slots_of_dead: dict[str, SlotSet] = {}  # what the others would still vote for
        self.claims: dict[str, JSONObject] = {}
        self.gossips = True  # pings carry a changed address at once
        self.outside_is_reached = True  # pods reach each other under the addresses for outside
        self._counter = 0
        self._node_ports: dict[str, int] = {}

    # -- what a pass sees and does -------------------------------------------------------------------------------------

    @property
    def cluster(self) -> RedisCluster:
        return parse(RedisCluster, self.resource)

    def snapshot(self) -> ClusterSnapshot:
        cluster = self.cluster
        return ClusterSnapshot(
            now=self.now,
            cluster=cluster,
            site=self.site,
            passwords=Passwords(redis=cluster.spec.secret, proxy=cluster.spec.proxy_secret or ""),
            children=copy.deepcopy(self.children),
            claims=copy.deepcopy(self.claims),
            pods={name: self._pod_facts(pod) for name, pod in self.pods.items()},
            nodes={name: self._node_facts(pod.node) for name, pod in self.pods.items() if pod.node and not pod.stopped},
            proxies=self.proxies,
        )

    def run_pass(self, *, interrupt_after: int | None = None) -> tuple[Plan, int]:
        """One pass; with *interrupt_after*, the operator dies after so many steps. Returns the plan and steps done."""
        snapshot = self.snapshot()
        made = plan(snapshot)
        done = 0
        for step in made.steps:
            if interrupt_after is not None and done >= interrupt_after:
                return made, done
            self.apply(step)
            done += 1
        status = report(snapshot, made)
        if status != snapshot.cluster.status:
            self.status_writes += 1
            self.resource["status"] = msgspec.to_builtins(status)
        self.settle()
        return made, done

    def converge(self, *, passes: int = 40) -> Plan:
        """Passes until nothing is left to do and all is well, at most *passes*."""
        for _ in range(passes):
            made, done = self.run_pass()
            if not done and made.verdict == "healthy":
                return made
        raise AssertionError(f"not healthy after {passes} passes: {made.verdict}, {made.holds}, {made.steps}")

    # -- the real parts, simulated -------------------------------------------------------------------------------------

    def apply(self, step: Step) -> None:
        match step:
            case Apply() if step.ref.kind == "Pod":
                self._label_pod(step)
            case Apply() if step.ref.kind == "PersistentVolumeClaim":
                self.claims[step.ref.name] = step.manifest
            case Apply():
                self._apply_object(step)
            case Remove():
                del self.children[step.ref]
            case ResizePod():
                self.pods[step.pod].resources = {"requests": dict(step.requests), "limits": dict(step.limits)}
            case ReplacePod():
                gone = self.pods.pop(step.pod)
                assert gone.node is None or not gone.node.slots, "a pod with slots is never deleted"
                self._run_statefulsets()
            case _:
                self._apply_to_redis(step)

    def _label_pod(self, step: Apply) -> None:
        match step.manifest["metadata"]:
            case {"uid": uid, "labels": {"cache.tongdun.net/role": str(role)}}:
                assert uid == self.pods[step.ref.name].uid, "a label for another pod"
                self.pods[step.ref.name].role = role

    def _apply_to_redis(self, step: Step) -> None:
        match step:
            case AssignSlots():
                node = self._node(step.process.pod)
                assert not any(other.slots & step.slots for other in self.nodes()), "slots assigned twice"
                assert step.config_epoch is None or not node.known, "an epoch is set on blank nodes only"
                node.slots |= step.slots
                node.epoch = step.config_epoch or node.epoch
            case Meet():
                node = self._node(step.process.pod)
                for peer in step.peers:
                    other = self._node(peer.pod)
                    node.known[other.id], other.known[node.id] = other.address, node.address
                    node.unlinked.discard(other.id)
                    other.unlinked.discard(node.id)
            case Replicate():
                node = self._node(step.process.pod)
                assert step.primary.id in node.known, "REPLICATE of an unknown node"
                assert not node.slots, "REPLICATE on a node with slots"
                node.primary = step.primary.id
                node.keys = self._by_id(step.primary.id).keys
            case HandOver():
                node = self._node(step.process.pod)
                old = self._by_id(str(node.primary))
                node.slots, old.slots = old.slots, NO_SLOTS
                node.primary, old.primary = None, node.id
            case FailOverShard():
                node = self._node(step.process.pod)
                dead = str(node.primary)
                assert not [other for other in self.nodes() if other.id == dead], (
                    "a forced failover of a living primary"
                )
                node.slots, node.primary = self.slots_of_dead[dead], None
                node.epoch = 1 + max(other.epoch for other in self.nodes())
            case Forget():
                self._node(step.process.pod).known.pop(step.ghost_id, None)
            case SetConfig(parameter="maxmemory"):
                self._node(step.process.pod).maxmemory = int(step.value)
            case SetConfig(parameter="cluster-node-timeout"):
                self._node(step.process.pod).timeout_ms = int(step.value)
            case SetConfig():
                self._node(step.process.pod).announced[step.parameter] = str(step.value)

    def settle(self, seconds: float = 0.1) -> None:
        """Time passes: gossip reaches everybody that is connected."""
        self.now += seconds
        by_id = {node.id: node for node in self.nodes()}
        changed = True
        while changed:
            changed = False
            for node in by_id.values():
                for friend in list(node.known):
                    if friend not in by_id:
                        continue
                    for other in by_id[friend].known:
                        alive = other in by_id and other != node.id
                        address = by_id[other].address if alive else None
                        if alive and node.known.get(other) != address and by_id[friend].known[other] == address:
                            node.known[other] = by_id[other].address
                            changed = True
        if self.gossips:
            self._hear_of_addresses(by_id)

    def _hear_of_addresses(self, by_id: dict[str, Node]) -> None:
        """Each node pings those it knows, from the address that it announces now."""
        for node in by_id.values():
            for other in node.known:
                if other not in by_id or node.id not in by_id[other].known:
                    continue
                by_id[other].known[node.id] = node.address
                is_outside = node.address[0] != node.ip
                if is_outside and not self.outside_is_reached:
                    by_id[other].unlinked.add(node.id)
                else:
                    by_id[other].unlinked.discard(node.id)

    def nodes(self) -> list[Node]:
        return [pod.node for _, pod in sorted(self.pods.items()) if pod.node and not pod.stopped]

    def lose(self, pod: str, *, keeps_data: bool = False) -> None:
        """The pod is deleted and made again, on another address; without its data unless it is on a volume."""
        old = self.pods.pop(pod)
        if old.node is not None and old.node.slots:
            self.slots_of_dead[old.node.id] = old.node.slots
        self._run_statefulsets()
        new = self.pods[pod].node
        if keeps_data and old.node and new:
            kept = copy.deepcopy(old.node)
            kept.ip = new.ip
            self.pods[pod].node = kept

    def _apply_object(self, step: Apply) -> None:
        live: JSONObject = json.loads(json.dumps(step.manifest))
        metadata = live["metadata"]
        assert isinstance(metadata, dict)
        metadata["uid"] = f"uid-{step.ref}"
        metadata["generation"] = self._next()
        metadata["resourceVersion"] = str(metadata["generation"])
        if step.ref.kind == "Secret" and isinstance(live.get("stringData"), dict):
            raise AssertionError("stringData is not sent: its ownership cannot be applied")
        if step.ref.kind == "Service":
            spec = live["spec"]
            assert isinstance(spec, dict)
            spec.setdefault("clusterIP", f"10.96.0.{self._next()}")
            if spec["type"] == "NodePort":
                self._give_node_ports(step.ref, spec)
        if step.ref.kind == "Deployment":
            live["status"] = {"availableReplicas": 2}
        if step.ref.kind == "StatefulSet":
            spec = live["spec"]
            assert isinstance(spec, dict)
            revision = hashlib.sha256(json.dumps(spec["template"], sort_keys=True).encode()).hexdigest()[:10]
            live["status"] = {"observedGeneration": metadata["generation"], "updateRevision": revision}
        self.children[step.ref] = live
        self._run_statefulsets()

    def _give_node_ports(self, ref: Ref, spec: JSONObject) -> None:
        ports, number = spec["ports"], self._node_ports.setdefault(ref.name, 30000 + 10 * len(self._node_ports))
        assert isinstance(ports, list)
        for offset, port in enumerate(ports):
            assert isinstance(port, dict)
            port["nodePort"] = number + offset

    def _run_statefulsets(self) -> None:
        for ref, live in self.children.items():
            if ref.kind != "StatefulSet":
                continue
            spec, status = live["spec"], live["status"]
            assert isinstance(spec, dict)
            assert isinstance(status, dict)
            for ordinal in range(int(str(spec["replicas"]))):
                name = f"{ref.name}-{ordinal}"
                if name not in self.pods:
                    self.pods[name] = self._new_pod(name, str(status["updateRevision"]), json.dumps(spec["template"]))

    def _new_pod(self, name: str, revision: str, template: str) -> Pod:
        number = self._next()
        trouble = None
        if any(f'"{image}"' in template for image in self.bad_images):
            trouble = Trouble(reason="ErrImagePull", message="no such image")
        elif name in self.unschedulable:
            trouble = Trouble(reason="Unschedulable", message="0/3 nodes are available")
        limit = self.cluster.spec.maxmemory_mib * 2**20
        node = None if trouble else Node(id=f"{number:040x}", ip=f"10.88.0.{number}", maxmemory=limit)
        container = json.loads(template)["spec"]["containers"][0]
        return Pod(
            name=name,
            uid=f"uid-{name}-{number}",
            revision=revision,
            node=node,
            trouble=trouble,
            resources=container.get("resources", {}),
        )

    def _node(self, pod: str) -> Node:
        node = self.pods[pod].node
        assert node is not None
        return node

    def _by_id(self, node_id: str) -> Node:
        return next(node for node in self.nodes() if node.id == node_id)

    def _next(self) -> int:
        self._counter += 1
        return self._counter

    def _pod_facts(self, pod: Pod) -> PodFacts:
        return PodFacts(
            name=pod.name,
            uid=pod.uid,
            created=self.now - pod.age_s,
            ip=pod.node.ip if pod.node else None,
            node="node-1",
            ready=pod.node is not None and not pod.node.silent and not pod.stopped,
            running=pod.node is not None and not pod.stopped,
            ever_ran=pod.node is not None,
            deleting=pod.deleting,
            revision=pod.revision,
            host_ip="192.168.0.1",
            role=pod.role,
            requests=pod.resources.get("requests", {}),
            limits=pod.resources.get("limits", {}),
            trouble=pod.trouble,
        )

    def _node_facts(self, node: Node) -> NodeFacts | Unknown:
        if node.silent:
            return Unknown(since=self.now, error="no answer within 1 s")
        by_id = {other.id: other for other in self.nodes()}
        reachable = [by_id[each] for each in node.known if each in by_id and each not in node.unlinked] + [node]
        covered = SlotSet(sum(each.slots.bits for each in reachable)) == ALL_SLOTS
        return NodeFacts(
            version="7.0.15",
            uptime_s=1,
            loading=False,
            used_memory_bytes=node.used_mib * 2**20,
            maxmemory_bytes=node.maxmemory,
            keys=node.keys,
            replication=Replication(
                role="slave" if node.primary else "master",
                offset_bytes=0,
                was_linked=node.primary is not None,
                link_up=node.primary in by_id if node.primary else None,
            ),
            view=ClusterView(
                me=self._line(node.id, node.address, by_id, myself=True),
                others={
                    each: self._line(each, address, by_id, linked=each not in node.unlinked)
                    for each, address in node.known.items()
                },
            ),
            cluster_ok=covered,
            node_timeout_ms=node.timeout_ms,
            announced=Announced(
                host=node.address[0],
                port=node.address[1],
                bus_port=int(node.announced.get("cluster-announce-bus-port", "0")),
            ),
        )

    def _line(
        self, node_id: str, address: Address, by_id: dict[str, Node], *, myself: bool = False, linked: bool = True
    ) -> KnownNode:
        node = by_id.get(node_id)
        role = "slave" if node and node.primary else "master"
        return KnownNode(
            id=node_id,
            ip=address[0],
            port=address[1],
            flags=frozenset(("myself", role) if myself else (role,) if node and linked else (role, "fail")),
            primary_id=node.primary if node else None,
            config_epoch=node.epoch if node else 0,
            link_connected=node is not None and linked,
            slots=node.slots if node else NO_SLOTS,
        )
