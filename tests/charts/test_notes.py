"""Claims: what a release tells whoever made it. Helm 4 alone says it without a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.charts.generated import INSTANCE, OPERATOR
from tests.charts.helm import helm

NO_MONITOR = "No PodMonitor was made: this server does not serve monitoring.coreos.com/v1."
NO_RULES = "No PrometheusRule was made: this server does not serve monitoring.coreos.com/v1."
NO_PASSWORD = "It has no password: whoever can reach it reads and writes. Give it one by spec.secretRef."
NO_VOLUME = "Its data is on no volume: what no pod has any more is lost."


def notes(chart: Path, *words: str) -> str:
    said = helm("helm4", "install", "tom", str(chart), "--namespace", "n", "--dry-run=client", *words)
    return said.partition("\nNOTES:\n")[2]


def test_the_operator_says_for_whom_it_works_and_when_it_is_there() -> None:
    everywhere, some = notes(OPERATOR), notes(OPERATOR, "--set", "namespaces={a,b}")

    assert everywhere.startswith("The operator works for all namespaces.")
    assert some.startswith("The operator works for the namespaces a, b.")
    assert "\n  kubectl rollout status -n n deployment/tom-td-redis-operator" in everywhere


def test_what_was_asked_for_and_not_made_is_said() -> None:
    asked = ("--set", "monitoring.podMonitor.enabled=true,monitoring.rules.enabled=true")

    assert [words in notes(OPERATOR, *asked) for words in (NO_MONITOR, NO_RULES)] == [True, True]
    assert "was made" not in notes(OPERATOR)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("keep=false", {NO_PASSWORD, NO_VOLUME}),
        ("spec.secretRef.name=s", {NO_VOLUME}),
        ("spec.secret=s,spec.storageclass=fast", set()),
        ("kind=RedisCluster,spec.proxySecretRef.name=s,spec.storage.size=1Gi", set()),
    ],
)
def test_an_instance_says_how_to_wait_for_it_and_what_it_lacks(values: str, said: set[str]) -> None:
    found = notes(INSTANCE, "--set", values)

    assert "kubectl wait --for=condition=Ready --timeout=10m -n n redis" in found
    assert {words for words in (NO_PASSWORD, NO_VOLUME) if words in found} == said
