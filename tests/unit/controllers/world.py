"""The real loop, queue, executor, status writer and caches between two simulated ends, on virtual time.

What a pass sees is what a simulator shows, what it does is done to the simulator. An API server that is no help, and a
Redis that refuses, are functions that a test gives.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import msgspec

from tdredis.api.fields import API_VERSION
from tdredis.api.instance import Instance
from tdredis.api.json_object import JSONObject
from tdredis.api.kinds import KINDS, parse
from tdredis.controllers.loop import Loop
from tdredis.execute.run import Executor
from tdredis.kube.cache import Cache
from tdredis.kube.client import Client
from tdredis.kube.errors import ApiError, DeadlineExceeded, parse_error
from tdredis.kube.events import Reference
from tdredis.kube.objects import CustomObject
from tdredis.kube.resources import PODS, Resource
from tdredis.observe.caches import Caches
from tdredis.observe.gather import Observer
from tdredis.planning.snapshot import ClusterSnapshot, Key, Ref, ReplicationSnapshot, Snapshot
from tdredis.planning.steps import Apply, Remove, ReplacePod, Step
from tdredis.redis.facts import Unknown
from tdredis.redislink.access import OPEN
from tdredis.redislink.errors import LinkError, NoFreeConnection
from tdredis.redislink.pool import Address, LinkPool
from tdredis.runtime.queue import KeyedQueue
from tests.unit.planning.simulated_kubernetes import SimulatedKubernetes

TAKES_S = 0.003  # a request to a healthy API server
DEADLINE_S = 10.0  # of the real client
STATUS = "status"

Refusal = Callable[[str], ApiError | None]


def status_answer(code: int, reason: str, message: str) -> ApiError:
    return parse_error(
        code, msgspec.json.encode({"kind": "Status", "code": code, "reason": reason, "message": message})
    )


class Refusing:
    """Refuses what *concerns* names, "" is everything, in words that differ each time; *code* 0: it never answers."""

    def __init__(self, code: int, concerns: str = "") -> None:
        self.code = code
        self.concerns = concerns
        self.count = 0

    def __call__(self, what: str) -> ApiError | None:
        if not what.startswith(self.concerns):
            return None
        self.count += 1
        if self.code == 0:
            return DeadlineExceeded(0, "DeadlineExceeded", f"PATCH {what}: no answer in 10 s, request {self.count}")
        reason = {403: "Forbidden", 409: "Conflict", 422: "Invalid", 429: "TooManyRequests"}.get(
            self.code, "InternalError"
        )
        return status_answer(self.code, reason, f"refused after {7 * self.count} ms, request {self.count}")


class SimulatedApi:
    """The verbs of `Client` that a pass uses."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.refuses: Refusal = lambda _what: None
        self.hangs: dict[str, float] = {}  # what is answered so late, once
        self.asked: list[tuple[float, str]] = []

    async def apply(self, resource: Resource, manifest: Any, *, subresource: str | None = None) -> JSONObject:
        name = str(manifest["metadata"]["name"])
        what = STATUS if subresource else f"{resource.kind} {name}"
        await self._request(what)
        if subresource:
            return self._world.store_status(manifest["status"])
        self._world.simulated.apply_object(Apply(ref=Ref(resource.kind, name), manifest=manifest, why=""))
        return cast(JSONObject, manifest)

    async def find(self, resource: Resource, _namespace: str, name: str) -> JSONObject | None:
        live = self._world.simulated.children.get(Ref(resource.kind, name))
        return live if isinstance(live, dict) else None

    async def delete(self, resource: Resource, _namespace: str, name: str, *, uid: str, **_: object) -> None:
        await self._request(f"{resource.kind} {name}")
        step: Step
        if resource == PODS:
            step = ReplacePod(pod=name, uid=uid, why="")
        else:
            step = Remove(ref=Ref(resource.kind, name), api_version=resource.api_version, uid=uid, why="")
        self._world.simulated.apply_object(step)

    async def _request(self, what: str) -> None:
        self.asked.append((self._world.now(), what))
        if (hang_s := self.hangs.pop(what, None)) is not None:
            await asyncio.sleep(hang_s)  # virtual, as all here
        error = self.refuses(what)
        await asyncio.sleep(DEADLINE_S if isinstance(error, DeadlineExceeded) else TAKES_S)
        if error is not None:
            raise error


class SimulatedExecutor(Executor):
    """What is done to a process is done to the simulated one, unless *refuses* raises."""

    refuses: Callable[[Step], None] = staticmethod(lambda _step: None)
    world: World

    async def run_step(self, key: Key, step: Step) -> bool:  # noqa: ARG002 the signature of the real one
        self.require_lead()
        self.world.told.append((self.world.now(), step))
        await asyncio.sleep(0.001)
        self.refuses(step)
        self.world.simulated.apply(step)
        return True


class SimulatedObserver:
    """What a simulator shows. Processes are asked through a real pool of connections, for their life only."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.now = world.now
        self.urgent: list[bool] = []
        self.breaks: Exception | None = None
        self.is_gone = False  # the resource was deleted

    async def gather(self, key: Key, *, at_peace: bool = False, is_urgent: bool = False) -> Snapshot | None:  # noqa: ARG002
        world = self._world
        world.passes.append(world.now())
        self.urgent.append(is_urgent)
        if self.breaks is not None:
            raise self.breaks
        if self.is_gone:
            return None
        world.settle()
        seen = world.simulated.snapshot()
        silent = {}
        for name, pod in seen.pods.items():
            if pod.running and pod.ip:
                error = await self._ask(key, Address(pod.uid, pod.ip, pod=name))
                if error is not None:
                    silent[name] = Unknown(since=seen.now, error=str(error), full=isinstance(error, NoFreeConnection))
        if not silent:
            return seen
        assert isinstance(seen, ClusterSnapshot | ReplicationSnapshot)
        return replace(seen, nodes={**seen.nodes, **silent})

    async def _ask(self, key: Key, address: Address) -> LinkError | None:
        try:
            await self._world.links.ask(key, address, [["PING"]], timeout_s=1)
        except LinkError as error:
            return error
        return None

    def subject(self, key: Key) -> Reference:
        return Reference(API_VERSION, key.kind, key.namespace, key.name, "uid")

    def resource(self, key: Key) -> Instance | None:
        return parse(KINDS[key.kind], msgspec.json.encode(self._world.simulated.resource))

    def drop(self, key: Key) -> None: ...


class _Answers:
    """A connection to a process that lives."""

    greeted = open = True
    accepted = None

    async def call_all(self, commands: Iterable[object], *, timeout_s: float) -> list[object]:  # noqa: ARG002
        return [b"PONG" for _ in commands]

    def close(self) -> None: ...


class World:
    """*simulated* is both ends."""

    def __init__(self, simulated: SimulatedKubernetes[Any], kind: str, name: str) -> None:
        self.simulated = simulated
        self.key = Key(kind, "redis", name)
        self.api = SimulatedApi(self)
        self.passes: list[float] = []
        self.told: list[tuple[float, Step]] = []  # steps that processes were told
        self.events: list[tuple[str, str]] = []
        self.rollbacks: list[tuple[str, int]] = []
        self.connects: list[float] = []
        self.refuses_connection: Callable[[], LinkError | None] = lambda: None
        self._version = 1
        self._settled = self.now()
        self.queue: KeyedQueue[Key] = KeyedQueue(clock=self.now)
        self.links: LinkPool[Key] = LinkPool(
            lambda key, _address: self.queue.add(key, front=True), connect=self._connect
        )
        self.links.admit(self.key, OPEN)
        client = cast(Client, self.api)
        self.caches = Caches(client, served=frozenset(), on_news=self.queue.add, is_own_status=self._is_own_status)
        self.observer = SimulatedObserver(self)
        self.executor = SimulatedExecutor(
            client, self.links, hurry=self.queue.hurry, on_late=self.queue.add, clock=self.now
        )
        self.executor.world = self
        self.loop = Loop(
            self.queue,
            cast(Observer, self.observer),
            self.executor,
            client,
            self._announce,
            workers=4,
            on_rollback=lambda kind, edits: self.rollbacks.append((kind, edits)),
            on_status=self._learn,
            clock=self.now,
        )
        self._custom = cast("Cache[CustomObject]", self.caches.custom[kind])
        self._custom._resource_version = "1"  # as after its first list
        self._watch_tells()

    @staticmethod
    def now() -> float:
        return asyncio.get_running_loop().time()

    def settle(self) -> None:
        """So much time has passed for the simulated processes too."""
        self.simulated.settle(self.now() - self._settled)
        self._settled = self.now()

    def store_status(self, status: JSONObject) -> JSONObject:
        """The server takes it, and the watch is quicker than the answer."""
        self.simulated.resource["status"] = status
        return self._watch_tells()

    def edit(self, **spec: object) -> None:
        """A user does."""
        resource: Any = self.simulated.resource
        resource["spec"] |= spec
        resource["metadata"]["generation"] += 1
        self._watch_tells()

    def _watch_tells(self) -> JSONObject:
        self._version += 1
        resource: Any = self.simulated.resource
        metadata = {**resource["metadata"], "resourceVersion": str(self._version)}
        answer: JSONObject = {**resource, "kind": self.key.kind, "apiVersion": API_VERSION, "metadata": metadata}
        self._custom.learn(answer)
        return answer

    def _learn(self, answer: JSONObject) -> None:
        self._custom.learn(answer)

    def _is_own_status(self, found: CustomObject) -> bool:
        return self.loop.statuses.is_ours(self.key, parse(KINDS[self.key.kind], found.to_bytes()).status)

    async def _connect(self, *_: object, **__: object) -> Any:
        self.connects.append(self.now())
        await asyncio.sleep(0.0005)
        if (error := self.refuses_connection()) is not None:
            raise error
        return _Answers()

    def _announce(self, subject: Reference, *, warning: bool, reason: str, message: str) -> None:  # noqa: ARG002
        self.events.append((reason, message))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.loop.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
            self.links.close()

    async def run(self, seconds: float) -> None:
        """Works so long, and ends."""
        async with self.running():
            await asyncio.sleep(seconds)

    # -- what tests count ----------------------------------------------------------------------------------------------

    def asked_for(self, what: str, since: float = -math.inf) -> list[float]:
        """When the API server was asked for what begins so."""
        return [at for at, asked in self.api.asked if asked.startswith(what) and at >= since]

    def condition(self, kind: str) -> Mapping[str, str]:
        status: Any = self.simulated.resource["status"]
        found: Mapping[str, str] = next((each for each in status.get("conditions", ()) if each["type"] == kind), {})
        return found


def most_in(window_s: float, times: list[float]) -> int:
    """The most of *times* that fall into one window of so many seconds."""
    return max((sum(begin <= each < begin + window_s for each in times) for begin in times), default=0)
