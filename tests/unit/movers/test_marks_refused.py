"""A source that does not let go of the mark of large keys that it has given away: it is no user's key all the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import pytest
from redis.crc import key_slot

from tdredis.movers.pace import FAST
from tdredis.movers.progress import End
from tdredis.movers.reshard import Resharding, always
from tdredis.redis.moves import Move
from tdredis.redis.slot_marks import given, reserved
from tdredis.redis.slots import parse_slots
from tdredis.redislink.access import Access
from tdredis.redislink.errors import Refused
from tdredis.redislink.link import Link, connect
from tdredis.redislink.pool import Command
from tests.unit.movers.redis_cluster import ACCESS, RedisCluster, Server, redis_cluster

KEY, SLOT = b"{b}large", key_slot(b"b")
VALUE = b"x" * 400_000  # two pieces
MOVE = Move(source="rat-0", target="rat-2", slots=parse_slots([str(SLOT)]), keys=0, size_bytes=0)


class Refusing:
    """Connects as `link.connect` does. *source* refuses to remove its mark, once: it has too few replicas then."""

    def __init__(self, source: Server) -> None:
        self.source = source
        self.times = 0

    async def __call__(
        self, host: str, port: int, *, access: Access, timeout_s: float, on_lost: Callable[[], None] | None = None
    ) -> Link:
        link = await connect(host, port, access=access, timeout_s=timeout_s, on_lost=on_lost)
        return cast("Link", _RefusingLink(link, self) if port == self.source.port else link)

    def is_now(self, commands: Sequence[Command], is_given: object) -> bool:
        return not self.times and ("UNLINK", given(SLOT)) in commands and is_given == 1


class _RefusingLink:
    def __init__(self, link: Link, refusing: Refusing) -> None:
        self._link = link
        self._refusing = refusing
        self.accepted = link.accepted

    async def call_all(self, commands: Sequence[Command], *, timeout_s: float) -> list[object]:
        source = self._refusing.source
        if ("UNLINK", given(SLOT)) not in commands:
            return await self._link.call_all(commands, timeout_s=timeout_s)
        (is_given,) = await source.link.call_all([("EXISTS", given(SLOT))], timeout_s=timeout_s)
        if not self._refusing.is_now(commands, is_given):
            return await self._link.call_all(commands, timeout_s=timeout_s)
        self._refusing.times += 1
        await source.ask("CONFIG", "SET", "min-replicas-to-write", 1)
        replies = await self._link.call_all(commands, timeout_s=timeout_s)
        await source.ask("CONFIG", "SET", "min-replicas-to-write", 0)
        return replies

    def close(self) -> None:
        self._link.close()


def work(cluster: RedisCluster, connect: object = connect) -> Resharding:
    return Resharding(places=cluster.places, access=ACCESS, pace=FAST, may_go_on=always, connect=connect)  # type: ignore[arg-type]


async def test_a_mark_that_the_source_keeps_does_not_go_to_the_target(tmp_path: Path) -> None:
    async with redis_cluster(tmp_path, 2, 1) as cluster:
        first, _, third = cluster.primaries
        await first.ask("SET", KEY, VALUE)
        refusing = Refusing(first)

        with pytest.raises(Refused, match="NOREPLICAS"):
            await work(cluster, refusing).run([MOVE])
        assert refusing.times == 1
        assert await work(cluster).run([MOVE]) is End.DONE

        assert (await third.ask("DBSIZE"), await first.ask("DBSIZE")) == (1, 0)
        assert await third.ask("GET", KEY) == VALUE
        assert await cluster.open_slots() == []


async def test_what_a_move_before_has_left_in_a_slot_is_no_user_s_key(tmp_path: Path) -> None:
    async with redis_cluster(tmp_path, 2, 1) as cluster:
        first, _, third = cluster.primaries
        for name in reserved(SLOT):
            await first.ask("SET", name, VALUE)
        await first.ask("SET", KEY, b"small")

        assert await work(cluster).run([MOVE]) is End.DONE

        assert (await third.ask("DBSIZE"), await first.ask("DBSIZE")) == (1, 0)
        assert await third.ask("GET", KEY) == b"small"
