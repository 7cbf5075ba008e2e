"""Claims about what the running operator answers to those who ask it."""

import gc
from collections.abc import Iterator

import aiohttp
import pytest

from tdredis.runtime.gc_tuning import freeze_after_sync
from tdredis.runtime.http import StatusServer
from tdredis.runtime.metrics import Metrics


async def ask(port: int, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as response:
        return response.status, await response.text()


async def test_the_pages_say_what_the_probes_say() -> None:
    why: dict[str, str | None] = {"ready": "caches are not synced: pods"}
    metrics = Metrics()
    metrics.passes.labels("RedisCluster", "ok").inc()
    async with StatusServer(ready=lambda: why["ready"], render_metrics=metrics.parts) as server:
        port = await server.start("127.0.0.1", 0)

        assert await ask(port, "/healthz") == (200, "ok\n")
        assert await ask(port, "/readyz") == (503, "caches are not synced: pods\n")
        why["ready"] = None
        assert await ask(port, "/readyz") == (200, "ok\n")
        status, page = await ask(port, "/metrics")
        assert status == 200
        assert 'tdredis_reconcile_passes_total{kind="RedisCluster",outcome="ok"} 1.0' in page
        assert (await ask(port, "/secrets"))[0] == 404


async def test_a_port_that_is_taken_is_said_at_once() -> None:
    def build() -> StatusServer:
        return StatusServer(ready=lambda: None, render_metrics=lambda: ())

    async with build() as first:
        port = await first.start("127.0.0.1", 0)
        async with build() as second:
            with pytest.raises(OSError, match="in use"):
                await second.start("127.0.0.1", port)


def test_gauges_are_read_when_the_page_is() -> None:
    metrics = Metrics()
    depth, silence = [3], [None, 1.5]
    metrics.watch_queue(lambda: depth[0], lambda: 2, lambda: 1)
    metrics.watch_cache("pods", lambda: 6000, lambda: 2, lambda: silence[0])

    page = metrics.render().decode()
    assert 'tdredis_queue_keys{place="ready"} 3.0' in page
    assert 'tdredis_cache_undecodable_objects{resource="pods"} 2.0' in page
    assert 'tdredis_cache_silent_seconds{resource="pods"} NaN' in page
    depth[0], silence[0] = 4, 1.5
    page = metrics.render().decode()
    assert 'tdredis_queue_keys{place="ready"} 4.0' in page
    assert 'tdredis_cache_silent_seconds{resource="pods"} 1.5' in page


def test_a_leak_cannot_hide_behind_the_freezing() -> None:
    page = Metrics().render().decode()

    assert "tdredis_gc_frozen_objects" in page
    assert "process_resident_memory_bytes" in page
    assert "python_gc_collections_total" in page


@pytest.fixture
def _thawed() -> Iterator[None]:
    """As a process begins, whatever tests before have left."""
    thresholds = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


@pytest.mark.usefixtures("_thawed")
def test_freezing_collects_first_and_raises_the_thresholds() -> None:
    before = gc.get_threshold()

    frozen = freeze_after_sync()

    assert frozen.frozen > 1000
    assert gc.get_freeze_count() >= frozen.frozen
    assert gc.get_threshold() > before
