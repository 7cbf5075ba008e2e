"""One connection to a Redis process: a real redis-server, which is killed, frozen and given a password."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import signal
import socket
import sys
import termios
from pathlib import Path

import pytest

from tdredis.redislink.access import OPEN, Access
from tdredis.redislink.errors import NoAnswer, Refused, Unreachable
from tdredis.redislink.link import connect
from tdredis.redislink.pool import Address, LinkPool
from tests.kit.servers import HOST, PASSWORD, redis_server


async def test_commands_are_answered_in_order(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as (port, _):
        link = await connect(HOST, port, access=OPEN, timeout_s=5)

        replies = await link.call_all([["SET", "a", 1], ["GET", "a"], ["INCR", "a"]], timeout_s=5)

        assert replies == [b"OK", b"1", 2]
        link.close()


async def test_an_error_reply_is_refused_with_redis_own_words(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as (port, _):
        link = await connect(HOST, port, access=OPEN, timeout_s=5)

        with pytest.raises(Refused, match="unknown command") as caught:
            await link.call("NOSUCH", timeout_s=5)

        assert caught.value.code == "ERR"
        link.close()


async def test_a_wrong_password_is_refused_and_not_repeated(tmp_path: Path) -> None:
    async with redis_server(tmp_path, password=PASSWORD) as (port, _):
        with pytest.raises(Refused) as caught:
            await connect(HOST, port, access=Access(("wrong horse",)), timeout_s=5)

        assert caught.value.code == "WRONGPASS"
        assert "horse" not in str(caught.value)


async def test_a_server_without_a_password_is_reached_all_the_same(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as (port, _):
        link = await connect(HOST, port, access=Access((PASSWORD,)), timeout_s=5)

        assert await link.call("PING", timeout_s=5) == b"PONG"
        link.close()


async def test_a_killed_process_is_known_at_once(tmp_path: Path) -> None:
    async with redis_server(tmp_path, password=PASSWORD) as (port, process):
        lost = asyncio.Event()
        link = await connect(HOST, port, access=Access((PASSWORD,)), timeout_s=5, on_lost=lost.set)

        process.kill()

        await asyncio.wait_for(lost.wait(), 5)
        assert not link.open
        with pytest.raises(Unreachable):
            await link.call("PING", timeout_s=5)


async def test_a_frozen_process_gives_no_answer_and_the_link_is_not_used_again(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as (port, process):
        link = await connect(HOST, port, access=OPEN, timeout_s=5)
        process.send_signal(signal.SIGSTOP)

        with pytest.raises(NoAnswer):
            await link.call("PING", timeout_s=0.05)

        assert not link.open


async def test_what_was_not_delivered_when_we_gave_up_is_never_delivered() -> None:
    """A network that is mended a minute later must not carry out what was decided before."""
    loop = asyncio.get_running_loop()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind((HOST, 0))
        listener.listen()
        listener.setblocking(False)
        connecting = asyncio.create_task(connect(HOST, listener.getsockname()[1], access=OPEN, timeout_s=5))
        peer, _ = await loop.sock_accept(listener)
        await loop.sock_recv(peer, 100)
        await loop.sock_sendall(peer, b"+PONG\r\n")
        link = await connecting
        with pytest.raises(NoAnswer):
            await link.call("SET", "key", "x" * 1_000_000, timeout_s=0.1)
        await asyncio.sleep(0)  # an aborted transport closes its socket in the next turn

        with peer:
            arrived = int.from_bytes(fcntl.ioctl(peer, termios.FIONREAD, bytes(4)), sys.byteorder)
            found = 0
            with contextlib.suppress(ConnectionResetError):
                while data := await asyncio.wait_for(loop.sock_recv(peer, 65536), 5):
                    found += len(data)

    assert found == arrived


async def test_who_waits_little_takes_the_answer_from_nobody_who_asked_before(tmp_path: Path) -> None:
    """A pulse of a second must not end a MIGRATE that may take two."""
    async with redis_server(tmp_path) as (port, _):
        link = await connect(HOST, port, access=OPEN, timeout_s=5)
        patient = asyncio.create_task(link.call("BLPOP", "nothing", 1, timeout_s=5))
        await asyncio.sleep(0)  # it asks first

        with pytest.raises(NoAnswer):
            await link.call("ECHO", "late", timeout_s=0.1)

        assert await patient is None
        assert await link.call("ECHO", "later", timeout_s=5) == b"later", "not the answer to the former question"
        link.close()


async def test_what_is_no_redis_is_unreachable() -> None:
    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, HOST, 0)
    port = server.sockets[0].getsockname()[1]

    with pytest.raises(Unreachable):
        await connect(HOST, port, access=OPEN, timeout_s=5)
    server.close()
    await server.wait_closed()


async def test_the_pool_opens_once_reopens_and_closes_what_is_gone(tmp_path: Path) -> None:
    lost: list[tuple[str, Address]] = []
    pool: LinkPool[str] = LinkPool(lambda owner, address: lost.append((owner, address)))
    async with redis_server(tmp_path, password=PASSWORD) as (port, _):
        address = Address("uid-1", HOST, port)
        pool.admit("rat", Access((PASSWORD,)))
        first, second = await asyncio.gather(
            *(pool.ask("rat", address, [["CLIENT", "ID"]], timeout_s=5) for _ in range(2))
        )
        assert first == second
        assert len(pool) == 1

        pool.keep("rat", [])

        assert len(pool) == 0
        assert lost == []


async def test_who_waits_little_is_not_kept_by_others_who_try_the_same(tmp_path: Path) -> None:
    """A pulse that waits a second for a frozen process must not keep a pass in a failover."""
    pool: LinkPool[str] = LinkPool(lambda _owner, _address: None)
    async with redis_server(tmp_path, password=PASSWORD) as (port, process), asyncio.TaskGroup() as group:
        process.send_signal(signal.SIGSTOP)
        address = Address("uid-1", HOST, port)

        async def ask(timeout_s: float) -> None:
            with pytest.raises(NoAnswer):
                await pool.ask("rat", address, [["PING"]], timeout_s=timeout_s)

        patient = [group.create_task(ask(1)), group.create_task(ask(1))]
        await asyncio.sleep(0)  # they are first

        await ask(0.1)

        assert not any(task.done() for task in patient)
    pool.close()
