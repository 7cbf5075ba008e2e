"""Carrying out plans: against an HTTP server that refuses what the test says, and a real redis-server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tdredis.api.json_object import JSONObject
from tdredis.execute.run import Executor, LeadLostError
from tdredis.kube.client import Client
from tdredis.kube.config import ClusterConfig
from tdredis.planning.plan import Plan, Verdict
from tdredis.planning.snapshot import Key, Ref
from tdredis.planning.steps import Apply, Process, SetConfig, Step
from tdredis.redislink.pool import Address, LinkPool
from tests.unit.redislink.test_link import HOST, PASSWORD, redis_server

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


def links() -> LinkPool[Key]:
    return LinkPool(lambda _key, _address: None)


async def test_a_refused_step_keeps_no_other_from_being_done() -> None:
    async with api_server({"b": 403}) as (client, asked):
        outcome = await Executor(client, links()).run(KEY, plan_of(apply("a"), apply("b"), apply("c")), password="")

    assert asked == ["a", "b", "c"]
    assert [str(step) for step in outcome.done] == ["apply ConfigMap a", "apply ConfigMap c"]
    assert str(outcome.failed) == "apply ConfigMap b"
    assert "exceeded quota" in outcome.error


async def test_without_an_api_server_redis_is_still_cared_for(tmp_path: Path) -> None:
    async with (
        api_server({"a": 503}) as (client, asked),
        redis_server(tmp_path, password=PASSWORD, cluster=True) as (port, _),
    ):
        pool = links()
        step = await _set_config(pool, port)

        outcome = await Executor(client, pool).run(KEY, plan_of(apply("a"), step, apply("b")), password=PASSWORD)

        assert asked == ["a"]
        assert outcome.done == (step,)
        pool.close()


async def test_a_process_that_is_another_by_now_is_left_alone(tmp_path: Path) -> None:
    async with api_server({}) as (client, _), redis_server(tmp_path, password=PASSWORD, cluster=True) as (port, _):
        pool = links()
        step = await _set_config(pool, port, node_id="0" * 40)

        outcome = await Executor(client, pool).run(KEY, plan_of(step), password=PASSWORD)

        assert (outcome.done, outcome.failed) == ((), step)
        assert "another process by now" in outcome.error
        assert await _config(pool, port) == b"0"
        pool.close()


@pytest.mark.parametrize("instants", [0, 1, 2], ids=["before the step", "before the question", "before the command"])
async def test_who_may_not_act_any_more_does_nothing_at_any_instant_of_a_step(tmp_path: Path, instants: int) -> None:
    async with api_server({}) as (client, asked), redis_server(tmp_path, password=PASSWORD, cluster=True) as (port, _):
        pool = links()
        step = await _set_config(pool, port)
        left = iter([True] * instants)

        with pytest.raises(LeadLostError):
            executor = Executor(client, pool, may_act=lambda: next(left, False))
            await executor.run(KEY, plan_of(step, apply("a")), password=PASSWORD)

        assert (asked, await _config(pool, port)) == ([], b"0")
        pool.close()


async def _set_config(pool: LinkPool[Key], port: int, node_id: str = "") -> SetConfig:
    (myid,) = await pool.ask(KEY, Address("u", HOST, port), [["CLUSTER", "MYID"]], password=PASSWORD, timeout_s=5)
    assert isinstance(myid, bytes)
    process = Process(pod="p", uid="u", ip=HOST, port=port, id=node_id or myid.decode())
    return SetConfig(process=process, parameter="maxmemory", value=1024, why="the test says so")


async def _config(pool: LinkPool[Key], port: int) -> object:
    (reply,) = await pool.ask(
        KEY, Address("u", HOST, port), [["CONFIG", "GET", "maxmemory"]], password=PASSWORD, timeout_s=5
    )
    assert isinstance(reply, list)
    return reply[1]
