"""Claims about owners: what they own goes with them, in the order and to the extent that was asked for."""

from __future__ import annotations

from typing import Any

from localkube.controllers.gc import GarbageCollector
from localkube.registry import Registry
from tests.localkube.controllers.conftest import World

Obj = dict[str, Any]
CRD = "customresourcedefinitions.apiextensions.k8s.io"


def owned_by(*owners: Obj, blocking: bool = False) -> Obj:
    return {
        "ownerReferences": [
            {
                "apiVersion": owner["apiVersion"],
                "kind": owner["kind"],
                "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"],
                **({"blockOwnerDeletion": True} if blocking else {}),
            }
            for owner in owners
        ]
    }


def define_things(world: World) -> None:
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
    names = {"kind": "Thing", "plural": "things"}
    spec = {"group": "x.io", "names": names, "scope": "Namespaced", "versions": [version]}
    world.registry.create(CRD, {"metadata": {"name": "things.x.io"}, "spec": spec})


async def test_what_is_owned_goes_after_its_owner_down_to_the_last_generation(world: World) -> None:
    world.start(GarbageCollector)
    top = world.create("configmaps", "top")
    middle = world.create("secrets", "middle", metadata=owned_by(top))
    world.create("configmaps", "bottom", metadata=owned_by(middle))

    world.registry.delete("configmaps", "default", "top")

    await world.until(lambda: not world.names("configmaps") and not world.names("secrets"))


async def test_owners_may_be_of_a_kind_defined_while_it_runs(world: World) -> None:
    world.start(GarbageCollector)
    define_things(world)
    thing = world.create("things.x.io", "t")
    world.create("configmaps", "c", metadata=owned_by(thing))

    world.registry.delete("things.x.io", "default", "t")

    await world.until(lambda: not world.names("configmaps"))


async def test_deleting_a_definition_takes_its_objects_and_what_they_own(world: World) -> None:
    world.start(GarbageCollector)
    define_things(world)
    thing = world.create("things.x.io", "t", metadata={"finalizers": ["x.io/hold"]})
    world.create("configmaps", "c", metadata=owned_by(thing))

    world.registry.delete(CRD, None, "things.x.io")
    release(world.registry, "things.x.io", "t")

    await world.until(lambda: not world.names("configmaps"))
    assert world.registry.find(CRD, None, "things.x.io") is None


async def test_an_owner_of_a_kind_nobody_knows_keeps_what_it_owns(world: World) -> None:
    world.start(GarbageCollector)
    stranger = {"apiVersion": "y.io/v1", "kind": "Unknown", "metadata": {"name": "u", "uid": "1"}}

    world.create("configmaps", "c", metadata=owned_by(stranger))
    await world.settled()

    assert world.names("configmaps") == ["c"]


async def test_an_object_with_one_owner_left_stays_and_forgets_the_other(world: World) -> None:
    world.start(GarbageCollector)
    one, two = world.create("configmaps", "one"), world.create("configmaps", "two")
    world.create("secrets", "s", metadata=owned_by(one, two))

    world.registry.delete("configmaps", "default", "one")
    await world.until(lambda: len(world.get("secrets", "s")["metadata"]["ownerReferences"]) == 1)

    assert world.get("secrets", "s")["metadata"]["ownerReferences"][0]["name"] == "two"


async def test_an_object_whose_owner_is_gone_already_goes_when_it_is_created(world: World) -> None:
    world.start(GarbageCollector)
    owner = world.create("configmaps", "owner")
    world.registry.delete("configmaps", "default", "owner")

    world.create("secrets", "late", metadata=owned_by(owner))

    await world.until(lambda: not world.names("secrets"))


async def test_a_namesake_of_the_owner_is_not_the_owner(world: World) -> None:
    world.start(GarbageCollector)
    former = world.create("configmaps", "owner")
    world.registry.delete("configmaps", "default", "owner")
    world.create("configmaps", "owner")

    world.create("secrets", "s", metadata=owned_by(former))

    await world.until(lambda: not world.names("secrets"))


async def test_what_was_stored_before_it_started_is_followed_too(world: World) -> None:
    owner = world.create("configmaps", "owner")
    world.create("secrets", "s", metadata=owned_by(owner))
    world.create("secrets", "orphaned", metadata=owned_by({**owner, "metadata": {"name": "x", "uid": "x"}}))

    world.start(GarbageCollector)
    await world.until(lambda: world.names("secrets") == ["s"])
    world.registry.delete("configmaps", "default", "owner")

    await world.until(lambda: not world.names("secrets"))


async def test_orphans_stay_and_forget_their_owner(world: World) -> None:
    world.start(GarbageCollector)
    owner = world.create("configmaps", "owner")
    world.create("secrets", "s", metadata=owned_by(owner))

    world.registry.delete("configmaps", "default", "owner", propagation="Orphan")
    await world.until(lambda: not world.names("configmaps"))

    assert "ownerReferences" not in world.get("secrets", "s")["metadata"]


async def test_in_the_foreground_the_owner_waits_for_those_that_block_it(world: World) -> None:
    world.start(GarbageCollector)
    owner = world.create("configmaps", "owner")
    held = {**owned_by(owner, blocking=True), "finalizers": ["x.io/hold"]}
    world.create("secrets", "s", metadata=held)

    world.registry.delete("configmaps", "default", "owner", propagation="Foreground")
    await world.until(lambda: "deletionTimestamp" in world.get("secrets", "s")["metadata"])
    await world.settled()
    assert world.names("configmaps") == ["owner"]
    release(world.registry, "secrets", "s")

    await world.until(lambda: not world.names("configmaps") and not world.names("secrets"))


async def test_in_the_foreground_the_owner_does_not_wait_for_those_that_do_not_block(world: World) -> None:
    world.start(GarbageCollector)
    owner = world.create("configmaps", "owner")
    world.create("secrets", "s", metadata={**owned_by(owner), "finalizers": ["x.io/hold"]})

    world.registry.delete("configmaps", "default", "owner", propagation="Foreground")

    await world.until(lambda: not world.names("configmaps"))
    assert world.names("secrets") == ["s"]


async def test_the_foreground_reaches_down_to_the_last_generation(world: World) -> None:
    world.start(GarbageCollector)
    top = world.create("configmaps", "top")
    middle = world.create("configmaps", "middle", metadata=owned_by(top, blocking=True))
    world.create("secrets", "bottom", metadata={**owned_by(middle, blocking=True), "finalizers": ["x.io/hold"]})

    world.registry.delete("configmaps", "default", "top", propagation="Foreground")
    await world.until(lambda: "deletionTimestamp" in world.get("secrets", "bottom")["metadata"])
    await world.settled()
    assert world.names("configmaps") == ["middle", "top"]
    release(world.registry, "secrets", "bottom")

    await world.until(lambda: not world.names("configmaps"))


async def test_a_pod_of_a_gone_owner_is_stopped_in_its_grace_period(world: World) -> None:
    world.start(GarbageCollector)
    owner = world.create("configmaps", "owner")
    world.pod("p", metadata=owned_by(owner), terminationGracePeriodSeconds=7)

    world.registry.delete("configmaps", "default", "owner")
    await world.until(lambda: "deletionTimestamp" in world.get("pods", "p")["metadata"])

    assert world.get("pods", "p")["metadata"]["deletionGracePeriodSeconds"] == 7


def release(registry: Registry, resource: str, name: str) -> None:
    obj = registry.get(resource, "default", name)
    registry.update(resource, {**obj, "metadata": {**obj["metadata"], "finalizers": []}})
