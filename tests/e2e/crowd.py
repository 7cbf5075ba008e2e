"""Many instances at once: named apart, created together, and when each of them was Ready."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tdredis.kube.client import Client
from tdredis.kube.resources import CONFIGMAPS, DEPLOYMENTS, PODS, SECRETS, STATEFULSETS, resource_of
from tests.e2e.leftovers import nothing_left
from tests.e2e.world import Kube, Obj, Operator, Subject, eventually, new_namespace, sample, standalone, standby

TWENTY = {standalone: 7, standby: 7, sample: 6}
ONE_OF_EACH = dict.fromkeys(TWENTY, 1)
LOOK_S = 0.25  # each look costs what it measures
Kinds = dict[Callable[..., Obj], int]


def numbered(manifest: Obj, number: int) -> Obj:
    """The same under a name and an app of its own."""
    name = f"{manifest['metadata']['name']}-{number}"
    return {
        **manifest,
        "metadata": {**manifest["metadata"], "name": name},
        "spec": {**manifest["spec"], "app": f"{manifest['spec']['app']}-{number}"},
    }


def crowd(namespace: str, kinds: Kinds) -> list[Obj]:
    """Small instances, so many of each kind."""
    return [numbered(make(namespace), number) for make, count in kinds.items() for number in range(count)]


async def seconds_to_ready(client: Client, manifests: Iterable[Obj], *, deadline_s: float) -> dict[str, float]:
    """Creates all at once; by name, the seconds from then until it was seen Ready."""
    started = time.monotonic()
    subjects = await asyncio.gather(*(Subject.create(client, manifest) for manifest in manifests))
    kinds = {(subject.kind, subject.namespace) for subject in subjects}
    took: dict[str, float] = {}

    async def all_ready() -> bool:
        for kind, namespace in kinds:
            items: list[Obj] = await client.list(kind, namespace)
            for item in items:
                if item.get("status", {}).get("phase") == "Ready":
                    took.setdefault(item["metadata"]["name"], time.monotonic() - started)
        return all(subject.name in took for subject in subjects)

    try:
        await eventually(all_ready, "all are Ready", deadline_s=deadline_s, pause_s=LOOK_S)
    except AssertionError:
        late = sorted(subject.name for subject in subjects if subject.name not in took)
        raise AssertionError(f"not Ready within {deadline_s:g} s: {', '.join(late)}") from None
    return took


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds until the last instance was Ready; until the containers of the very same pods ran, with no operator."""

    ready_s: float
    pods_alone_s: float


async def slowest(kube: Kube, client: Client, kinds: Kinds, *, deadline_s: float, beside: Obj | None = None) -> Took:
    """In a namespace and with an operator of their own.

    *beside* is one more, created first, for which nobody waits: it must not be Ready in the end.
    """
    async with new_namespace(client) as namespace, Operator(kube, namespace) as operator:

        async def leads() -> bool:
            return '"became leader"' in await asyncio.to_thread(operator.log.read_text)

        await eventually(leads, "the operator leads")
        manifests = crowd(namespace, kinds)
        subjects = [Subject.of(client, manifest) for manifest in manifests]
        if beside is not None:
            beside = {**beside, "metadata": {**beside["metadata"], "namespace": namespace}}
            subjects.append(await Subject.create(client, beside))
        took = await seconds_to_ready(client, manifests, deadline_s=deadline_s)
        if beside is not None:
            assert (await subjects[-1].get())["status"]["phase"] == "NotReady"
        copies = await copies_of(client, namespace, but=beside["metadata"]["name"] if beside else "")
        for subject in subjects:
            await subject.delete()
        await eventually(lambda: nothing_left(client, namespace), "everything is gone", deadline_s=deadline_s)
    return Took(max(took.values()), await seconds_to_run(client, copies, deadline_s=deadline_s))


async def copies_of(client: Client, namespace: str, *, but: str) -> list[Obj]:
    """Whatever the pods of the namespace are made of, as if somebody had written it himself."""
    found = []
    for kind in (SECRETS, CONFIGMAPS, STATEFULSETS, DEPLOYMENTS):
        items: list[Obj] = await client.list(kind, namespace, label_selector="app.kubernetes.io/instance")
        for item in items:
            metadata = item["metadata"]
            if metadata["labels"]["app.kubernetes.io/instance"] == but:
                continue
            rest = {name: value for name, value in item.items() if name not in ("metadata", "status")}
            copy = {"name": metadata["name"], "labels": metadata["labels"]}
            found.append({**rest, "apiVersion": kind.api_version, "kind": kind.kind, "metadata": copy})
    return found


async def seconds_to_run(client: Client, manifests: Iterable[Obj], *, deadline_s: float) -> float:
    """Creates all at once where no operator looks; seconds until every container of theirs runs."""
    async with new_namespace(client) as namespace:
        started = time.monotonic()
        made = [{**each, "metadata": {**each["metadata"], "namespace": namespace}} for each in manifests]
        await asyncio.gather(*(client.create(resource_of(each["apiVersion"], each["kind"]), each) for each in made))
        wanted: int = sum(each["spec"]["replicas"] for each in made if each["kind"] in ("StatefulSet", "Deployment"))

        async def all_run() -> bool:
            pods: list[Obj] = await client.list(PODS, namespace)
            running = [pod for pod in pods if _runs(pod)]
            return len(running) == wanted

        await eventually(all_run, f"{wanted} pods run", deadline_s=deadline_s, pause_s=LOOK_S)
        took_s = time.monotonic() - started
        for each in made:
            await client.delete(resource_of(each["apiVersion"], each["kind"]), namespace, each["metadata"]["name"])
        await eventually(lambda: no_pods(client, namespace), "all pods are gone", deadline_s=deadline_s)
    return took_s


def _runs(pod: Obj) -> bool:
    statuses: list[Obj] = pod.get("status", {}).get("containerStatuses", [])
    wanted: list[Obj] = pod["spec"]["containers"]
    return len(statuses) == len(wanted) and all("running" in each["state"] for each in statuses)


async def no_pods(client: Client, namespace: str) -> bool:
    return not await client.list(PODS, namespace)
