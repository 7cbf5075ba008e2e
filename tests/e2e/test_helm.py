"""The charts as users install them, with both Helms: into a localkube that lets pods do what their roles say."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import tarfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tdredis.kube.resources import NAMESPACES, PODS, REDISSTANDALONES
from tdredis.manifests.names import COMPONENT_LABEL, PROXY_COMPONENT
from tests.charts.generated import INSTANCE, OPERATOR
from tests.charts.helm import HELMS
from tests.e2e.needs import LOCALKUBE
from tests.e2e.test_howto import OF_HELM, Shell
from tests.e2e.test_operator_pods import NAME, NAMESPACE, Watched, installed
from tests.e2e.world import BIN, ROOT, Subject, eventually, sample, standalone
from tests.kit.howto import HOWTO, read_blocks

pytestmark = pytest.mark.needs(LOCALKUBE)
EARLIER: Final = "6f12deb"  # the commit whose deploy/ is in releases/
RELEASE: Final = Path(__file__).parent / "releases" / EARLIER
PRESENT: Final = "td-redis-operator:0.1.0"
FORMER: Final = f"td-redis-operator:{EARLIER}"
WAIT: Final = ("--wait", "--timeout", "2m")
HELM_S: Final = 150


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Watched]:
    async with installed(tmp_path) as made:
        yield made


@dataclass(frozen=True)
class Helm:
    """One of the two, on one Kubernetes."""

    program: str
    site: Watched

    async def __call__(self, *words: str) -> str:
        """What it prints. Raises AssertionError where it fails."""
        home = self.site.kube.folder / "helm"
        own = {name: str(home) for name in ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")}
        process = await asyncio.create_subprocess_exec(
            str(BIN / self.program),
            *words,
            env={**os.environ, **own, "KUBECONFIG": str(self.site.kube.kubeconfig)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        async with asyncio.timeout(HELM_S):
            said, _ = await process.communicate()
        assert process.returncode == 0, f"{self.program} {' '.join(words)}: {said.decode()}"
        return said.decode()

    async def install(self, *words: str) -> None:
        await self("install", NAME, str(OPERATOR), "-n", NAMESPACE, "--create-namespace", *WAIT, *words)


async def pods(site: Watched, namespace: str) -> dict[str, tuple[str, int]]:
    """By name: who they are, and how often they were started. Proxies, which keep nothing, are not among them: where a
    version configures them otherwise, Kubernetes replaces them one at a time.
    """
    found = await site.client.list(PODS, namespace, label_selector=f"{COMPONENT_LABEL}!={PROXY_COMPONENT}")
    return {
        pod["metadata"]["name"]: (  # type: ignore[index, call-overload, misc]
            pod["metadata"]["uid"],  # type: ignore[index, call-overload]
            sum(each["restartCount"] for each in pod["status"]["containerStatuses"]),  # type: ignore[index, call-overload, union-attr, misc]
        )
        for pod in found
    }


async def test_roles_of_two_namespaces_are_enough_and_without_an_operator_instances_go_on(site: Watched) -> None:
    helm = Helm("helm4", site)
    for namespace in ("a", "b", "c"):
        await site.client.create(NAMESPACES, {"metadata": {"name": namespace}})
    await helm.install("--set", "namespaces={a,b}")
    await helm(
        "install", "redis-tom", str(INSTANCE), "-n", "a", "--set", "kind=RedisStandalone", "--set", "spec.capacity=64"
    )
    other = await Subject.create(site.client, standalone("b"))
    stranger = await Subject.create(site.client, standalone("c"))
    tom = Subject(site.client, REDISSTANDALONES, "a", "redis-tom")
    for each in (tom, other):
        await each.until_ready()
    assert "status" not in await stranger.get()
    assert site.gateway.refused == []
    assert {right.resource for right in site.gateway.used} >= {"secrets", "statefulsets", "leases"}

    before = await pods(site, "a")
    await _uninstall(helm)
    site.gateway.refused.clear()  # what was asked between the end of its roles and its own
    assert (await tom.get())["status"]["phase"] == "Ready"
    await tom.change(capacity=96)
    await Helm("helm3", site).install("--set", "namespaces={a,b}")

    async def taken_up() -> bool:
        return bool((await tom.get())["status"]["capacity"] == 96)

    await eventually(taken_up, "what was edited meanwhile is carried out")
    assert await pods(site, "a") == before
    assert site.gateway.refused == []


@pytest.mark.long
@pytest.mark.parametrize("program", HELMS)
async def test_the_page_is_typed_as_it_stands_and_no_pod_is_recreated(
    site: Watched, program: str, tmp_path: Path
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "helm").symlink_to(BIN / program)
    before: dict[str, tuple[str, int]] = {}
    async with Shell(site.kube, "redis", tmp_path, programs) as shell:
        for block in read_blocks(HOWTO / OF_HELM):
            await shell.type(block)
            now = await pods(site, "redis")
            before = before or now
            assert now == before, block.place
    assert before


@pytest.mark.long
@pytest.mark.parametrize("program", HELMS)
async def test_what_deploy_of_an_earlier_version_installed_is_taken_over_and_no_redis_is_recreated(
    site: Watched, program: str, tmp_path: Path
) -> None:
    """Its operator ran, and made the instances; it is taken back, too."""
    before_it = tmp_path / "operator.yaml"
    before_it.write_text((RELEASE / "operator.yaml").read_text().replace(PRESENT, FORMER))
    site.catalogue.code[FORMER] = _check_out(tmp_path / "earlier")
    await site.apply(RELEASE / "cache.tongdun.net.yaml")
    await site.apply(before_it)
    await site.until_ready()
    await site.client.create(NAMESPACES, {"metadata": {"name": "redis"}})
    made = [sample("redis", proxyimage="envoyproxy/envoy:latest"), standalone("redis")]
    subjects = [await Subject.create(site.client, manifest) for manifest in made]
    for subject in subjects:
        await subject.until_ready()
    before = await pods(site, "redis")
    helm = Helm(program, site)
    forced = ("--force-conflicts",) if program == "helm4" else ()

    await helm.install("--take-ownership", *forced)
    await _is_the_operator(site, PRESENT)
    for subject, capacity in zip(subjects, (240, 96), strict=True):
        await subject.change(capacity=capacity)
        await subject.until_ready()
    assert await pods(site, "redis") == before

    # Back: its operator works with the newer definitions, which stay.
    await _uninstall(helm)
    await site.apply(before_it)
    await _is_the_operator(site, FORMER)
    for subject, capacity in zip(subjects, (192, 64), strict=True):
        await subject.change(capacity=capacity)
        await subject.until_ready()
    assert await pods(site, "redis") == before


async def _uninstall(helm: Helm) -> None:
    await helm("uninstall", NAME, "-n", NAMESPACE, "--wait")

    async def gone() -> bool:
        return not await helm.site.pods()

    await eventually(gone, "its pods are gone")


async def _is_the_operator(site: Watched, image: str) -> None:
    """All of its pods run *image*, and are ready."""

    async def runs() -> bool:
        found = [pod["spec"]["containers"][0]["image"] for pod in await site.pods()]
        return found == [image] * 2

    await eventually(runs, f"two operators of {image}")
    await site.until_ready()


def _check_out(folder: Path) -> Path:
    """The code of then, out of the history."""
    folder.mkdir()
    command = ["git", "-C", str(ROOT), "archive", EARLIER, "tdredis"]
    packed = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return folder
