"""What the operator counts: every series that it exports, in one place, so that dashboards have one page to read."""

import gc
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

_PASS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """One set of series in a registry of its own: two operators in one test process do not count each other's work."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.passes = Counter(
            "tdredis_reconcile_passes", "Reconcile passes by outcome.", ("kind", "outcome"), registry=self.registry
        )
        self.pass_seconds = Histogram(
            "tdredis_reconcile_seconds", "Duration of a pass.", ("kind",), buckets=_PASS_S, registry=self.registry
        )
        self.steps = Counter(
            "tdredis_steps", "Steps executed, by outcome.", ("kind", "step", "outcome"), registry=self.registry
        )
        self.queue_wait_seconds = Histogram(
            "tdredis_queue_wait_seconds", "How long a key stood ready.", buckets=_PASS_S, registry=self.registry
        )
        self._queue_keys = Gauge("tdredis_queue_keys", "Keys by place.", ("place",), registry=self.registry)
        self.api_writes = Counter(
            "tdredis_api_writes",
            "Writes to the Kubernetes API: ok, or the reason of refusal.",
            ("verb", "resource", "outcome"),
            registry=self.registry,
        )
        self.cache_events = Counter(
            "tdredis_cache_events",
            "Frames and lists that a cache took in.",
            ("resource", "type"),
            registry=self.registry,
        )
        self._cache_objects = Gauge(
            "tdredis_cache_objects", "Objects in a cache.", ("resource",), registry=self.registry
        )
        self._cache_undecodable = Gauge(
            "tdredis_cache_undecodable_objects",
            "Objects whose newest state cannot be read: the operator goes by the last that could.",
            ("resource",),
            registry=self.registry,
        )
        self._cache_silent_seconds = Gauge(
            "tdredis_cache_silent_seconds",
            "Since a cache last heard of the server; NaN: never.",
            ("resource",),
            registry=self.registry,
        )
        self.redis_links = Gauge(
            "tdredis_redis_links", "Connections to Redis by state.", ("state",), registry=self.registry
        )
        of_resource = ("kind", "namespace", "name")
        self.memory_used = Gauge(
            "tdredis_redis_memory_used_bytes",
            "Of the resource's Redis process that is nearest to its limit.",
            of_resource,
            registry=self.registry,
        )
        self.memory_limit = Gauge(
            "tdredis_redis_memory_limit_bytes",
            "Of the same process: maxmemory or the container's limit, the lower one; absent: none.",
            of_resource,
            registry=self.registry,
        )
        self.movers = Gauge(
            "tdredis_movers", "Resources whose slots are on their way at the moment.", registry=self.registry
        )
        self.slots_moved = Counter("tdredis_slots_moved", "Slots that have another owner.", registry=self.registry)
        self.keys_moved = Counter("tdredis_keys_moved", "Keys that went with their slots.", registry=self.registry)
        self.bytes_moved = Counter(
            "tdredis_moved_bytes", "What these keys took at their source.", registry=self.registry
        )
        self.moving_seconds = Counter(
            "tdredis_moving_seconds", "How long slots were on their way, of all resources.", registry=self.registry
        )
        self.rolls = Gauge(
            "tdredis_rolls", "Resources whose pods are recreated, or wait for that.", ("state",), registry=self.registry
        )
        self.leads = Gauge("tdredis_leads", "1: this process holds the lease.", registry=self.registry)
        # Freezing hides a leak from the collector's own numbers: this shows it, beside the RSS.
        Gauge(
            "tdredis_gc_frozen_objects", "Objects that are never looked at again.", registry=self.registry
        ).set_function(lambda: float(gc.get_freeze_count()))
        GCCollector(registry=self.registry)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    def watch_queue(self, depth: Callable[[], int], delayed: Callable[[], int], active: Callable[[], int]) -> None:
        """The queue's numbers are read when somebody asks for the page."""
        for place, number in (("ready", depth), ("delayed", delayed), ("active", active)):
            self._queue_keys.labels(place).set_function(_as_float(number))

    def watch_cache(
        self,
        resource: str,
        objects: Callable[[], int],
        undecodable: Callable[[], int],
        silent_for_s: Callable[[], float | None],
    ) -> None:
        self._cache_objects.labels(resource).set_function(_as_float(objects))
        self._cache_undecodable.labels(resource).set_function(_as_float(undecodable))

        def silence() -> float:
            seconds = silent_for_s()
            return float("nan") if seconds is None else seconds

        self._cache_silent_seconds.labels(resource).set_function(silence)

    def set_memory(self, resource: tuple[str, str, str], used_bytes: int | None, limit_bytes: int) -> None:
        """Kind, namespace and name of *resource*; used_bytes None: nobody says, limit_bytes 0: there is none."""
        for gauge, value in ((self.memory_used, used_bytes), (self.memory_limit, limit_bytes or None)):
            if value is not None:
                gauge.labels(*resource).set(value)
            else:
                gauge.remove(*resource)

    def render(self) -> bytes:
        """The page, in the text format of Prometheus."""
        return generate_latest(self.registry)


def _as_float(number: Callable[[], int]) -> Callable[[], float]:
    return lambda: float(number())
