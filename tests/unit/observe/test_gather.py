"""What a pass sees while the API server hangs, a neighbour is frozen, or somebody edits the Secret: on virtual time."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from typing import Any, cast

import pytest

from tdredis.api.fields import API_VERSION
from tdredis.api.json_object import JSONObject
from tdredis.kube.cache import Cache
from tdredis.kube.client import Client
from tdredis.kube.errors import DeadlineExceeded
from tdredis.manifests.site import Site
from tdredis.observe.asking import ASK_AGAIN_S, ASK_S
from tdredis.observe.caches import Caches
from tdredis.observe.gather import NotKnownYetError, Observer
from tdredis.observe.lookups import Lookups
from tdredis.planning.decide import assess, plan
from tdredis.planning.snapshot import Key, Ref, ReplicationSnapshot, Snapshot
from tdredis.planning.steps import Apply
from tdredis.redis.facts import NodeFacts, Unknown
from tdredis.redislink.access import Access
from tdredis.redislink.errors import NoAnswer, Refused
from tdredis.redislink.pool import Address, LinkPool
from tests.unit.planning.simulated_standby import SPEC

pytestmark = pytest.mark.looptime
KEY = Key("RedisStandby", "redis", "redis-standby-tom")
LABELS = {
    "app.kubernetes.io/managed-by": "td-redis-operator",
    "cache.tongdun.net/kind": "RedisStandby",
}
INFO = "redis_version:7.0.15\r\nuptime_in_seconds:9\r\nrun_id:{run_id}\r\nused_memory:1\r\nmaxmemory:1\r\nloading:0\r\n"
PRIMARY = "role:master\r\nmaster_repl_offset:1\r\n"
REPLICA = "role:slave\r\nmaster_host:10.0.0.0\r\nmaster_port:6379\r\nmaster_link_status:up\r\nslave_repl_offset:1\r\n"


def now() -> float:
    return asyncio.get_running_loop().time()


class HangingServer:
    """It answers nothing in ten seconds, unless *secret* is set."""

    def __init__(self) -> None:
        self.secret: str | None = None

    async def find(self, resource: Any, *_: object) -> JSONObject | None:
        if self.secret is None:
            await asyncio.sleep(10)  # virtual
            raise DeadlineExceeded(0, "DeadlineExceeded", "no answer in 10 s")
        if resource.kind != "Secret":
            return None
        return {"data": {"password": base64.b64encode(self.secret.encode()).decode()}}

    async def list(self, *_: object, **__: object) -> list[JSONObject]:
        return []


class Process:
    """Of one pod: has *password*, or is frozen."""

    greeted = open = True

    def __init__(self, ip: str, password: str) -> None:
        self.ip = ip
        self.password = password
        self.accepted: str | None = None
        self.frozen = False

    async def call_all(self, commands: Sequence[Sequence[object]], *, timeout_s: float) -> list[object]:
        if self.frozen:
            await asyncio.sleep(timeout_s)  # virtual
            raise NoAnswer("no answer")
        return [self._answer(command) for command in commands]

    def _answer(self, command: Sequence[object]) -> object:
        match command:
            case ["INFO", _]:
                role = PRIMARY if self.ip == "10.0.0.0" else REPLICA
                return (INFO.format(run_id=self.ip) + role).encode()
            case ["CONFIG", "GET", str(name)]:
                return [name.encode(), b"0"]
            case _:
                return Refused("ERR unknown command")

    def close(self) -> None: ...


class World:
    """Two pods of a standby, and the objects that the test gives it."""

    def __init__(self, **spec: object) -> None:
        self.server = HangingServer()
        self.processes = {ip: Process(ip, "vault") for ip in ("10.0.0.0", "10.0.0.1")}
        self.links: LinkPool[Key] = LinkPool(lambda _key, _address: None, connect=self._connect)
        self.caches = Caches(cast(Client, self.server), served=frozenset())
        for cache in self.caches:
            cache._resource_version = "1"  # as after the first list
        self.lookups = Lookups(now=now)
        self.observer = Observer(
            cast(Client, self.server), self.caches, self.links, self.lookups, site=Site(), now=lambda: 1e9, steady=now
        )
        self._version = 1
        base = {name: value for name, value in SPEC.items() if name not in spec or spec[name] is not None}
        self.put(self.caches.custom["RedisStandby"], "RedisStandby", KEY.name, spec={**base, **_given(spec)})

    async def _connect(self, host: str, port: int, *, access: Access, **_: object) -> Any:  # noqa: ARG002 a pool's
        process = self.processes[host]
        if process.password not in access.passwords_to_try:
            raise Refused("WRONGPASS invalid username-password pair or user is disabled.")
        process.accepted = process.password
        return process

    def put(
        self, cache: Any, kind: str, name: str, *, owner: str = "", component: object = "redis", **parts: object
    ) -> None:
        self._version += 1
        owners = [{"kind": kind, "name": "x", "uid": owner, "controller": True}] if owner else []
        metadata = {
            "name": name,
            "namespace": KEY.namespace,
            "uid": f"uid-{name}",
            "resourceVersion": str(self._version),
            "labels": {**LABELS, "app.kubernetes.io/instance": KEY.name, "app.kubernetes.io/component": component},
            "ownerReferences": owners,
        }
        version = API_VERSION if kind == "RedisStandby" else "v1"
        cache.learn({"apiVersion": version, "kind": kind, "metadata": metadata, **parts})

    def put_auth(self, password: str) -> None:
        data = {"password": base64.b64encode(password.encode()).decode()}
        self.put(self.caches.children["Secret"], "Secret", f"{KEY.name}-auth", owner=f"uid-{KEY.name}", data=data)

    def put_pods(self, *, node: str = "n") -> None:
        spec: JSONObject = {"replicas": 2, "template": {}}
        sets = self.caches.children["StatefulSet"]
        self.put(sets, "StatefulSet", KEY.name, owner=f"uid-{KEY.name}", spec=spec, status={})
        for number, ip in enumerate(self.processes):
            running = {"name": "redis", "ready": True, "state": {"running": {}}}
            status = {"phase": "Running", "podIP": ip, "containerStatuses": [running]}
            spec = {"nodeName": node, "containers": [{"name": "redis"}]}
            self.put(self.caches.pods, "Pod", f"{KEY.name}-{number}", owner=f"uid-{KEY.name}", spec=spec, status=status)

    async def gather(self, *, is_urgent: bool = False) -> tuple[Snapshot, float]:
        """And how long it took."""
        begun = now()
        snapshot = await self.observer.gather(KEY, is_urgent=is_urgent)
        assert snapshot is not None
        return snapshot, now() - begun


def _given(spec: dict[str, object]) -> dict[str, Any]:
    return {name: value for name, value in spec.items() if value is not None}


def answers(snapshot: Snapshot) -> list[bool]:
    return [isinstance(node, NodeFacts) for _, node in sorted(snapshot.nodes.items())]


BY_REFERENCE: dict[str, Any] = {"secret": None, "secretRef": {"name": "vault", "key": "password"}}


async def test_nothing_is_begun_before_a_secret_is_read_and_nobody_waits_for_it() -> None:
    world = World(**BY_REFERENCE)
    begun = now()
    with pytest.raises(NotKnownYetError):
        await world.observer.gather(KEY)
    assert now() - begun < 0.01
    await world.lookups.close()

    world.server.secret = "vault"
    with pytest.raises(NotKnownYetError):
        await world.observer.gather(KEY)
    await world.lookups.settle()

    snapshot, _ = await world.gather()
    assert snapshot.passwords.redis == "vault"


async def test_an_api_server_that_hangs_keeps_no_pass_from_processes() -> None:
    world = World(**BY_REFERENCE)
    world.put_auth("vault")
    world.put_pods()

    for _ in range(100):
        snapshot, took_s = await world.gather()
        assert took_s < 0.01
        assert answers(snapshot) == [True, True]
        await asyncio.sleep(1)  # virtual

    assert (snapshot.passwords.redis, snapshot.desired_passwords) == ("vault", None)
    await world.lookups.close()


async def test_a_frozen_neighbour_costs_an_urgent_pass_a_third_of_a_second() -> None:
    world = World()
    world.put_auth("vault")
    world.put_pods()
    await world.gather()
    world.processes["10.0.0.1"].frozen = True
    _, first_s = await world.gather()
    await asyncio.sleep(60)  # virtual

    calm, calm_s = await world.gather()
    urgent, urgent_s = await world.gather(is_urgent=True)

    assert (first_s, calm_s, urgent_s) == pytest.approx((ASK_S, ASK_S, ASK_AGAIN_S), abs=0.01)
    said = [node.error for snapshot in (calm, urgent) for node in snapshot.nodes.values() if isinstance(node, Unknown)]
    assert said == ["no answer in time"] * 2, "how long we waited is no news"


async def test_for_how_long_a_proxy_has_not_answered_outlives_the_next_pass() -> None:
    """It is a pod of no StatefulSet, and whether it is stuck is told by how long it has been so."""
    world = World()
    world.put_auth("vault")
    world.put_pods()
    world.put(world.caches.pods, "Pod", "predixy-1", component="proxy", spec={"containers": []}, status={})
    await world.gather()
    ages, door = world.observer._asker.ages(KEY), Address("uid-predixy-1", "10.0.9.9", 6379)
    ages.silent_since(door)

    await asyncio.sleep(20)  # virtual
    await world.gather()

    assert ages.silent_for_s(door) == 20


async def test_a_secret_that_somebody_edited_is_put_back_also_by_an_operator_that_has_just_begun() -> None:
    world = World()
    world.put_auth("oops")
    world.put_pods()

    snapshot, _ = await world.gather()

    assert snapshot.passwords.redis == "vault"
    assert isinstance(snapshot, ReplicationSnapshot)
    assert {node.accepted_password for node in snapshot.nodes.values() if isinstance(node, NodeFacts)} == {"vault"}
    steps = [step for step in plan(assess(snapshot)).steps if isinstance(step, Apply)]
    (secret,) = (step for step in steps if step.ref.name == f"{KEY.name}-auth")
    data: Any = secret.manifest["data"]
    assert base64.b64decode(data["password"]) == b"vault"
    assert "vault" not in repr(snapshot.nodes)


async def test_a_secret_that_is_gone_while_another_password_is_asked_for_is_not_made_with_that_one() -> None:
    world = World(secret="new")
    world.put_pods()

    snapshot, _ = await world.gather()
    made = plan(assess(snapshot))

    assert made.steps == ()
    assert ["write the previous password again" in hold.why for hold in made.holds] == [True]


async def test_a_password_that_was_accepted_outlives_the_secret() -> None:
    world = World(secret="new")
    world.put_auth("vault")
    world.put_pods()
    await world.gather()
    cache: Any = world.caches.children["Secret"]
    cache._remove((KEY.namespace, f"{KEY.name}-auth"))

    snapshot, _ = await world.gather()

    assert snapshot.passwords.redis == "vault"
    assert not snapshot.secret_problems


async def test_what_a_pass_remembers_is_as_the_caches_have_it_and_goes_with_the_resource() -> None:
    world = World()
    world.put_auth("vault")
    world.put_pods()
    first, _ = await world.gather()
    again, _ = await world.gather()
    assert again.pods[f"{KEY.name}-0"] is first.pods[f"{KEY.name}-0"]
    assert again.resource is first.resource

    world.put_auth("another")
    world.put_pods(node="m")
    changed, _ = await world.gather()
    assert [pod.node for pod in changed.pods.values()] == ["m", "m"]
    secret = Ref("Secret", f"{KEY.name}-auth")
    assert changed.children[secret].json != again.children[secret].json

    cast("Cache[Any]", world.caches.custom["RedisStandby"])._remove((KEY.namespace, KEY.name))
    assert await world.observer.gather(KEY) is None
    assert not world.observer._memos, "passwords are among it"


async def test_what_a_pass_remembers_goes_with_the_lead_also_in_the_middle_of_a_pass() -> None:
    world = World()
    world.put_auth("vault")
    world.put_pods()
    await world.gather()
    world.processes["10.0.0.1"].frozen = True
    under_way = asyncio.create_task(world.gather())
    await asyncio.sleep(0.1)  # virtual

    world.observer.forget()

    assert not world.observer._memos, "the resource may be gone by now, and passwords are among it"
    snapshot, _ = await under_way
    assert answers(snapshot) == [True, False]
