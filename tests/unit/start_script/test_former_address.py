"""A cluster's primary whose data is broken begins anew at its address: a replica that follows it there keeps its copy.

Whoever follows an address asks nobody which node is there, and would empty itself after a new one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tdredis.manifests.peers import build_peers_files, peer_user
from tdredis.manifests.redis_config import build_auth_conf, build_redis_conf
from tdredis.manifests.start_scripts import CLUSTER_NODE
from tdredis.planning.process import Process
from tdredis.planning.steps import SetPeerUser
from tdredis.redis.facts import parse_info
from tdredis.redislink.link import Link
from tests.kit.builders import sample
from tests.kit.containers import DEADLINE_S, INNER, Pods, connected, pods
from tests.kit.waiting import eventually

CLUSTER = sample(capacity=192)
NOT_WAITING = '#!/bin/sh\n[ "$1" = 0.5 ] || exec /bin/sleep "$1"\n'  # for a takeover that nobody can vote for


async def run(network: Pods, number: int) -> Link:
    quick = network.volume(f"pod-{number}", "/data") / "quick"
    quick.mkdir(parents=True, exist_ok=True)
    (quick / "sleep").write_text(NOT_WAITING)
    (quick / "sleep").chmod(0o755)
    files = {
        "/etc/tdredis": {"redis.conf": build_redis_conf(CLUSTER), "start.sh": CLUSTER_NODE},
        "/etc/tdredis-auth": {
            "auth.conf": build_auth_conf(INNER),
            "password": INNER,
            **build_peers_files(CLUSTER, INNER),
        },
        "/data": {},
    }
    address = await network.run(number, files, "/etc/tdredis/start.sh", first_in_path="/data/quick")
    return await connected(address, INNER)


async def said(link: Link, section: str) -> dict[str, str]:
    reply = await link.call("INFO", section, timeout_s=5)
    assert isinstance(reply, bytes)
    return parse_info(reply.decode())


@asynccontextmanager
async def broken_and_back(folder: Path) -> AsyncIterator[tuple[Pods, Link, Link]]:
    """The primary, begun anew at its address, and its replica, which nobody can make the primary."""
    async with pods(folder) as network:
        primary, replica = await run(network, 1), await run(network, 2)
        primary_id = await primary.call("CLUSTER", "MYID", timeout_s=5)
        assert isinstance(primary_id, bytes)
        await primary.call("CLUSTER", "ADDSLOTSRANGE", 0, 16383, timeout_s=5)
        await replica.call("CLUSTER", "MEET", f"{network.network}.1", 6379, timeout_s=5)

        async def knows() -> bool:
            return primary_id in await replica.call("CLUSTER", "NODES", timeout_s=5)  # type: ignore[operator]

        async def has_copied() -> bool:
            return (await said(replica, "replication")).get("master_link_status") == "up"

        async def works() -> bool:
            return b"cluster_state:ok" in await primary.call("CLUSTER", "INFO", timeout_s=5)  # type: ignore[operator]

        async def is_known() -> bool:
            return b" slave " in (network.volume("pod-1", "/data") / "nodes.conf").read_bytes()

        await eventually(knows, "they have met", deadline_s=DEADLINE_S)
        await replica.call("CLUSTER", "REPLICATE", primary_id, timeout_s=5)
        await eventually(has_copied, "the replica has a copy", deadline_s=DEADLINE_S)
        await eventually(is_known, "the primary has written down who follows it", deadline_s=DEADLINE_S)
        await eventually(works, "the primary takes writes", deadline_s=DEADLINE_S)
        await primary.call("SET", "kept", "yes", timeout_s=5)
        assert await primary.call("WAIT", 1, 5000, timeout_s=10) == 1
        network.processes[0].kill()
        await network.processes[0].wait()
        primary.close()
        for file in (network.volume("pod-1", "/data") / "appendonlydir").glob("*.aof"):
            file.write_bytes(b"no such command\n" * 20)

        primary = await run(network, 1)

        assert await primary.call("CLUSTER", "MYID", timeout_s=5) != primary_id
        assert await primary.call("DBSIZE", timeout_s=5) == 0
        yield network, primary, replica
        primary.close()
        replica.close()


async def until_refused(network: Pods) -> None:
    before = network.log("pod-2").count("WRONGPASS")
    await eventually(
        lambda: network.log("pod-2").count("WRONGPASS") > before, "the replica is refused", deadline_s=DEADLINE_S
    )


async def test_its_replica_keeps_its_copy_also_when_it_is_started_once_more(tmp_path: Path) -> None:
    async with broken_and_back(tmp_path) as (network, primary, replica):
        await until_refused(network)
        assert await replica.call("DBSIZE", timeout_s=5) == 1
        network.processes[-1].kill()
        await network.processes[-1].wait()

        again = await run(network, 1)

        await until_refused(network)
        assert await replica.call("DBSIZE", timeout_s=5) == 1
        again.close()
        primary.close()


async def test_once_it_is_told_the_user_it_is_followed_again(tmp_path: Path) -> None:
    """As the operator does when it has slots, or follows somebody."""
    async with broken_and_back(tmp_path) as (network, primary, replica):
        await until_refused(network)
        process = Process(pod="pod-1", uid="", ip="", id="")
        step = SetPeerUser(process=process, user=peer_user(CLUSTER), channels=True, why="")

        assert await primary.call_all(step.commands(INNER), timeout_s=5) == [b"OK"] * 3

        async with asyncio.timeout(DEADLINE_S):
            while (await said(replica, "replication"))["master_link_status"] != "up":
                await asyncio.sleep(0.05)  # between two looks, under the deadline above
        assert await replica.call("DBSIZE", timeout_s=5) == 0
