"""Objects that earlier versions of the operator made are taken over as they are: no pod is recreated for that.

`earlier/` has StatefulSets as earlier versions wrote them, one instance a file, with its resource. They are never made
anew: what an installed version wrote stays what has to be taken over.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tdredis.planning.earlier import asked_of
from tdredis.planning.snapshot import Ref
from tdredis.planning.steps import ReplacePod
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby

EARLIER = sorted((Path(__file__).parent / "earlier").glob("*.json"))
FILES = pytest.mark.parametrize("path", EARLIER, ids=lambda path: path.stem)
World = SimulatedCluster | SimulatedStandby


def taken_over(path: Path, **more: object) -> World:
    """An instance that works, with the objects of *path*."""
    found: Any = json.loads(path.read_text())
    spec = {**found["resource"]["spec"], **more}
    kind = "RedisStandby" if "sentinelimage" in spec else "RedisStandalone"
    world: World = SimulatedCluster(**spec) if "size" in spec else SimulatedStandby(kind, **spec)
    world.converge()
    for each in found["statefulsets"]:
        live: Any = world.children[Ref("StatefulSet", each["metadata"]["name"])]
        if more and "volumeClaimTemplates" in live["spec"]:
            each["spec"]["volumeClaimTemplates"] = live["spec"]["volumeClaimTemplates"]
    world.made_earlier(found["statefulsets"])
    return world


def accepted(world: World) -> tuple[str, str, str]:
    status: Any = world.resource["status"]
    found = next(each for each in status["conditions"] if each["type"] == "Accepted")
    return found["status"], found["reason"], found["message"]


@FILES
def test_no_pod_is_recreated_by_a_new_version_of_the_operator(path: Path) -> None:
    world = taken_over(path)
    before = {name: pod.uid for name, pod in world.pods.items()}

    world.converge()

    assert {name: pod.uid for name, pod in world.pods.items()} == before
    assert accepted(world)[:2] == ("True", "AsSpecified")


@FILES
def test_no_field_of_them_is_changed_that_cannot_be(path: Path) -> None:
    """Source: kubernetes, pkg/apis/apps/validation (ValidateStatefulSetUpdate)."""
    before: Any = {each["metadata"]["name"]: each["spec"] for each in json.loads(path.read_text())["statefulsets"]}
    world = taken_over(path)

    world.converge()

    for name, spec in before.items():
        now: Any = world.children[Ref("StatefulSet", name)]["spec"]
        for field in ("selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates"):
            assert now.get(field) == spec.get(field), (name, field)


@FILES
def test_an_edit_reaches_the_pods_that_an_earlier_version_made(path: Path) -> None:
    world = taken_over(path)
    spec: Any = world.resource["spec"]
    world.resource["spec"] = {**spec, "image": "redis:7.2"}
    gone: set[str] = set()

    for _ in range(200):
        made, _ = world.run_pass()
        gone |= {step.pod for step in made.steps if isinstance(step, ReplacePod)}
        if not made.steps and accepted(world)[1] != "Rolling":
            break

    redis = {name for name in world.pods if not name.startswith("sentinel-")}
    assert gone == redis
    assert accepted(world)[1] == "AsSpecified"


@FILES
def test_pods_that_admission_changed_stay_when_volumes_grow_too(path: Path) -> None:
    """Their StatefulSets are made anew, and what these remembered of the template before goes to the pods."""
    world = taken_over(path, storageclass="fast")
    for pod in world.pods.values():
        pod.images = {name: f"mirror/{image.replace(':', '-')}" for name, image in pod.images.items()}
        pod.resources = pod.given = {"requests": {"cpu": "3"}, "limits": {"cpu": "4"}}
    world.converge()
    before = {name: pod.uid for name, pod in world.pods.items()}

    world.resource["spec"] = {**world.resource["spec"], "storage": {"size": "128Gi"}}  # type: ignore[dict-item]
    world.converge()

    assert {name: pod.uid for name, pod in world.pods.items()} == before
    assert accepted(world)[:2] == ("True", "AsSpecified")
    assert not [name for name in before if not name.startswith("sentinel-") and not is_known(world, name)]


def is_known(world: World, pod: str) -> bool:
    """What it was asked to be: it says so, or what remembers it does."""
    snapshot = world.snapshot()
    return asked_of(snapshot, snapshot.pods[pod]) is not None
