"""A Redis Cluster on Kubernetes as plain data: applies steps as the real parts would, gossips when told to.

What it stands for is proven elsewhere (the end-to-end tests run the same plans on real processes); here thousands of
worlds a second can be interrupted, broken and healed.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from tdredis.api.json_object import JSONObject
from tdredis.api.kinds import parse
from tdredis.api.rediscluster import RedisCluster
from tdredis.manifests.site import Passwords
from tdredis.planning.plan import Plan
from tdredis.planning.snapshot import ClusterSnapshot, PodFacts
from tdredis.planning.steps import (
    Apply,
    AssignSlots,
    CloseSlot,
    FailOverShard,
    Forget,
    HandOver,
    Meet,
    MoveKeys,
    MoveSlots,
    OpenSlot,
    Release,
    Remove,
    ReplacePod,
    Replicate,
    ResetNode,
    ResizePod,
    ResizeVolume,
    RestoreLabels,
    SetConfig,
    SetParameter,
    SetPeerUser,
    Step,
    TakeOverShard,
    TakeSlot,
    TellOwner,
)
from tdredis.redis.facts import Announced, NodeFacts, Replication, Unknown
from tdredis.redis.slots import ALL_SLOTS, NO_SLOTS, SlotRange, SlotSet
from tdredis.redis.views import ClusterView, KnownNode
from tests.unit.planning.simulated_kubernetes import SimulatedKubernetes, SimulatedPod
from tests.unit.planning.simulated_mover import SimulatedMover
from tests.unit.planning.simulated_settings import KEY

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
    lost: str = ""  # what its start script found
    history: str = ""  # that it writes, or follows
    user: str | None = None  # as whom it follows, and whom it lets follow; None: everybody
    used_mib: int = 1
    timeout_ms: int = 1000
    silent: bool = False
    write_error: str = ""  # its disk is full
    backlog: int | None = None  # repl-backlog-size
    takes_for_primaries: set[str] = field(
        default_factory=set
    )  # ids of replicas of which it has not heard that they are
    believes: dict[str, SlotSet] = field(default_factory=dict)  # id: what it has heard last, where that is not so
    unheard: dict[str, SlotSet] = field(default_factory=dict)  # id: what it owns since it took over
    migrating: dict[int, str] = field(default_factory=dict)
    importing: dict[int, str] = field(default_factory=dict)  # of these it believes no ping
    slot_keys: dict[int, dict[str, int]] = field(default_factory=dict)  # in slots that a test looks at: key -> version

    @property
    def address(self) -> Address:
        """What it tells others."""
        port = int(self.announced.get("cluster-announce-port", "0"))
        return self.announced.get("cluster-announce-ip", self.ip), port or 6379


class SimulatedCluster(SimulatedKubernetes[Node]):
    def __init__(self, **spec: object) -> None:
        super().__init__("redis-cluster-rat", "uid-rat", {**SPEC, **spec})  # type: ignore[dict-item]
        self.proxies: tuple[PodFacts, ...] = ()
        self.slots_of_dead: dict[str, SlotSet] = {}  # what the others would still vote for
        self.dropped: list[tuple[str, int]] = []  # pods that were reset, and their keys
        self.gossips = True  # pings carry a changed address at once
        self.mover = SimulatedMover(self.nodes, self._bump)
        self.outside_is_reached = True  # pods reach each other under the addresses for outside

    # -- what a pass sees and does -------------------------------------------------------------------------------------

    @property
    def cluster(self) -> RedisCluster:
        return parse(RedisCluster, self.resource)

    def snapshot(self) -> ClusterSnapshot:
        cluster = self.cluster
        processes = {name: pod.process for name, pod in self.pods.items() if pod.process and not pod.stopped}
        nodes = self.with_memory({name: self._node_facts(process) for name, process in processes.items()})
        return ClusterSnapshot(
            now=self.now,
            cluster=cluster,
            site=self.site,
            passwords=Passwords(redis=cluster.spec.secret, proxy=cluster.spec.proxy_secret or ""),
            memo=self.memo(),
            children=self.listed(self.children),
            claims=self.listed(self.claims),
            pods={name: self._facts(pod) for name, pod in self.pods.items()},
            nodes=self.with_settings(cluster, nodes),
            answers=self.settings.memory.answers(KEY),
            known_pods=self.remember(nodes),
            trials=self.trials(),
            creation_failures=self.creation_failures(),
            write_failures=self.write_failures(),
            proxies=self.proxies,
            moving=self.mover.moving,
        )

    # -- the real parts, simulated -------------------------------------------------------------------------------------

    def start(self, pod: SimulatedPod[Node]) -> Node:
        self.settings.restart(pod.name, self.settings_file(), pod.made_of)
        return Node(id=f"{self.next_number():040x}", ip=pod.ip, maxmemory=self.cluster.spec.maxmemory_mib * 2**20)

    def apply(self, step: Step) -> None:
        match step:
            case Apply() | Remove() | Release() | ReplacePod() | ResizePod() | ResizeVolume() | RestoreLabels():
                if isinstance(step, ReplacePod):
                    gone, spec = self.pods[step.pod].process, self.cluster.spec
                    finds_them_again = spec.storage_class and not spec.replicas  # and there is nobody to hand over to
                    assert gone is None or not gone.slots or finds_them_again, "a pod with slots is never deleted"
                if isinstance(step, ReplacePod) and self.cluster.spec.storage_class:
                    self.lose(step.pod, keeps_data=True)
                else:
                    self.apply_object(step)
            case MoveSlots():
                self.mover.order(step.order)
            case _:
                self._apply_to_redis(step)

    def plan_is_done(self, made: Plan) -> None:
        if not any(isinstance(step, MoveSlots) for step in made.steps):
            self.mover.order(None)

    def operator_died(self) -> None:
        super().operator_died()
        self.mover.die()

    def goes_for_good(self, pod: SimulatedPod[Node]) -> None:
        node = pod.process
        if node is not None and node.primary is None:
            assert not node.slots, f"{pod.name} goes with slots"
            assert not any(node.slot_keys.values()), f"{pod.name} goes with keys"

    def _apply_to_redis(self, step: Step) -> None:  # noqa: PLR0912 a branch a step
        match step:
            case AssignSlots():
                node = self._node(step.process.pod)
                assert not any(other.slots & step.slots for other in self.nodes()), "slots assigned twice"
                assert step.config_epoch is None or not node.known, "an epoch is set on blank nodes only"
                node.slots |= step.slots
                node.epoch = step.config_epoch or node.epoch
                if step.taken:
                    self._bump(node)
                for slot in step.slots:
                    node.importing.pop(slot, None)
            case Meet():
                node = self._node(step.process.pod)
                for peer in step.peers:
                    other = self._node(peer.pod)
                    node.known[other.id], other.known[node.id] = other.address, node.address
                    other.takes_for_primaries.discard(node.id)
                    node.unlinked.discard(other.id)
                    other.unlinked.discard(node.id)
            case Replicate():
                node = self._node(step.process.pod)
                assert step.primary.id in node.known, "REPLICATE of an unknown node"
                assert not node.slots, "REPLICATE on a node with slots"
                node.primary = step.primary.id
                if _lets_in(self._by_id(step.primary.id), node):
                    node.keys = self._by_id(step.primary.id).keys
            case HandOver():
                node = self._node(step.process.pod)
                old = self._by_id(str(node.primary))
                self._assert_elected(node)
                node.slots, old.slots = old.slots, NO_SLOTS
                node.slot_keys = _copied(old.slot_keys)
                old.migrating, old.importing = {}, {}
                node.primary, old.primary = None, node.id
            case FailOverShard() | TakeOverShard():
                node = self._node(step.process.pod)
                dead = str(node.primary)
                if isinstance(step, FailOverShard):
                    self._assert_elected(node)
                assert not [other for other in self.nodes() if other.id == dead], (
                    "a forced failover of a living primary"
                )
                node.slots, node.primary = self.slots_of_dead.get(dead, NO_SLOTS), None
                self._bump(node)
                for other in self.nodes():
                    other.unheard[node.id] = node.slots & _imported(other)
            case TellOwner():
                node, owner = self._node(step.process.pod), self._by_id(step.owner.id)
                assert owner.id in node.known, "SETSLOT with an unknown node"
                assert owner.primary is None, "SETSLOT with a replica"
                assert not node.slots & step.slots, "a node gives its own slots away"
                node.unheard[owner.id] = node.unheard.get(owner.id, NO_SLOTS) - step.slots
            case ResetNode():
                node = self._node(step.process.pod)
                others = SlotSet.union(other.slots for other in self.nodes() if other is not node)
                if step.flushes:
                    assert not node.slots - others, "a reset leaves slots without an owner"
                elif node.primary is None:
                    assert not node.keys, "the engine refuses to reset a node that has keys"
                    assert not any(node.slot_keys.values()), "the engine refuses to reset a node that has keys"
                self.dropped.append((step.process.pod, step.keys))
                fresh = Node(id=f"{self.next_number():040x}", ip=node.ip, maxmemory=node.maxmemory)
                pod = self.pods[step.process.pod]
                pod.process = replace(fresh, timeout_ms=node.timeout_ms, announced=node.announced, user=node.user)
            case CloseSlot() | OpenSlot() | MoveKeys() | TakeSlot():
                self._move_slot(step)
            case Forget():
                node = self._node(step.process.pod)
                node.known.pop(step.ghost_id, None)
                for marks in (node.migrating, node.importing):
                    for slot in [slot for slot, other in marks.items() if other == step.ghost_id]:
                        del marks[slot]
            case SetParameter():
                self.settings.tell(step)
            case SetPeerUser():
                self._node(step.process.pod).user = step.user
            case SetConfig(parameter="maxmemory"):
                self._node(step.process.pod).maxmemory = int(step.value)
            case SetConfig(parameter="repl-backlog-size"):
                self._node(step.process.pod).backlog = int(step.value)
            case SetConfig(parameter="cluster-node-timeout"):
                self._node(step.process.pod).timeout_ms = int(step.value)
            case SetConfig():
                self._node(step.process.pod).announced[step.parameter] = str(step.value)

    def _move_slot(self, step: CloseSlot | OpenSlot | MoveKeys | TakeSlot) -> None:
        node, slot = self._node(step.process.pod), step.slot
        assert node.primary is None, "SETSLOT on a replica"
        match step:
            case CloseSlot():
                node.migrating.pop(slot, None)
                node.importing.pop(slot, None)
            case OpenSlot(direction="IMPORTING"):
                assert slot not in node.slots, "the owner imports its own slot"
                assert step.other.id in node.known, "SETSLOT with an unknown node"
                node.importing[slot] = step.other.id
            case OpenSlot():
                assert slot in node.slots, "a slot is given away by its owner"
                node.migrating[slot] = step.other.id
            case MoveKeys():
                target = self._by_id(step.target.id)
                assert node.migrating.get(slot) == target.id, "clients do not know where the keys go"
                assert target.importing.get(slot) == node.id, "MIGRATE to a node that does not import"
                target.slot_keys.setdefault(slot, {}).update(node.slot_keys.pop(slot, {}))
            case TakeSlot():
                for other in self.nodes():
                    if other is not node and slot in other.slots:
                        assert not other.slot_keys.get(slot), "the engine drops keys of a slot that it loses"
                        assert other.migrating.get(slot) == node.id, "it may get a key in the same moment"
                        other.slots -= SlotSet.of([SlotRange(slot, slot)])
                node.slots |= SlotSet.of([SlotRange(slot, slot)])
                node.importing.pop(slot, None)
                self._bump(node)

    def _bump(self, node: Node) -> None:
        node.epoch = 1 + max(other.epoch for other in self.nodes())

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
        self.mover.go_on(seconds)
        self._replicate(by_id)

    def _replicate(self, by_id: dict[str, Node]) -> None:
        for node in by_id.values():
            primary = by_id.get(node.primary or "")
            if primary is not None and _lets_in(primary, node) and node.slot_keys != primary.slot_keys:
                node.slot_keys = _copied(primary.slot_keys)

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
        return [pod.process for _, pod in sorted(self.pods.items()) if pod.process and not pod.stopped]

    def lose(self, pod: str, *, keeps_data: bool = False) -> None:
        """The pod is deleted and made again, on another address; without its data unless it is on a volume."""
        old = self.pods[pod].process
        if old is not None and old.slots:
            self.slots_of_dead[old.id] = old.slots
        self.take_away(pod, keeps_data=keeps_data)

    def comes_back(self, pod: str) -> None:
        kept = self.volumes.get(pod)
        if kept is not None and self.pods[pod].process:
            others = self.nodes()
            self.pods[pod].process = back = replace(copy.deepcopy(kept), ip=self.pods[pod].ip)
            _give_way(back, [node for node in others if node.id != back.id])

    def _node(self, pod: str) -> Node:
        node = self.pods[pod].process
        assert node is not None
        return node

    def _by_id(self, node_id: str) -> Node:
        return next(node for node in self.nodes() if node.id == node_id)

    def _facts(self, pod: SimulatedPod[Node]) -> PodFacts:
        return self.pod_facts(pod, answers=pod.process is not None and not pod.process.silent)

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
            keys=node.keys + sum(map(len, node.slot_keys.values())),
            lost=node.lost,
            replication=Replication(
                role="slave" if node.primary else "master",
                offset_bytes=0,
                was_linked=node.primary is not None,
                link_up=(node.primary in by_id and _lets_in(by_id[node.primary], node)) if node.primary else None,
                id=node.history,
            ),
            view=ClusterView(
                me=self._line(node.id, node.address, by_id, myself=True),
                others={
                    each: self._line(
                        each,
                        address,
                        by_id,
                        linked=each not in node.unlinked,
                        believed=_believed(node, by_id[each]) if each in by_id else node.believes.get(each),
                        heard=each not in node.takes_for_primaries,
                    )
                    for each, address in node.known.items()
                },
            ),
            cluster_ok=covered,
            node_timeout_ms=node.timeout_ms,
            write_error=node.write_error,
            backlog_bytes=node.backlog,
            masteruser=node.user,
            slot_keys={slot: len(node.slot_keys.get(slot, {})) for slot in self._open_slots()},
            announced=Announced(
                host=node.address[0],
                port=node.address[1],
                bus_port=int(node.announced.get("cluster-announce-bus-port", "0")),
            ),
        )

    def _slots_of_dead(self, node_id: str) -> SlotSet:
        """What nobody has taken over of what it owned."""
        ended = {pod.process.id: pod.process.slots for pod in self.pods.values() if pod.process and pod.stopped}
        held = ended.get(node_id) or self.slots_of_dead.get(node_id, NO_SLOTS)
        return held - SlotSet.union(node.slots for node in self.nodes())

    def _open_slots(self) -> set[int]:
        return {slot for node in self.nodes() for slot in (*node.migrating, *node.importing)}

    def _assert_elected(self, candidate: Node) -> None:
        """A primary votes for nobody whom it takes for a primary."""
        voters = [node for node in self.nodes() if node.slots]
        votes = [node for node in voters if candidate.id in node.known and candidate.id not in node.takes_for_primaries]
        owners = {node.id for node in voters} | {str(candidate.primary)}
        assert 2 * len(votes) > len(owners), "an election that is lost"

    def _line(
        self,
        node_id: str,
        address: Address,
        by_id: dict[str, Node],
        *,
        myself: bool = False,
        linked: bool = True,
        believed: SlotSet | None = None,
        heard: bool = True,
    ) -> KnownNode:
        node = by_id.get(node_id)
        primary_id = node.primary if node and heard else None
        role = "slave" if primary_id else "master"
        return KnownNode(
            id=node_id,
            ip=address[0],
            port=address[1],
            flags=frozenset(("myself", role) if myself else (role,) if node and linked else (role, "fail")),
            primary_id=primary_id,
            config_epoch=node.epoch if node else 0,
            link_connected=node is not None and linked,
            slots=believed if believed is not None else node.slots if node else self._slots_of_dead(node_id),
            open_slots=tuple(_open_words(node)) if node and myself else (),
        )


def _lets_in(primary: Node, replica: Node) -> bool:
    return primary.user in (None, replica.user)


def _imported(node: Node) -> SlotSet:
    return SlotSet.of(SlotRange(slot, slot) for slot in node.importing)


def _believed(node: Node, other: Node) -> SlotSet | None:
    """None: what is so."""
    if other.id not in node.unheard:
        return node.believes.get(other.id)
    return node.believes.get(other.id, other.slots) - (node.unheard[other.id] & _imported(node))


def _give_way(node: Node, others: Iterable[Node]) -> None:
    """It hears who owns its slots by now. Source: redis.io, "Redis cluster specification", UPDATE messages."""
    owner = next((other for other in others if other.slots & node.slots), None)
    if owner is not None:
        node.slots, node.primary = NO_SLOTS, owner.id


def _copied(slot_keys: dict[int, dict[str, int]]) -> dict[int, dict[str, int]]:
    return {slot: dict(keys) for slot, keys in slot_keys.items()}


def _open_words(node: Node) -> Iterator[str]:
    for slot in sorted({*node.migrating, *node.importing}):
        if slot in node.migrating:
            yield f"[{slot}->-{node.migrating[slot]}]"
        if slot in node.importing:
            yield f"[{slot}-<-{node.importing[slot]}]"
