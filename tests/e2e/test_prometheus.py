"""A real Prometheus that knows only the pods' annotations finds every exporter, and every exporter its Redis."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tdredis.controllers.metrics_page import describe
from tdredis.controllers.series import FAMILIES
from tdredis.kube.client import Client
from tdredis.kube.resources import PODS
from tests.e2e.world import Kube, Obj, Operator, Subject, eventually, sample, standalone, standby
from tests.kit.servers import free_port

PROMETHEUS = "/usr/bin/prometheus"


META = "__meta_kubernetes_pod_"


def configuration(targets: Path) -> str:
    """What Prometheus' own example does with the annotations prometheus.io/scrape and prometheus.io/port."""
    job: Obj = {
        "job_name": "pods",
        "file_sd_configs": [{"files": [str(targets)]}],
        "relabel_configs": [
            {"source_labels": [f"{META}annotation_prometheus_io_scrape"], "action": "keep", "regex": "true"},
            {
                "source_labels": ["__address__", f"{META}annotation_prometheus_io_port"],
                "regex": r"([^:]+)(?::\d+)?;(\d+)",
                "replacement": "$1:$2",
                "target_label": "__address__",
            },
            {"source_labels": [f"{META}name"], "target_label": "pod"},
        ],
    }
    return yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": [job]})


def discovered(pods: list[Obj]) -> list[Obj]:
    """What kubernetes_sd_configs finds: a target for every port of every container, the pod's annotations as labels.

    Debian builds Prometheus without that discovery. Source of the names: its documentation, <kubernetes_sd_config>.
    """
    found = []
    for pod in pods:
        annotations = pod["metadata"].get("annotations", {})
        labels = {f"{META}annotation_{re.sub('[^a-zA-Z0-9_]', '_', name)}": annotations[name] for name in annotations}
        labels[f"{META}name"] = pod["metadata"]["name"]
        ports = [port["containerPort"] for each in pod["spec"]["containers"] for port in each.get("ports", [])]
        found.append({"targets": [f"{pod['status']['podIP']}:{port}" for port in ports], "labels": labels})
    return found


class Prometheus:
    """A running server, asked over its HTTP API."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def by_pod(self, query: str) -> dict[str, str]:
        """The present value of each series, by label pod; {} while the server cannot be asked."""
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://{self._address}/api/v1/query", params={"query": query}) as answer,
            ):
                found = await answer.json()
        except aiohttp.ClientError:
            return {}
        return {each["metric"]["pod"]: each["value"][1] for each in found.get("data", {}).get("result", [])}


@asynccontextmanager
async def prometheus(pods: list[Obj], folder: Path) -> AsyncIterator[Prometheus]:
    file, targets, printed = folder / "prometheus.yml", folder / "targets.json", folder / "prometheus.log"
    file.write_text(configuration(targets))
    targets.write_text(json.dumps(discovered(pods)))
    address = f"127.0.0.1:{free_port()}"
    with printed.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig", "TERM", PROMETHEUS),  # it goes with a killed test run
            *(f"--config.file={file}", f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={address}"),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield Prometheus(address)
    finally:
        assert process.returncode is None, printed.read_text()
        process.terminate()
        async with asyncio.timeout(30):
            await process.wait()


async def test_prometheus_finds_every_redis_pod_by_its_annotations_and_no_other(
    kube: Kube, client: Client, namespace: str, tmp_path: Path
) -> None:
    async with Operator(kube, namespace) as operator:
        subjects = [await Subject.create(client, make(namespace)) for make in (sample, standby, standalone)]
        for subject in subjects:
            await subject.until_ready()
        up = {name: "1" for subject in subjects for name in await subject.pods()}
        assert len(up) == 6 + 2 + 1

        async with prometheus(await client.list(PODS, namespace), tmp_path) as server:

            async def all_up() -> bool:
                return await server.by_pod("redis_up") == up

            await eventually(all_up, "redis_up is 1 for all Redis pods")
            assert await server.by_pod("up") == up

        assert await is_as_described(operator) == []
        for subject in subjects:
            await subject.delete()

        async def are_gone() -> bool:
            return namespace not in await operator.page()

        await eventually(are_gone, "nothing is told of resources that are gone")


async def is_as_described(operator: Operator) -> list[str]:
    """Where its page and docs/reference/metrics.md differ; every label that a series has is there, and every metric."""
    described = {each.name: each for each in describe()}
    of_resource, of_resources = ("kind", "namespace", "name"), {family.series for family in FAMILIES}
    served = list(text_string_to_metric_families(await operator.page()))
    wrong = []
    names = {f"{family.name}_total" if family.type == "counter" else family.name: family for family in served}
    wrong += [f"{name} is not in the page" for name in names.keys() - described.keys()]
    wrong += [f"{name} is not served" for name in described.keys() - names.keys()]
    for name in names.keys() & described.keys():
        told, family = described[name], names[name]
        if told.kind != family.type:
            wrong.append(f"{name} is a {family.type}")
        ours = {*told.labels, *(of_resource if name in of_resources else ())}
        wrong += [
            f"{name} has {sorted(sample.labels)}" for sample in family.samples if set(sample.labels) - {"le"} != ours
        ]
    return wrong
