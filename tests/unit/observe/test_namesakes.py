"""Which of two resources that want one name has it."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from tdredis.api.instance import Instance
from tdredis.api.kinds import KINDS, parse
from tdredis.api.metadata import ObjectMeta
from tdredis.kube.objects import parse_child, parse_custom
from tdredis.kube.resources import REDISCLUSTERS, REDISSTANDALONES, REDISSTANDBIES, SERVICES
from tdredis.observe.namesakes import Namesakes
from tdredis.planning.snapshot import Collision, Key, Ref
from tests.unit.planning.simulated_cluster import SPEC as CLUSTER
from tests.unit.planning.simulated_standby import SPEC as STANDBY

RESOURCES = {each.kind: each for each in (REDISCLUSTERS, REDISSTANDBIES, REDISSTANDALONES)}
SENTINELS = Ref("Service", "sentinel-standby-tom")


@dataclass
class Cached:
    """As a cache is asked."""

    items: list[Any] = field(default_factory=list)

    def by_index(self, namespace: str) -> tuple[Any, ...]:
        return tuple(each for each in self.items if each.metadata.namespace == namespace)

    def get(self, namespace: str, name: str) -> Any:
        return next((each for each in self.by_index(namespace) if each.metadata.name == name), None)


class World:
    def __init__(self) -> None:
        custom = {kind: Cached() for kind in RESOURCES}
        children = {kind: Cached() for kind in ("Service", "StatefulSet", "ConfigMap", "Secret", "Deployment")}
        self.caches = cast("Any", SimpleNamespace(custom=custom, children=children))
        self.namesakes = Namesakes(self.caches)

    def add(self, kind: str, name: str, at: str, spec: dict[str, Any], namespace: str = "redis") -> Instance:
        meta = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "generation": 1, "creationTimestamp": at}
        text = msgspec.json.encode({"metadata": meta, "spec": spec})
        self.caches.custom[kind].items.append(parse_custom(RESOURCES[kind])(text))
        return parse(KINDS[kind], text)

    def made_by(self, owner: Instance, ref: Ref) -> None:
        reference = {"kind": owner.KIND, "name": owner.name, "uid": owner.metadata.uid, "controller": True}
        meta = {"name": ref.name, "namespace": owner.namespace, "ownerReferences": [reference]}
        self.caches.children[ref.kind].items.append(parse_child(SERVICES)(msgspec.json.encode({"metadata": meta})))

    def collisions(self, instance: Instance) -> tuple[Collision, ...]:
        return self.namesakes.collisions(Key(instance.KIND, instance.namespace, instance.name), instance)


def test_of_two_standbys_of_one_app_the_second_leaves_the_name_to_the_first() -> None:
    world = World()
    first = world.add("RedisStandby", "redis-b", "2026-01-01T00:00:00Z", dict(STANDBY))
    second = world.add("RedisStandby", "redis-a", "2026-01-02T00:00:00Z", dict(STANDBY))

    assert world.collisions(first) == ()
    found = world.collisions(second)
    assert {each.owner for each in found} == {Key("RedisStandby", "redis", "redis-b")}
    assert SENTINELS in {each.ref for each in found}


def test_who_made_the_object_has_the_name_whoever_was_there_first() -> None:
    world = World()
    older = world.add("RedisStandby", "redis-b", "2026-01-01T00:00:00Z", dict(STANDBY))
    younger = world.add("RedisStandby", "redis-a", "2026-01-02T00:00:00Z", dict(STANDBY))
    for ref in {each.ref for each in world.collisions(younger)}:
        world.made_by(younger, ref)

    assert world.collisions(younger) == ()
    assert SENTINELS in {each.ref for each in world.collisions(older)}


def test_kinds_collide_too_and_other_namespaces_do_not() -> None:
    world = World()
    world.add("RedisStandby", "rat", "2026-01-01T00:00:00Z", dict(STANDBY))
    same = world.add("RedisCluster", "rat", "2026-01-02T00:00:00Z", dict(CLUSTER))
    apart = world.add("RedisCluster", "rat", "2026-01-02T00:00:00Z", dict(CLUSTER), namespace="elsewhere")

    assert Ref("Service", "rat") in {each.ref for each in world.collisions(same)}
    assert world.collisions(apart) == ()


def test_an_edited_spec_is_read_anew_and_one_that_cannot_be_read_takes_nothing() -> None:
    world = World()
    world.add("RedisStandby", "redis-b", "2026-01-01T00:00:00Z", dict(STANDBY))
    second = world.add("RedisStandby", "redis-a", "2026-01-02T00:00:00Z", dict(STANDBY))
    assert world.collisions(second)

    for generation, spec in ((2, {**STANDBY, "app": "another"}), (3, {"app": 1})):
        meta = {"name": "redis-b", "namespace": "redis", "uid": "uid-redis-b", "generation": generation}
        text = msgspec.json.encode({"metadata": meta, "spec": spec})
        world.caches.custom["RedisStandby"].items[0] = parse_custom(REDISSTANDBIES)(text)
        assert world.collisions(second) == ()


@pytest.mark.parametrize("kind", sorted(RESOURCES))
def test_nobody_collides_with_itself(kind: str) -> None:
    world = World()
    spec = dict(CLUSTER if kind == "RedisCluster" else STANDBY)
    alone = world.add(kind, "redis-a", "2026-01-01T00:00:00Z", spec)

    assert alone.metadata == ObjectMeta(
        name="redis-a", namespace="redis", uid="uid-redis-a", generation=1, creation_timestamp="2026-01-01T00:00:00Z"
    )
    assert world.collisions(alone) == ()
