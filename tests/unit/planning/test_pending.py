"""What of spec is not effective yet is told field by field: old, new, and how many pods have it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from tdredis.api.changes import ChangeClass, change_of, field_paths
from tdredis.api.instance import Condition, InstanceStatus
from tdredis.api.kinds import KINDS
from tdredis.controllers.explain import render
from tdredis.manifests.made_of import SEEN_IN_PODS, fields_of
from tdredis.planning.change import Change, UnderWay
from tdredis.planning.decide import Judged, assess, plan, report
from tdredis.planning.snapshot import Key, PodFacts, Ref, Snapshot
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby
from tests.unit.planning.test_cluster_day_two import change, healthy
from tests.unit.planning.test_standby_plans import healthy as healthy_standby
from tests.unit.planning.test_standby_plans import spec_of

REPLICA = "redis-cluster-rat-0-1"


def judged(world: SimulatedCluster | SimulatedStandby) -> Judged:
    """After the objects have followed spec."""
    for _ in range(4):
        world.run_pass()
    return assess(world.snapshot())


def status_of(snapshot: Snapshot) -> InstanceStatus:
    assessment = assess(snapshot)
    return report(assessment, plan(assessment))


def accepted(snapshot: Snapshot) -> Condition:
    return next(each for each in status_of(snapshot).conditions if each.type == "Accepted")


def only(found: Judged) -> Change:
    (change_,) = found.pending
    return change_


def test_of_an_instance_that_has_all_that_spec_says_nothing_is_pending() -> None:
    assert judged(healthy()).pending == ()
    assert accepted(healthy().snapshot()).message == "spec is fully applied"


def test_an_image_that_no_pod_runs_yet_is_not_called_applied() -> None:
    world = healthy()
    change(world, image="redis:7.2")

    found = only(judged(world))

    assert (found.field, found.old, found.new, found.class_) == ("image", "redis:7.0", "redis:7.2", ChangeClass.ROLLED)
    assert isinstance(found.state, UnderWay)
    assert (found.state.done, found.state.of) == (0, 6)
    told = accepted(world.snapshot())
    assert (told.status, told.reason) == ("True", "Rolling")
    assert told.message.startswith("image redis:7.0 -> redis:7.2: 0 of 6 pods have it; ")
    assert "redis-cluster-rat-0" in told.message


def test_while_one_more_pod_has_no_room_it_is_not_accepted_and_the_reason_is_told_once() -> None:
    world = healthy()
    world.unschedulable.add("redis-cluster-rat-0-2")
    change(world, image="redis:7.2")
    judged(world)

    told = accepted(world.snapshot())

    assert (told.status, told.reason) == ("False", "copies_stay")
    assert told.message.startswith("image redis:7.0 -> redis:7.2: 0 of 6 pods have it; redis-cluster-rat-0-2, which is")
    assert told.message.count("0/3 nodes are available") == 1


def test_pods_that_were_made_since_are_counted() -> None:
    world = healthy()
    world.forbidden.add("redis-cluster-rat-0-2")
    change(world, image="redis:7.2")
    judged(world)
    world.lose(REPLICA)
    world.converge()

    assert accepted(world.snapshot()).message.startswith("image redis:7.0 -> redis:7.2: 1 of 6 pods have it")


def test_when_spec_is_edited_back_nothing_is_pending_any_more() -> None:
    world = healthy()
    change(world, image="redis:7.0.15")
    judged(world)
    change(world, image="redis:7.0")

    assert judged(world).pending == ()


@pytest.mark.parametrize(
    ("edit", "field"),
    [
        ({"monitorimage": "oliver006/redis_exporter:v1.60"}, "monitorimage"),
        ({"pod": {"nodeSelector": {"disk": "ssd"}}}, "pod.nodeSelector"),
        ({"pod": {"labels": {"team": "a"}}}, "pod.labels"),
        ({"env": "staging"}, "env"),
        ({"dc": "sh"}, "dc"),
        ({"imagePullSecrets": []}, "imagePullSecrets"),
        ({"resources": {"limits": {"memory": "1Gi"}}}, "resources"),
        ({"memoryOverheadPercent": 50}, "resources"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_edit_that_needs_new_pods_is_pending_until_they_are_made(edit: dict[str, object], field: str) -> None:
    world = healthy()
    change(world, **edit)

    assert [each.field for each in judged(world).pending] == [field]
    assert accepted(world.snapshot()).reason == "Rolling"
    for _ in range(200):
        if not assess(world.snapshot()).pending:
            break
        world.run_pass()
    assert judged(world).pending == ()


def test_of_a_pod_that_does_not_say_what_it_was_made_of_the_image_tells() -> None:
    world = healthy()
    change(world, image="redis:7.2")
    judged(world)
    snapshot = world.snapshot()
    untold = {name: replace(pod, made_of={}) for name, pod in snapshot.pods.items()}

    assert accepted(replace(snapshot, pods=untold)).message.startswith("image redis:7.0 -> redis:7.2: 0 of 6 pods")


def test_another_template_of_the_operator_s_own_is_told_and_is_nobody_s_unfinished_edit() -> None:
    world = healthy()
    snapshot = world.snapshot()
    older = {name: replace(pod, revision="of-another-version") for name, pod in snapshot.pods.items()}

    told = accepted(replace(snapshot, pods=older))

    assert told.status == "True"
    assert told.message.startswith("spec is fully applied; operatorTemplate: 0 of 6 pods have it")


def test_what_moves_between_shards_names_the_field_and_both_values() -> None:
    world = healthy()
    change(world, size=4)

    found = only(judged(world))

    assert (found.field, found.old, found.new, found.class_) == ("size", "3", "4", ChangeClass.MOVED)
    assert accepted(world.snapshot()).message.startswith("size 3 -> 4: 3 of 4 shards own slots; slots move when all")


def test_a_password_that_is_not_changed_is_named_and_not_shown() -> None:
    world = healthy_standby()
    spec_of(world, secret="another-one")
    snapshot = world.snapshot()
    desired = replace(snapshot.passwords, redis="another-one")

    told = accepted(replace(snapshot, desired_passwords=desired, passwords=replace(desired, redis="vault")))

    assert told.message.startswith("secret: the password of a running instance is not changed")
    assert "another-one" not in told.message


def test_a_sentinel_image_is_pending_on_sentinels_alone() -> None:
    world = healthy_standby()
    spec_of(world, sentinelimage="redis:7.2")

    found = only(judged(world))

    assert (found.field, found.new) == ("sentinelimage", "redis:7.2")
    assert isinstance(found.state, UnderWay)
    assert found.state.of == 3


def test_explain_lists_what_is_pending() -> None:
    world = healthy()
    change(world, image="redis:7.2")

    text = render(Key("RedisCluster", "redis", "rat"), judged(world))

    assert "pending:\n  image redis:7.0 -> redis:7.2: 0 of 6 pods have it" in text


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_that_needs_new_pods_is_looked_at(kind: str) -> None:
    looked_at = {*fields_of(kind, "redis"), *fields_of(kind, "sentinel"), *SEEN_IN_PODS}
    rolled = {path for path in field_paths(kind) if change_of(kind, path).class_ is ChangeClass.ROLLED}

    # A proxy's Deployment recreates its pods by itself.
    assert {path for path in rolled - looked_at if not path.startswith(("proxyimage", "proxy."))} == set()


def rolling_proxies(*images: str, done: int, spec: str = "envoyproxy/envoy:v1.41") -> Judged:
    """*done* of two pods of the proxy are of the Deployment's present template."""
    world = healthy()
    change(world, proxyimage=spec)
    for _ in range(4):
        world.run_pass()
    live = world.children[Ref("Deployment", "predixy-redis-cluster-rat")]
    metadata: Any = live["metadata"]
    metadata["generation"] = 2
    live["spec"] = {**cast("dict[str, Any]", live["spec"]), "replicas": 2}
    live["status"] = {"availableReplicas": 2, "observedGeneration": 2, "updatedReplicas": done}
    world.proxies = tuple(
        PodFacts(name=f"predixy-{number}", uid=f"p-{number}", created=0.0, running=True, images={"proxy": image})
        for number, image in enumerate(images)
    )
    return assess(world.snapshot())


def test_a_proxy_s_new_image_is_pending_until_all_of_its_pods_have_it() -> None:
    old, new = "envoyproxy/envoy:v1.40", "envoyproxy/envoy:v1.41"

    found = only(rolling_proxies(old, new, done=1))

    assert found.sentence == (
        f"proxyimage {old} -> {new}: 1 of 2 proxy pods have it; its Deployment replaces the others, one by one"
    )
    assert rolling_proxies(new, new, done=2).pending == ()


def test_so_is_what_else_a_proxy_is_made_from_without_values() -> None:
    image = "envoyproxy/envoy:v1.41"

    assert only(rolling_proxies(image, image, done=0)).sentence.startswith("proxy: 0 of 2 proxy pods have it; ")


def test_how_long_pods_still_take_is_said_once_two_were_recreated() -> None:
    world = healthy()
    change(world, image="redis:7.2")
    for _ in range(4):
        world.run_pass()
    snapshot = world.snapshot()
    made = {name: pod.made_of for name, pod in snapshot.pods.items()}
    ages_s = {"redis-cluster-rat-0-1": 70, "redis-cluster-rat-1-1": 10}
    pods = {
        name: replace(
            pod,
            created=snapshot.now - ages_s.get(name, 5000),
            made_of={**made[name], "image": "redis:7.2"} if name in ages_s else made[name],
            revision="new" if name in ages_s else pod.revision,
        )
        for name, pod in snapshot.pods.items()
    }

    (found,) = (each for each in assess(replace(snapshot, pods=pods)).pending if each.field == "image")

    assert isinstance(found.state, UnderWay)
    assert (found.state.done, found.state.of, found.state.left_s) == (2, 6, 240.0)
    assert found.sentence.endswith("; about 4 min left at the pace so far")
