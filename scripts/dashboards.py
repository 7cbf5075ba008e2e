"""Decides what the Grafana dashboards show: `make generated` writes charts/td-redis-operator/dashboards from it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "charts/td-redis-operator/dashboards"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDE, HIGH = 8, 7  # of a panel, in Grafana's units; three stand side by side
ONE = 'kind="$kind",namespace="$namespace",name="$name"'
PODS = 'namespace="$namespace",pod=~"$name-[0-9]+(-[0-9]+)?"'  # and none of redis-tom-a for redis-tom
HITS = f"rate(redis_keyspace_hits_total{{{PODS}}}[5m])"
JSON = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One graph, number or table. *queries*: PromQL by legend. *unit*: Grafana's name of it."""

    title: str
    queries: dict[str, str]
    unit: str = "short"
    kind: str = "timeseries"  # timeseries, stat or table
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """*variables*: name and the query of its values."""

    uid: str
    title: str
    panels: tuple[Panel, ...]
    variables: tuple[tuple[str, str], ...] = ()


FLEET = Dashboard(
    uid="td-redis-fleet",
    title="Redis: fleet",
    panels=(
        Panel(title="Resources", kind="stat", queries={"{{kind}}": "count by (kind) (tdredis_resource_shards)"}),
        Panel(title="Ready", kind="stat", unit="percentunit", queries={"{{kind}}": "tdredis:ready:ratio"}),
        Panel(
            title="Alerts that fire",
            kind="stat",
            queries={"alerts": 'count(ALERTS{alertname=~"TdRedis.*",alertstate="firing"}) or vector(0)'},
        ),
        Panel(
            title="Not Ready",
            kind="table",
            queries={"": 'tdredis_resource_condition{type="Ready"} == 0 or vector(0)'},
            description="One line a resource; what is wrong with it is on its own dashboard.",
        ),
        Panel(
            title="Why not Ready",
            queries={"{{reason}}": "sum by (reason) (tdredis_resource_finding) or vector(0)"},
        ),
        Panel(title="What is held", queries={"{{guard}}": "sum by (guard) (tdredis_resource_hold) or vector(0)"}),
        Panel(title="Changes that wait", queries={"{{state}}": "sum by (state) (tdredis_resource_pending_changes)"}),
        Panel(
            title="Failovers and handovers an hour",
            queries={
                "failovers": "sum(increase(tdredis_resource_failovers_total[1h]))",
                "handovers": "sum(increase(tdredis_resource_handovers_total[1h]))",
            },
        ),
        Panel(
            title="Without a primary, an hour",
            unit="s",
            queries={"all shards": "sum(increase(tdredis_resource_gap_seconds_total[1h]))"},
        ),
        Panel(
            title="Shards without a primary",
            queries={"shards": "sum(tdredis_resource_shards_without_primary)"},
        ),
        Panel(
            title="Copies that are missing",
            queries={"replicas": "sum(tdredis_resource_replicas_wanted - tdredis_resource_replicas_in_sync)"},
        ),
        Panel(title="Processes that are silent", queries={"processes": "sum(tdredis_resource_silent_processes)"}),
        Panel(
            title="Fullest",
            unit="percentunit",
            queries={"{{namespace}}/{{name}}": "topk(10, tdredis:memory_used:ratio)"},
        ),
        Panel(
            title="Furthest behind",
            unit="bytes",
            queries={"{{namespace}}/{{name}}": "topk(10, tdredis_resource_replication_lag_bytes)"},
        ),
        Panel(title="Engines", queries={"{{engine}}": "count by (engine) (tdredis_resource_info)"}),
    ),
)
INSTANCE = Dashboard(
    uid="td-redis-instance",
    title="Redis: instance",
    variables=(
        ("kind", "label_values(tdredis_resource_shards, kind)"),
        ("namespace", 'label_values(tdredis_resource_shards{kind="$kind"}, namespace)'),
        ("name", 'label_values(tdredis_resource_shards{kind="$kind",namespace="$namespace"}, name)'),
    ),
    panels=(
        Panel(title="Conditions", kind="stat", queries={"{{type}}": f"tdredis_resource_condition{{{ONE}}}"}),
        Panel(
            title="What is wrong",
            kind="table",
            queries={"{{reason}}": f"tdredis_resource_finding{{{ONE}}} or vector(0)"},
        ),
        Panel(
            title="What is held",
            kind="table",
            queries={"{{guard}}": f"tdredis_resource_hold{{{ONE}}} or vector(0)"},
        ),
        Panel(
            title="Shards",
            queries={
                "there are": f"tdredis_resource_shards{{{ONE}}}",
                "without a primary": f"tdredis_resource_shards_without_primary{{{ONE}}}",
            },
        ),
        Panel(
            title="Replicas",
            queries={
                "wanted": f"tdredis_resource_replicas_wanted{{{ONE}}}",
                "in sync": f"tdredis_resource_replicas_in_sync{{{ONE}}}",
            },
        ),
        Panel(title="Pending changes", queries={"{{state}}": f"tdredis_resource_pending_changes{{{ONE}}}"}),
        Panel(
            title="Failovers and handovers",
            queries={
                "failovers": f"tdredis_resource_failovers_total{{{ONE}}}",
                "handovers": f"tdredis_resource_handovers_total{{{ONE}}}",
            },
        ),
        Panel(
            title="Without a primary",
            unit="s",
            queries={
                "in all": f"tdredis_resource_gap_seconds_total{{{ONE}}}",
                "the last": f"tdredis_resource_last_gap_seconds{{{ONE}}}",
            },
        ),
        Panel(
            title="Replication",
            unit="bytes",
            queries={"lag": f"tdredis_resource_replication_lag_bytes{{{ONE}}}"},
        ),
        Panel(
            title="Memory of the fullest process",
            unit="bytes",
            queries={
                "used": f"tdredis_redis_memory_used_bytes{{{ONE}}}",
                "limit": f"tdredis_redis_memory_limit_bytes{{{ONE}}}",
            },
        ),
        Panel(title="Memory", unit="bytes", queries={"{{pod}}": f"redis_memory_used_bytes{{{PODS}}}"}),
        Panel(
            title="Commands a second",
            unit="ops",
            queries={"{{pod}}": f"rate(redis_commands_processed_total{{{PODS}}}[5m])"},
        ),
        Panel(title="Clients", queries={"{{pod}}": f"redis_connected_clients{{{PODS}}}"}),
        Panel(
            title="Hits",
            unit="percentunit",
            queries={
                "{{pod}}": f"{HITS} / ({HITS} + rate(redis_keyspace_misses_total{{{PODS}}}[5m]) > 0)"
                f" or redis_up{{{PODS}}} * 0"
            },
            description="Of keys that were asked for; 0 where none was.",
        ),
        Panel(
            title="Evicted and expired keys a second",
            queries={
                "evicted, {{pod}}": f"rate(redis_evicted_keys_total{{{PODS}}}[5m])",
                "expired, {{pod}}": f"rate(redis_expired_keys_total{{{PODS}}}[5m])",
            },
        ),
    ),
)
OPERATOR = Dashboard(
    uid="td-redis-operator",
    title="Redis: operator",
    panels=(
        Panel(title="Leads", kind="stat", queries={"{{instance}}": "tdredis_leads"}),
        Panel(title="Version", kind="table", queries={"{{version}}": "tdredis_build_info"}),
        Panel(title="Lease, since its renewal", unit="s", queries={"{{instance}}": "tdredis_lease_age_seconds"}),
        Panel(
            title="Passes a second",
            unit="ops",
            queries={"{{outcome}}": "sum by (outcome) (rate(tdredis_reconcile_passes_total[5m]))"},
        ),
        Panel(title="Passes, p99", unit="s", queries={"{{job}} {{kind}}": "tdredis:reconcile_seconds:p99_5m"}),
        Panel(title="The oldest pass under way", unit="s", queries={"{{instance}}": "tdredis_longest_pass_seconds"}),
        Panel(title="Keys in the queue", queries={"{{place}}": "sum by (place) (tdredis_queue_keys)"}),
        Panel(title="Wait in the queue, p99", unit="s", queries={"{{job}}": "tdredis:queue_wait_seconds:p99_5m"}),
        Panel(
            title="Steps a second",
            unit="ops",
            queries={"{{step}} {{outcome}}": "sum by (step, outcome) (rate(tdredis_steps_total[5m]))"},
        ),
        Panel(title="Kubernetes API, p99", unit="s", queries={"{{job}} {{verb}}": "tdredis:api_call_seconds:p99_5m"}),
        Panel(
            title="Kubernetes API, requests a second",
            unit="ops",
            queries={"{{verb}} {{outcome}}": "sum by (verb, outcome) (rate(tdredis_api_call_seconds_count[5m]))"},
        ),
        Panel(
            title="Watches, silent for",
            unit="s",
            queries={"{{resource}}": "max by (resource) (tdredis_cache_silent_seconds)"},
        ),
        Panel(title="Redis, p99 of a question", unit="s", queries={"{{job}}": "tdredis:redis_call_seconds:p99_5m"}),
        Panel(
            title="Redis, questions without an answer a second",
            unit="ops",
            queries={"{{why}}": "sum by (why) (rate(tdredis_redis_call_failures_total[5m])) or vector(0)"},
        ),
        Panel(title="Connections to Redis", queries={"{{state}}": "sum by (state) (tdredis_redis_links)"}),
        Panel(
            title="Memory (RSS)",
            unit="bytes",
            queries={"{{instance}}": "process_resident_memory_bytes and on (instance) tdredis_build_info"},
        ),
        Panel(
            title="CPU",
            unit="percentunit",
            queries={"{{instance}}": "rate(process_cpu_seconds_total[5m]) and on (instance) tdredis_build_info"},
        ),
        Panel(title="Objects in caches", queries={"{{resource}}": "sum by (resource) (tdredis_cache_objects)"}),
    ),
)
DASHBOARDS = (FLEET, INSTANCE, OPERATOR)


def render(dashboard: Dashboard) -> str:
    """As Grafana imports it. Source: its documentation, "Dashboard JSON model"."""
    variables: list[JSON] = [{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
    variables += [
        {"name": name, "type": "query", "datasource": SOURCE, "query": query, "refresh": 2, "sort": 1}
        for name, query in dashboard.variables
    ]
    built = {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["redis", "td-redis-operator"],
        "schemaVersion": 36,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": variables},
        "panels": [_panel(number, panel) for number, panel in enumerate(dashboard.panels)],
    }
    return json.dumps(built, indent=1) + "\n"


def _panel(number: int, panel: Panel) -> JSON:
    return {
        "id": number + 1,
        "title": panel.title,
        "description": panel.description,
        "type": panel.kind,
        "datasource": SOURCE,
        "gridPos": {"x": number % 3 * WIDE, "y": number // 3 * HIGH, "w": WIDE, "h": HIGH},
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": SOURCE,
                "expr": query,
                "legendFormat": legend,
                "instant": panel.kind == "table",
                "format": "table" if panel.kind == "table" else "time_series",
            }
            for place, (legend, query) in enumerate(panel.queries.items())
        ],
    }


def main() -> None:
    for dashboard in DASHBOARDS:
        (FOLDER / f"{dashboard.uid.removeprefix('td-redis-')}.json").write_text(render(dashboard))


if __name__ == "__main__":
    main()
