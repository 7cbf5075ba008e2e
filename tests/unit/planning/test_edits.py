"""What the page of edits says of each field is what a plan does: every field of every kind is edited while it works."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest

from tdredis.api.changes import ChangeClass, change_of, field_paths
from tdredis.planning.steps import Apply, FailOver, HandOver, MoveSlots, Remove, ReplacePod
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby

World = SimulatedCluster | SimulatedStandby
PASSES: Final = 8
# Of each field another value than that of the simulated instance. None: what the page says needs more than a value, and
# is held by tests of its own.
EDITS: Final[dict[str, Any]] = {
    "app": "another",
    "capacity": 768,
    "dc": "sh",
    "env": "production",
    "image": "redis:8.0",
    "monitorimage": "exporter:2",
    "netmode": "NodePort",
    "realname": "sa",
    "secret": None,
    "secretRef": None,
    "storageclass": "fast",
    "storage.size": None,
    "storage.retain": False,
    "vip": "192.0.2.9",
    "paused": True,
    "resources.requests": {"cpu": "1"},
    "resources.limits": {"memory": "1Gi"},
    "memoryOverheadPercent": 50,
    "imagePullSecrets": ["mirror"],
    "pod.security": "image",
    "pod.annotations": {"a": "b"},
    "pod.labels": {"a": "b"},
    "pod.affinity": {"nodeAffinity": {}},
    "pod.tolerations": [{"operator": "Exists"}],
    "pod.nodeSelector": {"disk": "ssd"},
    "pod.topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
    "pod.priorityClassName": "high",
    "pod.securityContext": {"fsGroup": 5},
    "pod.containers": [{"name": "x", "image": "x"}],
    "pod.volumes": [{"name": "x", "emptyDir": {}}],
    "config": {"timeout": 300},
    "exporter.resources": {"limits": {"memory": "300Mi"}},
    "service.annotations": {"a": "b"},
    "service.externalTrafficPolicy": None,  # these three only with a netmode of their own
    "service.loadBalancerClass": None,
    "service.loadBalancerSourceRanges": None,
    "outside.verify": "off",
    "rollout.primaries": "onRequest",
    "rollout.window": {"cron": "0 2 * * *", "minutes": 60},
    "rollout.maxUnavailableShards": 2,
    "rollout.surge": "whenPossible",
    "rollout.rollback": "off",
    "rollout.progressDeadlineSeconds": 60,
    "networkPolicy.enabled": True,
    "networkPolicy.allowFrom": [{"podSelector": {}}],
    "podMonitor": None,
    "size": 4,
    "scale.rebalance": "manual",
    "scale.pace": "fast",
    "replicas": 2,
    "proxyimage": "envoyproxy/envoy:v2",
    "proxysecret": None,
    "proxySecretRef": None,
    "proxy.enabled": False,
    "proxy.kind": "predixy",
    "proxy.replicas": 3,
    "sentinelimage": "redis:8.0",
    "writePolicy": "consistency",
    "sentinel.replicas": 5,
    "sentinel.masterName": "other",
    "sentinel.auth": True,
    "sentinel.external": True,
    "sentinel.downAfterMilliseconds": 6000,
    "sentinel.failoverTimeoutMilliseconds": 20000,
}
_OF_ALL_PODS = {path.removeprefix("pod."): value for path, value in EDITS.items() if path.startswith("pod.")}
for _who in ("proxy", "sentinel"):
    EDITS.update({f"{_who}.pod.{name}": value for name, value in _OF_ALL_PODS.items()})
    EDITS.update({f"{_who}.resources.requests": {"cpu": "1"}, f"{_who}.resources.limits": {"memory": "1Gi"}})

ROLLS: Final = {"nothing_else_is_to_be_done", "copies_are_whole", "surplus_is_whole", "copies_stay"}
EDITED: Final = [
    (kind, path)
    for kind in ("RedisCluster", "RedisStandby", "RedisStandalone")
    for path in field_paths(kind)
    if EDITS.get(path) is not None
]


def build(kind: str) -> World:
    world: World = SimulatedCluster() if kind == "RedisCluster" else SimulatedStandby(kind)
    world.converge()
    return world


def edit(world: World, path: str) -> None:
    at: Any = world.resource["spec"]
    *above, last = path.split(".")
    for name in above:
        at = at.setdefault(name, {})
    at[last] = EDITS[path]


@pytest.mark.parametrize("kind", ["RedisCluster", "RedisStandby", "RedisStandalone"])
def test_every_field_is_edited_here_or_named_as_one_that_is_not(kind: str) -> None:
    assert set(field_paths(kind)) <= set(EDITS)


@pytest.mark.parametrize(("kind", "path"), EDITED)
def test_an_edit_does_what_the_page_says(kind: str, path: str) -> None:
    world, change = build(kind), change_of(kind, path)
    before = {name: pod.uid for name, pod in world.pods.items()}
    guards = set(re.findall(r"Held\s+\(`(\w+)`\)", change.today))

    edit(world, path)
    plans = [world.run_pass()[0] for _ in range(PASSES)]

    steps = [step for plan in plans for step in plan.steps]
    held = {hold.guard for hold in plans[-1].holds}
    if change.class_ is not ChangeClass.ROLLED:
        assert not [step for step in steps if isinstance(step, ReplacePod | HandOver | FailOver)]
        assert before.items() <= {name: pod.uid for name, pod in world.pods.items()}.items()
        assert change.class_ is ChangeClass.MOVED or not plans[-1].steps
    if guards:
        assert guards <= held
        assert not [step for step in steps if isinstance(step, Apply) and step.ref.kind == "StatefulSet"]
    else:
        assert held <= ROLLS
    if change.class_ is ChangeClass.ROLLED:
        assert any(isinstance(step, Apply) for step in steps)
    if change.class_ is ChangeClass.MOVED:
        assert any(isinstance(step, MoveSlots) for step in steps)
    if path == "proxy.enabled":
        assert any(isinstance(step, Remove) for step in steps)
