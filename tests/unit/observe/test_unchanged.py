"""What a pass takes from the one before is what it would find itself, whatever was changed in between."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from tdredis.manifests.drift import DIGEST
from tdredis.planning.decide import assess, plan
from tdredis.planning.snapshot import Snapshot
from tests.unit.observe.test_gather import KEY
from tests.unit.observe.test_removed_labels import EDITS, OWNERS, PRIMARY, REPLICA, EditedWorld

pytestmark = pytest.mark.looptime
AUTH = f"{KEY.name}-auth"
SETS = (KEY.name, "sentinel-standby-tom")
Change = Callable[[EditedWorld], None]


def put_anew(world: EditedWorld) -> None:
    """As they were at first, but for a node and a revision."""
    world.put_auth(random.Random(world._version).choice(("vault", "another")))  # noqa: S311 a simulation
    world.put_pods(node=f"node-{world._version}")


def delete(kind: str, name: str) -> Change:
    def change(world: EditedWorld) -> None:
        if (kind, name) in world.api.objects:
            world.delete(kind, name)

    return change


def going(kind: str, name: str) -> Change:
    def change(world: EditedWorld) -> None:
        if (kind, name) in world.api.objects:
            world.edit(kind, name, lambda metadata: metadata.update(deletionTimestamp="2026-01-02T03:04:05Z"))

    return change


def edited(name: str, edit: Callable[[dict[str, Any]], None]) -> Change:
    def change(world: EditedWorld) -> None:
        if ("Pod", name) in world.api.objects:
            world.edit("Pod", name, edit)

    return change


def claim(world: EditedWorld) -> None:
    world.put(world.caches.children["PersistentVolumeClaim"], "PersistentVolumeClaim", f"redis-data-{PRIMARY}", spec={})


def edit_resource(world: EditedWorld) -> None:
    stored: Any = world.caches.custom["RedisStandby"].get(KEY.namespace, KEY.name)
    spec = {**stored.to_json()["spec"], "capacity": 256 + world._version}
    _put_resource(world, spec, stored.to_json().get("status", {}))


def lose_status(world: EditedWorld) -> None:
    stored: Any = world.caches.custom["RedisStandby"].get(KEY.namespace, KEY.name)
    _put_resource(world, stored.to_json()["spec"], {})


def _put_resource(world: EditedWorld, spec: object, status: object) -> None:
    world.put(world.caches.custom["RedisStandby"], "RedisStandby", KEY.name, spec=spec, status=status)


CHANGES: tuple[Change, ...] = (
    put_anew,
    claim,
    edit_resource,
    lose_status,
    *(delete("Pod", name) for name in (PRIMARY, REPLICA)),
    *(delete("StatefulSet", name) for name in SETS),
    delete("Secret", AUTH),
    delete("PersistentVolumeClaim", f"redis-data-{PRIMARY}"),
    *(going("Pod", name) for name in (PRIMARY, REPLICA)),
    going("StatefulSet", KEY.name),
    going("PersistentVolumeClaim", f"redis-data-{PRIMARY}"),
    *(edited(name, edit) for name in (PRIMARY, REPLICA) for edit in (*EDITS.values(), *OWNERS.values())),
)


def told(snapshot: Snapshot) -> tuple[object, ...]:
    """All that a plan goes by, and the plan."""
    children = {ref: live.json for ref, live in snapshot.children.items()}
    claims = {name: live.json for name, live in snapshot.claims.items()}
    found = (snapshot.kept_claims, snapshot.stray_claims, snapshot.leftovers, snapshot.leftover_pods)
    return children, claims, found, dict(snapshot.pods), snapshot.resource, plan(assess(snapshot))


@pytest.mark.parametrize("number", range(len(CHANGES)))
async def test_after_each_change_a_pass_finds_what_one_finds_that_remembers_nothing(number: int) -> None:
    world = EditedWorld()
    for _ in range(2):
        await world.gather()

    CHANGES[number](world)

    await is_as_if_made_anew(world)


@pytest.mark.parametrize("seed", range(12))
async def test_so_it_does_after_changes_on_top_of_changes(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 a simulation
    world = EditedWorld()
    claim(world)

    for _ in range(6):
        await is_as_if_made_anew(world)
        chance.choice(CHANGES)(world)
    await is_as_if_made_anew(world)


async def test_so_it_does_where_an_object_without_an_owner_is_ours_by_the_record_alone() -> None:
    world = EditedWorld()
    world.edit("Secret", AUTH, lambda metadata: metadata.update(ownerReferences=[], annotations={DIGEST: "0"}))
    await is_as_if_made_anew(world)

    lose_status(world)

    await is_as_if_made_anew(world)


async def is_as_if_made_anew(world: EditedWorld) -> None:
    for _ in range(2):  # what vanished is asked for beside the pass that misses it
        await world.gather()
        await world.lookups.settle()
    seen, _ = await world.gather()
    world.observer._memos.clear()
    anew, _ = await world.gather()
    assert told(seen) == told(anew)
    await world.gather()


async def test_where_nothing_has_changed_nothing_is_read_again() -> None:
    world = EditedWorld()
    first, _ = await world.gather()
    again, _ = await world.gather()

    assert again.children is first.children
    assert again.pods is first.pods


async def test_of_one_object_that_changed_the_others_are_not_read_again() -> None:
    world = EditedWorld()
    first, _ = await world.gather()
    await world.gather()

    world.put_auth("another")
    again, _ = await world.gather()

    assert {ref.name for ref, live in again.children.items() if first.children[ref] is not live} == {AUTH}
    assert all(again.pods[name] is pod for name, pod in first.pods.items())


async def test_a_version_of_an_object_that_was_replaced_is_held_no_longer() -> None:
    world = EditedWorld()
    await world.gather()
    world.put_auth("another")
    await world.gather()

    lives = world.observer._memos[KEY].once("lives", (), lambda: None)

    assert [found[1].json for found in _held(lives) if found[1].meta.uid == f"uid-{AUTH}"] == [
        world.api.objects["Secret", AUTH]
    ]


def _held(memo: Any) -> list[Any]:
    return [*memo._before.values(), *memo._now.values()]
