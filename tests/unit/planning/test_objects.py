"""What keeping objects as they should be means for every kind: claims, labels, sizes, what is switched off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from tdredis.api.json_object import JSONObject
from tdredis.manifests.claims import UNTRACKED
from tdredis.manifests.redis_pods import container_resources
from tdredis.manifests.replication import build_replication_children
from tdredis.manifests.services import build_external_services
from tdredis.manifests.site import Site
from tdredis.planning.limits import memory_limit_follows, resize_pods
from tdredis.planning.live import Live
from tdredis.planning.objects import (
    keep,
    keep_claims,
    label_role,
    object_refusal,
    pod_monitors_are_served,
    ref_of,
    remove_unwanted_external,
)
from tdredis.planning.plan import Ruling
from tdredis.planning.snapshot import PodFacts, Ref, ReplicationSnapshot
from tdredis.planning.steps import Apply, ResizePod
from tdredis.redis.facts import NodeFacts, Replication, Unknown
from tests.kit.builders import PASSWORDS, standby

MIB = 2**20
RESIZABLE = Site(pod_resize=True)
RESIZE = ResizePod(pod="p", uid="u", container="redis", requests=(), limits=(), why="")
APPLY = Apply(ref=Ref("StatefulSet", "s"), manifest={}, why="")


def pod(name: str = "redis-standby-tom-0", **facts: Any) -> PodFacts:
    given = {f"given_{part}": facts.get(part, {}) for part in ("requests", "limits")}
    return PodFacts(name=name, uid=f"uid-{name}", created=0.0, running=True, **given, **facts)


def node(*, maxmemory_mib: int = 0, used_mib: int = 1) -> NodeFacts:
    return NodeFacts(
        version="7.0.15",
        uptime_s=1,
        loading=False,
        used_memory_bytes=used_mib * MIB,
        maxmemory_bytes=maxmemory_mib * MIB,
        keys=0,
        replication=Replication(role="master", offset_bytes=0),
    )


def snapshot(
    *pods: PodFacts,
    site: Site = RESIZABLE,
    children: Mapping[Ref, JSONObject] | None = None,
    claims: Mapping[str, JSONObject] | None = None,
    nodes: Mapping[str, NodeFacts | Unknown] | None = None,
    **spec: Any,
) -> ReplicationSnapshot:
    return ReplicationSnapshot(
        now=0.0,
        site=site,
        passwords=PASSWORDS,
        instance=standby(**spec),
        pods={each.name: each for each in pods},
        children={ref: Live.of(live) for ref, live in (children or {}).items()},
        claims={name: Live.of(live) for name, live in (claims or {}).items()},
        nodes=nodes or {},
    )


def resized(seen: ReplicationSnapshot) -> list[tuple[dict[str, str], dict[str, str]]]:
    return [(dict(step.requests), dict(step.limits)) for step in resize_pods(seen, *container_resources(seen.instance))]


def keep_all(seen: ReplicationSnapshot, wanted: Iterable[JSONObject]) -> Ruling:
    return keep(seen, "children", (), lambda: wanted)


# ---- what a former resource of the name left


def test_a_statefulset_is_made_when_no_pod_of_the_former_one_has_a_name_that_it_would_give() -> None:
    wanted = build_replication_children(standby(), Site(), PASSWORDS)
    left = replace(snapshot(), leftover_pods=("redis-standby-tom-1",))

    made = keep_all(left, wanted)

    assert [hold.guard for hold in made.holds] == ["leftover_pods_are_gone"]
    assert "redis-standby-tom-1" in made.holds[0].why
    kept_back = set(map(str, keep_all(snapshot(), wanted).steps)) - set(map(str, made.steps))
    assert kept_back == {"apply StatefulSet redis-standby-tom"}


# ---- volume claims


def claim(*owners: str, annotations: Mapping[str, str] = UNTRACKED) -> JSONObject:
    return {
        "metadata": {
            "name": "redis-data-redis-standby-tom-0",
            "uid": "u",
            "annotations": {**annotations},
            "ownerReferences": [{"uid": owner} for owner in owners],
        }
    }


@pytest.mark.parametrize(
    ("retain", "owners", "applied"),
    [(True, (), None), (False, ("uid-tom",), None), (True, ("uid-tom",), []), (False, (), ["uid-tom"])],
)
def test_a_claim_s_owner_follows_retain(retain: bool, owners: tuple[str, ...], applied: list[str] | None) -> None:
    name = "redis-data-redis-standby-tom-0"
    steps: Any = keep_claims(snapshot(claims={name: claim(*owners)}, storage={"retain": retain}))

    found = [[each["uid"] for each in step.manifest["metadata"]["ownerReferences"]] for step in steps]
    assert found == ([] if applied is None else [applied])
    assert [step.manifest["metadata"]["uid"] for step in steps] == ["u"] * len(steps)


@pytest.mark.parametrize(
    ("annotations", "applies"),
    [({}, True), (UNTRACKED, False), (dict.fromkeys(UNTRACKED, "a person's own"), False)],
)
def test_a_claim_from_before_is_told_that_no_tool_is_to_prune_it(annotations: Mapping[str, str], applies: bool) -> None:
    name = "redis-data-redis-standby-tom-0"

    steps: Any = keep_claims(snapshot(claims={name: claim(annotations=annotations)}))

    assert [step.manifest["metadata"]["annotations"] for step in steps] == ([UNTRACKED] if applies else [])


def test_claim_templates_of_a_statefulset_that_exists_stay_as_they_were_made() -> None:
    wanted: Any = build_replication_children(standby(storageclass="fast"), Site(), PASSWORDS)
    (made,) = (each for each in wanted if ref_of(each) == Ref("StatefulSet", "redis-standby-tom"))
    unlabelled = [{"metadata": {"name": "redis-data"}, "spec": made["spec"]["volumeClaimTemplates"][0]["spec"]}]
    old = {**made, "spec": {**made["spec"], "volumeClaimTemplates": unlabelled}}
    seen = snapshot(children={ref_of(made): old}, storageclass="fast")

    (step,) = keep_all(seen, [made]).steps
    applied: Any = step.manifest  # type: ignore[union-attr]

    assert applied["spec"]["volumeClaimTemplates"] == unlabelled
    again = snapshot(children={ref_of(made): applied}, storageclass="fast")
    assert keep_all(again, [made]).steps == ()


# ---- roles


def test_a_pod_is_labelled_once_and_no_other_of_its_name() -> None:
    seen = snapshot()

    step: Any = label_role(seen, pod(role="replica"), "primary")

    assert step.manifest["metadata"]["labels"] == {"cache.tongdun.net/role": "primary"}
    assert step.manifest["metadata"]["uid"] == "uid-redis-standby-tom-0"
    assert label_role(seen, pod(role="primary"), "primary") is None
    assert label_role(seen, pod(deleting=True), "primary") is None


# ---- resizing in place


def test_a_running_container_is_resized_to_what_a_new_one_would_get() -> None:
    seen = snapshot(
        pod(requests={"memory": "2253Mi", "cpu": "1"}, limits={"memory": "2253Mi"}),
        memoryOverheadPercent=25,
        resources={"requests": {"cpu": "2"}, "limits": {"cpu": "3"}},
    )

    assert resized(seen) == [({"cpu": "2", "memory": "2560Mi"}, {"cpu": "3", "memory": "2560Mi"})]


@pytest.mark.parametrize(
    ("has", "is_resized"),
    [
        ({"requests": {"memory": "2560Mi"}, "limits": {"memory": "2.5Gi"}}, False),
        ({"requests": {"memory": "1Gi"}, "limits": {"memory": "1Gi"}, "deleting": True}, False),
        ({"requests": {"memory": "1Gi"}, "limits": {"memory": "1Gi"}}, True),
        ({"requests": {"memory": "2560Mi", "cpu": "2"}, "limits": {"memory": "2560Mi", "cpu": "2"}}, False),
    ],
)
def test_only_what_differs_is_resized_and_nothing_is_taken_away_altogether(
    has: dict[str, Any], is_resized: bool
) -> None:
    assert bool(resized(snapshot(pod(**has), memoryOverheadPercent=25))) is is_resized
    assert not resized(snapshot(pod(**has), site=Site(), memoryOverheadPercent=25))


@pytest.mark.parametrize(
    ("answer", "is_resized"),
    [
        (None, False),
        (Unknown(since=0.0, error="silent"), False),
        (node(maxmemory_mib=4096), False),
        (node(maxmemory_mib=2048), True),
        (node(maxmemory_mib=2048, used_mib=3000), False),
    ],
)
def test_a_memory_limit_is_lowered_behind_maxmemory(answer: NodeFacts | Unknown | None, is_resized: bool) -> None:
    running = pod(requests={"memory": "5Gi"}, limits={"memory": "5Gi"})
    nodes = {running.name: answer} if answer else {}

    assert bool(resized(snapshot(running, nodes=nodes, memoryOverheadPercent=25))) is is_resized


def test_a_request_below_the_old_one_goes_down_with_its_limit() -> None:
    running = pod(requests={"memory": "5Gi"}, limits={"memory": "5Gi"})
    seen = snapshot(running, nodes={running.name: node(maxmemory_mib=2048)}, resources={"limits": {"memory": "3Gi"}})

    assert resized(seen) == [({"memory": "3Gi"}, {"memory": "3Gi"})]


@pytest.mark.parametrize(("monitor", "is_resized"), [("exporter:1", True), ("", False)])
def test_what_would_change_the_pod_s_class_waits_for_a_new_pod(monitor: str, is_resized: bool) -> None:
    nodes = {pod().name: node(maxmemory_mib=2048)}
    seen = snapshot(pod(), nodes=nodes, monitorimage=monitor, memoryOverheadPercent=25)

    assert bool(resized(seen)) is is_resized


@pytest.mark.parametrize(
    ("limits", "mib", "held"),
    [
        ({}, 4096, False),
        ({"memory": "2253Mi"}, 2048, False),
        ({"memory": "2252Mi"}, 2048, True),
        ({"memory": "1"}, 0, False),
    ],
)
def test_maxmemory_leaves_a_tenth_of_it_to_the_container(limits: dict[str, str], mib: int, held: bool) -> None:
    hold = memory_limit_follows(pod(limits=limits), mib * MIB)

    assert (hold is not None and hold.guard == "memory_limit_follows") is held


# ---- what is switched off


def test_a_pod_s_own_service_goes_when_nobody_from_outside_is_sent_to_it() -> None:
    outside: dict[str, Any] = {"netmode": "NodePort", "sentinel": {"external": True}}
    services = build_external_services(standby(**outside))
    seen = snapshot(children={ref_of(each): each for each in services})

    assert [step.ref.name for step in remove_unwanted_external(seen, ())] == sorted(ref_of(s).name for s in services)
    assert remove_unwanted_external(seen, services) == ()


def test_a_pod_monitor_that_nobody_would_read_is_held_with_what_to_do() -> None:
    assert [hold.guard for hold in pod_monitors_are_served(snapshot(podMonitor=True))] == ["pod_monitors_are_served"]
    assert pod_monitors_are_served(snapshot(podMonitor=True, site=Site(pod_monitors=True))) == ()
    assert pod_monitors_are_served(snapshot()) == ()


@pytest.mark.parametrize(
    ("step", "kind", "is_refused"),
    [
        (APPLY, "422 Invalid", True),
        (APPLY, "400 BadRequest", True),
        (APPLY, "403 Forbidden", False),
        (APPLY, "409 Conflict", False),
        (APPLY, "500 InternalError", False),
        (RESIZE, "422 Invalid", False),
        (None, "", False),
    ],
)
def test_an_object_that_kubernetes_does_not_take_is_a_refusal_of_spec(
    step: Apply | ResizePod | None, kind: str, is_refused: bool
) -> None:
    hold = object_refusal(step, kind, "apply StatefulSet s: 422 Invalid: no such operator")

    assert (hold is not None) is is_refused
    assert hold is None or (hold.about == "spec" and hold.why.startswith("apply StatefulSet s: 422 Invalid: no "))


def test_a_part_of_the_wrong_type_is_a_refusal_of_spec_though_the_server_calls_it_an_error_of_its_own() -> None:
    words = (
        "apply StatefulSet s: 500 InternalError: failed to create typed patch object (ns/s; apps/v1, Kind=StatefulSet):"
        " .spec.template.spec.affinity.nodeAffinity: expected map, got &{x}"
    )

    assert object_refusal(APPLY, "500 InternalError", words) is not None
    assert object_refusal(RESIZE, "500 InternalError", words) is None
