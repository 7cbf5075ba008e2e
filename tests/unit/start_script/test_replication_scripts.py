"""What a standby's processes come up as: data nodes that follow nobody, Sentinels that remember what they learned."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tdredis.manifests.peers import build_peers_files
from tdredis.manifests.redis_config import NOBODY_HOST, NOBODY_PORT, build_auth_conf, build_redis_conf
from tdredis.manifests.sentinel_config import SENTINEL_CONF, build_sentinel_auth_files, build_sentinel_ids
from tdredis.manifests.start_scripts import SENTINEL, STANDALONE, STANDBY_NODE
from tdredis.redislink.access import OPEN, Access
from tdredis.redislink.errors import Refused
from tdredis.redislink.link import Link, connect
from tests.kit.builders import standalone, standby
from tests.kit.containers import DEADLINE_S, INNER, Pods, command_lines, connected, pods
from tests.kit.waiting import eventually

PORT = 26379
NAMES = tuple(f"sentinel-standby-tom-{ordinal}" for ordinal in range(3))


async def run_node(network: Pods, number: int, script: str = STANDBY_NODE, *, pod: str = "") -> Link:
    instance = standalone() if script == STANDALONE else standby()
    files = {
        "/etc/tdredis": {"redis.conf": build_redis_conf(instance), "start.sh": script},
        "/etc/tdredis-auth": {"auth.conf": build_auth_conf(INNER), **build_peers_files(instance, INNER)},
        "/data": {},
    }
    return await connected(await network.run(number, files, "/etc/tdredis/start.sh", pod=pod), INNER)


async def run_sentinel(network: Pods, number: int, pod: str, *, auth: bool = True, first_in_path: str = "") -> Link:
    instance = standby(sentinel={"auth": auth})
    files = {
        "/etc/tdredis": {
            "sentinel.conf": SENTINEL_CONF,
            "start-sentinel.sh": SENTINEL,
            **build_sentinel_ids(instance),
        },
        "/etc/tdredis-auth": build_sentinel_auth_files(instance, INNER),
        "/data": {},
    }
    script = "/etc/tdredis/start-sentinel.sh"
    address = await network.run(number, files, script, pod=pod, first_in_path=first_in_path)
    return await connected(address, INNER if auth else "", PORT)


async def replication(link: Link) -> dict[str, str]:
    text = str(await link.call("INFO", "replication", timeout_s=5), "utf-8")  # type: ignore[call-overload]
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


async def rows(link: Link, what: str) -> list[dict[str, str]]:
    """SENTINEL SENTINELS or REPLICAS of the primary."""
    reply = await link.call("SENTINEL", what, "mymaster", timeout_s=5)
    assert isinstance(reply, list)
    texts = [[bytes(word).decode() for word in row] for row in reply]
    return [dict(zip(row[::2], row[1::2], strict=True)) for row in texts]


async def until(links: list[Link], what: str, is_so: Callable[[list[dict[str, str]]], bool]) -> None:
    """Every Sentinel of *links* says so."""
    seen: list[list[dict[str, str]]] = []

    async def all_say_so() -> bool:
        seen[:] = [await rows(link, what) for link in links]
        return all(is_so(each) for each in seen)

    await eventually(all_say_so, lambda: f"{what}: {seen}", deadline_s=DEADLINE_S, pause_s=0.05)


async def test_a_standby_s_node_boots_as_a_replica_of_nobody_and_tells_its_own_address(tmp_path: Path) -> None:
    async with pods(tmp_path) as network:
        link = await run_node(network, 1)
        await link.call("REPLICAOF", "NO", "ONE", timeout_s=5)
        await link.call("SET", "key", "value", timeout_s=5)
        link.close()
        await network.stop()

        again = await run_node(network, 2, pod="pod-1")

        found = await replication(again)
        assert (found["role"], found["master_host"], found["master_port"]) == ("slave", NOBODY_HOST, str(NOBODY_PORT))
        assert await again.call("GET", "key", timeout_s=5) == b"value"
        reply = await again.call("CONFIG", "GET", "replica-announce-ip", timeout_s=5)
        assert reply == [b"replica-announce-ip", f"{network.network}.2".encode()]
        again.close()


async def test_a_standalone_boots_as_a_primary(tmp_path: Path) -> None:
    async with pods(tmp_path) as network:
        link = await run_node(network, 1, STANDALONE)

        assert (await replication(link))["role"] == "master"
        link.close()


async def test_sentinels_find_each_other_by_password_and_stay_who_they_are_on_a_new_address(tmp_path: Path) -> None:
    ids = list(build_sentinel_ids(standby()).values())
    async with pods(tmp_path) as network, AsyncExitStack() as stack:
        primary, replica = await run_node(network, 1), await run_node(network, 2)
        await primary.call("REPLICAOF", "NO", "ONE", timeout_s=5)
        await replica.call("REPLICAOF", f"{network.network}.1", 6379, timeout_s=5)
        sentinels = [await run_sentinel(network, 11 + number, pod) for number, pod in enumerate(NAMES)]
        for link in (primary, replica, *sentinels):
            stack.callback(link.close)
        for link in sentinels:
            await link.call("SENTINEL", "MONITOR", "mymaster", f"{network.network}.1", 6379, 2, timeout_s=5)
            await link.call("SENTINEL", "SET", "mymaster", "auth-pass", INNER, timeout_s=5)
        await until(sentinels, "REPLICAS", lambda found: [row["ip"] for row in found] == [f"{network.network}.2"])
        await until(sentinels, "SENTINELS", lambda found: len(found) == 2 and all(_is_linked(row) for row in found))
        assert await sentinels[0].call("SENTINEL", "MYID", timeout_s=5) == ids[0].encode()
        sentinels[0].close()
        network.processes[2].kill()
        await network.processes[2].wait()

        moved = await run_sentinel(network, 21, NAMES[0])

        stack.callback(moved.close)
        assert await moved.call("SENTINEL", "MYID", timeout_s=5) == ids[0].encode()
        assert [row["ip"] for row in await rows(moved, "REPLICAS")] == [f"{network.network}.2"]
        here = (ids[0], f"{network.network}.21")
        await until(sentinels[1:], "SENTINELS", lambda found: here in {(row["runid"], row["ip"]) for row in found})
        await until(sentinels[1:], "SENTINELS", lambda found: len(found) == 2)
        await until([moved], "REPLICAS", lambda found: [row["flags"] for row in found] == ["slave"])
        await until([moved], "SENTINELS", lambda found: sorted(row["runid"] for row in found) == sorted(ids[1:]))
        with pytest.raises(Refused):
            await connect(f"{network.network}.21", PORT, access=Access(("wrong",)), timeout_s=5)
        assert not [command for command in command_lines() if INNER in command]


def _is_linked(row: dict[str, str]) -> bool:
    return not {"s_down", "disconnected"} & set(row["flags"].split(","))


async def test_a_sentinel_asks_for_a_password_as_spec_says_now_whatever_it_wrote_down(tmp_path: Path) -> None:
    async with pods(tmp_path) as network:
        for number, auth in enumerate((True, False, True), start=11):
            link = await run_sentinel(network, number, NAMES[0], auth=auth)
            await link.call("SENTINEL", "FLUSHCONFIG", timeout_s=5)  # all it knows, the password too

            answers = await _answers_anybody(f"{network.network}.{number}")

            assert answers is not auth
            link.close()
            await network.stop()


async def _answers_anybody(host: str) -> bool:
    try:
        link = await connect(host, PORT, access=OPEN, timeout_s=5)
    except Refused as error:
        assert error.code == "NOAUTH"
        return False
    link.close()
    return True
