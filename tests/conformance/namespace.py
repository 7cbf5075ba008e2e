"""Names the paths of what a test makes in its own namespace, and builds the manifests that most claims start from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.conformance.client import Api, Obj

IMAGE = "redis:7.0"  # has sh, redis-server and redis-cli, on every cluster this suite runs against

GROUPS = {
    "configmaps": "/api/v1",
    "secrets": "/api/v1",
    "pods": "/api/v1",
    "services": "/api/v1",
    "endpoints": "/api/v1",
    "events": "/api/v1",
    "serviceaccounts": "/api/v1",
    "persistentvolumeclaims": "/api/v1",
    "statefulsets": "/apis/apps/v1",
    "deployments": "/apis/apps/v1",
    "replicasets": "/apis/apps/v1",
    "leases": "/apis/coordination.k8s.io/v1",
    "endpointslices": "/apis/discovery.k8s.io/v1",
}


@dataclass(frozen=True, slots=True)
class Namespace:
    """One namespace of one server, as a test sees it."""

    api: Api
    name: str

    def path(self, plural: str, name: str = "", *, group: str | None = None) -> str:
        base = f"{group or GROUPS[plural]}/namespaces/{self.name}/{plural}"
        return f"{base}/{name}" if name else base

    async def create(self, plural: str, body: Obj) -> Obj:
        return await self.api.create(self.path(plural), body)

    async def read(self, plural: str, name: str) -> Obj:
        return await self.api.read(self.path(plural, name))

    async def items(self, plural: str, **query: str | int) -> list[Obj]:
        items: list[Obj] = (await self.api.read(self.path(plural), **query))["items"]
        return items

    async def until(self, plural: str, name: str, condition: Callable[[Obj], object], timeout_s: float = 60) -> Obj:
        return await self.api.until(self.path(plural, name), condition, timeout_s)

    async def until_list(
        self, plural: str, condition: Callable[[Sequence[Obj]], object], timeout_s: float = 60, **query: str | int
    ) -> list[Obj]:
        seen = await self.api.until(self.path(plural), lambda found: condition(found["items"]), timeout_s, **query)
        items: list[Obj] = seen["items"]
        return items

    async def run(self, name: str, script: str = "", *, labels: dict[str, str] | None = None, **spec: Any) -> Obj:
        """Create a pod of one container that runs *script* with sh, once the namespace takes pods."""
        await self.takes_pods()
        return await self.create("pods", build_pod(name, script, labels=labels, **spec))

    async def takes_pods(self) -> None:
        """Wait for the default service account: pods are refused before it exists."""
        await self.until("serviceaccounts", "default", bool, 10)

    async def log(self, pod: str, **query: str | int) -> str:
        answer = await self.api.request("GET", self.path("pods", pod) + "/log", accept="*/*", query=query)
        assert answer.status == 200, answer.text
        return answer.text

    async def until_log(self, pod: str, text: str, timeout_s: float = 60, **query: str | int) -> str:
        """The pod's log, once it contains *text*."""
        last = ""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    answer = await self.api.request("GET", self.path("pods", pod) + "/log", accept="*/*", query=query)
                    last = answer.text
                    if answer.status == 200 and text in last:
                        return last
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{text!r} not in the log of {pod} within {timeout_s} s: {last[-2000:]}") from None


def build_configmap(name: str, **data: str) -> Obj:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def build_container(script: str = "", **fields: Any) -> Obj:
    """A container that runs *script*; without one, it waits to be stopped and stops at once."""
    idle = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
    return {"name": "main", "image": IMAGE, "command": ["sh", "-c", script or idle]} | fields


def build_pod_spec(script: str = "", **spec: Any) -> Obj:
    """A pod's spec: quick to stop, without a token, one container unless *spec* says otherwise."""
    return {
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [build_container(script)],
    } | spec


def build_pod(name: str, script: str = "", *, labels: dict[str, str] | None = None, **spec: Any) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": build_pod_spec(script, **spec),
    }


def build_redis(**fields: Any) -> Obj:
    """A container with a Redis that listens on the pod's own address only, and is ready when it answers."""
    return {
        "name": "redis",
        "image": IMAGE,
        "command": ["redis-server"],
        "args": ["--bind", "$(POD_IP)", "--port", "6379", "--protected-mode", "no", "--save", "", "--dir", "/tmp"],
        "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "ports": [{"name": "redis", "containerPort": 6379}],
        "readinessProbe": {"tcpSocket": {"port": 6379}, "periodSeconds": 1},
    } | fields


def build_statefulset(name: str, *, replicas: int = 1, template: Obj | None = None, **spec: Any) -> Obj:
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name},
        "spec": {
            "serviceName": name,
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": template or build_pod_spec()},
        }
        | spec,
    }


def build_deployment(name: str, *, replicas: int = 1, template: Obj | None = None, **spec: Any) -> Obj:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": template or build_pod_spec()},
        }
        | spec,
    }


def build_service(name: str, *, selector: dict[str, str] | None = None, **spec: Any) -> Obj:
    fields: Obj = {"ports": [{"name": "redis", "port": 6379}]} | spec
    if selector is not None:
        fields["selector"] = selector
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": fields}


def condition(obj: Obj, kind: str) -> Obj:
    """The status condition of that type; empty when it is not there yet."""
    # A new CRD's conditions are null on the wire.
    found: list[Obj] = [c for c in obj.get("status", {}).get("conditions") or [] if c["type"] == kind]
    return found[0] if found else {}


def is_ready(pod: Obj) -> bool:
    return condition(pod, "Ready").get("status") == "True"


def container_status(pod: Obj, name: str = "main") -> Obj:
    """What the kubelet says about one container; empty while it says nothing."""
    found: list[Obj] = [s for s in pod.get("status", {}).get("containerStatuses", []) if s["name"] == name]
    return found[0] if found else {}


def names(objects: Sequence[Obj]) -> list[str]:
    return sorted(o["metadata"]["name"] for o in objects)
