"""Claims about forwarded ports: SPDY's framing as its clients speak it, and the older channels of client libraries."""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from localkube.registry import Registry
from localkube.server import spdy
from tests.localkube.api.client import Api

DEADLINE_S = 10.0
PODS = "/api/v1/namespaces/default/pods"


def opened(stream: int, compress: Callable[[bytes], bytes], **headers: str) -> bytes:
    """A SYN_STREAM as a client sends it."""
    block = struct.pack(">I", len(headers))
    for name, value in headers.items():
        block += struct.pack(">I", len(name)) + name.encode() + struct.pack(">I", len(value)) + value.encode()
    payload = struct.pack(">IIBB", stream, 0, 0, 0) + compress(block)
    return struct.pack(">HHI", 0x8003, spdy.SYN_STREAM, len(payload)) + payload


def compression() -> Callable[[bytes], bytes]:
    deflate = zlib.compressobj(zdict=spdy.DICTIONARY)
    return lambda block: deflate.compress(block) + deflate.flush(zlib.Z_SYNC_FLUSH)


@asynccontextmanager
async def echo() -> AsyncIterator[int]:
    """A port on the pod's address that says everything twice, then ends when its client does."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(2 * await reader.read())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def add_pod(registry: Registry) -> None:
    spec = {"nodeName": "node-1", "containers": [{"name": "c", "image": "redis:7"}]}
    pod = registry.create("pods", {"metadata": {"name": "p", "namespace": "default"}, "spec": spec})
    registry.update("pods", {**pod, "status": {"podIP": "127.0.0.1", "phase": "Running"}}, subresource="status")


async def read(socket: aiohttp.ClientWebSocketResponse) -> bytes:
    async with asyncio.timeout(DEADLINE_S):
        return await socket.receive_bytes()


def test_the_dictionary_is_the_published_one() -> None:
    assert zlib.adler32(spdy.DICTIONARY) == 0xE3C6A7C2


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_frames_are_found_however_the_bytes_are_cut(size: int) -> None:
    compress = compression()
    sent = opened(1, compress, streamtype="error", port="80") + opened(3, compress, streamtype="data", port="80")
    sent += spdy.build_data(3, b"hello", ended=True) + spdy.build_pong(5) + spdy.build_reset(3, spdy.CANCEL)

    framing = spdy.Framing()
    found = [frame for at in range(0, len(sent), size) for frame in framing.parse_frames(sent[at : at + size])]

    assert found == [
        spdy.Opened(1, {"streamtype": "error", "port": "80"}, ended=False),
        spdy.Opened(3, {"streamtype": "data", "port": "80"}, ended=False),
        spdy.Data(3, b"hello", ended=True),
        spdy.Pinged(5),
        spdy.Reset(3),
    ]


def test_another_protocol_is_not_taken_for_this_one() -> None:
    with pytest.raises(spdy.Malformed):
        spdy.Framing().parse_frames(struct.pack(">HHI", 0x8002, spdy.PING, 4) + b"\0\0\0\1")


async def test_a_connection_is_carried_by_two_streams_and_may_end_on_one_side_first(api: Api) -> None:
    add_pod(api.registry)
    compress = compression()
    answers = spdy.Framing()
    seen: list[spdy.Frame] = []

    async with echo() as port, api.socket(f"{PODS}/p/portforward", "SPDY/3.1+portforward.k8s.io") as socket:
        for stream, kind in ((1, "error"), (3, "data")):
            await socket.send_bytes(opened(stream, compress, streamtype=kind, port=str(port), requestid="0"))
        await socket.send_bytes(spdy.build_data(3, b"hello", ended=True))
        while spdy.Data(1, b"", ended=True) not in seen:
            seen += answers.parse_frames(await read(socket))

    assert seen == [
        spdy.Data(3, b"hellohello", ended=False),
        spdy.Data(3, b"", ended=True),
        spdy.Data(1, b"", ended=True),
    ]


async def test_the_older_channels_carry_a_connection_and_say_why_there_is_none(api: Api) -> None:
    add_pod(api.registry)
    async with echo() as port:
        path = f"{PODS}/p/portforward?ports={port}&ports=1"
        async with api.socket(path, "v4.channel.k8s.io") as socket:
            first = [await read(socket) for _ in range(4)]
            refused = await read(socket)

    assert first == [bytes((0,)) + struct.pack("<H", port), bytes((1,)) + struct.pack("<H", port), b"\2\1\0", b"\3\1\0"]
    assert refused.startswith(b"\3error forwarding port 1 to pod default/p: dial tcp4 127.0.0.1:1")
    assert b"connection refused" in refused


async def test_a_way_that_is_not_spoken_is_named(api: Api) -> None:
    add_pod(api.registry)

    answer = await api.create(f"{PODS}/p/portforward", {})

    assert answer.status == 501
    assert "SPDY/3.1+portforward.k8s.io" in answer.message
