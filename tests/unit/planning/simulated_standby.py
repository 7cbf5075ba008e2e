"""A RedisStandby or RedisStandalone on Kubernetes as plain data: Redis replicates, Sentinels tell each other.

What it stands for is proven elsewhere (the end-to-end tests run the same plans on real processes); here thousands of
worlds a second can be interrupted, broken and healed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

from tdredis.api.json_object import JSONObject
from tdredis.api.kinds import KINDS, parse
from tdredis.api.redisstandalone import RedisStandalone
from tdredis.api.redisstandby import RedisStandby
from tdredis.execute.run import PAUSE_MS
from tdredis.manifests.redis_config import NOBODY_HOST, NOBODY_PORT
from tdredis.manifests.services import is_external_service
from tdredis.manifests.site import Passwords
from tdredis.planning.snapshot import PodFacts, Ref, ReplicationSnapshot
from tdredis.planning.steps import (
    AnnounceSentinel,
    Apply,
    ConfigureMonitor,
    Disconnect,
    FailOver,
    Follow,
    Monitor,
    PassOn,
    Process,
    Promote,
    PublishHellos,
    Reconnect,
    Release,
    Remove,
    RemoveMonitor,
    ReplacePod,
    ResizePod,
    ResizeVolume,
    RestoreLabels,
    SetAuthPass,
    SetConfig,
    SetParameter,
    Step,
    TakeBack,
)
from tdredis.planning.steps.primaries import fence
from tdredis.redis.facts import Announced, NodeFacts, Replication, Unknown
from tdredis.redis.sentinels import Known, SentinelFacts
from tdredis.redis.sentinels import Watch as WatchFacts
from tests.unit.planning.simulated_kubernetes import SimulatedKubernetes, SimulatedPod
from tests.unit.planning.simulated_settings import KEY

SPEC: JSONObject = {
    "app": "standby-tom",
    "capacity": 128,
    "dc": "hz",
    "env": "demo",
    "image": "redis:7.0",
    "monitorimage": "oliver006/redis_exporter:v1.45",
    "netmode": "ClusterIP",
    "realname": "sa",
    "secret": "vault",
    "sentinelimage": "redis:7.0",
    "storageclass": "",
    "vip": "",
}
STANDALONE_SPEC: JSONObject = {name: value for name, value in SPEC.items() if name != "sentinelimage"}
Place = tuple[str, int]
ProcessT = TypeVar("ProcessT", "Redis", "Sentinel")
NOBODY = (NOBODY_HOST, NOBODY_PORT)


@dataclass
class Redis:
    """A redis-server. *follows* None: it takes itself for the primary."""

    run_id: str
    follows: Place | None
    maxmemory: int
    offset: int = 0
    keys: int = 0
    databases: int = 0  # one more than the highest with a key
    used_mib: int = 1
    silent: bool = False
    write_error: str = ""  # its disk is full
    backlog: int | None = None  # repl-backlog-size
    refused: bool = False
    link_up: bool = False
    priority: int = 0  # as the start script has it
    started: float = 0.0
    least: int = 0  # min-replicas-to-write
    lag: int = 10
    cut_off: bool = False  # no packet passes between it and other Redis processes
    history: str = ""
    former: tuple[str, int] = ("", -1)  # the history that it took over, and where it left it
    loading: bool = False  # after its start; it does not say yet how many keys it has
    announces: tuple[str, int] = ("", 0)  # 0: its pod's address and port
    lost: str = ""  # what its start script found
    handing_over: bool = False
    stopped_until: float = 0.0  # its clients' writes, while somebody else takes over
    told: Place | None = None  # where it said that it is when it connected to its primary. None: where it is


@dataclass
class Watched:
    """What a Sentinel holds of one primary."""

    place: Place
    quorum: int
    epoch: int = 0
    settings: dict[str, int] = field(default_factory=dict)
    replicas: set[Place] = field(default_factory=set)
    others: dict[str, Place] = field(default_factory=dict)  # by Sentinel pod
    shut_out: bool = False  # it has no password
    run: tuple[Place, str] | None = None  # where it read a primary's INFO last, and the run id in it


@dataclass
class Sentinel:
    run_id: str
    watched: dict[str, Watched] = field(default_factory=dict)
    silent: bool = False
    cut_off: bool = False  # from the other Sentinels
    failing_over: bool = False
    in_tilt: bool = False
    finds_down: bool = False  # a silent primary has said nothing for its down-after-milliseconds
    announces: tuple[str, int] = ("", 0)
    choosing: bool = False  # it is at the beginning of that, and has promoted nobody yet


def is_sentinel(pod: str) -> bool:
    return pod.startswith("sentinel-")


class SimulatedStandby(SimulatedKubernetes["Redis | Sentinel"]):
    def __init__(self, kind: str = "RedisStandby", **spec: object) -> None:
        base = SPEC if kind == "RedisStandby" else STANDALONE_SPEC
        super().__init__("redis-standby-tom", "uid-tom", {**base, **spec})  # type: ignore[dict-item]
        self.kind = kind
        self.disconnected: list[str] = []
        self.firewalled: set[str] = set()  # pods that Sentinels reach, whatever the operator sees
        self.version = "7.0.15"
        self.strangers: set[Place] = set()  # replicas of the primary that are not ours

    # -- what a pass sees and does ------------------------------------------------------------------------------------

    @property
    def instance(self) -> RedisStandby | RedisStandalone:
        found = parse(KINDS[self.kind], self.resource)
        assert isinstance(found, RedisStandby | RedisStandalone)
        return found

    def snapshot(self) -> ReplicationSnapshot:
        instance = self.instance
        answers = {pod.name: self._node_facts(node) for pod, node in self._of(Redis) if not pod.stopped}
        nodes = self.with_memory(answers)
        return ReplicationSnapshot(
            now=self.now,
            instance=instance,
            site=self.site,
            passwords=Passwords(redis=instance.spec.secret, proxy=""),
            memo=self.memo(),
            children=self.listed(self.children),
            claims=self.listed(self.claims),
            pods={pod.name: self._facts(pod) for pod in self.pods.values() if not is_sentinel(pod.name)},
            nodes=self.with_settings(instance, nodes),
            answers=self.settings.memory.answers(KEY),
            known_pods=self.remember(nodes),
            trials=self.trials(),
            creation_failures=self.creation_failures(),
            write_failures=self.write_failures(),
            sentinel_pods={pod.name: self._facts(pod) for pod in self.pods.values() if is_sentinel(pod.name)},
            sentinels={pod.name: self._sentinel_facts(one) for pod, one in self._of(Sentinel) if not pod.stopped},
        )

    # -- the real parts, simulated ------------------------------------------------------------------------------------

    def start(self, pod: SimulatedPod[Redis | Sentinel]) -> Redis | Sentinel:
        run_id = f"{self.next_number():040x}"
        if is_sentinel(pod.name):
            return Sentinel(run_id=run_id)
        self.settings.restart(pod.name, self.settings_file(), pod.made_of)
        waits = self.kind == "RedisStandby" or self.instance.spec.storage_class or self._has_another_beside()
        follows = NOBODY if waits else None  # a standalone has nothing on its disk yet
        maxmemory = self.instance.spec.maxmemory_mib * 2**20
        return Redis(
            run_id=run_id, follows=follows, maxmemory=maxmemory, started=self.now, history=run_id, lag=self._lag()
        )

    def _has_another_beside(self) -> bool:
        """As its pods read it when they start."""
        files: Any = self.children.get(Ref("ConfigMap", self.instance.name), {}).get("data", {})
        return bool(files.get("replicas", "0") != "0")

    def _lag(self) -> int:
        """As redis.conf has it."""
        return self.instance.spec.max_lag_s if isinstance(self.instance, RedisStandby) else 10

    def restart(self, pod: str) -> None:
        """The process is killed and comes back in place, with the data of its disk and the memory of a start script."""
        process = self.pods[pod].process
        assert process is not None
        process.run_id = f"{self.next_number():040x}"
        if isinstance(process, Redis):
            waits = self.kind == "RedisStandby" or self._has_another_beside()
            process.follows = NOBODY if waits else None
            process.offset = 0
            process.priority = 0
            process.link_up = False
            process.least, process.lag = 0, self._lag()
            process.announces, process.told = ("", 0), None
            process.started = self.now

    def lose(self, pod: str, *, keeps_data: bool = False) -> None:
        """The pod is deleted and made again, on another address; without its data unless it is on a volume."""
        self.take_away(pod, keeps_data=keeps_data)

    def comes_back(self, pod: str) -> None:
        kept, new = self.volumes.get(pod), self.pods[pod].process
        if isinstance(kept, Redis) and isinstance(new, Redis):
            new.keys = kept.keys

    def apply(self, step: Step) -> None:  # noqa: PLR0912 a line a step
        match step:
            case Apply() | Remove() | Release() | ReplacePod() | ResizePod() | ResizeVolume() | RestoreLabels():
                if isinstance(step, Remove) and is_external_service(self.children[step.ref]):
                    self._assert_unused(self.children[step.ref])
                if isinstance(step, ReplacePod) and self.instance.spec.storage_class:
                    self.lose(step.pod, keeps_data=True)
                else:
                    self.apply_object(step)
            case Follow():
                redis = self._redis(step.process)
                assert (redis.follows is None) == step.was_primary
                redis.follows = (step.host, step.port)
                redis.told = self.place(step.process.pod)
                if step.was_primary:
                    self.disconnected.append(step.process.pod)
            case Reconnect():
                self._redis(step.process).told = self.place(step.process.pod)
            case Promote():
                assert not [name for name in self.primaries() if not self._is_given_up(name)], "a second primary"
                self.promote(self._redis(step.process))
            case PassOn():
                self._pass_on(step)
            case TakeBack():
                redis = self._redis(step.process)
                redis.handing_over, redis.follows = False, None
            case Disconnect():
                self.disconnected.append(step.process.pod)
            case FailOver():
                if step.primary is not None:
                    former = self._redis(step.primary)
                    former.least = int(fence(len(self._online(former)))[-1])
                    former.stopped_until = self.now + PAUSE_MS / 1000
                self._fail_over(self._sentinel(step.process), step.master_name)
            case Monitor():
                watched = self._sentinel(step.process).watched
                assert (step.master_name in watched) == step.replaces, "MONITOR of a name that is in use"
                watched[step.master_name] = Watched(
                    place=(step.host, step.port), quorum=step.quorum, settings=dict(step.settings)
                )
            case RemoveMonitor():
                del self._sentinel(step.process).watched[step.master_name]
            case ConfigureMonitor():
                watch = self._sentinel(step.process).watched[step.master_name]
                if step.setting == "quorum":
                    watch.quorum = step.value
                else:
                    watch.settings[step.setting] = step.value
            case PublishHellos():
                sentinel = self._sentinel(step.process)
                watch = sentinel.watched[step.master_name]
                for hello in step.others:
                    place = (hello.primary_host, hello.primary_port)
                    watch.others[hello.name] = (hello.host, hello.port)
                    if hello.config_epoch > watch.epoch and place != watch.place:
                        watch.replicas = (watch.replicas | {watch.place}) - {place}
                        watch.place, sentinel.failing_over = place, False
                    watch.epoch = max(watch.epoch, hello.config_epoch)
            case SetAuthPass():
                self._sentinel(step.process).watched[step.master_name].shut_out = False
            case SetConfig(parameter="min-replicas-to-write"):
                self._redis(step.process).least = int(step.value)
            case SetConfig(parameter="min-replicas-max-lag"):
                self._redis(step.process).lag = int(step.value)
            case SetConfig(parameter="replica-priority"):
                self._redis(step.process).priority = int(step.value)
            case SetConfig(parameter="replica-announce-ip"):
                redis = self._redis(step.process)
                redis.announces = (str(step.value), redis.announces[1])
            case SetConfig(parameter="replica-announce-port"):
                redis = self._redis(step.process)
                redis.announces = (redis.announces[0], int(step.value))
            case AnnounceSentinel():
                self._sentinel(step.process).announces = (step.host, step.port)
            case SetConfig(parameter="repl-backlog-size"):
                self._redis(step.process).backlog = int(step.value)
            case SetParameter():
                self.settings.tell(step)
            case SetConfig(parameter="maxmemory"):
                self._redis(step.process).maxmemory = int(step.value)
            case _:
                raise AssertionError(f"not simulated: {step!r}")

    def _is_given_up(self, pod: str) -> bool:
        """A primary that is silent, and dead for as many Sentinels as could replace it, or for everybody."""
        finding = [one for one in self.sentinels().values() if one.finds_down]
        redis = self.redis()[pod]
        return redis.silent and (redis.refused or 2 * len(finding) > len(self.sentinels()))

    def _assert_unused(self, service: JSONObject) -> None:
        """Nobody gives himself out, or knows anybody, where *service* leads."""
        ports = {each["nodePort"] for each in service["spec"]["ports"] if "nodePort" in each}  # type: ignore[index, call-overload, union-attr, operator]
        watches = [watch for one in self.sentinels().values() for watch in one.watched.values()]
        known = {place for watch in watches for place in (watch.place, *watch.replicas, *watch.others.values())}
        known |= {self.place(name) for name in self.pods if self.pods[name].process}
        known |= {redis.follows for redis in self.redis().values() if redis.follows}
        known |= {self._known_as(name) for name in self.redis()}
        assert not {port for _, port in known} & ports, f"deleted while somebody uses it: {service['metadata']}"

    def _fail_over(self, sentinel: Sentinel, name: str) -> None:
        watch = sentinel.watched[name]
        assert not sentinel.in_tilt, "it says OK, and does nothing for half a minute"
        able = [
            (place, redis)
            for place in sorted(watch.replicas)
            if (redis := self._at(place)) is not None
            and redis.follows is not None
            and not redis.silent
            and redis.priority
        ]
        assert able, "NOGOODSLAVE"
        place, candidate = min(able, key=lambda found: (found[1].priority, -found[1].offset))
        self.promote(candidate)
        watch.replicas = (watch.replicas | {watch.place}) - {place}
        watch.place, watch.epoch = place, watch.epoch + 1

    def _pass_on(self, step: PassOn) -> None:
        primary, candidate = self._redis(step.process), self._redis(step.candidate)
        assert primary.follows is None, "FAILOVER requires a primary"
        assert candidate is self._at((step.host, step.port))
        assert candidate.link_up, "FAILOVER target is not a replica"
        candidate.offset, candidate.keys = primary.offset, primary.keys
        self.promote(candidate)
        primary.follows, primary.told = (step.host, step.port), self.place(step.process.pod)

    def promote(self, redis: Redis) -> None:
        redis.former, redis.history = (redis.history, redis.offset + 1), f"{self.next_number():040x}"
        redis.follows = None

    def settle(self, seconds: float = 0.1) -> None:
        """Time passes: replicas catch up, Sentinels find replicas and each other, and follow the newest epoch."""
        self.now += seconds
        answering = {pod.name: redis for pod, redis in self._of(Redis) if not pod.stopped and not redis.silent}
        places = {self._known_as(name): redis for name, redis in answering.items()}
        for redis in answering.values():
            primary = self._at(redis.follows) if redis.follows else None
            if primary is not None and primary.silent:
                primary = None
            redis.link_up = (
                primary is not None and primary.follows is None and not redis.cut_off and not primary.cut_off
            )
            if primary is not None and redis.link_up:
                primary.offset = max(primary.offset, 2)
                redis.offset, redis.keys, redis.used_mib = primary.offset, primary.keys, primary.used_mib
                redis.history, redis.former = primary.history, primary.former
        alive = {pod.name: (pod, one) for pod, one in self._of(Sentinel) if not pod.stopped and not one.silent}
        for name, (_, sentinel) in alive.items():
            for master, watch in sentinel.watched.items():
                if watch.place in places:
                    watch.run = (watch.place, places[watch.place].run_id)
                    watch.replicas |= {place for place, redis in places.items() if redis.follows == watch.place}
                    watch.replicas |= self.strangers
                for other, (pod, peer) in alive.items():
                    theirs = peer.watched.get(master)
                    if other == name or theirs is None or sentinel.cut_off or not self._hear(watch, theirs, places):
                        continue
                    watch.others[other] = self._place(pod)
                    if theirs.epoch > watch.epoch:
                        watch.replicas = (watch.replicas | {watch.place}) - {theirs.place}
                        watch.place, watch.epoch = theirs.place, theirs.epoch

    def _hear(self, mine: Watched, theirs: Watched, places: dict[Place, Redis]) -> bool:
        """Sentinels tell each other through Redis processes that both know and reach."""
        return bool(({mine.place} | mine.replicas) & ({theirs.place} | theirs.replicas) & set(places))

    # -- what tests look at -------------------------------------------------------------------------------------------

    def redis(self) -> dict[str, Redis]:
        """Those that run, by pod."""
        return {pod.name: redis for pod, redis in self._of(Redis) if not pod.stopped}

    def sentinels(self) -> dict[str, Sentinel]:
        return {pod.name: one for pod, one in self._of(Sentinel) if not pod.stopped}

    def primaries(self) -> list[str]:
        return [name for name, redis in self.redis().items() if redis.follows is None]

    def watched_places(self) -> set[Place]:
        return {watch.place for one in self.sentinels().values() for watch in one.watched.values()}

    def place(self, pod: str) -> Place:
        """Where it says that it is."""
        return self._place(self.pods[pod])

    def _place(self, pod: SimulatedPod[Redis | Sentinel]) -> Place:
        assert pod.process is not None
        host, port = pod.process.announces
        return host or pod.ip, port or (26379 if is_sentinel(pod.name) else 6379)

    def _known_as(self, pod: str) -> Place:
        """Where its primary, or who watches it, takes it to be."""
        redis = self.redis()[pod]
        return (redis.follows and redis.told) or self.place(pod)

    def takes_writes(self, pod: str) -> bool:
        """Whether it acknowledges what a client writes now. Source: server.c, processCommand."""
        redis = self.redis().get(pod)
        if redis is None or redis.silent or redis.follows is not None or self.now < redis.stopped_until:
            return False
        return len(self._online(redis)) >= redis.least

    def write_through(self, pod: str) -> None:
        """A client that is still connected to *pod* writes a key, and is told that it is written."""
        assert self.takes_writes(pod)
        self.redis()[pod].keys += 1
        self.redis()[pod].offset += 1

    def write(self, keys: int) -> None:
        """A client writes through the primary."""
        (primary,) = self.primaries()
        self.redis()[primary].keys += keys
        self.redis()[primary].offset += keys
        self.settle()

    def _facts(self, pod: SimulatedPod[Redis | Sentinel]) -> PodFacts:
        return self.pod_facts(pod, answers=pod.process is not None and not pod.process.silent)

    # -- facts --------------------------------------------------------------------------------------------------------

    def _of(self, kind: type[ProcessT]) -> list[tuple[SimulatedPod[Redis | Sentinel], ProcessT]]:
        """Pods whose process is (or was) of *kind*, by name."""
        found = sorted(self.pods.items())
        return [(pod, pod.process) for _, pod in found if isinstance(pod.process, kind)]

    def _node_facts(self, node: Redis) -> NodeFacts | Unknown:
        if node.silent:
            return Unknown(since=self.now, error="no answer within 1 s", refused=node.refused)
        host, port = node.follows or (None, None)
        following = frozenset() if node.follows else self._online(node)
        return NodeFacts(
            version=self.version,
            uptime_s=int(self.now - node.started),
            loading=node.loading,
            used_memory_bytes=node.used_mib * 2**20,
            maxmemory_bytes=node.maxmemory,
            keys=0 if node.loading else node.keys,
            databases=node.databases,
            replication=Replication(
                role="slave" if node.follows else "master",
                offset_bytes=node.offset,
                primary_host=host,
                primary_port=port,
                link_up=node.link_up if node.follows else None,
                priority=node.priority if node.follows else None,
                replicas=frozenset() if node.follows else following | self.strangers,
                online=following,
                heard=following,
                in_reach=len(following) if node.least and not node.follows else None,
                id=node.history,
                former_id=node.former[0],
                former_end_bytes=node.former[1],
                is_handing_over=node.handing_over,
            ),
            min_replicas_to_write=node.least,
            min_replicas_max_lag_s=node.lag,
            run_id=node.run_id,
            write_error=node.write_error,
            backlog_bytes=node.backlog,
            lost=node.lost,
            announced=Announced(host=node.announces[0], port=node.announces[1]) if all(node.announces) else None,
        )

    def _online(self, primary: Redis) -> frozenset[Place]:
        """Replicas in sync with *primary*."""
        return frozenset(
            self._known_as(pod.name)
            for pod, redis in self._of(Redis)
            if redis.follows
            and redis.link_up
            and not redis.silent
            and not pod.stopped
            and self._at(redis.follows) is primary
        )

    def _sentinel_facts(self, one: Sentinel) -> SentinelFacts | Unknown:
        if one.silent:
            return Unknown(since=self.now, error="no answer within 1 s")
        return SentinelFacts(
            version=self.version,
            run_id=one.run_id,
            id=one.run_id,
            in_tilt=one.in_tilt,
            announced_host=one.announces[0],
            announced_port=one.announces[1],
            watches=tuple(self._watch_facts(one, name, watch) for name, watch in sorted(one.watched.items())),
        )

    def _watch_facts(self, one: Sentinel, name: str, watch: Watched) -> WatchFacts:
        def known(place: Place) -> Known:
            redis = self._at(place)
            hidden = any(self.place(pod) == place for pod in self.firewalled)
            up = redis is not None and (not redis.silent or hidden)
            flags = frozenset(("slave",) if up else ("slave", "s_down"))
            if one.failing_over and not one.choosing and redis is not None and redis.follows is None:
                flags |= {"promoted"}
            return Known(host=place[0], port=place[1], flags=flags, priority=redis.priority if redis else 100)

        primary = self._at(watch.place)
        up = primary is not None and not primary.silent
        refuses = watch.shut_out or (primary is not None and primary.write_error)  # a PING, at any rate
        return WatchFacts(
            name=name,
            host=watch.place[0],
            port=watch.place[1],
            quorum=watch.quorum,
            config_epoch=watch.epoch,
            run_id=watch.run[1] if watch.run and watch.run[0] == watch.place else "",
            flags=frozenset(("master", "s_down") if refuses else ("master",) if up else ("master", "disconnected"))
            | (frozenset(("failover_in_progress",)) if one.failing_over else frozenset())
            | (frozenset(("s_down",)) if one.finds_down and not up else frozenset()),
            down_after_ms=watch.settings.get("down-after-milliseconds", 30000),
            failover_timeout_ms=watch.settings.get("failover-timeout", 180000),
            ok_age_ms=5000 if refuses else 0,
            info_age_ms=9000 if refuses and not watch.shut_out else 0,
            parallel_syncs=watch.settings.get("parallel-syncs", 1),
            replicas=tuple(known(place) for place in sorted(watch.replicas)),
            sentinels=tuple(
                Known(host=host, port=port, flags=frozenset(("sentinel", *(("s_down",) if one.cut_off else ()))))
                for host, port in sorted(watch.others.values())
            ),
        )

    def _at(self, place: Place) -> Redis | None:
        """Who is reached there: by its pod's address, or by its pod's Service."""
        found = (
            redis
            for pod, redis in self._of(Redis)
            if not pod.stopped and place in ((pod.ip, 6379), self._place(pod), redis.told)
        )
        return next(found, None)

    def _redis(self, process: Process) -> Redis:
        found = self.pods[process.pod].process
        assert isinstance(found, Redis)
        assert found.run_id == process.id, "the process is another by now"
        return found

    def _sentinel(self, process: Process) -> Sentinel:
        found = self.pods[process.pod].process
        assert isinstance(found, Sentinel)
        return found
