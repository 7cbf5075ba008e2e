"""A real Prometheus with the chart's rules: every alert in a second or two, and which of them fire."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tdredis.manifests.names import MANAGED_BY_LABEL
from tests.e2e.world import ROOT, Obj, Operator, eventually
from tests.kit.servers import free_port

PROMETHEUS = "/usr/bin/prometheus"
RULES = ROOT / "charts/td-redis-operator/rules"
EXPORTER_PORT = 9121
OURS = "app_kubernetes_io_managed_by"  # as a PodMonitor's podTargetLabels make of the pods' label
FIRES_S = 90.0
ANSWERS_WITHIN = aiohttp.ClientTimeout(total=10)
# What a fault of some seconds is enough for; every other threshold is as it is.
SOONER = {
    "TdRedisWatchStale": ("> 180", "> 5"),
    "TdRedisReconcileStuck": ("> 60", "> 3"),
    "TdRedisReplicaDisconnected": ("> 60", "> 3"),
}


def rules() -> list[Obj]:
    """Groups of all files, but that nobody waits to be told."""
    groups: list[Obj] = []
    for path in sorted(RULES.glob("*.yaml")):
        if not path.stem.endswith("_test"):
            groups += yaml.safe_load(path.read_text())["groups"]
    for rule in (rule for group in groups for rule in group["rules"] if "alert" in rule):
        rule["for"] = "1s" if "for" in rule else "0s"
        if rule["alert"] in SOONER:
            old, new = SOONER[rule["alert"]]
            assert old in rule["expr"]
            rule["expr"] = rule["expr"].replace(old, new)
    return groups


class Server:
    """A running Prometheus, asked over its HTTP API. It scrapes the operator, and exporters of pods that it is told."""

    def __init__(self, address: str, targets: Path) -> None:
        self._address = address
        self._targets = targets

    def scrape(self, pods: dict[str, Obj], namespace: str) -> None:
        """From now on the exporters beside *pods* are scraped."""
        found = [
            {
                "targets": [f"{pod['status']['podIP']}:{EXPORTER_PORT}"],
                "labels": {"pod": name, "namespace": namespace, OURS: pod["metadata"]["labels"][MANAGED_BY_LABEL]},
            }
            for name, pod in pods.items()
        ]
        self._targets.write_text(json.dumps(found))

    async def query(self, query: str) -> list[Obj]:
        """Its result; [] while the server cannot be asked. Raises AssertionError for what it cannot read."""
        try:
            async with (
                aiohttp.ClientSession(timeout=ANSWERS_WITHIN) as session,
                session.get(f"http://{self._address}/api/v1/query", params={"query": query}) as answer,
            ):
                found: dict[str, Any] = await answer.json()
        except (aiohttp.ClientError, TimeoutError):
            return []
        assert found["status"] == "success", found
        result: list[Obj] = found["data"]["result"]
        return result

    async def firing(self) -> set[str]:
        return {each["metric"]["alertname"] for each in await self.query('ALERTS{alertstate="firing"}')}

    async def until_firing(self, *names: str) -> None:
        async def all_fire() -> bool:
            return set(names) <= await self.firing()

        try:
            await eventually(all_fire, f"{', '.join(names)} fire", deadline_s=FIRES_S)
        except AssertionError as error:
            raise AssertionError(f"{error}: those that do are {sorted(await self.firing())}") from None

    async def until_silent(self, *names: str) -> None:
        async def none_fires() -> bool:
            return not set(names) & await self.firing()

        await eventually(none_fires, f"{', '.join(names)} are silent", deadline_s=FIRES_S)


@asynccontextmanager
async def watching(operator: Operator, folder: Path) -> AsyncIterator[Server]:
    file, targets, printed = folder / "prometheus.yml", folder / "targets.json", folder / "prometheus.log"
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": rules()}))
    targets.write_text("[]")
    scraped = [
        {
            "job_name": "operator",
            "honor_labels": True,
            "static_configs": [{"targets": [f"127.0.0.1:{operator.port}"]}],
        },
        {"job_name": "redis", "file_sd_configs": [{"files": [str(targets)], "refresh_interval": "1s"}]},
    ]
    every = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    file.write_text(
        yaml.safe_dump({"global": every, "rule_files": [str(folder / "rules.yml")], "scrape_configs": scraped})
    )
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
        yield Server(address, targets)
    finally:
        assert process.returncode is None, printed.read_text()
        process.terminate()
        async with asyncio.timeout(30):
            await process.wait()
