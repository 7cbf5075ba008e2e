"""A target that does not know who owns what, or by which claim, is given nothing until it does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tdredis.movers import readiness
from tdredis.movers.node import Node
from tdredis.movers.progress import MoveFailed
from tdredis.movers.readiness import until_ready
from tdredis.redis.views import ClusterView
from tdredis.redislink.link import connect
from tests.unit.movers.redis_cluster import ACCESS, HOST, Server, redis_cluster


class ClaimsMore(Node):
    """It claims its slots by an epoch that nobody has heard of yet, for the first *looks* looks."""

    looks = 0

    async def view(self) -> ClusterView:
        found = await super().view()
        self.looks -= 1
        if self.looks >= 0:
            return replace(found, me=replace(found.me, config_epoch=found.me.config_epoch + 1000))
        return found


async def opened(server: Server, kind: type[Node]) -> Node:
    return kind(server.place, await connect(HOST, server.port, access=ACCESS, timeout_s=5), lambda: True)


@pytest.mark.parametrize("looks", [0, 3])
async def test_a_target_hears_of_the_newest_claim_of_the_source_before_it_gets_a_slot(
    tmp_path: Path, looks: int
) -> None:
    """Its own would be the older one, and the next ping of the source would take the slot back, without its keys."""
    async with redis_cluster(tmp_path, 2) as cluster:
        source = await opened(cluster.primaries[0], ClaimsMore)
        target = await opened(cluster.primaries[1], Node)
        assert isinstance(source, ClaimsMore)
        source.looks = looks

        await until_ready(source, target)

        assert source.looks == -1, "it waited as long as that was so, and no longer"


async def test_a_target_that_does_not_hear_of_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "READY_S", 0.1)
    async with redis_cluster(tmp_path, 2) as cluster:
        source = await opened(cluster.primaries[0], ClaimsMore)
        target = await opened(cluster.primaries[1], Node)
        assert isinstance(source, ClaimsMore)
        source.looks = 1000

        with pytest.raises(MoveFailed, match=f"has not heard of the newest claim of {source.name}"):
            await until_ready(source, target)
