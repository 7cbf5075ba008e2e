"""Start scripts, by themselves: shellcheck, and the real programs they start."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tdredis.manifests.envoy import build_envoy_files
from tdredis.manifests.ready_scripts import READY, READY_CLUSTER
from tdredis.manifests.start_scripts import (
    CLUSTER_NODE,
    ENVOY,
    PREDIXY,
    SENTINEL,
    STANDALONE,
    STANDALONE_ON_VOLUME,
    STANDBY_NODE,
)
from tdredis.manifests.stop_scripts import STOP_CLUSTER, STOP_STANDBY
from tdredis.redis.slots import even_split
from tdredis.redislink.access import Access
from tdredis.redislink.errors import Refused
from tdredis.redislink.link import Link, connect
from tests.kit.containers import DEADLINE_S, INNER, OUTER, command_lines, config, connected, pods


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(CLUSTER_NODE, id="cluster"),
        pytest.param(STANDBY_NODE, id="standby"),
        pytest.param(STANDALONE, id="standalone"),
        pytest.param(STANDALONE_ON_VOLUME, id="standalone on a volume"),
        pytest.param(STOP_CLUSTER, id="stop a cluster's"),
        pytest.param(STOP_STANDBY, id="stop a standby's"),
        pytest.param(READY_CLUSTER, id="ready in a cluster"),
        pytest.param(READY, id="ready"),
        pytest.param(SENTINEL, id="sentinel"),
        pytest.param(ENVOY, id="envoy"),
        pytest.param(PREDIXY, id="predixy"),
    ],
)
def test_shellcheck_has_nothing_to_say(script: str) -> None:
    checked = subprocess.run(
        ["shellcheck", "--shell=sh", "-"],
        input=script,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert checked.stdout == ""


@pytest.fixture(autouse=True)
def programs() -> None:
    assert shutil.which("bwrap"), "install bubblewrap (make install does)"


async def test_redis_comes_up_as_configured_on_its_own_address(tmp_path: Path) -> None:
    async with pods(tmp_path) as network:
        link = await network.run_redis(1)

        assert await config(link, "bind") == f"{network.network}.1"
        assert await config(link, "bind-source-addr") == f"{network.network}.1"
        assert await config(link, "replica-ignore-disk-write-errors") == "yes"
        assert await config(link, "cluster-announce-ip") == f"{network.network}.1"
        assert (await config(link, "maxmemory"), await config(link, "appendonly")) == (str(64 * 2**20), "yes")
        link.close()


async def test_the_password_is_demanded_and_not_on_the_command_line(tmp_path: Path) -> None:
    async with pods(tmp_path) as network:
        link = await network.run_redis(1, password='p"w \\x')

        (process,) = network.processes
        assert process.returncode is None
        assert not [command for command in command_lines() if 'p"w' in command]
        with pytest.raises(Refused):
            await connect(f"{network.network}.1", 6379, access=Access(("wrong",)), timeout_s=5)
        link.close()


async def test_a_node_that_has_met_nobody_begins_with_a_short_timeout_and_no_other_does(tmp_path: Path) -> None:
    async with pods(tmp_path) as network:
        blank = await network.run_redis(1)
        assert await config(blank, "cluster-node-timeout") == "1000"
        blank.close()
        await network.stop()

        link = await network.run_redis(2, pod="pod-1")

        assert await config(link, "cluster-node-timeout") == "5000"
        link.close()


async def become_primary(link: Link) -> bytes:
    """Owns a slot and holds a key; returns the node's id."""
    await link.call("CLUSTER", "ADDSLOTSRANGE", 0, 16383, timeout_s=5)
    await until_it_works(link)
    assert await link.call("SET", "kept", "yes", timeout_s=5) == b"OK"
    node_id = await link.call("CLUSTER", "MYID", timeout_s=5)
    assert isinstance(node_id, bytes)
    return node_id


async def until_it_works(link: Link) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while b"cluster_state:ok" not in await link.call("CLUSTER", "INFO", timeout_s=5):  # type: ignore[operator]
            await asyncio.sleep(0.02)  # between two looks, under the deadline above


async def test_a_primary_that_has_its_data_comes_back_as_what_it_was(tmp_path: Path) -> None:
    async with pods(tmp_path) as network:
        link = await network.run_redis(1)
        node_id = await become_primary(link)
        link.close()
        await network.stop()

        link = await network.run_redis(2, pod="pod-1")

        assert await link.call("CLUSTER", "MYID", timeout_s=5) == node_id
        await until_it_works(link)
        link.close()


async def test_a_primary_whose_data_is_gone_comes_back_as_a_node_that_nobody_knows(tmp_path: Path) -> None:
    async with pods(tmp_path) as network:
        link = await network.run_redis(1)
        node_id = await become_primary(link)
        link.close()
        await network.stop()
        shutil.rmtree(network.volume("pod-1", "/data") / "appendonlydir")

        link = await network.run_redis(2, pod="pod-1")

        assert await link.call("CLUSTER", "MYID", timeout_s=5) != node_id
        assert b"cluster_slots_assigned:0" in await link.call("CLUSTER", "INFO", timeout_s=5)  # type: ignore[operator]
        link.close()


@pytest.mark.parametrize(
    ("exit_code", "costs"),
    [
        pytest.param(124, 2, id="silent, as is where no pod is any more"),
        pytest.param(1, 1, id="refused on a machine that is busy"),
        pytest.param(1, 0, id="refused at once"),
    ],
)
def test_whoever_waits_for_a_takeover_waits_fifteen_seconds_however_many_peers_are_silent(
    tmp_path: Path, exit_code: int, costs: int
) -> None:
    """Time is counted in halves of a second, by whoever would spend it."""
    spent, nodes, tools = tmp_path / "spent", tmp_path / "nodes.conf", tmp_path / "tools"
    ids = [f"{number:040x}" for number in range(7)]
    peers = [f"{each} 10.0.0.{number}:6379@16379 master - 0 0 1 connected" for number, each in enumerate(ids[2:], 2)]
    myself = f"{ids[0]} 10.0.0.9:6379@16379 myself,master - 0 0 1 connected 0-5460"
    replica = f"{ids[1]} 10.0.0.1:6379@16379 slave {ids[0]} 0 0 1 connected"
    nodes.write_text("\n".join([myself, replica, *peers]) + "\n")
    tools.mkdir()
    spent.touch()
    clock = f"halves=0; while read -r each; do halves=$((halves + each)); done <{spent}; echo $((1000 + halves / 2))"
    programs = {"timeout": f"echo {costs} >>{spent}; exit {exit_code}", "sleep": f"echo 1 >>{spent}", "date": clock}
    for name, does in programs.items():
        (tools / name).write_text(f"#!/bin/sh\n{does}\n")
        (tools / name).chmod(0o755)
    functions = CLUSTER_NODE[CLUSTER_NODE.index("\nhas_replicas() {") : CLUSTER_NODE.index("\nprepare() {")]

    script = f"set -eu\nPATH={tools}:$PATH nodes={nodes} cli=redis-cli\n{functions}\nuntil_taken_over\n"
    subprocess.run(["sh", "-c", script], check=True, timeout=60)

    halves = sum(map(int, spent.read_text().split()))
    assert 30 <= halves <= 32


@pytest.mark.parametrize("text", ["", "no such thing\n", "vars currentEpoch 1 lastVoteEpoch 0\n"])
async def test_a_node_whose_memory_of_itself_is_corrupt_starts_as_a_new_one(tmp_path: Path, text: str) -> None:
    async with pods(tmp_path) as network:
        link = await network.run_redis(1)
        await become_primary(link)
        link.close()
        await network.stop()
        (network.volume("pod-1", "/data") / "nodes.conf").write_text(text)

        link = await network.run_redis(2, pod="pod-1")

        assert b"cluster_known_nodes:1" in await link.call("CLUSTER", "INFO", timeout_s=5)  # type: ignore[operator]
        link.close()


async def test_envoy_leads_plain_clients_to_the_right_shard_and_asks_for_the_password(tmp_path: Path) -> None:
    async with pods(tmp_path) as network, AsyncExitStack() as stack:
        links = [await network.run_redis(number) for number in (1, 2, 3)]
        for link in links:
            stack.callback(link.close)
        for link, slots in zip(links, even_split(3), strict=True):
            await link.call("CLUSTER", "ADDSLOTS", *slots, timeout_s=5)
        for number in (2, 3):
            await links[0].call("CLUSTER", "MEET", f"{network.network}.{number}", 6379, timeout_s=5)
        await _all_ok(links)
        address = await network.run(
            4,
            {
                "/etc/proxy": {
                    **build_envoy_files(f"{network.network}.1", upstream_auth=True, downstream_auth=True),
                    "start.sh": ENVOY,
                },
                "/etc/proxy-secret": {"redis-password": INNER, "proxy-password": OUTER},
            },
            "/etc/proxy/start.sh",
        )

        proxy = await connected(address, OUTER)
        stack.callback(proxy.close)
        names = [f"key:{number}" for number in range(200)]
        assert set(await proxy.call_all([("SET", name, name) for name in names], timeout_s=10)) == {b"OK"}
        assert await proxy.call_all([("GET", name) for name in names], timeout_s=10) == [n.encode() for n in names]
        sizes = [await link.call("DBSIZE", timeout_s=5) for link in links]
        assert all(isinstance(size, int) and size > 20 for size in sizes)
        with pytest.raises(Refused):
            await connect(address, 6379, access=Access((INNER,)), timeout_s=5)


async def _all_ok(links: list[Link]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            answers = [await link.call("CLUSTER", "INFO", timeout_s=5) for link in links]
            if all("cluster_state:ok" in str(answer) for answer in answers):
                return
            await asyncio.sleep(0.05)  # between two looks, under the deadline above
