"""Every query of every panel returns data in a real Prometheus, once a sample is up."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.dashboards import DASHBOARDS
from tdredis.kube.client import Client
from tests.e2e.alerts import Server, watching
from tests.e2e.needs import LOCALKUBE
from tests.e2e.world import Kube, Obj, Operator, Subject, eventually, sample, standby


@pytest.mark.long
@pytest.mark.needs(LOCALKUBE)
async def test_each_panel_has_data(kube: Kube, client: Client, namespace: str, tmp_path: Path) -> None:
    async with Operator(kube, namespace) as operator, watching(operator, tmp_path) as server:
        subjects = [await Subject.create(client, make(namespace)) for make in (sample, standby)]
        pods: dict[str, Obj] = {}
        for subject in subjects:
            await subject.until_ready()
            pods |= await subject.pods()
        server.scrape(pods, namespace)
        queries = {
            f"{dashboard.title}: {panel.title}: {query}": query
            for dashboard in DASHBOARDS
            for panel in dashboard.panels
            for query in panel.queries.values()
        }
        for subject in subjects:
            await until_full(server, queries, subject)
        assert len(queries) > 45


async def until_full(server: Server, queries: dict[str, str], subject: Subject) -> None:
    """All of *queries* return something for *subject*. Raises AssertionError with those that do not."""
    values = {"kind": subject.kind.kind, "namespace": subject.namespace, "name": subject.name}

    def asked(query: str) -> str:
        for name, value in values.items():
            query = query.replace(f"${name}", value)
        return query

    async def empty() -> list[str]:
        return [panel for panel, query in queries.items() if not await server.query(asked(query))]

    async def is_full() -> bool:
        return not await empty()

    try:
        await eventually(is_full, f"all panels of {subject.name} have data", deadline_s=60, pause_s=1)
    except AssertionError as error:
        raise AssertionError(f"{error}: none in {await empty()}") from None
