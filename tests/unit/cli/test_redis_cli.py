"""What redis-cli prints is read as what Redis answered: held against the real programs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from tdredis.cli.commands.redis import describe_load, read_slowlog
from tdredis.cli.pods import Pod
from tdredis.cli.redis_cli import pairs, parse_reply, parse_text
from tdredis.redis.facts import parse_info
from tdredis.redis.views import parse_cluster_nodes
from tests.kit.servers import HOST, redis_server

VALUES = [
    'a "quoted" word',
    "back\\slash",
    "two\r\nlines\ttab",
    "\x00\x01\x7f",
    "ünï",
    "1) 2) 3",
    "(nil)",
    "",
    "  blanks ",
]
POD = Pod(
    name="a-0", component="redis", shard="a", role="primary", containers=("redis",), running=True, ready="1/1",
    restarts=0, node="n", ip=HOST, trouble="",
)  # fmt: skip


async def printed(port: int, *command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "redis-cli", "-h", HOST, "-p", str(port), "--no-raw", *command, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(20):
        out, _ = await process.communicate()
    return out.decode("utf-8", "replace")


async def test_lists_of_any_length_and_letters_come_back_as_they_are(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as (port, _), redis.asyncio.Redis(host=HOST, port=port) as client:
        many = [f"{number}" for number in range(123)]
        await client.rpush("values", *VALUES)
        await client.rpush("many", *many)

        assert parse_reply(await printed(port, "LRANGE", "values", "0", "-1")) == VALUES
        assert parse_reply(await printed(port, "LRANGE", "many", "0", "-1")) == many
        assert parse_reply(await printed(port, "LRANGE", "none", "0", "-1")) == []
        assert parse_reply(await printed(port, "MGET", "none", "values2")) == [None, None]
        assert parse_reply(await printed(port, "LLEN", "many")) == 123
        assert parse_reply(await printed(port, "PING")) == "PONG"
        assert parse_reply(await printed(port, "GET", "none")) is None


async def test_arrays_within_arrays_are_told_apart(tmp_path: Path) -> None:
    script = "return {{1,{2,{}}},{},{{'x'}},'last',{1,2,3,4,5,6,7,8,9,{10,11},12}}"
    async with redis_server(tmp_path) as (port, _):
        expected = [[1, [2, []]], [], [["x"]], "last", [*range(1, 10), [10, 11], 12]]

        assert parse_reply(await printed(port, "EVAL", script, "0")) == expected


async def test_a_text_is_read_whether_it_is_printed_as_it_is_or_quoted(tmp_path: Path) -> None:
    async with redis_server(tmp_path, cluster=True) as (port, _):
        view = parse_cluster_nodes(parse_text(await printed(port, "CLUSTER", "NODES")))
        clients = parse_text(await printed(port, "CLIENT", "LIST"))

    assert view.me.myself
    assert clients.startswith("id=")
    assert parse_text('"a\\r\\nb"\n') == "a\r\nb"


async def test_all_parameters_are_read(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as (port, _), redis.asyncio.Redis(host=HOST, port=port) as client:
        expected: Any = await client.config_get("*")

        assert dict(pairs(parse_reply(await printed(port, "CONFIG", "GET", "*")))) == expected


async def test_entries_of_the_slowlog_are_read_with_their_words(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as (port, _), redis.asyncio.Redis(host=HOST, port=port) as client:
        await client.config_set("slowlog-log-slower-than", 0)
        for value in VALUES:
            await client.set("key", value)
        await client.config_set("slowlog-log-slower-than", -1)
        found = list(read_slowlog(parse_reply(await printed(port, "SLOWLOG", "GET", "-1"))))

    assert [entry["command"] for entry in reversed(found) if entry["command"][0] == "SET"] == [
        ["SET", "key", value] for value in VALUES
    ]
    assert all(entry["client"].startswith(f"{HOST}:") and entry["at"] for entry in found)


async def test_the_load_of_a_process_is_read_from_its_info(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as (port, _), redis.asyncio.Redis(host=HOST, port=port) as client:
        await client.set("a", 1)
        await client.get("a")
        await client.get("b")
        text = parse_text(await printed(port, "INFO"))

    load = describe_load(POD, parse_info(text))

    assert (load["role"], load["keys"], load["hitRatio"], load["maxBytes"]) == ("master", 1, 0.5, 0)
    assert load["usedBytes"] > 100_000


@pytest.mark.parametrize("text", ['1) "a"\n"b"\n', '1) "a"\n3) "b"\n', "OK\nOK\n"])
def test_what_redis_cli_does_not_print_is_not_read_as_something_else(text: str) -> None:
    with pytest.raises(ValueError, match="belongs to nothing"):
        parse_reply(text)
