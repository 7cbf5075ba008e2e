"""Claims about packets between pods: lost, late, and arriving again, on connections that stand as on new ones."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from localkube.cluster import Cluster
from tests.localkube.api.test_up import LOCALKUBE, up
from tests.localkube.faults.conftest import House, eventually

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="packet rules need root")

IDLE = "exec sleep 1000"
SERVER = (
    "exec redis-server --bind $(hostname -i) --bind-source-addr $(hostname -i) --port 6379 --protected-mode no "
    "--save '' --repl-diskless-sync-delay 0"
)
SILENCE_S = 0.3


class Connection:
    """A conversation with a Redis, from a pod's own address."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def say(self, *words: str, within_s: float = 15.0) -> str | None:
        """The first line of the answer; None: silence."""
        parts = b"".join(b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words)
        self._writer.write(b"*%d\r\n%s" % (len(words), parts))
        return await self.hear(within_s)

    async def hear(self, within_s: float = 15.0) -> str | None:
        try:
            async with asyncio.timeout(within_s):
                return (await self._reader.readline()).decode().strip()
        except TimeoutError:
            return None

    async def bulk(self, key: str) -> bytes:
        self._writer.write(f"GET {key}\r\n".encode())
        size = int((await self._reader.readline())[1:])
        return (await self._reader.readexactly(size + 2))[:-2]


@asynccontextmanager
async def connection(source: str, target: str, within_s: float = 15.0) -> AsyncIterator[Connection]:
    async with asyncio.timeout(within_s):
        reader, writer = await asyncio.open_connection(target, 6379, local_addr=(source, 0))
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()


async def connects(source: str, target: str, within_s: float = SILENCE_S) -> bool:
    try:
        async with connection(source, target, within_s) as made:
            return await made.say("PING", within_s=within_s) == "+PONG"
    except (TimeoutError, OSError):
        return False


async def reaches(source: str, target: str) -> bool:
    """As `connects`, for where an answer is expected: a busy machine may take its time."""
    return await connects(source, target, within_s=10.0)


def tables() -> str:
    return subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout


async def test_a_cut_silences_standing_connections_and_tcp_resumes_them(house: House) -> None:
    a, b = await house.run("a", IDLE), await house.run("b", SERVER, node="node-2")
    await eventually(lambda: connects(a, b))
    async with connection(a, b) as standing:
        before = await standing.say("PING")
        async with house.faults.cut("a", "b"):
            during = await standing.say("PING", within_s=SILENCE_S), await connects(a, b)
        after = await standing.hear()

    assert (before, during, after) == ("+PONG", (None, False), "+PONG")
    assert await reaches(a, b)


async def test_a_cut_concerns_the_two_sides_only(house: House) -> None:
    a, b, c = await house.run("a", IDLE), await house.run("b", SERVER), await house.run("c", SERVER)
    await eventually(lambda: connects(a, b))
    await eventually(lambda: connects(a, c))

    async with house.faults.cut("a", "b"):
        during = await connects(a, b), await reaches(a, c), await reaches(c, b)

    assert during == (False, True, True)


async def test_one_way_means_one_way(house: House) -> None:
    a, b = await house.run("a", IDLE), await house.run("b", SERVER)
    await eventually(lambda: connects(a, b))
    async with connection(a, b) as standing, connection(b, b) as witness, house.faults.cut("b", "a", one_way=True):
        lost = await standing.say("SET", "k", "v", within_s=SILENCE_S)
        arrived = await witness.say("EXISTS", "k")

    assert (lost, arrived) == (None, ":1")


async def test_cut_off_from_all_others_pods_still_hear_each_other(house: House) -> None:
    a, b, c = await house.run("a", SERVER), await house.run("b", SERVER), await house.run("c", SERVER)
    for address in (a, b, c):
        await eventually(functools.partial(connects, address, address))

    async with house.faults.cut(["a", "b"]):
        during = await reaches(a, b), await reaches(a, a), await connects(c, a), await connects(b, c)

    assert during == (True, True, False, False)


async def test_nodes_are_cut_from_each_other_and_probes_go_on(house: House) -> None:
    probe = {"tcpSocket": {"port": 6379}, "periodSeconds": 1, "failureThreshold": 1}
    container = {"name": "c", "image": "busybox", "command": ["sh", "-c", SERVER], "livenessProbe": probe}
    a = await house.run("a", IDLE)
    b = await house.run("b", SERVER, node="node-2", containers=[container])
    await eventually(lambda: connects(a, b))

    async with house.faults.cut("node:node-1", "node:node-2"):
        during = await connects(a, b), await reaches("127.0.0.1", b)

    assert during == (False, True)


async def test_everyone_includes_this_machine(house: House) -> None:
    b = await house.run("b", SERVER)
    await eventually(lambda: connects("127.0.0.1", b))

    async with house.faults.cut("b", "everyone"):
        during = await connects("127.0.0.1", b), await reaches(b, b)

    assert during == (False, True)


async def test_a_pod_that_comes_back_with_another_address_is_still_cut_off(house: House) -> None:
    a, b = await house.run("a", IDLE), await house.run("b", SERVER)
    await eventually(lambda: connects(a, b))

    async with house.faults.cut("a", "b"):
        house.cluster.registry.delete("pods", "default", "b")
        await house.until(lambda: house.cluster.registry.find("pods", "default", "b") is None)
        again = await house.run("b", SERVER)
        await eventually(lambda: connects(again, again))
        during = await connects(a, again)

    assert again != b
    assert not during
    assert await reaches(a, again)


async def test_replication_stops_over_a_cut_and_catches_up(house: House) -> None:
    a, b = await house.run("a", SERVER), await house.run("b", SERVER, node="node-2")
    await eventually(lambda: connects(a, a))
    await eventually(lambda: connects(b, b))
    async with connection(a, a) as primary, connection(b, b) as replica:
        await replica.say("REPLICAOF", a, "6379")
        await primary.say("SET", "early", "1")
        await eventually(lambda: has(replica, "early"))

        async with house.faults.cut("a", "b"):
            await primary.say("SET", "late", "1")
            acknowledged = await primary.say("WAIT", "1", "300")
            during = await has(replica, "late")

        await eventually(lambda: has(replica, "late"))
    assert (acknowledged, during) == (":0", False)


async def has(redis: Connection, key: str) -> bool:
    return await redis.say("EXISTS", key) == ":1"


async def test_a_fraction_of_packets_is_a_fraction(house: House) -> None:
    a, b = await house.run("a", IDLE), await house.run("b", IDLE)
    receiver, sender = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) for _ in range(2))
    with receiver, sender:
        receiver.bind((b, 9999))
        sender.bind((a, 0))
        async with house.faults.dropping(50, "a", "b"):
            for _ in range(200):
                sender.sendto(b"x", (b, 9999))
        sender.sendto(b"last", (b, 9999))
        arrived = 0
        while receiver.recv(16) != b"last":
            arrived += 1

    # 200 throws of a fair coin are outside of 50..150 less than once in 10^11.
    assert 50 < arrived < 150


async def test_late_packets_are_late_whole_and_in_order(house: House) -> None:
    a, b = await house.run("a", IDLE), await house.run("b", SERVER)
    await eventually(lambda: connects(a, b))
    loop = asyncio.get_running_loop()
    value = os.urandom(300_000).hex()
    async with connection(a, b) as standing:
        async with house.faults.delaying(0.1, "a", "b", jitter_s=0.02):
            began = loop.time()
            first = await standing.say("PING")
            took_s = loop.time() - began
            await standing.say("SET", "big", value)
            async with connection(a, b) as fresh:
                big = await fresh.bulk("big")
        await eventually(lambda: answers_at_once(standing))

    assert first == "+PONG"
    assert took_s >= 0.16
    assert big == value.encode()


async def answers_at_once(redis: Connection) -> bool:
    loop = asyncio.get_running_loop()
    began = loop.time()
    return await redis.say("PING") == "+PONG" and loop.time() - began < 0.1


async def test_no_packet_rule_is_left_when_the_last_fault_is_undone() -> None:
    async with Cluster(nodes=1, gone_addresses="refused") as cluster:
        name = f"localkube_{cluster.block}"

        async with cluster.faults.cut("a"), cluster.faults.delaying(0.1, "a"):
            during = name in tables()

        assert during
        assert name not in tables()


async def test_no_packet_rule_is_left_when_localkube_ends() -> None:
    async with Cluster(nodes=1, gone_addresses="silent") as cluster:
        name = f"localkube_{cluster.block}"
        during = name in tables()

    assert during
    assert name not in tables()


async def test_no_packet_rule_survives_a_killed_localkube(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with up(tmp_path, "--state", str(state)) as running:
        table = f"localkube_{json.loads((state / 'identity.json').read_text())['block']}\n"
        environment = {**os.environ, "KUBECONFIG": str(running.kubeconfig)}
        holder = await asyncio.create_subprocess_exec(
            LOCALKUBE, "fault", "cut", "node:node-1", stdout=asyncio.subprocess.PIPE, env=environment
        )
        assert holder.stdout is not None
        begun = (await holder.stdout.readline()).decode()
        during = table in tables()
        await running.end(signal.SIGKILL)
        async with asyncio.timeout(5):
            code = await holder.wait()

    assert (begun, code) == ("begun: lose between=node:node-1\n", 1)
    assert during
    assert table not in tables()
