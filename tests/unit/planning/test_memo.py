"""What is taken as it was in the pass before is what would be made now, whatever was changed in between."""

from __future__ import annotations

import copy
import json
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tdredis.api.json_object import JSONObject
from tdredis.manifests.drift import stamp
from tdredis.planning.decide import assess, plan, report
from tdredis.planning.live import RESTARTED_AT, Live
from tdredis.planning.memo import Memo
from tdredis.planning.snapshot import Ref, Snapshot, Trouble
from tdredis.planning.steps import Apply
from tdredis.redis.slots import NO_SLOTS
from tests.unit.planning import test_edits
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.test_edits import EDITED, World, build

CLIENTS = {
    "RedisCluster": "redis-cluster-rat",
    "RedisStandby": "redis-standby-tom",
    "RedisStandalone": "redis-standby-tom",
}


class Look:
    """Snapshots of *world* as one operator sees them after each other: what nobody touched is the same object."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._memo = Memo()
        self._lives: dict[Ref, tuple[str, Live]] = {}

    def snapshot(self) -> Snapshot:
        self._memo.begin()
        seen = self._world.snapshot()
        return replace(
            seen, children={ref: self._same(ref, live) for ref, live in seen.children.items()}, memo=self._memo
        )

    def _same(self, ref: Ref, live: Live) -> Live:
        text = json.dumps(live.json, sort_keys=True)
        before = self._lives.get(ref)
        if before is None or before[0] != text:
            before = self._lives[ref] = text, live
        return before[1]


def outcome(snapshot: Snapshot) -> object:
    assessment = assess(snapshot)
    made = plan(assessment)
    return assessment.findings, assessment.pending, made, report(assessment, made)


# ---- what may happen between two passes


def delete(world: World, number: int) -> None:
    refs = sorted(world.children)
    world.children.pop(refs[number % len(refs)])


def collect_garbage(world: World) -> None:
    """Pods go with their StatefulSet."""
    sets = {ref.name for ref in world.children if ref.kind == "StatefulSet"}
    for name in [name for name in world.pods if name.rpartition("-")[0] not in sets]:
        del world.pods[name]


def drift(world: World, number: int) -> None:
    """Somebody edits an object; its resourceVersion is another."""
    live: Any = world.children[sorted(world.children)[number % len(world.children)]]
    live["metadata"]["labels"]["app.kubernetes.io/managed-by"] = f"somebody {number}"
    live["metadata"]["annotations"].pop("cache.tongdun.net/manifest", None)


def status(world: World, number: int) -> None:
    """A controller writes the status of a workload."""
    for ref, live in world.children.items():
        if ref.kind == "StatefulSet" and isinstance(live["status"], dict):
            live["status"]["readyReplicas"] = number


def revise(world: World, number: int) -> None:
    """A StatefulSet's controller has another revision of its template."""
    sets: list[Any] = [live for ref, live in sorted(world.children.items()) if ref.kind == "StatefulSet"]
    if sets:
        sets[number % len(sets)]["status"]["updateRevision"] = f"revision-{number}"


def restart(world: World, number: int) -> None:
    """kubectl rollout restart"""
    sets: list[Any] = [live for ref, live in sorted(world.children.items()) if ref.kind == "StatefulSet"]
    if sets:
        metadata = sets[number % len(sets)]["spec"]["template"]["metadata"]
        metadata.setdefault("annotations", {})[RESTARTED_AT] = f"2026-01-02T03:04:0{number}Z"


def other_pod(world: World, number: int) -> None:
    """A pod was made from another template."""
    if world.pods:
        pod = world.pods[sorted(world.pods)[number % len(world.pods)]]
        pod.revision = f"revision-{number}"


def site(world: World, number: int) -> None:
    world.site = replace(world.site, pod_resize=bool(number & 1), pull_secret=bool(number & 2), images={"redis:": "r/"})


def shrink(world: World, number: int) -> None:
    """A container has less room than it is to have."""
    if not world.pods:
        return
    pod = world.pods[sorted(world.pods)[number % len(world.pods)]]
    pod.given = pod.resources = {"requests": {}, "limits": {"memory": f"{number + 100}Mi"}}


def begin_again(world: World, number: int) -> None:
    """Its status is lost."""
    world.resource["status"] = {}


def hand_over(world: World, number: int) -> None:
    """Somebody else owns the slots of a shard."""
    if isinstance(world, SimulatedCluster):
        replicas = [node for node in world.nodes() if node.primary]
        heir = replicas[number % len(replicas)]
        owner = next(node for node in world.nodes() if node.id == heir.primary)
        heir.slots, heir.primary, owner.slots, owner.primary = owner.slots, None, NO_SLOTS, heir.id


ACTIONS: tuple[Any, ...] = (delete, drift, status, revise, restart, other_pod, site, shrink, begin_again, hand_over)


def _copied(pods: Any) -> Any:
    """With processes of their own."""
    found = {name: copy.copy(pod) for name, pod in pods.items()}
    for pod in found.values():
        pod.process = copy.copy(pod.process)
    return found


def changes(kind: str) -> Iterator[Callable[[World], None]]:
    for path in [path for each, path in EDITED if each == kind]:
        yield partial(test_edits.edit, path=path)
    for action in ACTIONS:
        for number in range(8):
            yield partial(action, number=number)


@pytest.mark.parametrize("kind", sorted(CLIENTS))
def test_after_each_change_a_pass_that_remembers_comes_to_what_one_does_that_does_not(kind: str) -> None:
    world = build(kind)
    resource, children, site = copy.deepcopy(world.resource), copy.deepcopy(world.children), world.site
    pods = _copied(world.pods)

    for change in changes(kind):
        world.resource, world.children, world.site = copy.deepcopy(resource), copy.deepcopy(children), site
        world.pods = _copied(pods)
        look = Look(world)
        outcome(look.snapshot())
        change(world)
        _is_as_if_made_anew(look.snapshot(), change)


@pytest.mark.parametrize("kind", sorted(CLIENTS))
@given(data=st.data())
@settings(max_examples=6, deadline=None)
def test_so_it_does_after_changes_on_top_of_changes(kind: str, data: st.DataObject) -> None:
    world = build(kind)
    look = Look(world)

    for _ in range(data.draw(st.integers(2, 6))):
        for change in data.draw(st.lists(st.sampled_from(list(changes(kind))), max_size=3)):
            change(world)
        for _ in range(2):
            _is_as_if_made_anew(look.snapshot())
        collect_garbage(world)
        world.run_pass()


@pytest.mark.parametrize("kind", sorted(CLIENTS))
def test_so_it_does_when_containers_have_the_room_that_templates_waited_for(kind: str) -> None:
    world = build(kind)
    world.site = replace(world.site, pod_resize=True)
    world.resource["spec"] |= {"memoryOverheadPercent": 20}  # type: ignore[operator]
    for pod in world.pods.values():
        pod.given = pod.resources = {"requests": {"memory": "150Mi"}, "limits": {"memory": "150Mi"}}
    world.converge()
    look = Look(world)
    world.resource["spec"] |= {"capacity": 768}  # type: ignore[operator]
    world.holds_resizes = Trouble(reason="Deferred", message="no room")
    for _ in range(3):
        _is_as_if_made_anew(look.snapshot())
        world.run_pass()

    for pod in world.pods.values():
        pod.given = pod.resources

    _is_as_if_made_anew(look.snapshot())
    assert any(isinstance(step, Apply) for step in plan(assess(look.snapshot())).steps)


@pytest.mark.parametrize("kind", sorted(CLIENTS))
def test_so_it_does_when_images_come_from_elsewhere_and_pods_do_not_say_what_they_are_of(kind: str) -> None:
    look = Look(build(kind))
    first = look.snapshot()
    images = {"redis": "mirror/other:1"}
    pods = {
        name: replace(pod, made_of={}, asked=None, images=images, revision="of-another-version")
        for name, pod in first.pods.items()
    }
    site = replace(first.site, images={first.resource.spec.image: "mirror/other:1"})

    lacking = []
    for each in (site, first.site):
        snapshot = replace(look.snapshot(), pods=pods, site=each)
        _is_as_if_made_anew(snapshot)
        lacking.append("image" in {change.field for change in assess(snapshot).pending})

    assert lacking == [False, True]


def _is_as_if_made_anew(snapshot: Snapshot, *about: object) -> None:
    assert outcome(snapshot) == outcome(replace(snapshot, memo=Memo())), about


@pytest.mark.parametrize("kind", sorted(CLIENTS))
def test_in_peace_nothing_is_built(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world = build(kind)
    look = Look(world)
    outcome(look.snapshot())
    built: list[object] = []

    def counted(manifest: JSONObject) -> JSONObject:
        built.append(manifest)
        return stamp(manifest)

    monkeypatch.setattr("tdredis.planning.objects.stamp", counted)

    assert not plan(assess(look.snapshot())).steps
    assert not built

    world.children.pop(Ref("ConfigMap", CLIENTS[kind]))
    assert plan(assess(look.snapshot())).steps
    assert built


# ---- the memo itself


def test_what_is_made_of_the_same_is_made_once_and_of_anything_else_anew() -> None:
    memo, numbers = Memo(), count(1)

    def once(*made_of: object) -> int:
        memo.begin()
        return memo.once("x", made_of, lambda: next(numbers))

    assert [once("a", 1), once("a", 1), once("a", 2), once("a", 1), once("a")] == [1, 1, 2, 3, 4]


def test_a_result_that_is_none_or_empty_is_one_too() -> None:
    memo, numbers = Memo(), count()

    for _ in range(3):
        memo.begin()
        assert memo.once("x", (), lambda: [] if next(numbers) == 0 else [1]) == []


def test_what_a_pass_does_not_ask_for_is_held_no_longer() -> None:
    class Secret: ...

    memo = Memo()
    gone: list[str] = []

    def use(secret: Secret) -> None:
        weakref.finalize(secret, gone.append, "gone")
        memo.begin()
        memo.once("x", (secret,), lambda: secret)

    use(Secret())
    memo.begin()
    assert not gone
    memo.begin()

    assert gone == ["gone"]
