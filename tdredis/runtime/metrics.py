"""What the operator counts of itself; what it counts of its resources, `controllers/series.py` adds to the page."""

import gc
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

_PASS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_CALL_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_GAP_S = (0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
# Reasons of the API server that are told apart. A webhook may give any: a label must not have as many values.
_REASONS = frozenset(
    {
        *("ok", "Cancelled", "Unreachable", "DeadlineExceeded", "NotKubernetes", "NoCredentials", "Unauthorized"),
        *("Forbidden", "NotFound", "Conflict", "AlreadyExists", "Gone", "Expired", "Invalid", "BadRequest"),
        *("TooManyRequests", "ServerUnavailable", "ServiceUnavailable", "InternalError", "Timeout", "ServerTimeout"),
    }
)
OTHER = "other"
Parts = Callable[[], Iterable[bytes]]

# When a series was made is another series of it, which nobody asks for: the page would be twice as long.
disable_created_metrics()  # type: ignore[no-untyped-call] # the library forgot to say that it returns nothing


class Registry(CollectorRegistry):
    """One that can say what is in it: *labels* by the name of a family, in the order in which they were made."""

    def __init__(self) -> None:
        super().__init__()
        self.labels: dict[str, tuple[str, ...]] = {}

    def register(self, collector: Collector) -> None:
        super().register(collector)
        for family in collector.collect():
            # The library does not say which labels a family has before it has a series.
            names = getattr(collector, "_labelnames", None)
            sampled = (sample.labels for sample in family.samples)
            found = names if names is not None else next(sampled, {})
            self.labels[family.name] = tuple(name for name in found if name != "le")


class Durations(Collector):
    """A histogram without labels of what happens ten thousand times a second: a tenth of what another one costs."""

    def __init__(
        self, name: str, documentation: str, buckets_s: tuple[float, ...], registry: CollectorRegistry
    ) -> None:
        """*buckets_s*: upper ends, ascending; one more is above them."""
        self._name = name
        self._documentation = documentation
        self._ends = buckets_s
        self._counts = [0] * (len(buckets_s) + 1)
        self._sum = 0.0
        registry.register(self)

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(self._ends, seconds)] += 1
        self._sum += seconds

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = HistogramMetricFamily(self._name, self._documentation)
        buckets: list[tuple[str, float]] = []
        so_many = 0
        for end, count in zip((*map(str, self._ends), "+Inf"), self._counts, strict=True):
            so_many += count
            buckets.append((end, so_many))
        family.add_metric((), buckets, self._sum)
        yield family


class Metrics:
    """One set of series in a registry of its own: two operators in one test process do not count each other's work."""

    def __init__(self) -> None:
        self.registry = Registry()
        self._more: list[Parts] = []
        Gauge("tdredis_build_info", "1; which version this is.", ("version",), registry=self.registry).labels(
            version("td-redis-operator")
        ).set(1)
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
        self.redis_call_seconds = Durations(
            "tdredis_redis_call_seconds",
            "From a question to Redis to its answer, connecting included. Those of who moves slots are not among it.",
            _CALL_S,
            self.registry,
        )
        self.redis_call_failures = Counter(
            "tdredis_redis_call_failures",
            "Questions to Redis without an answer: Unreachable, NoAnswer, Refused, NoFreeConnection.",
            ("why",),
            registry=self.registry,
        )
        self.api_call_seconds = Histogram(
            "tdredis_api_call_seconds",
            "From a request to the Kubernetes API to its answer, watches left out. outcome: ok, refused (4xx), failed.",
            ("verb", "outcome"),
            buckets=_CALL_S,
            registry=self.registry,
        )
        self.gap_seconds = Histogram(
            "tdredis_failover_gap_seconds",
            "How long a shard was without a primary that answers, as the operator saw it.",
            ("kind",),
            buckets=_GAP_S,
            registry=self.registry,
        )
        self.longest_pass = Gauge(
            "tdredis_longest_pass_seconds",
            "How long the oldest pass under way takes; 0: none is.",
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
        self.rollbacks = Counter(
            "tdredis_rollbacks",
            "Edits that were given up: their first pod did not come up.",
            ("kind",),
            registry=self.registry,
        )
        self.leads = Gauge("tdredis_leads", "1: this process holds the lease.", registry=self.registry)
        self.leads_begun = Counter(
            "tdredis_leads_begun", "How often this process took the lease.", registry=self.registry
        )
        self.lease_age = Gauge(
            "tdredis_lease_age_seconds",
            "Since this process last renewed its lease; NaN: it does not hold it.",
            registry=self.registry,
        )
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

    def watch_lease(self, age_s: Callable[[], float | None]) -> None:
        self.lease_age.set_function(lambda: float("nan") if (age := age_s()) is None else age)

    def count_write(self, verb: str, resource: str, outcome: str) -> None:
        """*outcome*: "ok", or the API server's reason."""
        self.api_writes.labels(verb, resource, outcome if outcome in _REASONS else OTHER).inc()

    def add(self, parts: Parts) -> None:
        """More of the page, whole families each, in the same format."""
        self._more.append(parts)

    def parts(self) -> Iterator[bytes]:
        """The page piece by piece: none of them holds up the event loop for long."""
        yield generate_latest(self.registry)
        for more in self._more:
            yield from more()

    def render(self) -> bytes:
        """The page, in the text format of Prometheus."""
        return b"".join(self.parts())


def _as_float(number: Callable[[], int]) -> Callable[[], float]:
    return lambda: float(number())
