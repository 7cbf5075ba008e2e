"""Slots that are closed without a mover, after one that was killed at any command of handing over large keys: none that
a client deleted comes back, none is lost, and nothing of the mover's own stays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tdredis.execute.run import Executor
from tdredis.kube.client import Client
from tdredis.planning.cluster.members import Member
from tdredis.planning.cluster.slots_healing import close_slot
from tdredis.planning.process import Process
from tdredis.planning.snapshot import Key
from tdredis.planning.steps import RedisStep
from tdredis.redis.slot_marks import reserved
from tdredis.redis.views import ClusterView
from tdredis.redislink.pool import LinkPool
from tests.kit.waiting import eventually
from tests.unit.movers.redis_cluster import ACCESS, HOST, RedisCluster, Server, redis_cluster
from tests.unit.movers.test_killed_naming import (
    KEYS,
    SLOT,
    VALUE,
    client,
    epochs_are_known,
    is_killed,
    owner_and_other,
)

KEY = Key("RedisCluster", "redis", "rat")


@dataclass
class Seen:
    """What the rule reads of a member."""

    name: str
    id: str
    process: Process
    view: ClusterView
    facts: SimpleNamespace = field(default_factory=SimpleNamespace)

    @property
    def is_involved(self) -> bool:
        return SLOT in {**self.view.me.migrating, **self.view.me.importing}


async def look(server: Server) -> Seen:
    process = Process(pod=server.name, uid=server.name, ip=HOST, port=server.port, id=server.id)
    keys = await server.ask("CLUSTER", "COUNTKEYSINSLOT", SLOT)
    facts = SimpleNamespace(slot_keys={SLOT: keys})
    return Seen(server.name, server.id, process, await server.view(), facts)


async def has_one_owner(cluster: RedisCluster) -> bool:
    """The former one has heard of the claim."""
    return sum([SLOT in (await server.view()).me.slots for server in cluster.primaries]) == 1


async def close_what_is_open(cluster: RedisCluster, executor: Executor) -> None:
    """A pass after the other, the first step of each."""
    for _ in range(20):
        await eventually(lambda: has_one_owner(cluster), "the slot has one owner", deadline_s=20)
        seen = [await look(server) for server in cluster.primaries]
        involved = tuple(each for each in seen if each.is_involved)
        if not involved:
            return
        (owner,) = [each for each in seen if SLOT in each.view.me.slots]
        steps: list[RedisStep] = list(
            close_slot(SLOT, cast("Member", owner), cast("list[Member]", seen), cast("tuple[Member, ...]", involved))
        )
        await executor.run_step(KEY, steps[0])
    raise AssertionError("it goes on and on")


@pytest.mark.parametrize("meanwhile", ["deleted", "forgotten"])
async def test_a_slot_that_a_killed_mover_left_is_closed_with_the_keys_of_users_alone(
    tmp_path: Path, meanwhile: str
) -> None:
    async with redis_cluster(tmp_path, 2, 1) as cluster:
        pool: LinkPool[Key] = LinkPool(lambda _key, _address: None)
        pool.admit(KEY, ACCESS)
        executor = Executor(cast("Client", None), pool)
        first, _, third = cluster.primaries
        for commands in count():
            await eventually(lambda: epochs_are_known(cluster), "all know who claims what", deadline_s=20)
            for key in KEYS:
                assert await first.ask("SET", key, VALUE) == b"OK"
            if not await is_killed(cluster, commands):
                break
            left = dict.fromkeys(KEYS, VALUE)
            owner, _ = await owner_and_other(cluster)
            if meanwhile == "deleted":
                assert await client(cluster, "DEL", KEYS[0]) == 1, f"after {commands} commands"
                del left[KEYS[0]]
            elif owner is first:  # before Redis 8.4 a replica that is promoted knows of no open slot
                await first.ask("CLUSTER", "SETSLOT", SLOT, "STABLE")

            await close_what_is_open(cluster, executor)

            owner, other = await owner_and_other(cluster)
            found = {key: await owner.ask("GET", key) for key in KEYS}
            assert found == {key: left.get(key) for key in KEYS}, f"after {commands} commands"
            assert (await owner.ask("DBSIZE"), await other.ask("DBSIZE")) == (len(left), 0), (
                f"after {commands} commands: {[name for name in reserved(SLOT) if await owner.ask('EXISTS', name)]}"
            )
            await owner.ask("FLUSHALL")
            if owner is third:
                await eventually(lambda: epochs_are_known(cluster), "all know who claims what", deadline_s=20)
                await first.ask("CLUSTER", "SETSLOT", SLOT, "IMPORTING", third.id)
                await first.ask("CLUSTER", "SETSLOT", SLOT, "NODE", first.id)
                await first.ask("CLUSTER", "BUMPEPOCH")
                await third.ask("CLUSTER", "SETSLOT", SLOT, "NODE", first.id)
        pool.close()
        assert commands > 15, "it was killed behind every command that changes something"
