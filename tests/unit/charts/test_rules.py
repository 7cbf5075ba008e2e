"""Alerts and recording rules: Prometheus reads them, each fires when it should and else is silent, and is explained."""

from __future__ import annotations

import ast
import re
import subprocess
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from tdredis.controllers.metrics_page import describe

ROOT = Path(__file__).parents[3]
RULES = ROOT / "charts/td-redis-operator/rules"
RUNBOOKS = ROOT / "docs/runbooks"
PROMTOOL = "/usr/bin/promtool"
FILES = sorted(path for path in RULES.glob("*.yaml") if not path.stem.endswith("_test"))
TESTS = sorted(RULES.glob("*_test.yaml"))
OF_THE_EXPORTER = {"redis_up", "redis_evicted_keys_total", "redis_rdb_last_bgsave_status"}
WORD = re.compile(r"\b(?:tdredis|redis)[_:][a-z0-9_:]+")


def rules(files: list[Path], kind: str) -> list[dict[str, Any]]:
    """All of *files* that are a `record`, or an `alert`."""
    groups = [group for path in files for group in yaml.safe_load(path.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


ALERTS = rules(FILES, "alert")
RECORDED = {rule["record"] for rule in rules(FILES, "record")}
EACH = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))


def promtool(*arguments: str | Path) -> str:
    done = subprocess.run(
        [PROMTOOL, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False, cwd=RULES
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_reads_all_of_them() -> None:
    assert promtool("check", "rules", *FILES).count("SUCCESS") == len(FILES) == 4


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.stem))
def test_each_fires_when_it_should_and_else_is_silent(path: Path) -> None:
    assert "SUCCESS" in promtool("test", "rules", path)


def test_each_has_both_tests() -> None:
    tests = [test for path in TESTS for test in yaml.safe_load(path.read_text())["tests"]]
    fires = [each for test in tests for each in test["alert_rule_test"] if each["exp_alerts"]]
    silent = [each for test in tests for each in test["alert_rule_test"] if not each["exp_alerts"]]
    names = sorted(alert["alert"] for alert in ALERTS)

    assert names == sorted(set(names))
    assert len(names) >= 20
    assert {each["alertname"] for each in fires} == {each["alertname"] for each in silent} == set(names)


@EACH
def test_each_has_a_page_that_says_what_it_asks(alert: dict[str, Any]) -> None:
    page = (ROOT / alert["annotations"]["runbook_url"]).read_text()

    assert alert["annotations"]["runbook_url"] == f"docs/runbooks/{alert['alert']}.md"
    assert page.startswith(f"# {alert['alert']}\n")
    assert f"`{alert['expr']}`" in page
    assert (
        f"Severity {alert['labels']['severity']}; it fires {'for ' + alert['for'] if 'for' in alert else 'at once'}"
        in page
    )
    for part in ("**What clients notice**: ", "**Where to look**: ", "**What to do**: "):
        assert part in page
    assert (
        f"[{alert['alert']}]({alert['alert']}.md) | {alert['labels']['severity']} |"
        in (RUNBOOKS / "README.md").read_text()
    )


def test_no_page_is_of_an_alert_that_is_gone() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == {alert["alert"] for alert in ALERTS} | {"README"}


@EACH
def test_each_is_told_to_whom_it_concerns(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("critical", "warning", "info")
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    assert not alert["annotations"]["summary"].endswith(".")
    assert alert["annotations"]["description"].endswith(".")


def test_they_ask_for_what_is_served() -> None:
    histograms = [each.name for each in describe() if each.kind == "histogram"]
    served = {each.name for each in describe()} | OF_THE_EXPORTER | RECORDED
    served |= {f"{name}_{part}" for name in histograms for part in ("bucket", "sum", "count")}
    asked = Counter(word for rule in (*ALERTS, *rules(FILES, "record")) for word in WORD.findall(rule["expr"]))

    assert asked.keys() - served == set()
    assert len(asked) > 20


def test_they_ask_for_values_of_labels_that_there_are() -> None:
    """Reasons, types and outcomes are names in the code."""
    code = "\n".join(path.read_text() for path in (ROOT / "tdredis").rglob("*.py"))
    asked = [each for alert in ALERTS for each in re.findall(r'(?:reason|type|outcome)=~?"([^"]+)"', alert["expr"])]
    names = {name for each in asked for name in each.split("|")}

    assert {name for name in names if f'"{name}"' not in code} == set()
    assert len(names) > 10


def test_prometheus_reads_what_the_page_says_to_write_and_series_get_the_labels_that_alerts_ask_for(
    tmp_path: Path,
) -> None:
    page = (ROOT / "docs/howto/monitoring.md").read_text()
    (block,) = re.findall(r"   ```yaml\n(   scrape_configs:\n.*?)   ```\n", page, re.DOTALL)
    config = yaml.safe_load(textwrap.dedent(block))
    for job in config["scrape_configs"]:
        assert job.pop("kubernetes_sd_configs") == [{"role": "pod"}]  # Debian's Prometheus is built without it
    file = tmp_path / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    promtool("check", "config", file)
    jobs = {job["job_name"]: job["relabel_configs"] for job in config["scrape_configs"]}
    asked = {name for alert in rules([RULES / "redis.yaml"], "alert") for name in re.findall(r"{(\w+)=", alert["expr"])}

    assert asked | {"namespace", "pod"} == {each["target_label"] for each in jobs["redis"] if "target_label" in each}
    assert [each["target_label"] for each in jobs["td-redis-operator"] if "target_label" in each] == ["job"]


def test_each_fires_once_in_a_real_prometheus() -> None:
    """And `make test` waits for one run of them alone."""
    module = ast.parse((ROOT / "tests/e2e/test_alerts.py").read_text())
    runs = [each for each in module.body if isinstance(each, ast.AsyncFunctionDef) and each.name.startswith("test_")]
    fired = {
        name.value
        for run in runs
        for call in ast.walk(run)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "until_firing"
        for name in call.args
        if isinstance(name, ast.Constant)
    }

    assert fired == {alert["alert"] for alert in ALERTS}
    assert len([run for run in runs if not run.decorator_list]) == 1
