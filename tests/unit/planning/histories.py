"""One history of an instance: edits, deaths, writes and an operator that dies, one on top of the other, and after each
pass what must be so: every slot has its owner, nobody is a second primary, what was acknowledged is there, no pod is
recreated that nothing asked for, and status says what is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from tdredis.manifests.made_of import made_of
from tdredis.manifests.names import REDIS_COMPONENT
from tdredis.planning.plan import Plan
from tdredis.planning.snapshot import Ref
from tdredis.planning.steps import ReplacePod
from tdredis.redis.slots import ALL_SLOTS, SlotSet, parse_slots
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby

World: TypeAlias = SimulatedCluster | SimulatedStandby

MOST_PASSES: Final = 400  # in which all pods of three shards are recreated, and more
KEYS: Final = 10
IMAGES: Final = ("redis:7.0", "redis:7.0.15")
CAPACITIES_MIB: Final = (384, 768, 96)
PARAMETERS: Final[tuple[Mapping[str, int], ...]] = (
    {"timeout": 300},
    {"maxmemory-samples": 7},
    {"timeout": 60, "tcp-keepalive": 100},
    {},
)
RESTART, HANDOVER = "cache.tongdun.net/restart", "cache.tongdun.net/handover"
NO_IMAGE: Final = "redis:99"  # nobody can pull it
DEADLINE_S: Final = 600.0  # of new pods that do not come up
ROLLED: Final = ("image", "no_image", "annotation", "restart", "deadline")  # who asks for new pods, or for those before
EDITS: Final = (*ROLLED, "capacity", "config", "handover", "replicas", "pause", "resume")
DEATHS: Final = ("pod", "process")
EVENTS: Final = (*EDITS, *DEATHS, "write")


@dataclass(frozen=True, slots=True)
class Event:
    """*which* and *way*: of what there is to choose. *passes* follow it, and end after so many steps: *dies_after*."""

    what: str
    which: int
    way: int
    passes: int
    dies_after: int | None


@dataclass
class History:
    """*world* is whole. *acknowledged*: keys that clients wrote, by shard."""

    world: World
    acknowledged: dict[str, int] = field(default_factory=dict)
    asked: bool = False  # for new pods, and not all are there yet
    numbers: int = 0

    def tell(self, event: Event) -> None:
        getattr(self, f"_{event.what}")(event)
        if event.what in ROLLED:
            self.asked = True
        for _ in range(event.passes):
            self.run_pass(dies_after=event.dies_after)

    def end(self) -> None:
        """Whatever was asked for last is carried out, if it can be. Raises AssertionError."""
        self._spec(paused=False)
        if self._of_spec("image") == NO_IMAGE:
            self.tell(Event("image", 0, 0, 0, None))
        for _ in range(MOST_PASSES):
            made, done = self.run_pass()
            if not done and self._is_carried_out(made):
                break
            self._help(made)
        else:
            raise AssertionError(f"it does not end: {made.verdict} {made.holds} {made.steps} {self._told()}")
        primaries = self.primaries()
        assert set(primaries) == set(self.acknowledged)
        for shard, pod in primaries.items():
            assert self._keys(pod) == self.acknowledged[shard], "the primary does not have what was acknowledged"
        if isinstance(self.world, SimulatedStandby):
            assert len(self.world.primaries()) == 1

    # -- what happens ---

    def _capacity(self, event: Event) -> None:
        self._spec(capacity=CAPACITIES_MIB[event.way % len(CAPACITIES_MIB)])

    def _config(self, event: Event) -> None:
        self._spec(config=PARAMETERS[event.way % len(PARAMETERS)])

    def _image(self, event: Event) -> None:
        self._spec(image=IMAGES[event.way % len(IMAGES)])

    def _no_image(self, _: Event) -> None:
        self._spec(image=NO_IMAGE)

    def _deadline(self, _: Event) -> None:
        self.world.now += DEADLINE_S

    def _annotation(self, event: Event) -> None:
        self._spec(pod={"annotations": {"team": f"team-{event.way}"}})

    def _restart(self, _: Event) -> None:
        self.numbers += 1
        self._annotations()[RESTART] = str(self.numbers)

    def _handover(self, event: Event) -> None:
        if self._is_alone():
            return
        self.numbers += 1
        pods = self.redis_pods()
        is_cluster = isinstance(self.world, SimulatedCluster)
        self._annotations()[HANDOVER] = pods[event.which % len(pods)] if is_cluster else f"now-{self.numbers}"

    def _replicas(self, event: Event) -> None:
        if not self._is_alone():
            self._spec(replicas=1 + event.way % 2)

    def _pause(self, _: Event) -> None:
        self._spec(paused=True)

    def _resume(self, _: Event) -> None:
        self._spec(paused=False)

    def _write(self, _: Event) -> None:
        """Of every shard that takes it."""
        for shard, pod in self._primaries():
            process: Any = self.world.pods[pod].process
            if isinstance(self.world, SimulatedStandby) and self.world.now < process.stopped_until:
                continue
            process.keys += KEYS
            self.acknowledged[shard] += KEYS
            if isinstance(self.world, SimulatedStandby):
                process.offset += KEYS
        self._replicate()

    def _pod(self, event: Event) -> None:
        """One is deleted, if its data is on a volume or somebody else has it; or a Sentinel's."""
        pod = sorted(self.world.pods)[event.which % len(self.world.pods)]
        is_kept = bool(self._of_spec("storageclass"))
        if pod.startswith("sentinel-") or is_kept or self._has_copy_beside(pod):
            self.world.lose(pod, keeps_data=is_kept)

    def _process(self, event: Event) -> None:
        """It ends, and begins again at once with what is on its disk."""
        pod = sorted(self.world.pods)[event.which % len(self.world.pods)]
        if isinstance(self.world, SimulatedStandby) and self.world.pods[pod].process is not None:
            self.world.restart(pod)

    # -- passes, and what must be so after each ---

    def run_pass(self, *, dies_after: int | None = None) -> tuple[Plan, int]:
        before = self.primaries(), self._owned(), self._outdated(), self._told_handover()
        made, done = self.world.run_pass(interrupt_after=dies_after)
        self._replicate()
        gone = [step.pod for step in made.steps[:done] if isinstance(step, ReplacePod)]
        assert self.asked or not gone, f"nothing asked for it: {gone}"
        self._assert_nothing_is_lost()
        self._assert_nobody_is_a_second_primary()
        if dies_after is None or done < dies_after:
            self._assert_status_is_true(*before)
        in_trouble = [name for name, pod in self.world.pods.items() if pod.trouble is not None]  # it may go back
        if not self._outdated() and not self._surplus() and not in_trouble:
            self.asked = False
        return made, done

    def _assert_nothing_is_lost(self) -> None:
        """Of each shard a process has all; it may be one that has just begun."""
        for shard, keys in self.acknowledged.items():
            found = {pod: self._keys(pod) for pod in self.redis_pods() if pod.rpartition("-")[0] == shard}
            assert max(found.values(), default=0) >= keys, f"{shard} had {keys} keys: {found}"

    def _assert_nobody_is_a_second_primary(self) -> None:
        if isinstance(self.world, SimulatedCluster):
            owned = [node.slots for node in self.world.nodes()]
            assert sum(len(each) for each in owned) == len(SlotSet.union(owned)), "a slot has two owners"
            return
        name = str(self.world.resource["metadata"]["name"])  # type: ignore[index, call-overload]
        children: Any = self.world.children
        live = children.get(Ref("EndpointSlice", f"{name}-primary"))
        assert live is None or len(live["endpoints"] or ()) <= 1, "the Service leads to two pods"

    def _assert_status_is_true(
        self, primaries: dict[str, str], owned: dict[str, SlotSet], outdated: set[str], handover: str
    ) -> None:
        """*primaries*, slots *owned* and pods *outdated* as they were when the pass looked."""
        status: Any = self.world.resource["status"]
        if status["phase"] == "Ready":
            assert {shard["primary"] for shard in status["shards"]} == set(primaries.values())
            if isinstance(self.world, SimulatedCluster):
                told = {shard: parse_slots(ranges) for shard, ranges in status["slots"].items()}
                assert told == owned
                assert SlotSet.union(owned.values()) == ALL_SLOTS
        if self._told()["reason"] == "AsSpecified":
            assert not outdated, f"not recreated: {outdated}"
        done = self._told_handover()
        if done and done != handover and isinstance(self.world, SimulatedCluster):
            assert done in primaries.values(), "it is said to have been handed over"

    # -- what there is ---

    def redis_pods(self) -> list[str]:
        return [name for name in sorted(self.world.pods) if not name.startswith("sentinel-")]

    def primaries(self) -> dict[str, str]:
        """By shard, who takes writes."""
        return dict(self._primaries())

    def _primaries(self) -> Iterator[tuple[str, str]]:
        for name in self.redis_pods():
            process: Any = self.world.pods[name].process
            if process is None or self.world.pods[name].stopped:
                continue
            if process.slots if isinstance(self.world, SimulatedCluster) else process.follows is None:
                yield name.rpartition("-")[0], name

    def _owned(self) -> dict[str, SlotSet]:
        return {shard: self._process_of(pod).slots for shard, pod in self.primaries().items() if self._is_cluster()}

    def _replicate(self) -> None:
        """A cluster's replicas get what their primary has; a standby's do so when the world settles."""
        if isinstance(self.world, SimulatedStandby):
            self.world.settle()
            return
        by_id = {node.id: node for node in self.world.nodes()}
        for node in by_id.values():
            if node.primary in by_id:
                node.keys = by_id[str(node.primary)].keys

    def _has_copy_beside(self, pod: str) -> bool:
        shard = pod.rpartition("-")[0]
        others = [name for name in self.redis_pods() if name.rpartition("-")[0] == shard and name != pod]
        return any(self._keys(name) >= self.acknowledged[shard] and self._follows(name) for name in others)

    def _follows(self, name: str) -> bool:
        """It is the primary, or its link to it is up."""
        process = self._process_of(name)
        if isinstance(self.world, SimulatedCluster):
            return bool(process.slots) or process.primary in {node.id for node in self.world.nodes() if node.slots}
        return process.follows is None or bool(process.link_up)

    def _outdated(self) -> set[str]:
        """Pods that are not of what spec says."""
        world = self.world
        instance = world.cluster if isinstance(world, SimulatedCluster) else world.instance
        annotations = made_of(instance, REDIS_COMPONENT).get("pod.annotations")  # a digest of them
        wanted = self._of_spec("image"), annotations, self._annotations().get(RESTART)
        pods = {name: world.pods[name] for name in self.redis_pods()}
        has = {
            name: (pod.images["redis"], pod.made_of.get("pod.annotations"), pod.made_of.get("restart"))
            for name, pod in pods.items()
        }
        watchers = {name for name in world.pods if name.startswith("sentinel-")}
        late = {name for name in watchers if world.pods[name].made_of.get("restart") != wanted[2]}
        return {name for name in pods if has[name] != wanted} - self._surplus() | late

    def _surplus(self) -> set[str]:
        """Pods that spec does not ask for."""
        most = 0 if self._is_alone() else int(self._of_spec("replicas") or 1)
        return {name for name in self.redis_pods() if int(name.rpartition("-")[2]) > most}

    def _is_carried_out(self, made: Plan) -> bool:
        asked = self._annotations().get(HANDOVER, "")[:64]
        done = asked in ("", self._told_handover())
        is_told = made.verdict == "healthy" and self._told()["reason"] == "AsSpecified"
        return is_told and done and not self._surplus()

    def _help(self, made: Plan) -> None:
        """As a person would, where the condition says so."""
        guards = {hold.guard for hold in made.holds}
        if "no_primary_is_removed" in guards:
            self._spec(replicas=2)
        is_vain = "handover_names_a_pod" in guards or self._annotations().get(HANDOVER) not in self.world.pods
        if is_vain and self._is_cluster():
            self._annotations().pop(HANDOVER, None)

    def _keys(self, pod: str) -> int:
        """What it has, or would have if it began."""
        process: Any = self.world.pods[pod].process or self.world.volumes.get(pod)
        return int(process.keys) if process is not None else 0

    def _process_of(self, pod: str) -> Any:
        return self.world.pods[pod].process

    def _is_cluster(self) -> bool:
        return isinstance(self.world, SimulatedCluster)

    def _is_alone(self) -> bool:
        return isinstance(self.world, SimulatedStandby) and self.world.kind == "RedisStandalone"

    def _told(self) -> Any:
        status: Any = self.world.resource["status"]
        return next(each for each in status["conditions"] if each["type"] == "Accepted")

    def _told_handover(self) -> str:
        status: Any = self.world.resource["status"]
        record = status.get("handover") or {}
        return str(record.get("asked", "")) if record.get("done") else ""

    def _of_spec(self, name: str) -> Any:
        spec: Any = self.world.resource["spec"]
        return spec.get(name)

    def _spec(self, **changes: object) -> None:
        self.world.resource["spec"] = {**self.world.resource["spec"], **changes}  # type: ignore[dict-item]

    def _annotations(self) -> dict[str, str]:
        metadata: Any = self.world.resource["metadata"]
        found: dict[str, str] = metadata.setdefault("annotations", {})
        return found


def begin(world: World) -> History:
    """Whole, and with data. Pods that are sent away answer for a while, as real ones do."""
    world.goes_slowly = True
    world.bad_images.add(NO_IMAGE)
    world.converge()
    history = History(world)
    history.acknowledged = dict.fromkeys(history.primaries(), 0)
    history.tell(Event("write", 0, 0, 2, None))
    return history
