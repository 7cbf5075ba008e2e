"""What an end-to-end test stands on: a Kubernetes, an operator process, and questions with deadlines."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import yaml

from localkube.kubelet.lifeline import tied_to
from tdredis.kube.client import Client
from tdredis.kube.errors import AlreadyExists, ApiError, NotFound
from tdredis.kube.kubeconfig import load_config
from tdredis.kube.resources import (
    CUSTOM,
    CUSTOMRESOURCEDEFINITIONS,
    EVENTS,
    NAMESPACES,
    PODS,
    REDISCLUSTERS,
    Resource,
    resource_of,
)
from tests.kit import waiting
from tests.kit.servers import free_port

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SAMPLE = ROOT / "samples/redis-cluster-rat.yaml"
STANDBY_SAMPLE = ROOT / "samples/redis-standby-tom.yaml"
STANDALONE_SAMPLE = ROOT / "samples/redis-standalone-hare.yaml"
CRDS = ROOT / "deploy/crds/cache.tongdun.net.yaml"
READY_S = 120.0  # ten times what it takes: a busy machine is no failure
T = TypeVar("T")
Obj = dict[str, Any]


@dataclass
class Kube:
    """Any Kubernetes. *folder* is for what a test leaves to read: logs."""

    kubeconfig: Path
    folder: Path
    images: Mapping[str, str] = field(default_factory=dict)
    is_localkube: bool = True

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        async with Client(load_config(self.kubeconfig), manager="test") as client:
            yield client

    async def kubectl(self, *arguments: str, stdin: str | None = None) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of the real kubectl."""
        process = await asyncio.create_subprocess_exec(
            str(BIN / "kubectl"),
            f"--kubeconfig={self.kubeconfig}",
            *arguments,
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        async with asyncio.timeout(120):
            out, err = await process.communicate(stdin.encode() if stdin is not None else None)
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()


class Operator:
    """One operator process, for one namespace, with a log to read. *arguments*: of ``tdredis run``, beside those."""

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        *,
        program: tuple[str, ...] = (),
        arguments: tuple[str, ...] = (),
        identity: str = "operator-0",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._program = program or (str(BIN / "tdredis"),)
        self._arguments = arguments
        self._identity = identity
        self._environment = environment or {}
        self.log = kube.folder / f"{identity}-{namespace}.log"
        self.port = free_port()
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        images = [word for old, new in self._kube.images.items() for word in ("--image-map", f"{old}={new}")]
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self._program,
                *("--log-format", "json", "run", "--kubeconfig", str(self._kube.kubeconfig)),
                *("--listen", f"127.0.0.1:{self.port}"),
                *("--namespace", self._namespace, "--lease-namespace", self._namespace, *images, *self._arguments),
                env={**os.environ, "POD_NAME": self._identity, **self._environment},
                # A worker of the test run that crashes takes it along.
                preexec_fn=tied_to(os.getpid()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def page(self) -> str:
        """Its metrics page."""
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}/metrics") as answer:
            return await answer.text()

    async def metrics(self, name: str) -> dict[str, float]:
        """The series of the metric *name* on its page."""
        page = (await self.page()).splitlines()
        lines = [line.rpartition(" ") for line in page if line.startswith((f"{name} ", f"{name}{{"))]
        return {series: float(value) for series, _, value in lines}

    async def writes(self) -> dict[str, float]:
        """How often it has written to the API since it started, by verb and resource; its own lease left out."""
        found = await self.metrics("tdredis_api_writes_total")
        return {series: number for series, number in found.items() if '"leases' not in series}

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends the signal, waits, returns the exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(30):
            return await self.process.wait()

    async def __aenter__(self) -> Operator:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end(signal.SIGKILL)


def sample(namespace: str, **spec: object) -> Obj:
    """The published RedisCluster in *namespace*, small, with *spec* changed. None takes a field away."""
    return _changed(SAMPLE, namespace, {"env": "demo", "capacity": 192, "vip": None, "storageclass": None, **spec})


def standby(namespace: str, **spec: object) -> Obj:
    """The RedisStandby of samples/, likewise."""
    return _changed(STANDBY_SAMPLE, namespace, {"capacity": 64, "vip": None, "storageclass": None, **spec})


def standalone(namespace: str, **spec: object) -> Obj:
    """The RedisStandalone of samples/, likewise."""
    return _changed(STANDALONE_SAMPLE, namespace, {"capacity": 64, **spec})


def read(path: Path) -> Obj:
    """The one manifest in a file."""
    manifest: Obj = yaml.safe_load(path.read_text())
    return manifest


def _changed(path: Path, namespace: str, spec: Mapping[str, object]) -> Obj:
    manifest = read(path)
    manifest["metadata"]["namespace"] = namespace
    changed = {**manifest["spec"], **spec}
    manifest["spec"] = {name: value for name, value in changed.items() if value is not None}
    return manifest


@asynccontextmanager
async def new_namespace(client: Client) -> AsyncIterator[str]:
    """A namespace of the test's own, with everything in it deleted afterwards."""
    made = await client.create(NAMESPACES, {"metadata": {"generateName": "e2e-"}})
    name: str = made["metadata"]["name"]  # type: ignore[index, call-overload, assignment]
    try:
        yield name
    finally:
        await client.delete(NAMESPACES, None, name)


async def install_crds(client: Client) -> None:
    for crd in yaml.safe_load_all(CRDS.read_text()):
        try:
            await client.apply(CUSTOMRESOURCEDEFINITIONS, crd)
        except ApiError:
            await _made_or_merged(client, crd)
    await eventually(lambda: _is_served(client), "the custom resources are served")


async def _made_or_merged(client: Client, crd: Obj) -> None:
    """On a server older than the CEL rules, which refuses to apply fields that it does not know, and drops them here.
    Another worker of the test run may make it at the same time.
    """
    try:
        await client.create(CUSTOMRESOURCEDEFINITIONS, crd)
    except AlreadyExists:
        changed = {name: value for name, value in crd.items() if name != "metadata"}
        await client.patch(CUSTOMRESOURCEDEFINITIONS, None, crd["metadata"]["name"], changed)


async def _is_served(client: Client) -> bool:
    served = await client.discover()
    return all(resource.key in served for resource in CUSTOM)


async def eventually(
    ask: Callable[[], Awaitable[T]], what: str, *, deadline_s: float = READY_S, pause_s: float = 0.1
) -> T:
    """As `waiting.eventually`; an API server that refuses is asked again."""
    return await waiting.eventually(ask, what, deadline_s=deadline_s, pause_s=pause_s, not_yet=(ApiError,))


async def never(ask: Callable[[], Awaitable[object]], what: str, *, for_s: float, pause_s: float) -> None:
    """Asks for so long. Raises AssertionError with the first answer that is true."""
    end = time.monotonic() + for_s
    while time.monotonic() < end:
        answer = await ask()
        assert not answer, f"{what}: {answer}"
        await asyncio.sleep(pause_s)


@dataclass(frozen=True)
class Subject:
    """One resource under test."""

    client: Client
    kind: Resource
    namespace: str
    name: str

    @classmethod
    async def create(cls, client: Client, manifest: Obj) -> Subject:
        """Makes the resource that *manifest* says."""
        subject = cls.of(client, manifest)
        await client.create(subject.kind, manifest)
        return subject

    @classmethod
    def of(cls, client: Client, manifest: Obj) -> Subject:
        """The resource that *manifest* speaks of."""
        kind = resource_of(manifest["apiVersion"], manifest["kind"])
        return cls(client, kind, manifest["metadata"]["namespace"], manifest["metadata"]["name"])

    async def get(self) -> Obj:
        return await self.client.get(self.kind, self.namespace, self.name)

    async def change(self, **spec: object) -> None:
        """Merges *spec* into it, as `kubectl patch` does; None takes a field away."""
        await self.client.patch(self.kind, self.namespace, self.name, {"spec": spec})  # type: ignore[dict-item]

    async def touch(self) -> None:
        """An edit that asks for nothing. The operator looks at once, where it would look by itself within fifteen
        seconds: for tests of what it finds then, and not of when.
        """
        told: Obj = {"metadata": {"annotations": {"e2e/touched": str(time.monotonic_ns())}}}
        await self.client.patch(self.kind, self.namespace, self.name, told)

    async def delete(self) -> None:
        await self.client.delete(self.kind, self.namespace, self.name)

    async def until_ready(self, *, deadline_s: float = READY_S) -> Obj:
        return await until_ready(self.client, self.namespace, self.name, kind=self.kind, deadline_s=deadline_s)

    async def pods(self, component: str = "redis") -> dict[str, Obj]:
        """Its pods of *component*, by name."""
        selector = f"app.kubernetes.io/instance={self.name},app.kubernetes.io/component={component}"
        found: list[Obj] = await self.client.list(PODS, self.namespace, label_selector=selector)
        return {pod["metadata"]["name"]: pod for pod in found}

    async def primary(self) -> str:
        """Pod of the (first shard's) primary, as status says; "" while there is none."""
        name: str = (await self.get())["status"]["shards"][0].get("primary", "")
        return name

    async def events(self) -> list[Obj]:
        return await self.client.list(EVENTS, self.namespace, field_selector=f"involvedObject.name={self.name}")


async def get_resource(client: Client, kind: Resource, namespace: str, name: str) -> Obj:
    return await client.get(kind, namespace, name)


async def get_cluster(client: Client, namespace: str, name: str = "redis-cluster-rat") -> Obj:
    return await client.get(REDISCLUSTERS, namespace, name)


def condition(resource: Obj, kind: str) -> Obj:
    found: list[Obj] = [each for each in resource.get("status", {}).get("conditions", []) if each["type"] == kind]
    return found[0] if found else {}


async def until_ready(
    client: Client,
    namespace: str,
    name: str = "redis-cluster-rat",
    *,
    kind: Resource = REDISCLUSTERS,
    deadline_s: float = READY_S,
) -> Obj:
    """Waits for phase Ready of the present generation; returns the resource."""
    seen: Obj = {}

    async def ready() -> Obj | None:
        nonlocal seen
        seen = await get_resource(client, kind, namespace, name)
        status: Obj = seen.get("status", {})
        current = status.get("observedGeneration") == seen["metadata"]["generation"]
        return seen if current and status.get("phase") == "Ready" else None

    try:
        found = await eventually(ready, f"{name} is Ready", deadline_s=deadline_s)
    except AssertionError as error:
        phase = seen.get("status", {}).get("phase")
        raise AssertionError(f"{error}: it is {phase}, {condition(seen, 'Ready')}") from None
    assert found is not None
    return found


async def is_gone(client: Client, namespace: str, name: str = "redis-cluster-rat") -> bool:
    try:
        await client.get(REDISCLUSTERS, namespace, name)
    except NotFound:
        return True
    return False
