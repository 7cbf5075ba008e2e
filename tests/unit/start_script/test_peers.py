"""Two instances with one password, or none, whose pods exchange addresses: nobody copies the other's data."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from tdredis.api.redisstandby import RedisStandby
from tdredis.manifests.peers import build_peers_files, peer_user
from tdredis.manifests.redis_config import build_auth_conf, build_redis_conf
from tdredis.manifests.sentinel_config import SENTINEL_CONF, build_sentinel_auth_files, build_sentinel_ids
from tdredis.manifests.start_scripts import SENTINEL, STANDBY_NODE
from tdredis.planning.process import Process
from tdredis.planning.steps import SetPeerUser
from tdredis.redislink.link import Link
from tests.kit.builders import standby
from tests.kit.containers import DEADLINE_S, INNER, Pods, command_lines, connected, pods
from tests.kit.waiting import eventually
from tests.unit.start_script.test_replication_scripts import replication

OURS, THEIRS = [
    msgspec.structs.replace(standby(), metadata=msgspec.structs.replace(standby().metadata, uid=uid))
    for uid in ("uid-ours", "uid-theirs")
]
PASSWORDS = pytest.mark.parametrize("password", ["", INNER], ids=["no password", "one password"])


async def run_node(
    network: Pods, number: int, instance: RedisStandby, password: str, *, knows_peers: bool = True
) -> Link:
    peers = build_peers_files(instance, password) if knows_peers else {}
    files = {
        "/etc/tdredis": {"redis.conf": build_redis_conf(instance), "start.sh": STANDBY_NODE},
        "/etc/tdredis-auth": {"auth.conf": build_auth_conf(password), "password": password, **peers},
        "/data": {},
    }
    return await connected(await network.run(number, files, "/etc/tdredis/start.sh"), password)


async def until_linked(link: Link) -> None:
    async def is_linked() -> bool:
        return (await replication(link))["master_link_status"] == "up"

    await eventually(is_linked, "its primary lets it in", deadline_s=DEADLINE_S)


@PASSWORDS
async def test_a_replica_at_an_address_that_is_another_instance_s_by_now_copies_nothing(
    tmp_path: Path, password: str
) -> None:
    async with pods(tmp_path) as network, AsyncExitStack() as stack:
        foreign, ours, replica = [
            await run_node(network, number, instance, password)
            for number, instance in ((1, THEIRS), (2, OURS), (3, OURS))
        ]
        for link in (foreign, ours, replica):
            stack.callback(link.close)
        for link, value in ((foreign, "theirs"), (ours, "ours")):
            await link.call("REPLICAOF", "NO", "ONE", timeout_s=5)
            await link.call("SET", "whose", value, timeout_s=5)
        await replica.call("REPLICAOF", f"{network.network}.2", 6379, timeout_s=5)
        await until_linked(replica)

        await replica.call("REPLICAOF", f"{network.network}.1", 6379, timeout_s=5)

        async with asyncio.timeout(DEADLINE_S):
            while "WRONGPASS" not in network.log("pod-3"):
                assert (await replication(replica))["master_link_status"] == "down"
                await asyncio.sleep(0.05)  # between two looks, under the deadline above
        assert await replica.call("GET", "whose", timeout_s=5) == b"ours"
        assert not [command for command in command_lines() if INNER in command]


@PASSWORDS
async def test_a_process_that_was_started_before_is_told_while_it_runs(tmp_path: Path, password: str) -> None:
    async with pods(tmp_path) as network, AsyncExitStack() as stack:
        old = await run_node(network, 1, OURS, password, knows_peers=False)
        new = await run_node(network, 2, OURS, password)
        for link in (old, new):
            stack.callback(link.close)
        await old.call("REPLICAOF", "NO", "ONE", timeout_s=5)
        process = Process(pod="pod-1", uid="", ip="", id="")
        step = SetPeerUser(process=process, user=peer_user(OURS), channels=True, why="")

        replies = await old.call_all(step.commands(password), timeout_s=5)

        assert replies == [b"OK"] * 3
        await new.call("REPLICAOF", f"{network.network}.1", 6379, timeout_s=5)
        await until_linked(new)


async def test_sentinels_of_another_instance_do_not_see_what_has_its_primary_s_address(tmp_path: Path) -> None:
    async with pods(tmp_path) as network, AsyncExitStack() as stack:
        ours = await run_node(network, 1, OURS, INNER)
        await ours.call("REPLICAOF", "NO", "ONE", timeout_s=5)
        stack.callback(ours.close)
        flags = {}
        for number, instance in ((11, OURS), (12, THEIRS)):
            pod = f"sentinel-standby-tom-{number - 11}"
            files = {
                "/etc/tdredis": {
                    "sentinel.conf": SENTINEL_CONF,
                    "start-sentinel.sh": SENTINEL,
                    **build_sentinel_ids(instance),
                },
                "/etc/tdredis-auth": build_sentinel_auth_files(instance, INNER),
                "/data": {"sentinel.conf": f"sentinel monitor mymaster {network.network}.1 6379 2\n"},
            }
            address = await network.run(number, files, "/etc/tdredis/start-sentinel.sh", pod=pod)
            link = await connected(address, INNER, 26379)
            stack.callback(link.close)
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    reply = await link.call("SENTINEL", "MASTER", "mymaster", timeout_s=5)
                    assert isinstance(reply, list)
                    row = dict(zip(map(bytes.decode, reply[::2]), map(bytes.decode, reply[1::2]), strict=True))
                    seen = row["runid"] != "" or int(row["last-ping-reply"]) > 0
                    if seen and (instance is THEIRS or row["runid"]):
                        break
                    await asyncio.sleep(0.05)  # between two looks, under the deadline above
            flags[number] = row["runid"]

        assert flags[11]
        assert not flags[12], "it read INFO of another instance's process"
