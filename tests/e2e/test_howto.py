"""The pages for users are typed block by block, as they stand: nothing fails, and what they show is seen."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
import yaml

from localkube.kubelet.lifeline import tied_to
from tdredis.kube.client import Client
from tests.e2e.needs import REDIS_7_2, SERVER_VALIDATION, Need
from tests.e2e.scaling import fill, holds_all
from tests.e2e.test_faults import VOLUMES
from tests.e2e.world import BIN, ROOT, Kube, Obj, Operator, Subject, eventually, sample, standby
from tests.kit.howto import HOWTO, Block, read_blocks

BLOCK_S = 120.0  # what is typed, and until it shows what the page says
NAMESPACE: Final = re.compile(r"(?<=-n )redis\b")
Instance = Callable[[str], Obj]


def tom(namespace: str) -> Obj:
    """The standby of the pages, on volumes."""
    manifest = standby(namespace, **VOLUMES)
    manifest["metadata"]["name"] = "redis-tom"
    return manifest


def rat(namespace: str) -> Obj:
    """The cluster of the page on size, on volumes."""
    return sample(namespace, **VOLUMES)


@dataclass(frozen=True, slots=True)
class Reading:
    """Pages that are read one after another, and what there is when the reader begins. *keys*: that each instance, a
    cluster, holds then and in the end. *needs*: of the Kubernetes, for what is typed to be what a page says for it.
    """

    pages: tuple[str, ...]
    instances: tuple[Instance, ...]
    keys: int = 0
    needs: tuple[Need, ...] = ()

    @property
    def name(self) -> str:
        return "-".join(Path(page).stem for page in self.pages)


READINGS: Final = (
    Reading(
        ("install.md", "cli.md", "restart.md", "settings.md", "outside.md", "grow.md"),
        (tom, sample),
        needs=(SERVER_VALIDATION, REDIS_7_2),
    ),
    Reading(("scale.md",), (rat,), keys=2000),
)
OF_HELM: Final = "helm.md"  # test_helm.py types it, where nothing is installed yet
PAGES: Final = (*(page for reading in READINGS for page in reading.pages), OF_HELM)


@pytest.mark.parametrize(
    "reading", [pytest.param(each, marks=pytest.mark.needs(*each.needs), id=each.name) for each in READINGS]
)
async def test_pages_are_typed_as_they_stand_and_show_what_they_say(
    kube: Kube, client: Client, namespace: str, reading: Reading, tmp_path: Path
) -> None:
    async with Operator(kube, namespace):
        subjects = [await Subject.create(client, manifest(namespace)) for manifest in reading.instances]
        await asyncio.gather(*(subject.until_ready() for subject in subjects))
        made = [await fill(subject, reading.keys) for subject in subjects if reading.keys]
        async with Shell(kube, namespace, tmp_path) as shell:
            for page in reading.pages:
                for block in read_blocks(HOWTO / page):
                    if not block.not_run:
                        await shell.type(block)
        await asyncio.gather(*(subject.until_ready() for subject in subjects))
        for subject, keys in zip(subjects, made, strict=bool(reading.keys)):
            assert await holds_all(subject, keys)


class Shell:
    """One bash, as a reader has it open: in the checkout, with the programs and a kubeconfig. It ends with the first
    command that fails. The namespace of the pages is the test's own.
    """

    def __init__(self, kube: Kube, namespace: str, folder: Path, programs: Path = BIN) -> None:
        self._kube = kube
        self._programs = programs
        self._namespace = namespace
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Shell:
        config = self._folder / "kubeconfig"
        config.touch(mode=0o600)
        config.write_text(_in_namespace(self._kube.kubeconfig.read_text(), self._namespace))
        self._process = await asyncio.create_subprocess_exec(
            *("bash", "--noprofile", "--norc", "-euo", "pipefail"),
            cwd=ROOT,
            env={**os.environ, "PATH": f"{self._programs}:{BIN}:{os.environ['PATH']}", "KUBECONFIG": str(config)},
            preexec_fn=tied_to(os.getpid()),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def type(self, block: Block) -> None:
        """Until it shows what the page says: a reader would look again, too. Raises AssertionError."""
        output = ""

        async def is_shown() -> bool:
            nonlocal output
            output = await self._run(block)
            return block.is_shown_by(output)

        try:
            await eventually(is_shown, f"{block.place} shows {block.shows!r}", deadline_s=BLOCK_S, pause_s=0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}; it printed: {output!r}") from None

    async def _run(self, block: Block) -> str:
        """What it prints, errors too. Raises AssertionError where a command of it fails."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        typed, printed = self._folder / "typed.sh", self._folder / "printed"
        typed.write_text(NAMESPACE.sub(self._namespace, block.command))
        self._process.stdin.write(f"source '{typed}' </dev/null >'{printed}' 2>&1\necho typed\n".encode())
        await self._process.stdin.drain()
        async with asyncio.timeout(BLOCK_S):
            answer = await self._process.stdout.readline()
        assert answer == b"typed\n", f"{block.place} fails: {printed.read_text()}"
        return printed.read_text()


def _in_namespace(kubeconfig: str, namespace: str) -> str:
    """Raises KeyError, StopIteration where it has no present context."""
    config = yaml.safe_load(kubeconfig)
    context = next(each for each in config["contexts"] if each["name"] == config["current-context"])
    context["context"]["namespace"] = namespace
    text: str = yaml.safe_dump(config)
    return text
