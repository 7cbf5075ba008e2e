"""Claims about connections to a Service: over real sockets, to real servers on loopback addresses."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
import uvloop

from localkube.controllers.forwarder import Address, Connections, Listener
from localkube.controllers.proxy import ServiceProxy
from localkube.controllers.services import ServiceController
from localkube.controllers.slices import SLICES
from tests.kit.waiting import eventually
from tests.localkube.controllers.conftest import DEADLINE_S, World

Obj = dict[str, Any]
PORT = 17379
_hosts = itertools.count(1)


class Server:
    """Says its name, then echoes; remembers who came."""

    def __init__(self, world: World) -> None:
        # Another test run on this machine has another block; a backlog of earlier tests never answers for this one.
        self.ip = f"127.{world.settings.block}.{os.getpid() % 200 + 20}.{next(_hosts) % 250 + 2}"
        self.clients: list[str] = []
        self.ended: list[str] = []  # how connections ended: "eof" or "reset"
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> Server:
        self._server = await asyncio.start_server(self._serve, self.ip, PORT)
        return self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self.clients.append(writer.get_extra_info("peername")[0])
        writer.write(self.ip.encode() + b"\n")
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            self.ended.append("eof")
        except ConnectionError:
            self.ended.append("reset")
        writer.close()

    async def stop(self) -> None:
        """As when its process ends: nobody listens, and what stands is cut."""
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()


@pytest.fixture
async def servers(world: World) -> AsyncIterator[list[Server]]:
    made = [await Server(world).start() for _ in range(2)]
    yield made
    for server in made:
        await server.stop()


def service(world: World, /, **spec: Any) -> tuple[str, int]:
    ports = [{"name": "redis", "port": 6379}]
    return (world.create("services", "s", spec={"ports": ports, **spec})["spec"]["clusterIP"], 6379)


def lead_to(world: World, *servers: Server, name: str = "s-slots", ready: bool | None = True) -> None:
    """Writes the slice as the owner of a selector-less Service does."""
    labels = {"kubernetes.io/service-name": "s", "endpointslice.kubernetes.io/managed-by": "me"}
    conditions = {} if ready is None else {"ready": ready}
    content: Obj = {
        "addressType": "IPv4",
        "endpoints": [{"addresses": [server.ip], "conditions": conditions} for server in servers],
        "ports": [{"name": "redis", "port": PORT}],
    }
    if world.find(SLICES, name) is None:
        world.create(SLICES, name, metadata={"labels": labels}, **content)
    else:
        world.change(SLICES, name, **content)


async def connect(address: tuple[str, int]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, str]:
    """A connection and the name that the server behind it said."""
    async with asyncio.timeout(DEADLINE_S):
        reader, writer = await asyncio.open_connection(*address)
        return reader, writer, (await reader.readline()).decode().strip()


async def answers(address: tuple[str, int]) -> str | None:
    """Who answers; None: refused."""
    try:
        _, writer, name = await connect(address)
    except ConnectionRefusedError:
        return None
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    return name


async def until_answered(address: tuple[str, int], expected: str | None) -> None:
    """By *expected*; None: by nobody."""
    seen: set[str | None] = set()

    async def is_so() -> bool:
        seen.add(found := await answers(address))
        return found == expected

    await eventually(is_so, lambda: f"{address} answers {expected}, not {seen}", deadline_s=DEADLINE_S, pause_s=0)


async def test_a_slice_written_by_the_owner_of_the_service_is_where_it_leads(
    world: World, servers: list[Server]
) -> None:
    world.start(ServiceController, ServiceProxy)
    address = service(world)

    lead_to(world, servers[0])

    await until_answered(address, servers[0].ip)


async def test_without_endpoints_it_is_refused_at_once(world: World) -> None:
    world.start(ServiceController, ServiceProxy)
    address = service(world)
    lead_to(world)
    await world.settled()

    assert await answers(address) is None


async def test_an_endpoint_that_is_not_ready_gets_no_connection(world: World, servers: list[Server]) -> None:
    world.start(ServiceController, ServiceProxy)
    address = service(world)
    lead_to(world, servers[0])
    await until_answered(address, servers[0].ip)

    lead_to(world, servers[0], ready=False)

    await until_answered(address, None)


async def test_readiness_that_nobody_told_counts_as_ready(world: World, servers: list[Server]) -> None:
    world.start(ServiceController, ServiceProxy)
    address = service(world)

    lead_to(world, servers[0], ready=None)

    await until_answered(address, servers[0].ip)


async def test_it_follows_its_slices(world: World, servers: list[Server]) -> None:
    world.start(ServiceController, ServiceProxy)
    address = service(world)
    lead_to(world, servers[0])
    await until_answered(address, servers[0].ip)

    lead_to(world, servers[1])
    await world.settled()

    assert {servers[1].ip} == {await answers(address) for _ in range(10)}


async def test_all_slices_of_a_service_count(world: World, servers: list[Server]) -> None:
    world.start(ServiceController, ServiceProxy)
    address = service(world)
    lead_to(world, servers[0], name="one")
    lead_to(world, servers[1], name="two")
    await world.settled()

    # Chance would miss one of the two in 64 tries less often than a disk loses the test.
    assert {server.ip for server in servers} == {await answers(address) for _ in range(64)}


async def test_ports_are_matched_by_name(world: World, servers: list[Server]) -> None:
    world.start(ServiceController, ServiceProxy)
    ports = [{"name": "redis", "port": 6379}, {"name": "other", "port": 6380}]
    ip, _ = service(world, ports=ports)

    lead_to(world, servers[0])
    await until_answered((ip, 6379), servers[0].ip)

    assert await answers((ip, 6380)) is None


async def test_a_node_port_and_a_load_balancer_lead_there_too(world: World, servers: list[Server]) -> None:
    world.start(ServiceController, ServiceProxy)
    service(world, type="LoadBalancer")
    lead_to(world, servers[0])
    await world.until(lambda: world.get("services", "s")["status"]["loadBalancer"])

    made = world.get("services", "s")

    await until_answered(("127.0.0.1", made["spec"]["ports"][0]["nodePort"]), servers[0].ip)
    await until_answered((made["status"]["loadBalancer"]["ingress"][0]["ip"], 6379), servers[0].ip)


async def test_an_outside_address_of_somebody_else_is_not_played(world: World, servers: list[Server]) -> None:
    world.start(ServiceController, ServiceProxy)
    service(world, type="LoadBalancer")
    lead_to(world, servers[0])
    await world.until(lambda: world.get("services", "s")["status"]["loadBalancer"])
    ours = (world.get("services", "s")["status"]["loadBalancer"]["ingress"][0]["ip"], 6379)
    await until_answered(ours, servers[0].ip)

    world.change("services", "s", subresource="status", status={"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}})

    await until_answered(ours, None)


async def test_a_standing_connection_outlives_a_change_of_endpoints(world: World, servers: list[Server]) -> None:
    world.start(ServiceController, ServiceProxy)
    address = service(world)
    lead_to(world, servers[0])
    await until_answered(address, servers[0].ip)
    reader, writer, _ = await connect(address)

    lead_to(world)
    await until_answered(address, None)
    writer.write(b"still there\n")

    assert await reader.readline() == b"still there\n"
    writer.close()


async def test_a_connection_ends_with_the_process_behind_it(world: World, servers: list[Server]) -> None:
    world.start(ServiceController, ServiceProxy)
    address = service(world)
    lead_to(world, servers[0])
    await until_answered(address, servers[0].ip)
    reader, writer, _ = await connect(address)

    await servers[0].stop()

    async with asyncio.timeout(DEADLINE_S):
        with suppress(ConnectionError):
            assert await reader.read() == b""
    writer.close()


async def test_an_endpoint_that_refuses_ends_the_connection(world: World, servers: list[Server]) -> None:
    world.start(ServiceController, ServiceProxy)
    address = service(world)
    lead_to(world, servers[0])
    await until_answered(address, servers[0].ip)

    await servers[0].stop()

    reader, writer = await asyncio.open_connection(*address)
    async with asyncio.timeout(DEADLINE_S):
        with suppress(ConnectionError):
            assert await reader.read() == b""
    writer.close()


async def test_the_endpoint_sees_the_address_of_the_client(world: World, servers: list[Server]) -> None:
    world.start(ServiceController, ServiceProxy)
    address = service(world)
    lead_to(world, servers[0])
    await until_answered(address, servers[0].ip)
    ours = f"127.{world.settings.block}.9.9"

    _, writer = await asyncio.open_connection(*address, local_addr=(ours, 0))
    async with asyncio.timeout(DEADLINE_S):
        while ours not in servers[0].clients:
            await asyncio.sleep(0)

    writer.close()


async def test_one_direction_may_end_before_the_other(world: World, servers: list[Server]) -> None:
    world.start(ServiceController, ServiceProxy)
    address = service(world)
    lead_to(world, servers[0])
    await until_answered(address, servers[0].ip)
    reader, writer, _ = await connect(address)

    writer.write(b"last words")
    writer.write_eof()

    async with asyncio.timeout(DEADLINE_S):
        assert await reader.read() == b"last words"
    writer.close()


async def test_a_client_that_resets_is_a_reset_for_the_server(world: World, servers: list[Server]) -> None:
    world.start(ServiceController, ServiceProxy)
    address = service(world)
    lead_to(world, servers[0])
    await world.settled()
    _, writer, _ = await connect(address)
    ended = len(servers[0].ended)

    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    async with asyncio.timeout(DEADLINE_S):
        while len(servers[0].ended) == ended:
            await asyncio.sleep(0)

    assert servers[0].ended[-1] == "reset"


async def test_megabytes_arrive_whole_at_a_reader_slower_than_the_writer(world: World, servers: list[Server]) -> None:
    world.start(ServiceController, ServiceProxy)
    address = service(world)
    lead_to(world, servers[0])
    await until_answered(address, servers[0].ip)
    reader, writer, _ = await connect(address)
    sent = os.urandom(8 * 1024 * 1024)

    async def send() -> None:
        for start in range(0, len(sent), 65536):
            writer.write(sent[start : start + 65536])
            await writer.drain()
        writer.write_eof()

    async with asyncio.timeout(30):
        sending = asyncio.create_task(send())
        received = await reader.read(-1)
        await sending

    assert received == sent
    writer.close()


async def test_a_client_with_affinity_comes_back_to_its_endpoint(world: World, servers: list[Server]) -> None:
    world.start(ServiceController, ServiceProxy)
    address = service(world, sessionAffinity="ClientIP")
    lead_to(world, *servers)
    await world.settled()

    assert len({await answers(address) for _ in range(20)}) == 1


async def test_a_deleted_service_is_refused(world: World, servers: list[Server]) -> None:
    world.start(ServiceController, ServiceProxy)
    address = service(world)
    lead_to(world, servers[0])
    await until_answered(address, servers[0].ip)

    world.registry.delete("services", "default", "s")

    await until_answered(address, None)


async def test_a_changed_port_is_followed(world: World, servers: list[Server]) -> None:
    world.start(ServiceController, ServiceProxy)
    ip, port = service(world)
    lead_to(world, servers[0])
    await until_answered((ip, port), servers[0].ip)

    spec = world.get("services", "s")["spec"]
    world.change("services", "s", spec={**spec, "ports": [{"name": "redis", "port": 7000}]})

    await until_answered((ip, 7000), servers[0].ip)
    assert await answers((ip, port)) is None


async def test_a_port_that_something_else_holds_is_told_in_an_event(world: World, servers: list[Server]) -> None:
    world.start(ServiceController, ServiceProxy)
    ip, port = service(world)
    with socket.create_server((ip, port)):
        lead_to(world, servers[0])

        await world.until(lambda: [one for one in world.registry.list("events") if one["reason"] == "FailedToListen"])

    [event] = world.registry.list("events")
    assert event["message"] == f"cannot listen on {ip}:{port}: Address already in use"
    assert event["involvedObject"]["name"] == "s"


async def test_what_cannot_be_forwarded_is_told_in_an_event(world: World) -> None:
    world.start(ServiceController, ServiceProxy)

    service(world, ports=[{"name": "dns", "port": 53, "protocol": "UDP"}])
    await world.until(lambda: world.registry.list("events"))

    assert [one["message"] for one in world.registry.list("events")] == ["localkube forwards TCP only, not UDP port 53"]


async def test_at_its_end_nothing_listens_and_nothing_stands(world: World, servers: list[Server]) -> None:
    world.start(ServiceController, ServiceProxy)
    address = service(world)
    lead_to(world, servers[0])
    await until_answered(address, servers[0].ip)
    reader, writer, _ = await connect(address)

    await world.stop()

    async with asyncio.timeout(DEADLINE_S):
        with suppress(ConnectionError):
            assert await reader.read() == b""
    assert await answers(address) is None
    writer.close()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_forwarding_works_on_whichever_loop_it_runs(run: Any, tmp_path: Any, block: int) -> None:
    async def scenario() -> tuple[str, bytes, int]:
        server = await Server(World(tmp_path, block)).start()
        connections = Connections()
        address = Address(server.ip, PORT + 1)
        listener = Listener(address, connections)
        listener.serve((Address(server.ip, PORT),))
        reader, writer, name = await connect(address)
        writer.write(b"x" * 100_000)
        echoed = await reader.readexactly(100_000)
        listener.close()
        await connections.stop()
        await server.stop()
        writer.close()
        return name, echoed, len(connections)

    name, echoed, left = run(scenario())

    assert name.startswith("127.")
    assert echoed == b"x" * 100_000
    assert left == 0
