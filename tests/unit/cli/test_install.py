"""What `install generate` prints is what deploy/ has, with other names; a server takes all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tdredis.api.crd import build_crds
from tests.unit.cli.conftest import Shell

DEPLOY = Path(__file__).parents[3] / "deploy"


def of_deploy() -> list[Any]:
    return [
        each
        for name in ("operator.yaml", "operator-budget.yaml")
        for each in yaml.safe_load_all((DEPLOY / name).read_text())
    ]


async def generate(shell: Shell, *words: str) -> list[Any]:
    done = await shell.type("install", "generate", *words, server=False)
    assert done.code == 0, done.err
    return list(yaml.safe_load_all(done.out))


async def test_without_other_names_it_is_what_deploy_has(shell: Shell) -> None:
    found = await generate(shell, "--image", "td-redis-operator:0.1.0")

    assert found == [*build_crds(), *of_deploy()]


async def test_names_are_changed_wherever_they_stand(shell: Shell) -> None:
    found = await generate(
        shell, "--image", "mine:1", "-n", "elsewhere", "--replicas", "1", "--image-map", "a=b", "--without-crds"
    )

    assert {each["metadata"].get("namespace", "elsewhere") for each in found} == {"elsewhere"}
    assert {subject["namespace"] for each in found for subject in each.get("subjects", ())} == {"elsewhere"}
    (deployment,) = [each for each in found if each["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert (container["image"], container["args"][-2:]) == ("mine:1", ["--image-map", "a=b"])
    assert deployment["spec"]["replicas"] == 1
    assert [each["metadata"]["name"] for each in found if each["kind"] == "Namespace"] == ["elsewhere"]


async def test_the_definitions_can_be_had_alone(shell: Shell) -> None:
    assert await generate(shell, "--image", "x", "--crds-only") == build_crds()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--image", "x", "--crds-only", "--without-crds"), "leave nothing"),
        (("--image", "x", "--image-map", "oops"), "write FROM=TO"),
        ((), "--image"),
    ],
)
async def test_what_cannot_be_meant_is_said(shell: Shell, words: tuple[str, ...], says: str) -> None:
    done = await shell.type("install", "generate", *words, server=False)

    assert (done.code, done.out) == (2, "")
    assert says in done.err
