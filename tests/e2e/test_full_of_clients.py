"""A primary whose connections are used up, under an operator that begins then and is let in as little as anybody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from tdredis.kube.client import Client
from tdredis.planning.steps import (
    NAMES,
    FailOver,
    FailOverShard,
    Follow,
    HandOver,
    Promote,
    ReplacePod,
    ResetNode,
    TakeOverShard,
)
from tdredis.redislink.access import Access
from tdredis.redislink.errors import NoFreeConnection
from tdredis.redislink.link import Link, connect
from tests.e2e.parts import until_reason
from tests.e2e.reach import linked
from tests.e2e.test_day_two import starts
from tests.e2e.test_faults import A_STANDBY, Manifest
from tests.e2e.world import Kube, Operator, Subject, condition

MAXCLIENTS = 40  # more than Sentinels, proxies and replicas have open
DISRUPTIVE = (FailOver, FailOverShard, HandOver, TakeOverShard, Promote, Follow, ReplacePod, ResetNode)


@asynccontextmanager
async def filled(ip: str, password: str) -> AsyncIterator[Link]:
    """Nobody is let in there any more; one user who is in already."""
    async with linked(f"{ip}:6379", password) as user:
        assert await user.call("CONFIG", "SET", "maxclients", MAXCLIENTS, timeout_s=5) == b"OK"
        idle: list[Link] = []
        try:
            while True:
                try:
                    idle.append(await connect(ip, 6379, access=Access((password,)), timeout_s=5))
                except NoFreeConnection:
                    break
                assert len(idle) < MAXCLIENTS
            yield user
        finally:
            for link in idle:
                link.close()


@A_STANDBY
async def test_a_primary_that_is_full_of_clients_is_named_by_an_operator_that_begins_and_nobody_takes_its_place(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, manifest(namespace))
        await subject.until_ready()
    primary = await subject.primary()
    before = await starts(subject)
    formed = {event["reason"] for event in await subject.events()}  # what making it took
    ip = (await subject.pods())[primary]["status"]["podIP"]
    password = (await subject.get())["spec"]["secret"]

    async with AsyncExitStack() as stack:
        async with filled(ip, password) as user:
            await stack.enter_async_context(Operator(kube, namespace))
            resource = await until_reason(subject, "NoFreeConnections")
            message = condition(resource, "Ready")["message"]
            assert f"Redis in pod {primary} has no free connection, maxclients is used up" in message
            role = await user.call("ROLE", timeout_s=5)
            assert isinstance(role, list)
            assert role[0] == b"master", "who is in is served as ever"
        await subject.until_ready()
    assert (await subject.primary(), await starts(subject)) == (primary, before)
    told = {event["reason"] for event in await subject.events()}
    assert {NAMES[step] for step in DISRUPTIVE} & told - formed == set()
