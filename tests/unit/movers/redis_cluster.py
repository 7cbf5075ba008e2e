"""A Redis Cluster of real processes on loopback, and what its nodes hold."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from tdredis.redis.places import Place
from tdredis.redis.slots import SlotSet, even_split
from tdredis.redis.views import ClusterView, parse_cluster_nodes
from tdredis.redislink.access import Access
from tdredis.redislink.errors import LinkError
from tdredis.redislink.link import Link, connect
from tests.kit.servers import free_port

HOST = "127.0.0.1"
PASSWORD = "right horse"
ACCESS = Access((PASSWORD,))
NODE_TIMEOUT_MS = 2000


@dataclass
class Server:
    name: str
    port: int
    process: asyncio.subprocess.Process
    link: Link
    bus: int
    id: str

    @property
    def place(self) -> Place:
        return Place(name=self.name, id=self.id, host=HOST, port=self.port)

    async def ask(self, *words: str | int | bytes) -> object:
        return await self.link.call(*words, timeout_s=10)

    async def view(self) -> ClusterView:
        reply = await self.ask("CLUSTER", "NODES")
        assert isinstance(reply, bytes)
        return parse_cluster_nodes(reply.decode())

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)


@dataclass
class RedisCluster:
    """*primaries* first own all slots but the last *new* of them; *replicas*: one of each, if any."""

    primaries: list[Server]
    replicas: list[Server] = field(default_factory=list)

    @property
    def servers(self) -> list[Server]:
        return [*self.primaries, *self.replicas]

    @property
    def places(self) -> dict[str, Place]:
        """By shard: each has the name of the first primary."""
        found = {}
        for number, primary in enumerate(self.primaries):
            copies = {each.id for each in self.replicas[number : number + 1]}
            found[primary.name] = replace(primary.place, copies=frozenset(copies))
        return found

    def fail_over(self, number: int) -> None:
        """The replica of shard *number* has become its primary: they change places, and the shard keeps its name."""
        old, new = self.primaries[number], self.replicas[number]
        self.primaries[number], self.replicas[number] = new, old
        old.name, new.name = new.name, old.name

    @property
    def addresses(self) -> list[str]:
        return [f"{HOST}:{server.port}" for server in self.servers if server.process.returncode is None]

    async def owned(self) -> list[SlotSet]:
        """By each primary, as it says itself."""
        return [(await server.view()).me.slots for server in self.primaries]

    async def open_slots(self) -> list[str]:
        return [mark for server in self.primaries for mark in (await server.view()).me.open_slots]


@asynccontextmanager
async def redis_cluster(
    folder: Path, owners: int, new: int = 0, *, replicas: bool = False, server: Path | str = "redis-server"
) -> AsyncIterator[RedisCluster]:
    """*owners* primaries that own all slots, *new* ones that own none, and a replica of each if *replicas*."""
    async with AsyncExitStack() as stack:
        count = (owners + new) * (2 if replicas else 1)
        found = await asyncio.gather(*(_start(folder, number, str(server), stack) for number in range(count)))
        cluster = RedisCluster(found[: owners + new], found[owners + new :])
        for number, slots in enumerate(even_split(owners)):
            await found[number].ask("CLUSTER", "ADDSLOTS", *slots)
        for number, each in enumerate(found):
            await each.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for each in found[1:]:
            await found[0].ask("CLUSTER", "MEET", HOST, each.port, each.bus)
        await _until(lambda: _all_know(found), "every node knows every other one")
        for primary, replica in zip(cluster.primaries, cluster.replicas, strict=replicas):
            await replica.ask("CLUSTER", "REPLICATE", primary.id)
        await _until(lambda: _all_work(cluster), "the cluster works")
        yield cluster


async def _start(folder: Path, number: int, server: str, stack: AsyncExitStack) -> Server:
    home = folder / f"node-{number}"
    home.mkdir()
    port, bus = free_port(), free_port()
    lines = [f"bind {HOST}", f"port {port}", f"cluster-port {bus}", 'save ""', f"dir {home}", "cluster-enabled yes"]
    lines += [f'requirepass "{PASSWORD}"', f'masterauth "{PASSWORD}"', f"cluster-node-timeout {NODE_TIMEOUT_MS}"]
    lines += ["cluster-require-full-coverage no", "repl-diskless-sync-delay 0", "cluster-allow-replica-migration no"]
    lines += ["enable-debug-command local"]  # DEBUG DIGEST-VALUE
    (home / "redis.conf").write_text("\n".join(lines))
    process = await asyncio.create_subprocess_exec(
        *("setpriv", "--pdeathsig", "KILL", server, str(home / "redis.conf")),  # it goes with a run that is killed
        stdout=asyncio.subprocess.DEVNULL,
    )
    stack.push_async_callback(_end, process)
    found: Link | None = None
    async with asyncio.timeout(20):
        while found is None:
            try:
                found = await connect(HOST, port, access=ACCESS, timeout_s=5)
            except LinkError:
                await asyncio.sleep(0.02)  # between two looks, under the deadline above
    stack.callback(found.close)
    reply = await found.call("CLUSTER", "MYID", timeout_s=5)
    assert isinstance(reply, bytes)
    return Server(f"rat-{number}", port, process, found, bus, reply.decode())


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGCONT)
        process.kill()
    await process.wait()


async def _all_know(found: Sequence[Server]) -> bool:
    for each in found:
        view = await each.view()
        if not all(view.reaches(other.id) for other in found):
            return False
    return True


async def _all_work(cluster: RedisCluster) -> bool:
    for each in cluster.servers:
        info = await each.ask("CLUSTER", "INFO")
        assert isinstance(info, bytes)
        if b"cluster_state:ok" not in info or b"cluster_slots_ok:16384" not in info:
            return False
    for replica in cluster.replicas:
        info = await replica.ask("INFO", "replication")
        assert isinstance(info, bytes)
        if b"master_link_status:up" not in info:
            return False
    for each in cluster.servers:
        view = await each.view()
        if sum(node.is_replica for node in (view.me, *view.others.values())) != len(cluster.replicas):
            return False
    return True


async def _until(condition: object, what: str, *, deadline_s: float = 40.0) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline_s
    while not await condition():  # type: ignore[operator]
        assert loop.time() < end, f"not within {deadline_s:g} s: {what}"
        await asyncio.sleep(0.05)  # between two looks, under the deadline above
