"""Connections by owner: who is turned away is asked seldom, who accepts and closes has not died each time, and a
connection that nobody wants any more is closed.

Time is virtual but where real processes answer.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tdredis.redislink.access import OPEN, Access
from tdredis.redislink.errors import LinkError, NoFreeConnection, Refused, Unreachable
from tdredis.redislink.link import KEEPALIVE, Link, connect
from tdredis.redislink.pool import LOST_AGAIN_S, TURNED_AWAY_S, Address, Command, LinkPool
from tests.kit.servers import HOST, PASSWORD, redis_server

OWNER = "rat"
ADDRESS = Address("uid-0", "10.0.0.1", pod="rat-0-0")
CLOSED = Unreachable("connection closed by Redis", accepted=True)


class Answering(Link):
    """Answers everything with OK, until it is told to end."""

    def __init__(self, on_lost: Callable[[], None] | None) -> None:
        super().__init__(on_lost)
        self.greeted = True
        self.ended = False

    @property
    def open(self) -> bool:
        return not self.ended

    async def call_all(self, commands: Sequence[Command], *, timeout_s: float) -> list[object]:  # noqa: ARG002
        return [b"OK"] * len(commands)

    def end(self) -> None:
        self.ended = True
        self.connection_lost(None)

    def close(self) -> None:
        self.ended = True


class Server:
    """Who is asked for a connection: the next of *says*, or its last for ever."""

    def __init__(self, *says: LinkError | None) -> None:
        self.says = list(says)
        self.tried: list[float] = []
        self.with_: list[Access] = []
        self.links: list[Answering] = []

    async def connect(
        self,
        host: str,  # noqa: ARG002 as of a real one
        port: int,  # noqa: ARG002
        *,
        access: Access,
        timeout_s: float,  # noqa: ARG002
        on_lost: Callable[[], None] | None = None,
    ) -> Link:
        self.tried.append(asyncio.get_running_loop().time())
        self.with_.append(access)
        said = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        await asyncio.sleep(0)
        if said is not None:
            raise said
        self.links.append(Answering(on_lost))
        return self.links[-1]


async def ask_for(pool: LinkPool[str], seconds: float, every_s: float = 0.1) -> list[LinkError]:
    """What a pass hears that asks so often."""
    heard: list[LinkError] = []
    until = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < until:
        try:
            await pool.ask(OWNER, ADDRESS, [["PING"]], timeout_s=1)
        except LinkError as error:
            heard.append(error)
        await asyncio.sleep(every_s)  # the pace of passes, in virtual time
    return heard


@pytest.mark.looptime
@pytest.mark.parametrize(
    "words",
    [
        CLOSED,
        NoFreeConnection("ERR max number of clients reached"),
        Refused("WRONGPASS invalid username-password pair or user is disabled."),
        Refused("DENIED Redis is running in protected mode"),
    ],
    ids=["closes", "maxclients", "password", "protected"],
)
async def test_who_turns_us_away_is_asked_seldom_and_every_pass_hears_why(words: LinkError) -> None:
    server = Server(words)
    deaths: list[Address] = []
    pool: LinkPool[str] = LinkPool(lambda _owner, address: deaths.append(address), connect=server.connect)

    heard = await ask_for(pool, 60)

    assert len(server.tried) <= 60 / TURNED_AWAY_S + 1
    assert {(type(error), str(error)) for error in heard} == {(type(words), str(words))}
    assert deaths == []


@pytest.mark.looptime
async def test_nobody_listens_is_heard_each_time() -> None:
    """It costs the server nothing, and the process may be back at any moment."""
    server = Server(Unreachable("connection refused", refused=True))
    pool: LinkPool[str] = LinkPool(lambda _owner, _address: None, connect=server.connect)

    heard = await ask_for(pool, 1)

    assert len(server.tried) == len(heard) == 10


@pytest.mark.looptime
async def test_who_was_killed_a_moment_ago_and_still_accepts_is_asked_once_more_at_once() -> None:
    """The proof of its death must not wait."""
    server = Server(CLOSED, Unreachable("connection refused", refused=True))
    pool: LinkPool[str] = LinkPool(lambda _owner, _address: None, connect=server.connect)

    with pytest.raises(Unreachable) as heard:
        await pool.ask(OWNER, ADDRESS, [["PING"]], timeout_s=1)

    assert heard.value.refused


@pytest.mark.looptime
async def test_other_passwords_are_tried_at_once() -> None:
    server = Server(Refused("WRONGPASS invalid"), None)
    pool: LinkPool[str] = LinkPool(lambda _owner, _address: None, connect=server.connect)
    pool.admit(OWNER, Access(("wrong",)))
    with pytest.raises(Refused):
        await pool.ask(OWNER, ADDRESS, [["PING"]], timeout_s=1)

    pool.admit(OWNER, Access(("right",)))

    assert await pool.ask(OWNER, ADDRESS, [["PING"]], timeout_s=1) == [b"OK"]
    assert server.with_ == [Access(("wrong",)), Access(("right",))]


@pytest.mark.looptime
async def test_a_death_is_told_at_once_and_the_next_of_the_same_process_after_a_pause_and_never_missed() -> None:
    server = Server(None)
    told: list[float] = []
    now = asyncio.get_running_loop().time
    pool: LinkPool[str] = LinkPool(lambda _owner, _address: told.append(now()), connect=server.connect)
    begun = now()
    for _ in range(20):
        await pool.ask(OWNER, ADDRESS, [["PING"]], timeout_s=1)
        server.links[-1].end()
        await asyncio.sleep(0.1)  # virtual
    await asyncio.sleep(60)  # virtual

    assert told == pytest.approx([begun, begun + LOST_AGAIN_S], abs=0.01)


@pytest.mark.looptime
async def test_what_is_not_kept_tells_nothing_more() -> None:
    server = Server(None)
    told: list[Address] = []
    pool: LinkPool[str] = LinkPool(lambda _owner, address: told.append(address), connect=server.connect)
    for _ in range(2):
        await pool.ask(OWNER, ADDRESS, [["PING"]], timeout_s=1)
        server.links[-1].end()

    pool.keep(OWNER, ())
    await asyncio.sleep(60)  # virtual

    assert (told, len(pool)) == ([ADDRESS], 0)


@pytest.mark.parametrize("password", ["", PASSWORD])
async def test_no_free_connection_is_named_and_is_no_death(tmp_path: Path, password: str) -> None:
    deaths: list[Address] = []
    pool: LinkPool[str] = LinkPool(lambda _owner, address: deaths.append(address))
    pool.admit(OWNER, Access((password,)))
    async with redis_server(tmp_path, password=password) as (port, _), asyncio.TaskGroup():
        first = await connect(HOST, port, access=Access((password,)), timeout_s=5)
        await first.call("CONFIG", "SET", "maxclients", 1, timeout_s=5)

        with pytest.raises(NoFreeConnection, match="max number of clients"):
            await pool.ask(OWNER, Address("uid", HOST, port), [["PING"]], timeout_s=5)

        first.close()
    pool.close()
    assert deaths == []


@pytest.mark.parametrize(
    ("tried", "accepted"),
    [(("wrong", PASSWORD), PASSWORD), ((PASSWORD, "wrong"), PASSWORD), (("", PASSWORD), PASSWORD)],
)
async def test_passwords_are_tried_in_turn_and_which_one_was_accepted_is_known(
    tmp_path: Path, tried: tuple[str, ...], accepted: str
) -> None:
    pool: LinkPool[str] = LinkPool(lambda _owner, _address: None)
    pool.admit(OWNER, Access(tried))
    async with redis_server(tmp_path, password=PASSWORD) as (port, _):
        address = Address("uid", HOST, port)

        assert await pool.ask(OWNER, address, [["PING"]], timeout_s=5) == [b"PONG"]
        assert pool.accepted(OWNER, address) == accepted
        pool.close()
    assert PASSWORD not in repr(Access(tried))


async def test_a_proxy_is_entered_with_its_own_password(tmp_path: Path) -> None:
    pool: LinkPool[str] = LinkPool(lambda _owner, _address: None)
    async with redis_server(tmp_path, password=PASSWORD) as (port, _):
        door = Address("uid", HOST, port)
        pool.admit(OWNER, Access(("that of Redis",)), doors=[door], door=Access((PASSWORD,)))

        assert await pool.ask(OWNER, door, [["PING"]], timeout_s=5) == [b"PONG"]
        pool.close()


@asynccontextmanager
async def late_redis() -> AsyncIterator[tuple[int, asyncio.Event, list[asyncio.StreamWriter]]]:
    """It answers AUTH once it may."""
    may, open_ = asyncio.Event(), list[asyncio.StreamWriter]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_.append(writer)
        try:
            while await reader.read(1024):
                await may.wait()
                writer.write(b"+OK\r\n")
        except ConnectionError:
            pass
        finally:
            open_.remove(writer)
            writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    async with server:
        yield server.sockets[0].getsockname()[1], may, open_


async def test_a_connection_that_nobody_wants_when_it_is_open_is_closed() -> None:
    deaths: list[Address] = []
    pool: LinkPool[str] = LinkPool(lambda _owner, address: deaths.append(address))
    async with late_redis() as (port, may, open_), asyncio.timeout(10):
        asking = asyncio.create_task(pool.ask(OWNER, Address("uid", HOST, port), [["PING"]], timeout_s=5))
        while not open_:
            await asyncio.sleep(0.01)  # between two looks

        pool.keep(OWNER, ())
        may.set()

        with pytest.raises(Unreachable):
            await asking
        while open_:
            await asyncio.sleep(0.01)
    assert (deaths, len(pool)) == ([], 0)


async def test_the_kernel_ends_connections_to_a_node_that_is_gone(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as (port, _):
        made: list[socket.socket] = []

        class Seen(Link):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                super().connection_made(transport)
                made.append(transport.get_extra_info("socket"))

        await asyncio.get_running_loop().create_connection(Seen, HOST, port)
        (found,) = made

        assert found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        options = {name: found.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in KEEPALIVE}
        assert options == dict(KEEPALIVE)


def test_an_address_is_that_of_a_process_whatever_its_pod_is_called() -> None:
    assert Address("u", "10.0.0.1", pod="a") == Address("u", "10.0.0.1", pod="b")
    assert OPEN.passwords_to_try == ("",)
