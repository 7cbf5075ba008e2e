"""What admission makes of a pod is no reason to recreate it: neither at once, nor for ever."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tdredis.manifests.asked import ASKED
from tdredis.manifests.made_of import MADE_OF
from tdredis.planning.steps import ReplacePod, ResizePod
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby
from tests.unit.planning.test_taken_over import accepted

World = SimulatedCluster | SimulatedStandby
KINDS = pytest.mark.parametrize("make", [SimulatedCluster, SimulatedStandby], ids=["cluster", "standby"])
IN_PLACE = pytest.mark.parametrize("in_place", [False, True], ids=["by-new-pods", "in-place"])
SPEC = {"replicas": 2, "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}}


def by_limit_range(pod: Any) -> None:
    """Source: kubernetes, plugin/pkg/admission/limitranger: what a container does not name is completed."""
    for part in ("requests", "limits"):
        found = pod["spec"]["containers"][0].setdefault("resources", {}).setdefault(part, {})
        for name, value in (("cpu", "1"), ("memory", "2Gi"), ("ephemeral-storage", "1Gi")):
            found.setdefault(name, value)


def by_vpa(pod: Any) -> None:
    """Source: kubernetes/autoscaler, vertical-pod-autoscaler: requests are what it recommends, limits in proportion."""
    resources = pod["spec"]["containers"][0].setdefault("resources", {})
    resources["requests"] = {"cpu": "123m", "memory": "1500Mi"}
    resources["limits"] = {"memory": "1500Mi"}


def by_mirror(pod: Any) -> None:
    for container in pod["spec"]["containers"]:
        if "image" in container:
            container["image"] = "mirror.example/cache/" + container["image"].replace("/", "-").replace(":", "-")


def by_sidecars(pod: Any) -> None:
    pod["spec"]["containers"].append({"name": "mesh", "image": "mesh:1"})
    pod["metadata"].setdefault("annotations", {})["mesh.example/injected"] = "true"
    pod["spec"]["tolerations"] = [{"key": "spot", "operator": "Exists"}]


def by_annotations_alone(pod: Any) -> None:
    """It keeps no annotation that it does not know."""
    annotations = pod["metadata"].get("annotations", {})
    for name in (MADE_OF, ASKED):
        annotations.pop(name, None)


def by_annotations_of_others(pod: Any) -> None:
    pod["metadata"].setdefault("annotations", {}).update({MADE_OF: '{"image": "other:1"}', ASKED: '{"requests": {}}'})


ADMISSIONS = pytest.mark.parametrize(
    "admission",
    [by_limit_range, by_vpa, by_mirror, by_sidecars, by_annotations_alone, by_annotations_of_others],
    ids=lambda each: each.__name__,
)


def formed(make: Callable[..., World], admission: Callable[[Any], None], *, in_place: bool) -> World:
    world = make(**SPEC)
    world.site = replace(world.site, pod_resize=in_place)
    world.admission = admission
    world.converge()
    return world


def passes(world: World, most: int = 200) -> list[str]:
    """Pods that are recreated until nothing is to be done."""
    gone = []
    for _ in range(most):
        made, done = world.run_pass()
        gone += [step.pod for step in made.steps if isinstance(step, ReplacePod)]
        if not done and made.verdict == "healthy" and accepted(world)[1] == "AsSpecified":
            return gone
    raise AssertionError(f"no end: {accepted(world)} {made.steps} {made.holds}")


def redis(world: World) -> list[str]:
    return sorted(name for name in world.pods if not name.startswith("sentinel-"))


@KINDS
@IN_PLACE
@ADMISSIONS
def test_a_pod_as_admission_left_it_is_as_specified(
    make: Callable[..., World], in_place: bool, admission: Callable[[Any], None]
) -> None:
    world = formed(make, admission, in_place=in_place)

    made, _ = world.run_pass()

    assert made.steps == ()
    assert accepted(world)[:2] == ("True", "AsSpecified")


@KINDS
@IN_PLACE
@ADMISSIONS
def test_nor_is_one_that_an_older_version_made_which_said_nothing(
    make: Callable[..., World], in_place: bool, admission: Callable[[Any], None]
) -> None:
    world = formed(make, admission, in_place=in_place)
    sets: list[Any] = [live for ref, live in world.children.items() if ref.kind == "StatefulSet"]
    for live in sets:
        live["spec"]["template"]["metadata"]["annotations"] = {}
        live["metadata"]["annotations"].pop("cache.tongdun.net/manifest")
    world.made_earlier(sets)

    assert passes(world) == []


@KINDS
@ADMISSIONS
def test_a_roll_reaches_every_pod_once_whatever_admission_makes_of_them(
    make: Callable[..., World], admission: Callable[[Any], None]
) -> None:
    world = formed(make, admission, in_place=False)
    world.resource["spec"] = {**world.resource["spec"], "image": "redis:7.2"}  # type: ignore[dict-item]

    assert sorted(passes(world)) == redis(world)


@KINDS
@ADMISSIONS
def test_and_so_does_an_edit_of_resources(make: Callable[..., World], admission: Callable[[Any], None]) -> None:
    world = formed(make, admission, in_place=False)
    resources = {"requests": {"cpu": "500m", "memory": "3Gi"}, "limits": {"memory": "3Gi"}}
    world.resource["spec"] = {**world.resource["spec"], "resources": resources}  # type: ignore[dict-item]

    assert sorted(passes(world)) == redis(world)


@KINDS
def test_what_a_webhook_makes_of_a_resize_too_is_asked_for_once(make: Callable[..., World]) -> None:
    world = formed(make, by_vpa, in_place=True)
    resources = {"requests": {"cpu": "600m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}
    world.resource["spec"] = {**world.resource["spec"], "resources": resources}  # type: ignore[dict-item]

    asked = []
    for _ in range(12):
        made, _ = world.run_pass()
        asked += [step.pod for step in made.steps if isinstance(step, ResizePod)]
        assert not [step for step in made.steps if isinstance(step, ReplacePod)]

    assert sorted(asked) == redis(world)
    assert accepted(world)[:2] == ("True", "AsSpecified")
    world.resource["spec"] = {**world.resource["spec"], "image": "redis:7.2"}  # type: ignore[dict-item]
    assert sorted(passes(world)) == redis(world)
