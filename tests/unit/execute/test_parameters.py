"""A parameter that a process was told: what it makes of the value is remembered, and what it refuses is no failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from tdredis.execute.run import Executor
from tdredis.planning.snapshot import Key
from tdredis.planning.steps import Process, SetParameter
from tdredis.redis.settings import same_value
from tdredis.redislink.pool import Address, LinkPool
from tests.kit.servers import HOST, PASSWORD, redis_server
from tests.unit.execute.test_run import KEY, api_server, links, plan_of

ENGINE = "redis 7.0.15"


async def tell(pool: LinkPool[Key], port: int, name: str, value: str) -> SetParameter:
    (myid,) = await pool.ask(KEY, Address("u", HOST, port), [["CLUSTER", "MYID"]], timeout_s=5)
    assert isinstance(myid, bytes)
    process = Process(pod="p", uid="u", ip=HOST, port=port, id=myid.decode())
    return SetParameter(process=process, engine=ENGINE, name=name, value=value, why="the test says so")


@pytest.mark.parametrize(
    ("name", "value", "answered"),
    [("notify-keyspace-events", "KEA", "AKE"), ("repl-backlog-size", "1mb", "1048576"), ("timeout", "300", "300")],
)
async def test_what_it_takes_is_remembered_as_it_answers_it(
    tmp_path: Path, name: str, value: str, answered: str
) -> None:
    async with api_server({}) as (client, _), redis_server(tmp_path, password=PASSWORD, cluster=True) as (port, _):
        pool = links(PASSWORD)
        step = await tell(pool, port, name, value)

        outcome = await Executor(client, pool).run(KEY, plan_of(step))

        assert (outcome.done, outcome.failed) == ((step,), None)
        assert pool.settings.answers(KEY).forms == {(ENGINE, name, value): frozenset({answered})}
        pool.close()


# Another value than the default, as somebody writes it.
ONE_BY_ONE = {
    "activerehashing": "no",
    "appendfsync": "always",
    "appendonly": "yes",
    "hash-max-ziplist-entries": "64",
    "hash-max-ziplist-value": "32",
    "hll-sparse-max-bytes": "1000",
    "list-compress-depth": "1",
    "maxmemory-policy": "volatile-ttl",
    "maxmemory-samples": "7",
    "no-appendfsync-on-rewrite": "yes",
    "set-max-intset-entries": "64",
    "slowlog-log-slower-than": "5000",
    "slowlog-max-len": "256",
    "stop-writes-on-bgsave-error": "no",
    "tcp-keepalive": "100",
    "timeout": "600",
    "zset-max-ziplist-entries": "64",
    "zset-max-ziplist-value": "32",
    "notify-keyspace-events": "KEA",
    "maxclients": "500",
    "client-output-buffer-limit": "replica 64mb 32mb 30",
    "save": "900 1 300 10",
}


@pytest.mark.parametrize("name", ONE_BY_ONE)
async def test_each_is_set_shows_as_what_was_asked_for_and_goes_back_to_its_default(tmp_path: Path, name: str) -> None:
    async with api_server({}) as (client, _), redis_server(tmp_path, password=PASSWORD, cluster=True) as (port, _):
        pool = links(PASSWORD)
        address, executor = Address("u", HOST, port), Executor(client, pool)
        before = await value_of(pool, address, name)
        assert not same_value(name, before, ONE_BY_ONE[name]), "it would prove nothing"

        for value in (ONE_BY_ONE[name], before):
            step = await tell(pool, port, name, value)
            outcome = await executor.run(KEY, plan_of(step))

            assert (outcome.done, outcome.failed) == ((step,), None)
            assert pool.settings.answers(KEY).refusals == {}
            # By what is known of values, and not because it was told: another operator would set it again and again.
            assert same_value(name, await value_of(pool, address, name), value)
        pool.close()


async def value_of(pool: LinkPool[Key], address: Address, name: str) -> str:
    (found,) = await pool.ask(KEY, address, [["CONFIG", "GET", name]], timeout_s=5)
    assert isinstance(found, list)
    assert isinstance(found[1], bytes)
    return found[1].decode()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("maxmemory-policy", "nonsense", "argument(s) must be one of the following"),
        ("timeout", "soon", "couldn't be parsed into an integer"),
        ("databases", "3", "immutable"),
        ("no-such-thing", "1", "Unknown option"),
    ],
)
async def test_what_it_refuses_is_remembered_in_its_words_and_paces_nothing_else(
    tmp_path: Path, name: str, value: str, words: str
) -> None:
    async with api_server({}) as (client, _), redis_server(tmp_path, password=PASSWORD, cluster=True) as (port, _):
        pool = links(PASSWORD)
        step, other = await tell(pool, port, name, value), await tell(pool, port, "hz", "20")

        outcome = await Executor(client, pool).run(KEY, plan_of(step, other))

        assert (outcome.done, outcome.failed, outcome.redis_failed) == ((other,), None, False)
        refusal = pool.settings.answers(KEY).refusals[step.process.id, name, value]
        assert words in refusal.words
        assert refusal.needs_restart is (name == "databases")
        pool.close()
