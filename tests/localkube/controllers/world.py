"""A registry with nodes and the controllers under test; the test plays the kubelet, through the registry as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from localkube.controllers.pods import now_text
from localkube.controllers.settings import Settings
from localkube.registry import Event, Obj, Registry

DEADLINE_S = 5.0
SETS = "statefulsets.apps"
DEPLOYMENTS = "deployments.apps"
REPLICA_SETS = "replicasets.apps"


class Controller(Protocol):
    def start(self) -> None: ...
    async def stop(self) -> None: ...


class World:
    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.history: list[str] = []  # what became of pods, in order: "+web-0", "-web-0"
        self._kubelet: Callable[[], None] | None = None

    # ---- waiting

    async def until(self, holds: Callable[[], Any], what: Callable[[], Any] | None = None) -> None:
        """Lets the loop run until *holds*; when it gives up, says what it saw."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not holds():
                    await asyncio.sleep(0.001)
        except TimeoutError:
            seen = what() if what is not None else [self.short(pod) for pod in self.pods()]
            raise AssertionError(f"waited {DEADLINE_S} s in vain; at last: {seen}") from None

    async def settle(self) -> None:
        """Lets the loop run until nothing has been written for many turns."""
        quiet, version = 0, self.registry.version
        async with asyncio.timeout(DEADLINE_S):
            while quiet < 50:
                await asyncio.sleep(0)
                quiet = quiet + 1 if self.registry.version == version else 0
                version = self.registry.version

    # ---- seeing

    def pods(self, labels: str | None = None) -> list[Obj]:
        return self.registry.list("pods", "default", labels=labels)

    def pod(self, name: str) -> Obj:
        return self.registry.get("pods", "default", name)

    def names(self) -> list[str]:
        return [pod["metadata"]["name"] for pod in self.pods()]

    def places(self) -> dict[str, str | None]:
        return {pod["metadata"]["name"]: pod["spec"].get("nodeName") for pod in self.pods()}

    def status(self, resource: str, name: str) -> Obj:
        found: Obj = self.registry.get(resource, "default", name).get("status") or {}
        return found

    def told(self, reason: str) -> list[str]:
        events = [one for one in self.registry.list("events") if one["reason"] == reason]
        return [one["message"] for one in sorted(events, key=lambda one: int(one["metadata"]["resourceVersion"]))]

    @staticmethod
    def short(pod: Obj) -> str:
        status = pod.get("status") or {}
        ready = [one["status"] for one in status.get("conditions") or () if one["type"] == "Ready"]
        leaving = " leaving" if "deletionTimestamp" in pod["metadata"] else ""
        return (
            f"{pod['metadata']['name']} on {pod['spec'].get('nodeName')} {status.get('phase')} ready={ready}{leaving}"
        )

    # ---- acting as a kubelet

    def report(self, name: str, *, phase: str = "Running", ready: bool = True, since: str | None = None) -> None:
        pod = self.pod(name)
        told = {
            "type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": since or now_text(),
        }  # fmt: skip
        status = {**pod["status"], "phase": phase, "conditions": [told]}
        self.registry.update("pods", {**pod, "status": status}, subresource="status", manager="kubelet")

    def end(self, name: str) -> None:
        self.registry.delete("pods", "default", name, grace_s=0)

    def run_kubelets(self) -> None:
        """From now on every bound pod becomes ready at once, and ends at once when it is told to."""

        def obey(event: Event) -> None:
            metadata, name = event.object["metadata"], event.object["metadata"]["name"]
            if event.type == "ADDED":
                self.history.append(f"+{name}")
            if event.type == "DELETED":
                self.history.append(f"-{name}")
                return
            known = self.registry.find("pods", metadata["namespace"], name)
            if known is None or known["metadata"]["uid"] != metadata["uid"] or not known["spec"].get("nodeName"):
                return
            if "deletionTimestamp" in known["metadata"]:
                self.end(name)
            elif known["status"].get("phase") == "Pending":
                self.report(name)

        self._kubelet = self.registry.subscribe("pods", obey)

    def stop_kubelets(self) -> None:
        if self._kubelet is not None:
            self._kubelet()
            self._kubelet = None

    # ---- making

    def add_node(self, name: str, **changes: Any) -> Obj:
        node: Obj = {
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": name}},
            "spec": changes.get("spec", {}),
            "status": {"allocatable": changes.get("allocatable", {"cpu": "16", "memory": "64Gi", "pods": "110"})},
        }
        node["metadata"]["labels"].update(changes.get("labels", {}))
        created = self.registry.create("nodes", node)
        if not created.get("status"):
            created = self.registry.update("nodes", {**created, "status": node["status"]}, subresource="status")
        return created

    def change_node(self, name: str, **spec: Any) -> Obj:
        node = self.registry.get("nodes", None, name)
        return self.registry.update("nodes", {**node, "spec": {**node["spec"], **spec}})

    def create(self, resource: str, obj: Obj) -> Obj:
        return self.registry.create(resource, {**obj, "metadata": {"namespace": "default", **obj["metadata"]}})

    def change(self, resource: str, name: str, **spec: Any) -> Obj:
        old = self.registry.get(resource, "default", name)
        return self.registry.update(resource, {**old, "spec": {**old["spec"], **spec}})


def template(app: str = "web", image: str = "redis:7.0", **spec: Any) -> Obj:
    return {
        "metadata": {"labels": {"app": app}},
        "spec": {"terminationGracePeriodSeconds": 5, "containers": [{"name": "redis", "image": image}], **spec},
    }


def workload(name: str = "web", replicas: int = 2, **spec: Any) -> Obj:
    return {
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": template(name),
            **spec,
        },
    }


def bare_pod(name: str, app: str = "web", **spec: Any) -> Obj:
    made = template(app, **spec)
    return {"metadata": {"name": name, "labels": made["metadata"]["labels"]}, "spec": made["spec"]}


def apart(app: str = "web", key: str = "kubernetes.io/hostname") -> Obj:
    """Required anti-affinity to the pods of *app*."""
    term = {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": key}
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


@asynccontextmanager
async def world_of(
    folder: Path, *kinds: Callable[[Registry, Settings], Controller], nodes: int = 3
) -> AsyncIterator[World]:
    registry = Registry()
    registry.create("namespaces", {"metadata": {"name": "default"}})
    world = World(registry)
    for number in range(1, nodes + 1):
        world.add_node(f"node-{number}")
    settings = Settings(block=64, state_dir=folder)
    controllers: Sequence[Controller] = [kind(registry, settings) for kind in kinds]
    for one in controllers:
        one.start()
    try:
        yield world
    finally:
        world.stop_kubelets()
        for one in controllers:
            await one.stop()
