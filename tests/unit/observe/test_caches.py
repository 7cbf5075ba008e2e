"""Claims: caches of several namespaces read as one, and one that cannot be listed keeps nobody from the others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any, cast

import msgspec
import pytest

from tdredis.api.fields import API_VERSION
from tdredis.kube.client import Client
from tdredis.kube.errors import Forbidden
from tdredis.kube.resources import CUSTOM, REDISSTANDBIES, Resource
from tdredis.observe.caches import LATE_S, WATCHES, Caches
from tdredis.planning.snapshot import Key

pytestmark = pytest.mark.looptime
SERVED = frozenset(resource.key for resource in CUSTOM)


def standby(namespace: str, version: int = 1) -> dict[str, Any]:
    metadata = {"name": "tom", "namespace": namespace, "uid": f"u-{namespace}", "resourceVersion": str(version)}
    return {"apiVersion": API_VERSION, "kind": "RedisStandby", "metadata": metadata, "spec": {}}


class Server:
    """Each namespace has a standby. *refused*: (namespace, resource) that no role grants."""

    def __init__(self, *refused: tuple[str, str]) -> None:
        self.refused = set(refused)
        self.asked: list[tuple[str | None, str]] = []
        self.frames: dict[str | None, asyncio.Queue[dict[str, Any]]] = {}
        self.watches = 0

    async def list_raw(self, resource: Resource, namespace: str | None, **_: object) -> tuple[list[msgspec.Raw], str]:
        self.asked.append((namespace, str(resource)))
        await asyncio.sleep(0.01)  # virtual
        if (str(namespace), resource.plural) in self.refused:
            raise Forbidden(403, "Forbidden", f'cannot list resource "{resource.plural}" in "{namespace}"')
        found = [standby(str(namespace))] if resource is REDISSTANDBIES else []
        return [msgspec.Raw(json.dumps(each).encode()) for each in found], "5"

    async def watch(self, resource: Resource, namespace: str | None, **_: object) -> AsyncGenerator[bytes, None]:
        self.watches += 1
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        if resource is REDISSTANDBIES:
            self.frames[namespace] = queue
        while True:
            yield json.dumps(await queue.get()).encode()


class Fed:
    """Caches that are fed, and the news that they told."""

    def __init__(self, server: Server, *namespaces: str) -> None:
        self.news: list[Key] = []
        self.caches = Caches(cast(Client, server), served=SERVED, on_news=self.news.append, namespaces=namespaces)

    async def __aenter__(self) -> Fed:
        self._task = asyncio.create_task(self.caches.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})


def tom(namespace: str) -> Key:
    return Key("RedisStandby", namespace, "tom")


async def test_each_namespace_is_asked_and_never_all_of_them() -> None:
    server = Server()
    async with Fed(server, "b", "a") as fed:
        await fed.caches.synced()

        assert {namespace for namespace, _ in server.asked} == {"a", "b"}
        assert fed.caches.keys() == [tom("a"), tom("b")]
        assert sorted(set(fed.news)) == [tom("a"), tom("b")]
        assert fed.caches.why_not_synced() is None
        assert server.watches <= 2 * WATCHES  # so many connections are left for them


async def test_they_read_as_one() -> None:
    async with Fed(Server(), "a", "b") as fed:
        await fed.caches.synced()
        custom = fed.caches.custom["RedisStandby"]

        assert len(custom) == 2
        assert [item.metadata.namespace for item in custom] == ["a", "b"]
        found = custom.get("b", "tom")
        assert found is not None and found.metadata.uid == "u-b"
        assert custom.get("c", "tom") is None
        assert custom.by_index("b") == (found,)
        assert custom.by_index("b") is custom.by_index("b")
        assert custom.by_index("c") == ()
        assert custom.silent_for_s() is not None
        assert [cache.name for cache in fed.caches.kinds()].count(custom.name) == 1

        custom.learn(standby("b", version=9) | {"spec": {"app": "x"}})
        changed = custom.get("b", "tom")
        assert changed is not None and changed.metadata.resource_version == "9"


async def test_a_namespace_that_may_not_be_listed_keeps_nobody_from_the_others_and_is_taken_up_when_it_may() -> None:
    server = Server(("b", "secrets"))
    started = asyncio.get_running_loop().time()
    async with Fed(server, "a", "b") as fed:
        await fed.caches.synced()

        assert asyncio.get_running_loop().time() - started == pytest.approx(LATE_S, abs=1.0)
        assert fed.caches.why_not_synced() is None
        assert fed.caches.keys() == [tom("a")]
        # Its Secrets are not known: who took them for gone would make them anew, with other passwords.
        server.frames["b"].put_nowait({"type": "MODIFIED", "object": standby("b", version=7)})
        await asyncio.sleep(1)
        assert set(fed.news) == {tom("a")}

        server.refused.clear()
        await asyncio.sleep(10)
        assert fed.caches.keys() == [tom("a"), tom("b")]
        assert tom("b") in fed.news


async def test_while_nobody_may_be_listed_it_waits_and_says_for_what() -> None:
    server = Server(("a", "secrets"), ("b", "secrets"), ("b", "services"))
    async with Fed(server, "a", "b") as fed:
        waiting = asyncio.create_task(fed.caches.synced())
        await asyncio.sleep(600)

        assert not waiting.done()
        assert fed.caches.why_not_synced() == (
            "waiting for the first list of secrets, secrets of metadata.name=harbor-secret, services"
        )
        server.refused.clear()
        await asyncio.wait_for(waiting, 60)
        assert fed.caches.keys() == [tom("a"), tom("b")]
