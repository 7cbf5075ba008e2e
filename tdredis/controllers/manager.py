"""Decides what runs in an operator process, in which order it starts, and how it stops."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog

from tdredis.api.json_object import JSONObject
from tdredis.api.kinds import KINDS, InvalidResourceError, parse
from tdredis.controllers.loop import MOST_ROLLS, Loop
from tdredis.controllers.movers import Moved, Movers
from tdredis.controllers.series import Series
from tdredis.execute.run import Executor
from tdredis.kube.client import Client
from tdredis.kube.config import ClusterConfig
from tdredis.kube.errors import ServerUnavailable, TooManyRequests
from tdredis.kube.events import EventRecorder, Reference
from tdredis.kube.lease import LeaderElector
from tdredis.kube.objects import CustomObject
from tdredis.kube.resources import (
    CUSTOM,
    ENDPOINTSLICES,
    PODDISRUPTIONBUDGETS,
    PODMONITORS,
    Resource,
)
from tdredis.kube.transport import CONNECTIONS
from tdredis.manifests.site import Site
from tdredis.observe.caches import WATCHES, Caches, Followed
from tdredis.observe.gather import Observer
from tdredis.observe.lookups import Lookups
from tdredis.observe.pulse import Pulse
from tdredis.planning.snapshot import Key, Snapshot
from tdredis.redislink.pool import Address, LinkPool
from tdredis.runtime.gc_tuning import freeze_after_sync
from tdredis.runtime.http import StatusServer
from tdredis.runtime.logs import owner_of, redact
from tdredis.runtime.metrics import Metrics
from tdredis.runtime.queue import KeyedQueue

log = structlog.get_logger(__name__)

LEASE = "td-redis-operator"
DISCOVER_AGAIN_S = 1.0
POD_RESIZE = ("", "v1", "pods/resize")  # as discovery names a subresource
Served = frozenset[tuple[str, str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What whoever starts the operator may choose."""

    images: Mapping[str, str] = field(default_factory=dict)
    namespaces: tuple[str, ...] = ()  # (): all
    workers: int = 64
    max_rolls: int = MOST_ROLLS
    listen: tuple[str, int] | None = None  # None: no health and metrics pages
    leader_election: bool = True
    lease_namespace: str = "default"
    lease_name: str = LEASE
    identity: str = "td-redis-operator"


def build_site(served: Served, images: Mapping[str, str]) -> Site:
    """What this cluster offers. What it lacks is done without, and said once."""
    for resource in (ENDPOINTSLICES, PODDISRUPTIONBUDGETS):
        if resource.key not in served:
            log.warning("API not served, done without", resource=str(resource), version=resource.version)
    return Site(
        images=images,
        endpoint_slices=ENDPOINTSLICES.key in served,
        disruption_budgets=PODDISRUPTIONBUDGETS.key in served,
        pod_monitors=PODMONITORS.key in served,
        pod_resize=POD_RESIZE in served,
    )


class Manager:
    """Everything one operator process has, wired."""

    def __init__(self, client: Client, served: Served, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._client = client
        self.series = Series(on_gap=lambda kind, seconds: metrics.gap_seconds.labels(kind).observe(seconds))
        self.queue: KeyedQueue[Key] = KeyedQueue(on_wait=metrics.queue_wait_seconds.observe)
        self.links: LinkPool[Key] = LinkPool(
            self._on_lost,
            on_answer=metrics.redis_call_seconds.observe,
            on_failure=lambda why: metrics.redis_call_failures.labels(why).inc(),
        )
        self.caches = Caches(
            client,
            served=served,
            on_news=self.queue.add,
            on_event=lambda resource, kind: metrics.cache_events.labels(str(resource), kind).inc(),
            namespaces=settings.namespaces,
            is_own_status=self._is_own_status,
        )
        self.recorder = EventRecorder(client, instance=settings.identity, redact=_redact)
        self.lookups = Lookups(now=time.monotonic, on_news=self.queue.add)
        site = build_site(served, settings.images)
        self.pulse = Pulse(self.links, lambda key: self.queue.add(key, front=True))
        self._elector: LeaderElector | None = None
        self.movers = Movers(
            self.links,
            on_news=self.queue.add,
            look_after=self.queue.add_after,
            may_act=self._may_act,
            on_moved=self._count_moved,
        )
        self.observer = Observer(
            client,
            self.caches,
            self.links,
            self.lookups,
            site=site,
            now=time.time,
            pulse=self.pulse,
            moving=self.movers.moving,
        )
        self.executor = Executor(
            client,
            self.links,
            on_applied=self._learn,
            may_act=self._may_act,
            hurry=self.queue.hurry,
            on_late=self.queue.add,
            on_order=self.movers.want,
        )
        self.loop = Loop(
            self.queue,
            self.observer,
            self.executor,
            client,
            self._announce,
            workers=settings.workers,
            max_rolls=settings.max_rolls,
            on_pass=self._count_pass,
            on_step=lambda kind, step, outcome: metrics.steps.labels(kind, step, outcome).inc(),
            on_rollback=lambda kind, edits: metrics.rollbacks.labels(kind).inc(edits),
            on_status=self._learn_status,
            on_seen=self._seen,
            on_judged=self.series.judged,
        )
        self._export()

    def _on_lost(self, key: Key, address: Address) -> None:
        """A process died, or its pod: nothing is more urgent."""
        log.info("connection lost", resource=str(key), namespace=key.namespace, pod=address.pod)
        self.series.lost(key, address.pod)
        self.queue.add(key, front=True)

    def _may_act(self) -> bool:
        return self._elector is None or self._elector.may_act()

    def _learn(self, answer: JSONObject) -> None:
        kind = str(answer.get("kind"))
        cache = self.caches.pods if kind == "Pod" else self.caches.children.get(kind)
        if cache is not None:
            cache.learn(answer)

    def _is_own_status(self, found: CustomObject) -> bool:
        key = Key(found.kind, found.metadata.namespace, found.metadata.name)
        try:
            status = parse(KINDS[key.kind], found.to_bytes()).status
        except InvalidResourceError:
            return False
        return self.loop.statuses.is_ours(key, status)

    def _learn_status(self, answer: JSONObject) -> None:
        self.caches.custom[str(answer.get("kind"))].learn(answer)

    def _seen(self, key: Key, snapshot: Snapshot | None) -> None:
        if snapshot is None:
            self.movers.forget(key)
            self.series.forget(key)

    def _announce(self, subject: Reference, *, warning: bool, reason: str, message: str) -> None:
        self.recorder.record(subject, "Warning" if warning else "Normal", reason, message)

    async def lead(self) -> None:
        """Works until cancelled: every resource once, and from then on what the news ask for."""
        keys = self.caches.keys()
        self.observer.forget()
        self.loop.forget()
        self.loop.turns.begin(keys)
        for key in keys:
            self.queue.add(key)
        log.info("became leader", identity=self._settings.identity, resources=len(keys))
        self._metrics.leads.set(1)
        self._metrics.leads_begun.inc()
        pulse = asyncio.create_task(self.pulse.run(), name="pulse")
        try:
            await _unless_ended(self.loop.run(), pulse)
        finally:
            await self.movers.close()
            await _end(pulse)
            await self.lookups.close()
            self._metrics.leads.set(0)
            self.series.clear()
            self.links.close()

    async def run(self) -> None:
        """Follows the cluster, and works whenever this process holds the lease. Until cancelled."""
        settings = self._settings
        async with contextlib.AsyncExitStack() as stack:
            feeding = asyncio.create_task(self.caches.run(), name="caches")
            stack.push_async_callback(_end, feeding)
            await _unless_ended(self.caches.synced(), feeding)
            frozen = freeze_after_sync()
            log.info("caches are synced", frozen_objects=frozen.frozen)
            events = self.recorder.start()
            stack.push_async_callback(self.recorder.stop)
            if settings.leader_election:
                # With many workers and a slow server all connections may be taken: the lead must not be lost for that.
                lease = await stack.enter_async_context(self._client.apart())
                self._elector = LeaderElector(lease, settings.lease_namespace, settings.lease_name, settings.identity)
                await _unless_ended(self._elector.run(self.lead), feeding, events)
            else:
                await _unless_ended(self.lead(), feeding, events)

    def why_not_ready(self) -> str | None:
        """None: ready. An API server that is silent does not make us so: we go on healing from what we know."""
        return self.caches.why_not_synced()

    def _count_pass(self, key: Key, seconds: float, outcome: str) -> None:
        self._metrics.passes.labels(key.kind, outcome).inc()
        self._metrics.pass_seconds.labels(key.kind).observe(seconds)
        self.series.passed(key, outcome)

    def _count_moved(self, moved: Moved, seconds: float) -> None:
        metrics = self._metrics
        metrics.slots_moved.inc(moved.slots)
        metrics.keys_moved.inc(moved.keys)
        metrics.bytes_moved.inc(moved.size_bytes)
        metrics.moving_seconds.inc(seconds)

    def _export(self) -> None:
        """Gauges that are read when somebody asks for the page."""
        self._metrics.watch_queue(lambda: self.queue.depth, lambda: self.queue.delayed, lambda: self.queue.active)
        for cache in self.caches.kinds():
            self._metrics.watch_cache(cache.name, cache.__len__, partial(_undecodable, cache), cache.silent_for_s)
        self._metrics.add(self.series.parts)
        self._metrics.longest_pass.set_function(lambda: self.loop.longest_s)
        self._metrics.watch_lease(lambda: self._elector.age_s() if self._elector is not None else None)
        self._metrics.movers.set_function(lambda: float(self.movers.running))
        self._metrics.rolls.labels("active").set_function(lambda: float(self.loop.turns.active))
        self._metrics.rolls.labels("waiting").set_function(lambda: float(self.loop.turns.waiting))
        self._metrics.redis_links.labels("open").set_function(lambda: float(len(self.links)))


def _undecodable(cache: Followed[Any]) -> int:
    return len(cache.undecodable)


def _redact(about: Reference, message: str) -> str:
    return redact(message, owner_of(about.namespace, str(Key(about.kind, about.namespace, about.name))))


async def operate(config: ClusterConfig, settings: Settings) -> int:
    """Runs the operator until SIGTERM or SIGINT; returns the exit code. Raises ApiError when it cannot even begin."""
    metrics = Metrics()

    def count_write(verb: str, resource: Resource, outcome: str) -> None:
        metrics.count_write(verb, str(resource), outcome)

    def count_call(verb: str, seconds: float, outcome: str) -> None:
        metrics.api_call_seconds.labels(verb, outcome).observe(seconds)

    # Each watch has a connection to itself: those of many namespaces must leave some for everything else.
    connections = CONNECTIONS + WATCHES * max(0, len(settings.namespaces) - 1)
    async with Client(config, on_write=count_write, on_call=count_call, connections=connections) as client:
        running = asyncio.create_task(_run(client, settings, metrics), name="manager")
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, running.cancel)
        try:
            await running
        except asyncio.CancelledError:
            log.info("stopped")
    return 0


async def _run(client: Client, settings: Settings, metrics: Metrics) -> None:
    manager: Manager | None = None

    def why_not_ready() -> str | None:
        return (
            "waiting for the API server, or for the custom resource definitions"
            if manager is None
            else manager.why_not_ready()
        )

    # Before anything is waited for: the kubelet would end us otherwise, while the definitions are not there yet.
    async with StatusServer(ready=why_not_ready, render_metrics=metrics.parts) as pages:
        if settings.listen is not None:
            await pages.start(*settings.listen)
        manager = Manager(client, await _discover(client), settings, metrics)
        await manager.run()


async def _discover(client: Client) -> Served:
    """What the server serves; asked until it answers, and until the CRDs are there: both may start after us."""
    said = ""
    while True:
        try:
            served = await client.discover()
            missing = [str(resource) for resource in CUSTOM if resource.key not in served]
            if not missing:
                return served
            why = (
                f"the server does not serve {', '.join(missing)}: apply the custom resource definitions (tdredis crds)"
            )
        except (ServerUnavailable, TooManyRequests) as error:
            why = str(error)
        if why != said:
            log.warning("waiting for the API server", why=why)
            said = why
        await asyncio.sleep(DISCOVER_AGAIN_S)  # the pace of asking; ends with the answer


async def _unless_ended(work: Coroutine[object, object, None], *others: asyncio.Task[None]) -> None:
    """Awaits *work*; raises what one of *others* raises if that ends first: without caches the operator works blindly,
    without a pulse it hears of frozen processes too late, without a recorder nobody is told.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task, *others}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            ended = next(other for other in others if other.done())
            ended.result()
            raise RuntimeError(f"{ended.get_name()} ended")
        task.result()
    finally:
        await _end(task)


async def _end(task: asyncio.Future[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
