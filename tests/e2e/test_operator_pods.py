"""The operator as it is installed: deploy/operator.yaml as it stands, as pods with probes and a ServiceAccount that may
do what its roles say; it needs all of that and nothing else. On another Kubernetes than localkube its image must be
there, and nothing of it installed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import yaml

from localkube.cluster import Cluster
from localkube.kubelet.images import STANDARD_PATH, Catalogue, Image, repository_of
from tdredis.kube.client import Client
from tdredis.kube.errors import Forbidden
from tdredis.kube.kubeconfig import load_in_cluster
from tdredis.kube.resources import DEPLOYMENTS, LEASES, NAMESPACES, NETWORKPOLICIES, NODES, PODMONITORS, PODS, SECRETS
from tests.e2e.gateway import ACCOUNT_FOLDER, Gateway, Right
from tests.e2e.needs import LOCALKUBE, OPERATOR_IMAGE, RESIZING
from tests.e2e.world import (
    CRDS,
    ROOT,
    Kube,
    Obj,
    Subject,
    condition,
    eventually,
    new_namespace,
    sample,
    standalone,
    standby,
)

MANIFEST = ROOT / "deploy/operator.yaml"
NAME = NAMESPACE = "td-redis-operator"
POD_MONITORS = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: podmonitors.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  scope: Namespaced
  names: {plural: podmonitors, singular: podmonitor, kind: PodMonitor, listKind: PodMonitorList}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""
# Granted, and not used here: what only other servers than this one need, as the manifest says beside each.
ELSEWHERE = {
    *(Right("update", "cache.tongdun.net", f"{kind}/finalizers") for kind in ("redisclusters", "redisstandbies")),
    Right("update", "cache.tongdun.net", "redisstandalones/finalizers"),
    *(Right(verb, "", "endpoints") for verb in ("get", "list", "watch", "create", "patch")),
    Right("create", "", "endpoints/restricted"),
    Right("create", "discovery.k8s.io", "endpointslices/restricted"),
}
# Granted, and not used in every life: `size` is lowered while no slot of a new cluster has an owner yet; the same is
# told again, and the event that says so counts it (tests/unit/kube/test_events.py).
SOMETIMES = {
    Right("delete", "apps", "statefulsets"),
    Right("delete", "policy", "poddisruptionbudgets"),
    Right("list", "", "events"),  # of pods that are not there for longer than a moment
    Right("patch", "", "events"),
}


def rules_of(manifests: Iterable[Obj]) -> list[Right]:
    """Every right that the roles among *manifests* give, as often as they give it."""
    return [
        Right(verb, group, resource)
        for manifest in manifests
        if manifest["kind"] in ("ClusterRole", "Role")
        for rule in manifest["rules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    ]


class WithOperator(Catalogue):
    """The operator's image is this project, started as its own would be: in a pod that has an address to itself."""

    def __init__(self, account: Path) -> None:
        super().__init__()
        self._account = account
        self.port = 0  # of the API server, as pods find it
        self.code: dict[str, Path] = {}  # by image: a checkout that is not this one

    def resolve(self, name: str) -> Image:
        return self._operator(name) if repository_of(name) == "td-redis-operator" else super().resolve(name)

    def _operator(self, name: str) -> Image:
        root = self.code.get(name, ROOT)
        # Pods here share the machine's network: what is every address of a pod elsewhere is its one address.
        start = f'exec {sys.executable} -m tdredis.cli "$@" --listen "{{pod_ip}}:8080"'
        needed = (*dict.fromkeys((str(root), str(ROOT))), *(() if sys.base_prefix == "/usr" else (sys.base_prefix,)))
        return Image(
            entrypoint=("/bin/sh", "-c", start, "tdredis"),
            env={
                "PATH": STANDARD_PATH,
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONPATH": str(root),
                "KUBERNETES_SERVICE_HOST": "127.0.0.1",
                "KUBERNETES_SERVICE_PORT": str(self.port),
            },
            programs={**{path: path for path in needed}, ACCOUNT_FOLDER: str(self._account)},
        )


@dataclass(frozen=True)
class Installed:
    """A Kubernetes to install it on."""

    kube: Kube
    client: Client

    def with_images(self, manifest: Obj) -> Obj:
        """*manifest* with images that are there."""
        known = self.kube.images
        spec = {name: known.get(value, value) if "image" in name else value for name, value in manifest["spec"].items()}
        return {**manifest, "spec": spec}

    async def apply(self, path: Path) -> None:
        code, _, err = await self.kube.kubectl("apply", "--server-side", "-f", str(path))
        assert code == 0, err

    async def pods(self) -> list[Obj]:
        found: list[Obj] = await self.client.list(PODS, NAMESPACE)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    async def until_ready(self) -> None:
        async def ready() -> bool:
            found: Obj = await self.client.get(DEPLOYMENTS, NAMESPACE, NAME)
            return bool(found.get("status", {}).get("readyReplicas") == 2)

        await eventually(ready, "both replicas are ready")

    async def ask(self, pod: Obj) -> tuple[int, int, str]:
        """/healthz and /readyz of a replica, and what the latter says. Raises aiohttp.ClientError."""
        url = f"http://{pod['status'].get('podIP', '')}:8080"
        patience = aiohttp.ClientTimeout(total=5)
        async with (
            aiohttp.ClientSession(timeout=patience) as session,
            session.get(f"{url}/healthz") as health,
            session.get(f"{url}/readyz") as readiness,
        ):
            return health.status, readiness.status, await readiness.text()

    async def restarts(self) -> int:
        return sum(each["restartCount"] for pod in await self.pods() for each in pod["status"]["containerStatuses"])

    async def holder(self) -> str:
        lease = await self.client.find(LEASES, NAMESPACE, NAME)
        return str(lease["spec"]["holderIdentity"]) if lease else ""  # type: ignore[index, call-overload]


@dataclass(frozen=True)
class Watched(Installed):
    """A localkube whose pods come to the API server through *gateway*."""

    gateway: Gateway
    catalogue: WithOperator


@asynccontextmanager
async def installed(folder: Path) -> AsyncIterator[Watched]:
    account = folder / "account" / "folder"
    catalogue = WithOperator(account)
    cluster = Cluster(nodes=3, state=folder / "state", catalogue=catalogue)
    # The pods end before the gateway does: they would come again as soon as it ends their connections.
    async with Gateway(cluster, NAMESPACE, NAME, account) as gateway, cluster:
        catalogue.port = gateway.port
        kube = Kube(cluster.kubeconfig, folder)
        async with kube.client() as client:
            yield Watched(kube, client, gateway, catalogue)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Watched]:
    async with installed(tmp_path) as made:
        yield made


@pytest.fixture
async def elsewhere(kube: Kube, client: Client) -> AsyncIterator[Installed]:
    """The Kubernetes of all tests, which has no operator before and none afterwards."""
    assert await client.find(NAMESPACES, None, NAMESPACE) is None, "somebody has installed it"
    try:
        yield Installed(kube, client)
    finally:
        code, _, err = await kube.kubectl("delete", "--ignore-not-found", "-f", str(MANIFEST))
        assert code == 0, err


@pytest.mark.needs(LOCALKUBE)
async def test_what_is_installed_becomes_ready_stays_so_and_uses_each_of_its_rights_and_no_other(
    site: Watched,
) -> None:
    (site.kube.folder / "podmonitors.yaml").write_text(POD_MONITORS)
    await site.apply(site.kube.folder / "podmonitors.yaml")
    await site.apply(CRDS)
    await _is_installed_and_lives(site)
    granted = rules_of(yaml.safe_load_all(MANIFEST.read_text()))
    assert site.gateway.refused == []
    assert set(granted) - set(site.gateway.used) - SOMETIMES == ELSEWHERE
    assert len(granted) == len(set(granted))


@pytest.mark.skipif("E2E_KUBECONFIG" not in os.environ, reason="on localkube the test above says it, and more")
@pytest.mark.needs(OPERATOR_IMAGE)
@pytest.mark.alone  # it is the operator of all namespaces
async def test_what_is_installed_on_another_kubernetes_becomes_ready_and_stays_so(elsewhere: Installed) -> None:
    await _is_installed_and_lives(elsewhere)


async def _is_installed_and_lives(site: Installed) -> None:
    await site.apply(MANIFEST)
    await site.until_ready()
    async with new_namespace(site.client) as namespace:
        await _live_a_life(site, namespace)

        first = await site.holder()
        await site.client.delete(PODS, NAMESPACE, first)

        async def moved() -> bool:
            return await site.holder() not in ("", first)

        await eventually(moved, "the other replica leads", deadline_s=20)
        await site.until_ready()
        assert await site.restarts() == 0


@pytest.mark.needs(LOCALKUBE)
async def test_it_may_be_there_before_the_definitions_are(site: Watched) -> None:
    await site.apply(MANIFEST)

    async def answers() -> set[tuple[int, int, str]]:
        """Of both pods: /healthz, /readyz and what it says."""
        found = set()
        for pod in await site.pods():
            with contextlib.suppress(aiohttp.ClientError):
                found.add(await site.ask(pod))
        return found

    async def waits() -> bool:
        return await answers() == {(200, 503, "waiting for the API server, or for the custom resource definitions\n")}

    await eventually(waits, "both live, and say what they wait for")
    await site.apply(CRDS)
    await site.until_ready()
    assert await answers() == {(200, 200, "ok\n")}
    assert await site.restarts() == 0


@pytest.mark.needs(LOCALKUBE)
async def test_what_no_role_grants_is_refused_here_as_on_a_real_server(site: Watched) -> None:
    await site.apply(MANIFEST)
    config = load_in_cluster(
        site.gateway.folder,
        {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(site.gateway.port)},
    )
    async with Client(config) as pod:
        assert await pod.list(SECRETS) == []
        with pytest.raises(
            Forbidden, match=f'User "system:serviceaccount:{NAMESPACE}:{NAME}" cannot list resource "nodes"'
        ):
            await pod.list(NODES)
        with pytest.raises(Forbidden, match='cannot create resource "pods"'):
            await pod.apply(
                PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"}}
            )


async def _live_a_life(site: Installed, namespace: str) -> None:
    """All that an instance may ask of Kubernetes: to be made, to be changed in each way that changes objects, to go."""
    volumes = {"storageclass": "standard", "storage": {"size": "1Gi", "retain": True}}
    kinds = [kind for kind in (NETWORKPOLICIES, PODMONITORS, DEPLOYMENTS) if kind.key in await site.client.discover()]
    extras: Obj = {
        "proxyimage": "envoyproxy/envoy:latest",
        "networkPolicy": {"enabled": True},
        "podMonitor": PODMONITORS in kinds,
    }
    if await asyncio.to_thread(RESIZING.is_met, site.kube.kubeconfig):  # a server in this process is to answer it
        extras["memoryOverheadPercent"] = 50
    cluster = await Subject.create(site.client, site.with_images(sample(namespace, **volumes, **extras)))
    two = await Subject.create(site.client, site.with_images(standby(namespace, netmode="NodePort")))
    one = await Subject.create(site.client, standalone(namespace, image="nowhere/redis:7.0"))
    for each in (cluster, two):
        await each.until_ready()

    await one.change(image="redis:7.0")  # its pod never ran: the operator deletes it
    await cluster.change(
        storage={"size": "1Gi", "retain": False},
        networkPolicy={"enabled": False},
        podMonitor=False,
        proxy={"enabled": False},
        capacity=384,
    )
    await two.change(netmode="ClusterIP")

    for each in (cluster, two, one):
        await each.until_ready()

    async def switched_off() -> bool:
        return not any([await site.client.list(kind, namespace) for kind in kinds])

    await eventually(switched_off, "what is switched off is gone")
    await _is_told_again(one)


async def _is_told_again(subject: Subject) -> None:
    """What happens a second time is no second event: the first one counts."""
    for paused in (True, False) * 2:
        await subject.change(paused=paused)

        async def said(paused: bool = paused) -> bool:
            return (condition(await subject.get(), "Paused").get("status") == "True") is paused

        await eventually(said, f"Paused is {paused}")

    async def counted() -> bool:
        return any(event.get("count", 1) > 1 for event in await subject.events())

    await eventually(counted, "an event is counted twice")
