"""Carrying out plans: against an HTTP server that refuses what the test says, and a real redis-server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tdredis.api.json_object import JSONObject
from tdredis.execute import run
from tdredis.execute.outcome import Outcome
from tdredis.execute.run import Executor, LeadLostError
from tdredis.kube.client import Client
from tdredis.kube.config import ClusterConfig
from tdredis.planning.moving import MoveOrder
from tdredis.planning.plan import Plan, Verdict
from tdredis.planning.snapshot import Key, Ref
from tdredis.planning.steps import (
    Apply,
    FailOver,
    Follow,
    MoveKeys,
    MoveSlots,
    PassOn,
    Process,
    Release,
    ReplacePod,
    ResetNode,
    ResizeVolume,
    RestoreLabels,
    SetConfig,
    Step,
)
from tdredis.redis.facts import parse_info, parse_replication
from tdredis.redis.places import Place
from tdredis.redislink.access import Access
from tdredis.redislink.errors import Refused
from tdredis.redislink.link import Link
from tdredis.redislink.pool import Address, Command, LinkPool
from tests.kit.servers import HOST, PASSWORD, redis_server
from tests.kit.waiting import eventually

KEY = Key("RedisCluster", "redis", "rat")


@asynccontextmanager
async def api_server(answers: dict[str, int]) -> AsyncIterator[tuple[Client, list[str]]]:
    """A server that answers a PATCH of the object called *name* with its status; it keeps who was asked for."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        name = request.path.rpartition("/")[2]
        asked.append(name)
        status = answers.get(name, 200)
        message = {"kind": "Status", "reason": "Forbidden", "message": "exceeded quota", "code": status}
        return web.json_response(message if status >= 400 else {"metadata": {"name": name}}, status=status)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    port = runner.addresses[0][1]
    try:
        async with Client(ClusterConfig(server=f"http://{HOST}:{port}"), deadline_s=5) as client:
            yield client, asked
    finally:
        await runner.cleanup()


def apply(name: str) -> Apply:
    manifest: JSONObject = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "redis"}}
    return Apply(ref=Ref("ConfigMap", name), manifest=manifest, why="it does not exist")


def plan_of(*steps: Step) -> Plan:
    return Plan(verdict=Verdict.FORMING, steps=steps)


def links(password: str = "") -> LinkPool[Key]:
    pool: LinkPool[Key] = LinkPool(lambda _key, _address: None)
    pool.admit(KEY, Access((password,)))
    return pool


async def test_a_refused_step_keeps_no_other_from_being_done() -> None:
    async with api_server({"b": 403}) as (client, asked):
        outcome = await Executor(client, links()).run(KEY, plan_of(apply("a"), apply("b"), apply("c")))

    assert asked == ["a", "b", "c"]
    assert [str(step) for step in outcome.done] == ["apply ConfigMap a", "apply ConfigMap c"]
    assert str(outcome.failed) == "apply ConfigMap b"
    assert "exceeded quota" in outcome.error


async def test_objects_wait_when_a_process_died_meanwhile(tmp_path: Path) -> None:
    """Redis is cared for all the same."""
    async with (
        api_server({}) as (client, asked),
        redis_server(tmp_path, password=PASSWORD, cluster=True) as (port, _),
    ):
        pool = links(PASSWORD)
        step = await _set_config(pool, port)
        died: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        died.set_result(None)
        executor = Executor(client, pool, hurry=lambda _key: died)

        outcome = await executor.run(KEY, plan_of(apply("a"), apply("b"), step, apply("c")))
        await executor.close()
        pool.close()

    assert len(asked) <= 1
    assert (outcome.done, outcome.failed, outcome.is_cut_short) == ((step,), None, True)


async def test_without_an_api_server_redis_is_still_cared_for(tmp_path: Path) -> None:
    async with (
        api_server({"a": 503}) as (client, asked),
        redis_server(tmp_path, password=PASSWORD, cluster=True) as (port, _),
    ):
        pool = links(PASSWORD)
        step = await _set_config(pool, port)

        outcome = await Executor(client, pool).run(KEY, plan_of(apply("a"), step, apply("b")))

        assert asked == ["a"]
        assert outcome.done == (step,)
        pool.close()


async def test_a_process_that_is_another_by_now_is_left_alone(tmp_path: Path) -> None:
    async with api_server({}) as (client, _), redis_server(tmp_path, password=PASSWORD, cluster=True) as (port, _):
        pool = links(PASSWORD)
        step = await _set_config(pool, port, node_id="0" * 40)

        outcome = await Executor(client, pool).run(KEY, plan_of(step))

        assert (outcome.done, outcome.failed) == ((), step)
        assert "another process by now" in outcome.error
        assert await _config(pool, port) == b"0"
        pool.close()


@pytest.mark.parametrize("instants", [0, 1, 2], ids=["before the step", "before the question", "before the command"])
async def test_who_may_not_act_any_more_does_nothing_at_any_instant_of_a_step(tmp_path: Path, instants: int) -> None:
    async with api_server({}) as (client, asked), redis_server(tmp_path, password=PASSWORD, cluster=True) as (port, _):
        pool = links(PASSWORD)
        step = await _set_config(pool, port)
        left = iter([True] * instants)

        with pytest.raises(LeadLostError):
            executor = Executor(client, pool, may_act=lambda: next(left, False))
            await executor.run(KEY, plan_of(step, apply("a")))

        assert (asked, await _config(pool, port)) == ([], b"0")
        pool.close()


@pytest.mark.parametrize("met", [False, True], ids=["apart still", "met meanwhile"])
async def test_a_node_is_not_emptied_once_it_reaches_those_from_whom_it_was_apart(tmp_path: Path, met: bool) -> None:
    """Its claim may have won by now, and who was to keep the data copies it."""
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()
    async with (
        api_server({}) as (client, _),
        redis_server(folders[0], cluster=True) as (port, _),
        redis_server(folders[1], cluster=True) as (other_port, _),
    ):
        pool = links()

        async def ask(*words: str | int, at: int = port) -> object:
            (reply,) = await pool.ask(KEY, Address("u", HOST, at), [words], timeout_s=5)
            return reply

        ids = [str(await ask("CLUSTER", "MYID", at=at), "ascii") for at in (port, other_port)]  # type: ignore[call-overload]
        await ask("CLUSTER", "ADDSLOTSRANGE", 0, 16383)

        async def takes_writes() -> bool:
            return await ask("SET", "key", "value") == b"OK"

        async def knows_the_other() -> bool:
            known = await ask("CLUSTER", "NODES")
            assert isinstance(known, bytes)
            return f"{ids[1]} ".encode() in known

        await eventually(takes_writes, "it has seen that it owns all slots")
        if met:
            bus = int((folders[1] / "redis.conf").read_text().rpartition("cluster-port ")[2])
            await ask("CLUSTER", "MEET", HOST, other_port, bus)
            await eventually(knows_the_other, "the other has answered")
        process = Process(pod="p", uid="u", ip=HOST, port=port, id=ids[0])
        step = ResetNode(process=process, keys=1, is_replica=False, apart=frozenset(ids[1:]), why="the test says so")

        outcome = await Executor(client, pool).run(KEY, plan_of(step))

        assert (outcome.failed, await ask("DBSIZE")) == ((step, 1) if met else (None, 0))
        assert (await ask("CLUSTER", "MYID") == ids[0].encode()) is met
        pool.close()


@pytest.mark.parametrize("was_primary", [False, True])
async def test_one_that_was_promoted_meanwhile_is_not_demoted(tmp_path: Path, was_primary: bool) -> None:
    async with api_server({}) as (client, _), redis_server(tmp_path) as (port, _):
        pool = links()
        address = Address("u", HOST, port)
        (info,) = await pool.ask(KEY, address, [["INFO", "server"]], timeout_s=5)
        assert isinstance(info, bytes)
        run_id = parse_info(info.decode())["run_id"]
        process = Process(pod="p", uid="u", ip=HOST, port=port, id=run_id, in_cluster=False)
        step = Follow(process=process, primary="q", host=HOST, port=1, was_primary=was_primary, why="the test says so")

        outcome = await Executor(client, pool).run(KEY, plan_of(step))

        (role,) = await pool.ask(KEY, address, [["ROLE"]], timeout_s=5)
        assert isinstance(role, list)
        assert (outcome.failed, role[0]) == ((None, b"slave") if was_primary else (step, b"master"))
        pool.close()


class Both:
    """A primary and its replica, the *candidate*; both are real."""

    def __init__(self, pool: LinkPool[Key], primary: Process, candidate: Process) -> None:
        self.pool = pool
        self.primary = primary
        self.candidate = candidate

    async def ask(self, process: Process, *words: str | int, timeout_s: float = 5) -> object:
        address = Address(process.uid, process.ip, process.port)
        (reply,) = await self.pool.ask(KEY, address, [words], timeout_s=timeout_s)
        return reply

    async def info(self, process: Process) -> dict[str, str]:
        text = await self.ask(process, "INFO")
        assert isinstance(text, bytes)
        return parse_info(text.decode())

    async def is_copied(self) -> bool:
        return (await self.info(self.candidate)).get("master_link_status") == "up"

    async def is_heard(self) -> bool:
        return bool(parse_replication(await self.info(self.primary)).heard)


@asynccontextmanager
async def replicating(folder: Path) -> AsyncIterator[Both]:
    """The candidate has just been told whom to follow."""
    folders = [folder / name for name in ("primary", "candidate")]
    for each in folders:
        each.mkdir()
    async with redis_server(folders[0]) as (port, _), redis_server(folders[1]) as (candidate_port, _):
        pool, found = links(), []
        for at in (port, candidate_port):
            (text,) = await pool.ask(KEY, Address("u", HOST, at), [["INFO", "server"]], timeout_s=5)
            assert isinstance(text, bytes)
            run_id = parse_info(text.decode())["run_id"]
            pod = "primary" if at == port else "candidate"
            found.append(Process(pod=pod, uid="u", ip=HOST, port=at, id=run_id, in_cluster=False))
        both = Both(pool, *found)
        await both.ask(both.primary, "CONFIG", "SET", "repl-diskless-sync-delay", 0)
        await both.ask(both.candidate, "REPLICAOF", HOST, port)
        try:
            yield both
        finally:
            pool.close()


@pytest.mark.parametrize("follows", [True, False], ids=["a candidate that has all", "a candidate that lacks something"])
async def test_a_primary_hands_over_only_to_who_has_all_of_it_and_else_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, follows: bool
) -> None:
    """A primary sends a new replica nothing for up to a second after its copy is complete."""
    monkeypatch.setattr(run, "CATCHES_UP_S", 10.0 if follows else 0.2)
    async with api_server({}) as (client, _), replicating(tmp_path) as both:
        await eventually(both.is_copied, "the candidate has its copy")
        if not follows:
            await both.ask(both.candidate, "REPLICAOF", "NO", "ONE")
        await both.ask(both.primary, "SET", "key", "value")
        step = FailOver(
            process=both.primary,
            master_name="m",
            primary=both.primary,
            candidates=(both.candidate,),
            why="the test says so",
        )

        outcome = await Executor(client, both.pool).run(KEY, plan_of(step))

        # There is no Sentinel here: whoever is asked for the failover refuses.
        assert outcome.failed == step
        assert ("candidate does not have all that primary has" in outcome.error) is not follows
        # It would not answer before PAUSE_MS.
        assert await both.ask(both.primary, "SET", "key", "again", timeout_s=1) == b"OK"


async def test_a_primary_that_was_replaced_takes_no_writes_when_its_pause_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator that asked for the failover died, and no Sentinel has demoted it yet. Before that it takes them: the
    failover may come to nothing.
    """
    monkeypatch.setattr(run, "PAUSE_WRITES", ("CLIENT", "PAUSE", 100, "WRITE"))
    async with api_server({}) as (client, _), replicating(tmp_path) as both:
        await eventually(both.is_heard, "the primary knows that the candidate has its copy")
        step = FailOver(
            process=both.primary,
            master_name="m",
            primary=both.primary,
            candidates=(both.candidate,),
            why="the test says so",
        )
        monkeypatch.setattr(FailOver, "words", (("PING",),))  # there is no Sentinel here
        assert (await Executor(client, both.pool).run(KEY, plan_of(step))).failed is None
        assert await both.ask(both.primary, "SET", "key", "value") == b"OK"

        await both.ask(both.candidate, "REPLICAOF", "NO", "ONE")

        async def is_left() -> bool:
            return (await both.info(both.primary))["connected_slaves"] == "0"

        await eventually(is_left, "the candidate follows nobody")
        refused = await both.ask(both.primary, "SET", "key", "lost")
        assert isinstance(refused, Refused)
        assert refused.code == "NOREPLICAS"
        assert await both.ask(both.candidate, "SET", "key", "kept") == b"OK"


class Sentinel(Link):
    """Of the primary and of the Sentinel; the latter refuses in the words of *refusal*."""

    def __init__(self, refusal: str) -> None:
        super().__init__()
        self._refusal = refusal
        self.asked: list[Command] = []

    @property
    def open(self) -> bool:
        return True

    async def call_all(self, commands: Sequence[Command], *, timeout_s: float) -> list[object]:  # noqa: ARG002 a link's
        self.asked += commands
        return [self._say(each[:2]) for each in commands]

    def _say(self, words: Command) -> object:
        match tuple(words):
            case ("SENTINEL", _):
                return Refused(self._refusal)
            case ("INFO", _):
                return b"run_id:a\r\nconnected_slaves:2\r\nmaster_repl_offset:7\r\n"
            case _:
                return b"OK"


@pytest.mark.parametrize(
    ("refusal", "goes_on"),
    [("INPROG Failover already in progress", False), ("NOGOODSLAVE No suitable replica to promote", True)],
)
@pytest.mark.parametrize(("before", "fence"), [(1, 2), (5, 5)])
async def test_writes_stay_stopped_where_a_failover_that_was_asked_for_before_is_under_way(
    refusal: str, before: int, fence: int, *, goes_on: bool
) -> None:
    """The former primary would acknowledge what its successor does not have."""
    process = Process(pod="p", uid="u", ip=HOST, id="a", in_cluster=False)
    step = FailOver(
        process=process, master_name="m", primary=process, candidates=(process,), least=before, why="the test says so"
    )
    async with api_server({}) as (client, _):
        link = Sentinel(refusal)

        async def connect(host: str, port: int, **_how: object) -> Link:
            return link

        pool: LinkPool[Key] = LinkPool(lambda _key, _address: None, connect=connect)

        outcome = await Executor(client, pool).run(KEY, plan_of(step))

    assert outcome.failed == step
    assert (("CLIENT", "UNPAUSE") in link.asked) is goes_on
    least = [each[-1] for each in link.asked if tuple(each[:3]) == ("CONFIG", "SET", "min-replicas-to-write")]
    expected = [fence, before] if goes_on else [fence]
    assert least == expected, "it has what it had before, or refuses writes when it is replaced"


class FullSlots(Link):
    """Every slot has more keys than are ever moved."""

    def __init__(self) -> None:
        super().__init__()
        self.moved: list[object] = []

    @property
    def open(self) -> bool:
        return True

    async def call_all(self, commands: Sequence[Command], *, timeout_s: float) -> list[object]:  # noqa: ARG002 a link's
        match list(commands[0]):
            case ["CLUSTER", "MYID"]:
                return [b"a"]
            case ["CLUSTER", "GETKEYSINSLOT", slot, _]:
                return [[str(slot).encode()]]
            case ["MIGRATE", *words]:
                self.moved.append(words[-1])
                if len(self.moved) > 100:
                    raise AssertionError("it goes on and on")
        return [b"OK"]


@pytest.mark.parametrize(("a_slot_s", "all_s", "slots"), [(0, 60, [b"1", b"2"]), (0, 0, [b"1"])])
async def test_a_pass_that_moves_keys_comes_to_an_end(
    monkeypatch: pytest.MonkeyPatch, a_slot_s: float, all_s: float, slots: list[bytes]
) -> None:
    """Nobody looks for a dead primary meanwhile."""
    monkeypatch.setattr(run, "MOVING_A_SLOT_S", a_slot_s)
    monkeypatch.setattr(run, "MOVING_S", all_s)
    process = Process(pod="p", uid="u", ip=HOST, id="a")
    steps = [MoveKeys(process=process, target=process, slot=slot, why="the test says so") for slot in (1, 2)]
    async with api_server({}) as (client, _):
        link = FullSlots()

        async def connect(host: str, port: int, **_how: object) -> Link:
            return link

        pool: LinkPool[Key] = LinkPool(lambda _key, _address: None, connect=connect)

        outcome = await Executor(client, pool).run(KEY, plan_of(*steps))

    assert (link.moved, outcome.failed) == (slots, None)


async def _set_config(pool: LinkPool[Key], port: int, node_id: str = "") -> SetConfig:
    (myid,) = await pool.ask(KEY, Address("u", HOST, port), [["CLUSTER", "MYID"]], timeout_s=5)
    assert isinstance(myid, bytes)
    process = Process(pod="p", uid="u", ip=HOST, port=port, id=node_id or myid.decode())
    return SetConfig(process=process, parameter="maxmemory", before=0, value=1024, why="the test says so")


async def _config(pool: LinkPool[Key], port: int) -> object:
    (reply,) = await pool.ask(KEY, Address("u", HOST, port), [["CONFIG", "GET", "maxmemory"]], timeout_s=5)
    assert isinstance(reply, list)
    return reply[1]


async def test_a_service_whose_former_address_is_another_s_by_now_gets_any() -> None:
    asked: list[object] = []

    async def answer(request: web.Request) -> web.Response:
        if request.method == "GET":
            return web.json_response({"kind": "Status", "code": 404, "reason": "NotFound"}, status=404)
        spec = json.loads(await request.text())["spec"]
        asked.append(spec.get("clusterIP"))
        if "clusterIP" in spec:
            message = "spec.clusterIPs: failed to allocate IP 10.0.0.7: provided IP is already allocated"
            said = {"kind": "Status", "reason": "Invalid", "message": message, "code": 422}
            return web.json_response(said, status=422)
        return web.json_response({"metadata": {"name": "s"}})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    manifest: JSONObject = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s", "namespace": "redis"},
        "spec": {"clusterIP": "10.0.0.7", "ports": []},
    }
    step = Apply(ref=Ref("Service", "s"), manifest=manifest, is_new=True, why="it does not exist")
    try:
        async with Client(ClusterConfig(server=f"http://{HOST}:{runner.addresses[0][1]}"), deadline_s=5) as client:
            outcome = await Executor(client, links()).run(KEY, plan_of(step))
    finally:
        await runner.cleanup()

    assert outcome.done == (step,)
    assert asked == ["10.0.0.7", None]


async def test_labels_are_put_back_onto_the_very_pod_that_lost_them() -> None:
    told: list[object] = []
    step = RestoreLabels(pod="rat-0-1", uid="u-1", labels=(("RESOURCE_ID", "rat-0"),), why="somebody removed it")

    async def answer(request: web.Request) -> web.Response:
        told.append((request.method, request.path, await request.json()))
        return web.json_response({"kind": "Pod", "metadata": {"name": "rat-0-1"}})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    applied: list[JSONObject] = []
    try:
        async with Client(ClusterConfig(server=f"http://{HOST}:{runner.addresses[0][1]}"), deadline_s=5) as client:
            executor = Executor(client, LinkPool(lambda _key, _address: None), on_applied=applied.append)
            outcome = await executor.run(KEY, Plan(verdict=Verdict.HEALTHY, steps=(step,)))
            await executor.close()
    finally:
        await runner.cleanup()

    patch = {"metadata": {"uid": "u-1", "labels": {"RESOURCE_ID": "rat-0"}}}
    assert told == [("PATCH", "/api/v1/namespaces/redis/pods/rat-0-1", patch)]
    assert outcome.done == (step,)
    assert [each["kind"] for each in applied] == ["Pod"], "the caches know it at once"


async def told_by(step: Step, *, refuses: str = "") -> tuple[list[tuple[str, str, object]], Outcome]:
    """What the API server is told of *step*, request by request; it refuses those to a path that ends so."""
    told: list[tuple[str, str, object]] = []

    async def answer(request: web.Request) -> web.Response:
        told.append((request.method, request.path, await request.json()))
        if refuses and request.path.endswith(refuses):
            return web.json_response({"kind": "Status", "message": "no", "reason": "Conflict", "code": 409}, status=409)
        return web.json_response({"kind": "Pod", "metadata": {"name": "x"}})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    try:
        async with Client(ClusterConfig(server=f"http://{HOST}:{runner.addresses[0][1]}"), deadline_s=5) as client:
            executor = Executor(client, LinkPool(lambda _key, _address: None))
            outcome = await executor.run(KEY, plan_of(step))
            await executor.close()
    finally:
        await runner.cleanup()
    return told, outcome


async def test_a_volume_is_resized_by_the_very_claim_that_was_looked_at() -> None:
    step = ResizeVolume(claim="redis-data-rat-0-0", uid="u-1", size="128Gi", why="it asks for 64Gi")

    told, outcome = await told_by(step)

    asked = {"metadata": {"uid": "u-1"}, "spec": {"resources": {"requests": {"storage": "128Gi"}}}}
    assert told == [("PATCH", "/api/v1/namespaces/redis/persistentvolumeclaims/redis-data-rat-0-0", asked)]
    assert outcome.done == (step,)


@pytest.mark.parametrize(("grace_s", "said"), [(133, {"gracePeriodSeconds": 133}), (None, {})])
async def test_the_very_pod_goes_in_the_time_that_it_needs(grace_s: int | None, said: dict[str, int]) -> None:
    step = ReplacePod(pod="rat-0-0", uid="u-1", grace_s=grace_s, why="it is to be recreated")

    told, outcome = await told_by(step)

    ((method, path, body),) = told
    assert (method, path) == ("DELETE", "/api/v1/namespaces/redis/pods/rat-0-0")
    assert isinstance(body, dict)
    assert {name: value for name, value in body.items() if name not in ("apiVersion", "kind")} == {
        "preconditions": {"uid": "u-1"},
        **said,
    }
    assert outcome.done == (step,)


OWNER: JSONObject = {"apiVersion": "v1", "kind": "RedisCluster", "name": "rat", "uid": "u-rat"}
RELEASE = Release(
    ref=Ref("StatefulSet", "rat-0"),
    api_version="apps/v1",
    uid="u-set",
    pods=(("rat-0-0", "u-0"), ("rat-0-1", "u-1")),
    owner=OWNER,
    notes=(("rat-0-1", "what it was made from"),),
    why="",
)


async def test_pods_get_the_resource_as_an_owner_and_what_it_knew_before_their_statefulset_goes_without_them() -> None:
    told, outcome = await told_by(RELEASE)

    noted: JSONObject = {"annotations": {"cache.tongdun.net/earlier": "what it was made from"}}
    bodies: list[JSONObject] = [{"metadata": {"uid": "u-0", "ownerReferences": [OWNER]}}]
    bodies += [{"metadata": {"uid": "u-1", "ownerReferences": [OWNER], **noted}}]
    assert told[:2] == [
        ("PATCH", f"/api/v1/namespaces/redis/pods/{pod}", body)
        for (pod, _), body in zip(RELEASE.pods, bodies, strict=True)
    ]
    ((method, path, options),) = told[2:]
    assert (method, path) == ("DELETE", "/apis/apps/v1/namespaces/redis/statefulsets/rat-0")
    assert isinstance(options, dict)
    assert (options["propagationPolicy"], options["preconditions"]) == ("Orphan", {"uid": "u-set"})
    assert outcome.done == (RELEASE,)


async def test_a_statefulset_stays_while_one_of_its_pods_is_another() -> None:
    told, outcome = await told_by(RELEASE, refuses="rat-0-1")

    assert [method for method, *_ in told] == ["PATCH", "PATCH"]
    assert (outcome.done, outcome.failed) == ((), RELEASE)


async def test_a_primary_that_nobody_watches_hands_over_and_follows_within_the_step(tmp_path: Path) -> None:
    """Its clients wait meanwhile: a replica says what it has once a second, unless it is asked."""
    async with api_server({}) as (client, _), replicating(tmp_path) as both:
        await eventually(both.is_heard, "the primary knows that its replica has a copy")
        await both.ask(both.primary, "SET", "key", "value")
        at = both.candidate
        step = PassOn(process=both.primary, candidate=at, host=at.ip, port=at.port, why="the test says so")

        outcome = await Executor(client, both.pool).run(KEY, plan_of(step))

        assert outcome.done == (step,)
        assert [(await both.info(each))["role"] for each in (both.primary, at)] == ["slave", "master"]
        assert await both.ask(at, "GET", "key") == b"value"


async def test_an_order_is_handed_over_and_a_plan_without_one_says_so() -> None:
    heard: list[MoveOrder | None] = []

    def on_order(_key: Key, order: MoveOrder | None) -> bool:
        heard.append(order)
        return heard.count(order) == 1

    order = MoveOrder(shards=(Place(name="rat-0", id="a", host=HOST, port=1),))
    step = MoveSlots(order=order, why="3 shards are wanted")
    async with api_server({}) as (client, _):
        executor = Executor(client, links(), on_order=on_order)
        done = [(await executor.run(KEY, plan)).done for plan in (plan_of(step), plan_of(step), plan_of())]

    assert done == [(step,), (), ()], "what is under way is no news"
    assert heard == [order, order, None]


async def test_no_order_is_handed_over_when_the_lead_is_lost() -> None:
    heard: list[MoveOrder | None] = []

    def on_order(_key: Key, order: MoveOrder | None) -> bool:
        heard.append(order)
        return True

    step = MoveSlots(order=MoveOrder(shards=()), why="3 shards are wanted")
    async with api_server({}) as (client, _):
        with pytest.raises(LeadLostError):
            await Executor(client, links(), on_order=on_order, may_act=lambda: False).run(KEY, plan_of(step))

    assert heard == []
