"""Somebody removes our label, or our owner, from what is ours: nobody vanishes who lives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from tdredis.api.json_object import JSONObject
from tdredis.kube.client import Client
from tdredis.kube.errors import DeadlineExceeded, ServerUnavailable
from tdredis.planning.decide import assess, plan
from tdredis.planning.plan import Plan
from tdredis.planning.snapshot import Ref, ReplicationSnapshot
from tdredis.planning.steps import Apply, FailOver, Follow, Promote, RestoreLabels
from tdredis.redis.facts import NodeFacts, Unknown
from tests.unit.observe.test_gather import KEY, LABELS, World, now

pytestmark = pytest.mark.looptime
PRIMARY, REPLICA = f"{KEY.name}-0", f"{KEY.name}-1"
MANAGED_BY = "app.kubernetes.io/managed-by"
INSTANCE, KIND = "app.kubernetes.io/instance", "cache.tongdun.net/kind"
COMPONENT = "app.kubernetes.io/component"
Edit = Callable[[dict[str, Any]], None]


class ApiServer:
    """Has *objects*, by kind and name, whatever labels they have; hangs, or fails, when told to."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], JSONObject] = {}
        self.hangs = self.fails = False
        self.asked: list[tuple[str, str]] = []

    async def find(self, resource: Any, _namespace: str, name: str) -> JSONObject | None:
        return next(iter(await self._look(resource.kind, name)), None)

    async def list(self, resource: Any, _namespace: str, *, field_selector: str = "") -> Sequence[JSONObject]:
        if not field_selector.startswith("metadata.name="):
            return ()
        return await self._look(resource.kind, field_selector.removeprefix("metadata.name="))

    async def _look(self, kind: str, name: str) -> Sequence[JSONObject]:
        self.asked.append((kind, name))
        if self.hangs:
            await asyncio.sleep(10)  # virtual
            raise DeadlineExceeded(0, "DeadlineExceeded", "no answer in 10 s")
        if self.fails:
            raise ServerUnavailable(500, "InternalError", "etcd is leaderless")
        await asyncio.sleep(0.005)  # virtual
        found = self.objects.get((kind, name))
        return (found,) if found else ()


class EditedWorld(World):
    """A standby whose primary is recorded, and what a person does to its objects."""

    def __init__(self) -> None:
        self.api = ApiServer()
        super().__init__(secret="vault")
        for holder in (self.observer._unlisted, self.observer._secrets, self.observer._finder._strays):
            holder._client = cast("Client", self.api)
        status = {"shards": [{"name": KEY.name, "primary": PRIMARY, "replicasReady": 1, "replicasWanted": 1}]}
        spec = self._stored_spec()
        self.put(self.caches.custom["RedisStandby"], "RedisStandby", KEY.name, spec=spec, status=status)
        self.put_auth("vault")
        self.put_pods()
        owner, sets = f"uid-{KEY.name}", self.caches.children["StatefulSet"]
        labels = {**LABELS, INSTANCE: KEY.name, COMPONENT: "redis", "RESOURCE_ID": KEY.name, "ENV": "demo"}
        spec = {"replicas": 2, "template": {"metadata": {"labels": labels}}}
        self.put(sets, "StatefulSet", KEY.name, owner=owner, spec=spec, status={})
        self.put(sets, "StatefulSet", "sentinel-standby-tom", owner=owner, spec={"replicas": 0}, status={})

    def _stored_spec(self) -> Any:
        stored = self.caches.custom["RedisStandby"].get(KEY.namespace, KEY.name)
        assert stored is not None
        return stored.to_json()["spec"]

    def put(self, cache: Any, kind: str, name: str, *, owner: str = "", **parts: object) -> None:
        super().put(cache, kind, name, owner=owner, **parts)
        found = cache.get(KEY.namespace, name)
        if hasattr(found, "to_json"):
            self.api.objects[kind, name] = found.to_json()
        else:
            self.api.objects[kind, name] = {"metadata": _metadata(found), **cast("JSONObject", parts)}

    def edit(self, kind: str, name: str, edit: Edit) -> None:
        """As the watch tells of it: what does not match its selector any more is gone from it."""
        found: Any = self.api.objects[kind, name]
        metadata = {**found["metadata"], "labels": dict(found["metadata"]["labels"])}
        edit(metadata)
        self._version += 1
        metadata["resourceVersion"] = str(self._version)
        self.api.objects[kind, name] = found = {**found, "metadata": metadata}
        cache: Any = self.caches.pods if kind == "Pod" else self.caches.children[kind]
        if metadata["labels"].get(MANAGED_BY) == "td-redis-operator":
            cache.learn({"apiVersion": "v1", "kind": kind, **found})
        elif cache.get(KEY.namespace, name) is not None:
            cache._remove((KEY.namespace, name))

    def delete(self, kind: str, name: str) -> None:
        del self.api.objects[kind, name]
        cache: Any = self.caches.pods if kind == "Pod" else self.caches.children[kind]
        if cache.get(KEY.namespace, name) is not None:
            cache._remove((KEY.namespace, name))

    async def look(self) -> tuple[ReplicationSnapshot, Plan]:
        snapshot, took_s = await self.gather()
        assert took_s < 0.15, "the API server is waited for a moment only"
        assert isinstance(snapshot, ReplicationSnapshot)
        return snapshot, plan(assess(snapshot))


def another_primary(made: Plan) -> list[str]:
    """Steps that would make somebody else the primary."""
    return [
        str(step)
        for step in made.steps
        if isinstance(step, FailOver | Promote) or (isinstance(step, Follow) and step.process.pod == PRIMARY)
    ]


def _metadata(pod: Any) -> JSONObject:
    meta = pod.metadata
    owners = [
        {"kind": each.kind, "name": each.name, "uid": each.uid, "controller": each.controller}
        for each in meta.owner_references
    ]
    return {
        "name": meta.name,
        "namespace": meta.namespace,
        "uid": meta.uid,
        "resourceVersion": meta.resource_version,
        "labels": dict(meta.labels),
        "ownerReferences": owners,
    }


def without(*labels: str) -> Edit:
    def edit(metadata: dict[str, Any]) -> None:
        for label in labels:
            metadata["labels"].pop(label, None)

    return edit


def changed(label: str) -> Edit:
    return lambda metadata: metadata["labels"].update({label: "somebody-else"})


def without_owner(metadata: dict[str, Any]) -> None:
    metadata["ownerReferences"] = []


def with_owner_of(uid: str) -> Edit:
    def edit(metadata: dict[str, Any]) -> None:
        metadata["ownerReferences"] = [{"kind": "StatefulSet", "name": KEY.name, "uid": uid, "controller": True}]

    return edit


EDITS = {
    "managed-by": without(MANAGED_BY),
    "managed-by, changed": changed(MANAGED_BY),
    "instance": without(INSTANCE),
    "instance, changed": changed(INSTANCE),
    "kind": without(KIND),
    "component": without(COMPONENT),
    "component, changed": changed(COMPONENT),
    "all labels": without(MANAGED_BY, INSTANCE, KIND, COMPONENT),
}
OWNERS = {"owner": without_owner, "owner of a StatefulSet that was made again": with_owner_of("uid-before")}


@pytest.mark.parametrize("edit", [*EDITS.values(), *OWNERS.values()], ids=[*EDITS, *OWNERS])
async def test_a_pod_from_which_somebody_removed_a_label_or_its_owner_is_there_as_before(edit: Edit) -> None:
    world = EditedWorld()
    await world.look()

    world.edit("Pod", PRIMARY, edit)
    snapshot, made = await world.look()

    assert isinstance(snapshot.nodes[PRIMARY], NodeFacts)
    assert another_primary(made) == []


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
async def test_its_labels_are_put_back(edit: Edit) -> None:
    world = EditedWorld()
    await world.look()
    before, _ = await world.look()
    own = before.pods[PRIMARY].lost_labels  # that the test's pods never had
    assert {*own} == {"RESOURCE_ID", "ENV"}

    world.edit("Pod", PRIMARY, edit)
    snapshot, made = await world.look()

    (step,) = (step for step in made.steps if isinstance(step, RestoreLabels) and step.pod == PRIMARY)
    assert step.uid == snapshot.pods[PRIMARY].uid
    assert {*dict(step.labels)} > {*own}
    assert all(label in step.why for label in {*dict(step.labels)} - {*own})


async def test_an_operator_that_has_just_begun_sees_such_a_pod_as_well() -> None:
    world = EditedWorld()
    world.edit("Pod", PRIMARY, without(MANAGED_BY))

    snapshot, _ = await world.look()

    assert isinstance(snapshot.nodes[PRIMARY], NodeFacts)


async def test_a_pod_that_is_gone_is_gone_within_the_same_pass() -> None:
    world = EditedWorld()
    await world.look()

    world.delete("Pod", PRIMARY)
    snapshot, _ = await world.look()

    assert set(snapshot.pods) == set(snapshot.nodes) == {REPLICA}


async def test_a_pod_that_was_made_again_is_not_the_one_before() -> None:
    world = EditedWorld()
    await world.look()

    world.edit("Pod", PRIMARY, lambda metadata: metadata.update(uid="another", labels={}, ownerReferences=[]))
    snapshot, _ = await world.look()

    assert PRIMARY not in snapshot.pods


@pytest.mark.parametrize("trouble", ["hangs", "fails"])
async def test_while_nobody_knows_whether_a_pod_is_there_its_process_is_taken_for_silent(trouble: str) -> None:
    world = EditedWorld()
    await world.look()
    world.delete("Pod", PRIMARY)
    setattr(world.api, trouble, True)

    for _ in range(30):
        snapshot, made = await world.look()
        node = snapshot.nodes[PRIMARY]
        assert isinstance(node, Unknown)
        assert not node.refused
        assert another_primary(made) == []
        await asyncio.sleep(1)  # virtual
    world.api.hangs = world.api.fails = False
    await asyncio.sleep(12)  # virtual: what is under way ends
    await world.look()
    await world.lookups.settle()

    snapshot, _ = await world.look()
    assert PRIMARY not in snapshot.pods
    await world.lookups.close()


async def test_nor_does_an_operator_that_has_just_begun_take_it_for_gone() -> None:
    world = EditedWorld()
    world.delete("Pod", PRIMARY)
    world.api.fails = True

    snapshot, made = await world.look()

    assert isinstance(snapshot.nodes[PRIMARY], Unknown)
    assert another_primary(made) == []
    await world.lookups.close()


@pytest.mark.parametrize("edit", [*EDITS.values(), without_owner], ids=[*EDITS, "owner"])
@pytest.mark.parametrize("begins", [False, True], ids=["it was seen before", "the operator has just begun"])
async def test_a_statefulset_without_label_or_owner_keeps_its_pods_and_is_made_ours_again(
    edit: Edit, begins: bool
) -> None:
    world = EditedWorld()
    if not begins:
        await world.look()
    stamp: Edit = lambda metadata: metadata.update(annotations={"cache.tongdun.net/manifest": "0"})  # noqa: E731
    world.edit("StatefulSet", KEY.name, stamp)
    world.edit("StatefulSet", KEY.name, edit)

    snapshot, made = await world.look()

    assert set(snapshot.nodes) == {PRIMARY, REPLICA}
    assert all(isinstance(node, NodeFacts) for node in snapshot.nodes.values())
    assert another_primary(made) == []
    assert not snapshot.foreign
    (step,) = (step for step in made.steps if isinstance(step, Apply) and step.ref == Ref("StatefulSet", KEY.name))
    assert not step.is_new, "what is ours is not asked for again"


async def test_pods_of_a_statefulset_that_somebody_deleted_are_there_until_they_are_gone() -> None:
    world = EditedWorld()
    await world.look()

    world.delete("StatefulSet", KEY.name)
    snapshot, made = await world.look()

    assert set(snapshot.nodes) == {PRIMARY, REPLICA}
    assert another_primary(made) == []


@pytest.mark.parametrize("edit", [*EDITS.values()], ids=[*EDITS])
async def test_a_secret_without_our_label_has_the_password_as_before(edit: Edit) -> None:
    world = EditedWorld()
    world.put(world.caches.custom["RedisStandby"], "RedisStandby", KEY.name, **_another_password(world))
    world.edit("Secret", f"{KEY.name}-auth", edit)

    snapshot, _ = await world.look()

    assert snapshot.passwords.redis == "vault"
    assert not snapshot.secret_problems
    assert all(isinstance(node, NodeFacts) for node in snapshot.nodes.values())


def _another_password(world: EditedWorld) -> dict[str, Any]:
    stored = world.caches.custom["RedisStandby"].get(KEY.namespace, KEY.name)
    assert stored is not None
    found: Any = stored.to_json()
    return {"spec": {**found["spec"], "secret": "new"}, "status": found["status"]}


async def test_in_peace_nothing_is_asked_for_by_name() -> None:
    world = EditedWorld()

    for _ in range(5):
        await world.look()
        await asyncio.sleep(15)  # virtual

    assert [each for each in world.api.asked if each[0] in ("Pod", "StatefulSet", "Secret")] == []
    assert now() > 60


async def test_a_claim_without_our_label_is_there_as_before_and_is_labelled_again() -> None:
    world = EditedWorld()
    claims, sets = world.caches.children["PersistentVolumeClaim"], world.caches.children["StatefulSet"]
    claim = f"redis-data-{REPLICA}"
    spec = {"replicas": 2, "template": {}, "volumeClaimTemplates": [{"metadata": {"name": "redis-data"}}]}
    world.put(sets, "StatefulSet", KEY.name, owner=f"uid-{KEY.name}", spec=spec, status={})
    world.put(claims, "PersistentVolumeClaim", claim)
    world.edit("PersistentVolumeClaim", claim, without(MANAGED_BY))

    snapshot, made = await world.look()

    assert claim in snapshot.claims
    (step,) = (step for step in made.steps if isinstance(step, Apply) and step.ref.name == claim)
    assert step.why == "somebody removed or changed the labels by which this claim is found"


async def test_a_statefulset_of_ours_without_our_label_is_not_taken_for_somebody_else_s_while_it_all_begins() -> None:
    world = EditedWorld()
    stored = _another_password(world)
    world.put(world.caches.custom["RedisStandby"], "RedisStandby", KEY.name, spec=stored["spec"])
    world.edit("StatefulSet", KEY.name, without(MANAGED_BY))

    await world.look()
    await world.lookups.settle()
    snapshot, made = await world.look()

    assert not snapshot.foreign
    assert Ref("StatefulSet", KEY.name) in {step.ref for step in made.steps if isinstance(step, Apply)}
