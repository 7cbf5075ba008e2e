"""Pods of so many resources are recreated at once, however many are edited together."""

from __future__ import annotations

import asyncio

from tdredis.kube.client import Client
from tdredis.kube.resources import PODS
from tests.e2e.crowd import crowd
from tests.e2e.rolling import rolled
from tests.e2e.world import Kube, Obj, Operator, Subject, condition, eventually, standalone

LIMIT, RESOURCES = 2, 4
EXPORTER = {"limits": {"memory": "300Mi"}}
EDIT = {"pod": {"annotations": {"team": "a"}}, "exporter": {"resources": EXPORTER}}


def on_a_volume(namespace: str) -> Obj:
    """Its one pod is recreated, and none is beside it meanwhile."""
    return standalone(namespace, storageclass="standard")


def whole(pod: Obj) -> bool:
    """It is not the one of before that goes, nor a new one that is not there yet."""
    ready = {each["type"]: each["status"] for each in pod.get("status", {}).get("conditions", [])}.get("Ready")
    return "deletionTimestamp" not in pod["metadata"] and ready == "True"


async def test_four_that_are_edited_together_have_their_pods_recreated_two_at_a_time(
    kube: Kube, client: Client, namespace: str
) -> None:
    async with Operator(kube, namespace, arguments=("--max-concurrent-rolls", str(LIMIT))):
        manifests = crowd(namespace, {on_a_volume: RESOURCES})
        subjects = await asyncio.gather(*(Subject.create(client, each) for each in manifests))
        await asyncio.gather(*(subject.until_ready() for subject in subjects))
        before = {pod["metadata"]["uid"] for subject in subjects for pod in (await subject.pods()).values()}

        await asyncio.gather(*(subject.change(**EDIT) for subject in subjects))

        most: set[str] = set()
        told: set[str] = set()

        async def all_are_new() -> bool:
            nonlocal most
            pods: list[Obj] = await client.list(PODS, namespace, label_selector="app.kubernetes.io/component=redis")
            there = {pod["metadata"]["labels"]["app.kubernetes.io/instance"] for pod in pods if whole(pod)}
            going = {subject.name for subject in subjects} - there
            assert len(going) <= LIMIT, f"{sorted(going)} at once"
            most = max(most, going, key=len)
            for subject in subjects:
                told.add(condition(await subject.get(), "Accepted").get("message", ""))
            return len(there) == RESOURCES and not before & {pod["metadata"]["uid"] for pod in pods}

        await eventually(all_are_new, "every pod is another", deadline_s=120, pause_s=0.1)
        assert len(most) == LIMIT, "as many as may, and not one after the other"
        others = f"pods of {LIMIT} other resources are being recreated, of {LIMIT} at once"
        assert any(others in each for each in told), told
        await asyncio.gather(*(rolled(subject) for subject in subjects))
        for subject in subjects:
            ((_, pod),) = (await subject.pods()).items()
            (exporter,) = (each for each in pod["spec"]["containers"] if each["name"] == "exporter")
            assert exporter["resources"]["limits"] == EXPORTER["limits"]
