"""Proxies that do not come up from an edit are made as before after a time; what it says of Redis stays carried out."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from tdredis.manifests.names import PROXY_CONTAINER
from tdredis.planning.plan import Plan
from tdredis.planning.snapshot import PodFacts, Ref, Trouble
from tests.unit.planning.passes import edit as write
from tests.unit.planning.simulated_cluster import SimulatedCluster

NAME = "predixy-redis-cluster-rat"
BAD, OTHER, GOOD = "envoy:0.99", "envoy:0.98", "envoy:1.41"
LIMIT_S = 30
PULL = Trouble(reason="ImagePullBackOff", message="no such image")


class World(SimulatedCluster):
    """With what makes a Deployment's pods: one more first, then one of the old goes. *breaks*: by a word of the
    template what is wrong with a pod that is made from it. *quota*: why none is made. *is_late*: who watches pods hears
    of nothing as yet, and of the Deployment's status at once; *unseen* are those that were made meanwhile.
    """

    def __init__(self, **spec: object) -> None:
        super().__init__(rollout={"progressDeadlineSeconds": LIMIT_S}, **spec)
        self.quota = ""
        self.is_late = self.old_are_gone = False
        self.unseen: tuple[PodFacts, ...] = ()

    @property
    def template(self) -> str:
        live: Any = self.children[Ref("Deployment", NAME)]
        return json.dumps(live["spec"]["template"], sort_keys=True)

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.template.encode()).hexdigest()[:10]

    def run_pass(self, *, interrupt_after: int | None = None) -> tuple[Plan, int]:
        made = super().run_pass(interrupt_after=interrupt_after)
        if Ref("Deployment", NAME) in self.children:
            self._deploy()
        return made

    def _deploy(self) -> None:
        live: Any = self.children[Ref("Deployment", NAME)]
        wanted = live["spec"]["replicas"]
        if not self.is_late:
            self.proxies, self.unseen = (*self.proxies, *self.unseen), ()
        new = [pod for pod in (*self.proxies, *self.unseen) if pod.revision == self.hash]
        old = [pod for pod in self.proxies if pod.revision != self.hash and pod.ready]
        if len(new) < wanted and len(new) + len(old) <= wanted and not self.quota:
            new.append(self._new_proxy())
        ready = [pod for pod in new if pod.ready]
        old = [] if self.old_are_gone else old[: max(0, wanted - len(ready))]
        if self.is_late:
            self.unseen = tuple(new)
        else:
            self.proxies = (*old, *new)
        live["status"] = {
            "observedGeneration": live["metadata"]["generation"],
            "replicas": len(old) + len(new),
            "updatedReplicas": len(new),
            "availableReplicas": len(old) + len(ready),
        }

    def _new_proxy(self) -> PodFacts:
        number = self.next_number()
        trouble = self._trouble_with(self.template, self.breaks)
        image = json.loads(self.template)["spec"]["containers"][0]["image"]
        return PodFacts(
            name=f"{NAME}-{self.hash}-{number}",
            uid=f"uid-{number}",
            created=self.now,
            ready=trouble is None,
            running=trouble is None,
            revision=self.hash,
            images={PROXY_CONTAINER: image},
            trouble=trouble,
            main_trouble=trouble,
        )

    def creation_failures(self) -> dict[str, str]:
        missing = {NAME: self.quota} if self.quota and len(self.proxies) <= self.cluster.spec.proxy.replicas else {}
        return super().creation_failures() | missing


def healthy(**spec: object) -> World:
    world = World(**spec)
    world.converge()
    for _ in range(4):
        world.run_pass()
    assert world.cluster.status.proxy_rollout is not None
    assert "proxyimage" in world.cluster.status.proxy_rollout.last_good
    return world


def edit(world: World, **spec: object) -> None:
    metadata: Any = world.resource["metadata"]
    metadata["generation"] += 1
    write(world, **spec)


def passes(world: World, count: int = 8) -> list[Plan]:
    made = []
    for _ in range(count):
        made.append(world.run_pass()[0])
        assert sum(pod.ready for pod in world.proxies) >= world.cluster.spec.proxy.replicas, "clients find proxies"
    return made


def condition(world: World, kind: str) -> Any:
    status: Any = world.resource["status"]
    return next((each for each in status["conditions"] if each["type"] == kind), None)


def image(world: World) -> str:
    found: str = json.loads(world.template)["spec"]["containers"][0]["image"]
    return found


EDITS = pytest.mark.parametrize(
    ("spec", "word"),
    [
        ({"proxyimage": BAD}, BAD),
        ({"proxy": {"resources": {"requests": {"cpu": "999"}}}}, "999"),
        ({"proxy": {"pod": {"nodeSelector": {"disk": "none"}}}}, "none"),
    ],
    ids=["image", "resources", "pod"],
)


@EDITS
def test_proxies_that_do_not_come_up_are_made_as_before(spec: dict[str, Any], word: str) -> None:
    world = healthy()
    before = world.hash
    world.breaks = {word: PULL}
    edit(world, **spec)
    passes(world)
    assert world.hash != before
    assert condition(world, "RolledBack") is None, "it has its time"
    world.now += LIMIT_S

    plans = passes(world)

    assert world.hash == before
    assert all(pod.ready for pod in world.proxies)
    back, accepted = condition(world, "RolledBack"), condition(world, "Accepted")
    assert (back["status"], back["reason"], accepted["reason"]) == (
        "True",
        "new_proxies_come_up",
        "new_proxies_come_up",
    )
    assert "generation 2 is not carried out by the proxies" in back["message"]
    assert PULL.message in back["message"]
    assert plans[-1].verdict == "healthy"
    assert not plans[-1].steps
    world.now += 100 * LIMIT_S
    assert not any(made.steps for made in passes(world)), "it is not tried again"


@EDITS
@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_old_pods_are_not_taken_for_new_ones_that_are_seen_later(
    spec: dict[str, Any], word: str, replicas: int
) -> None:
    world = healthy(proxy={"replicas": replicas})
    before, status = world.hash, world.cluster.status.proxy_rollout
    assert status is not None
    world.breaks, world.is_late = {word: PULL}, True
    spec = spec if "proxyimage" in spec else {"proxy": {**spec["proxy"], "replicas": replicas}}
    edit(world, **spec)
    passes(world)

    assert len(world.unseen) == 1, "the Deployment's status counts it"
    found = world.cluster.status.proxy_rollout
    assert found is not None
    assert (found.last_good, found.came_up) == (status.last_good, False)
    world.is_late = False
    passes(world)
    world.now += LIMIT_S
    passes(world)
    assert world.hash == before
    assert condition(world, "RolledBack")["status"] == "True"


def test_nor_is_one_that_was_evicted_and_is_seen_still() -> None:
    world = healthy(proxy={"replicas": 1})
    status = world.cluster.status.proxy_rollout
    assert status is not None
    world.breaks, world.is_late, world.old_are_gone = {BAD: PULL}, True, True
    edit(world, proxyimage=BAD)
    passes(world)

    found = world.cluster.status.proxy_rollout
    assert found is not None
    assert (found.last_good, found.came_up) == (status.last_good, False)


def test_redis_is_carried_out_from_the_same_edit() -> None:
    world = healthy()
    world.breaks = {BAD: PULL}
    edit(world, proxyimage=BAD, config={"maxmemory-policy": "allkeys-lru"})
    passes(world)
    world.now += LIMIT_S
    passes(world)

    assert image(world) != BAD
    assert world.cluster.status.rollout is not None
    assert not world.cluster.status.rollout.failed
    assert world.settings_file()["maxmemory-policy"] == "allkeys-lru"


@pytest.mark.parametrize("how", ["another", "previous", "asked"])
def test_it_is_tried_again_when_it_is_another_edit_or_somebody_asks(how: str) -> None:
    world = healthy()
    first = image(world)
    world.breaks = {BAD: PULL}
    edit(world, proxyimage=BAD)
    passes(world)
    world.now += LIMIT_S
    passes(world)
    world.breaks = {}
    if how == "asked":
        metadata: Any = world.resource["metadata"]
        metadata["annotations"] = {"cache.tongdun.net/restart": "it is pushed now"}
    else:
        edit(world, proxyimage=GOOD if how == "another" else first)
    passes(world, 120)

    assert image(world) == {"another": GOOD, "previous": first, "asked": BAD}[how]
    assert condition(world, "RolledBack") is None
    assert world.cluster.status.proxy_rollout is not None
    assert world.cluster.status.proxy_rollout.tried == ""


def test_where_none_can_be_made_it_is_given_up_in_the_server_s_words() -> None:
    world = healthy()
    before = world.hash
    world.quota = "pods is forbidden: exceeded quota"
    edit(world, proxyimage=BAD)
    passes(world)
    world.now += LIMIT_S
    passes(world)

    assert world.hash == before
    assert "exceeded quota" in condition(world, "RolledBack")["message"]


def test_what_came_up_once_does_not_go_back() -> None:
    world = healthy()
    edit(world, proxyimage=GOOD)
    passes(world, 1)
    while not any(pod.ready and pod.images[PROXY_CONTAINER] == image(world) for pod in world.proxies):
        world.run_pass()
    passes(world, 2)
    world.proxies = tuple(
        pod if pod.images[PROXY_CONTAINER] != image(world) else replace(pod, ready=False, trouble=PULL)
        for pod in world.proxies
    )
    world.breaks = {GOOD: PULL}
    world.now += LIMIT_S
    for _ in range(5):
        world.run_pass()

    assert image(world).endswith(GOOD)
    assert condition(world, "RolledBack") is None


def test_off_leaves_it_to_kubernetes_which_keeps_the_old_ones() -> None:
    world = healthy()
    world.breaks = {BAD: PULL}
    edit(world, proxyimage=BAD, rollout={"rollback": "off", "progressDeadlineSeconds": LIMIT_S})
    passes(world)
    world.now += 10 * LIMIT_S
    passes(world)

    assert image(world).endswith(BAD)
    assert condition(world, "RolledBack") is None


def test_an_operator_that_dies_in_between_goes_back_too() -> None:
    world = healthy()
    before = world.hash
    world.breaks = {OTHER: PULL}
    edit(world, proxyimage=OTHER)
    for _ in range(8):
        world.run_pass(interrupt_after=0)
        world.run_pass()
    world.now += LIMIT_S
    for _ in range(8):
        world.run_pass(interrupt_after=0)
        world.run_pass()

    assert world.hash == before
    assert condition(world, "RolledBack")["status"] == "True"
