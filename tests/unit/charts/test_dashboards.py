"""Dashboards: as their source has them, and every query is one that Prometheus reads, of series that are served."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.dashboards import DASHBOARDS, FOLDER, Dashboard, render
from tdredis.controllers.metrics_page import describe
from tests.unit.charts.test_rules import RECORDED, WORD, promtool

EACH = pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: str(dashboard.uid))
OF_THE_EXPORTER = {
    *("redis_up", "redis_memory_used_bytes", "redis_commands_processed_total", "redis_connected_clients"),
    *("redis_keyspace_hits_total", "redis_keyspace_misses_total", "redis_evicted_keys_total"),
    "redis_expired_keys_total",
}


def queries(dashboard: Dashboard) -> list[str]:
    """As Grafana would send them, for one resource."""
    found = [query for panel in dashboard.panels for query in panel.queries.values()]
    for name, value in (("kind", "RedisStandby"), ("namespace", "shop"), ("name", "redis-standby-cart")):
        found = [query.replace(f"${name}", value) for query in found]
    assert not any("$" in query for query in found)
    return found


def test_the_files_are_as_their_source_is() -> None:
    written = {path.name: path.read_text() for path in FOLDER.glob("*.json")}
    wanted = {f"{each.uid.removeprefix('td-redis-')}.json": render(each) for each in DASHBOARDS}

    assert written == wanted, "make generated"
    assert sorted(wanted) == ["fleet.json", "instance.json", "operator.json"]


@EACH
def test_prometheus_reads_every_query(dashboard: Dashboard, tmp_path: Path) -> None:
    found = queries(dashboard)
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(found)]
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))

    assert f"SUCCESS: {len(found)} rules found" in promtool("check", "rules", file)


@EACH
def test_queries_are_of_what_is_served(dashboard: Dashboard) -> None:
    served = {each.name for each in describe()} | RECORDED | OF_THE_EXPORTER
    served |= {f"{each.name}_count" for each in describe() if each.kind == "histogram"}

    assert {word for query in queries(dashboard) for word in WORD.findall(query)} - served == set()


def test_a_dashboard_of_one_instance_shows_no_pod_of_another() -> None:
    """One's name may begin with the other's."""
    asked = {each for query in queries(DASHBOARDS[1]) for each in re.findall(r'pod=~"([^"]+)"', query)}
    (pods,) = asked

    for pod in ("redis-standby-cart-0", "redis-standby-cart-12", "redis-standby-cart-2-0"):
        assert re.fullmatch(pods, pod)
    for pod in (
        "redis-standby-cart-old-0",
        "redis-standby-cart",
        "redis-standby-cart-2-0-0",
        "my-redis-standby-cart-0",
    ):
        assert not re.fullmatch(pods, pod)


@EACH
def test_panels_stand_beside_each_other(dashboard: Dashboard) -> None:
    panels: list[dict[str, Any]] = json.loads(render(dashboard))["panels"]
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}

    assert len(places) == len(panels) >= 12
    assert len({panel["title"] for panel in panels}) == len(panels)
