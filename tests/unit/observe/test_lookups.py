"""What is asked of the API server beside the passes: on virtual time, with a server that answers when the test says."""

from __future__ import annotations

import asyncio
import base64
from typing import Any, cast

import pytest

from tdredis.api.instance import SecretRef
from tdredis.api.json_object import JSONObject
from tdredis.kube.client import Client
from tdredis.kube.errors import DeadlineExceeded, Forbidden
from tdredis.kube.resources import Resource
from tdredis.observe.lookups import Lookups
from tdredis.observe.secrets import KEPT_S, NotReadYetError, SecretReader, UnreadableSecretError
from tdredis.observe.unlisted import Unlisted
from tdredis.planning.live import Live
from tdredis.planning.snapshot import Key, Ref

pytestmark = pytest.mark.looptime
KEY = Key("RedisStandby", "redis", "tom")
REF = SecretRef(name="vault", key="password")


class Server:
    """It takes *takes_s* for each answer."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}
        self.events: list[JSONObject] = []
        self.takes_s = 0.01
        self.fails: Exception | None = None
        self.asked: list[float] = []
        self.selectors: list[str] = []

    async def find(self, _resource: Resource, _namespace: str, name: str) -> Any:
        await self._take()
        found = self.secrets.get(name)
        return None if found is None else {"data": {"password": base64.b64encode(found.encode()).decode()}}

    async def list(self, _resource: Resource, _namespace: str, *, field_selector: str) -> list[JSONObject]:
        self.selectors.append(field_selector)
        await self._take()
        return self.events

    async def _take(self) -> None:
        self.asked.append(now())
        await asyncio.sleep(self.takes_s)  # virtual
        if self.fails is not None:
            raise self.fails


def now() -> float:
    return asyncio.get_running_loop().time()


def make() -> tuple[Server, Lookups, SecretReader, list[Key]]:
    server, news = Server(), list[Key]()
    lookups = Lookups(now=now, on_news=news.append)
    return server, lookups, SecretReader(cast(Client, server), lookups), news


async def test_a_secret_is_read_beside_and_its_answer_is_news() -> None:
    server, lookups, reader, news = make()
    server.secrets["vault"] = "horse\n"
    with pytest.raises(NotReadYetError):
        reader.read(KEY, REF)
    await lookups.settle()

    assert (reader.read(KEY, REF), news) == ("horse", [KEY])


async def test_a_server_that_hangs_keeps_no_pass_and_what_was_read_stays() -> None:
    server, lookups, reader, news = make()
    server.secrets["vault"] = "horse"
    with pytest.raises(NotReadYetError):
        reader.read(KEY, REF)
    await lookups.settle()
    server.takes_s, server.fails = 10.0, DeadlineExceeded(0, "DeadlineExceeded", "no answer in 10 s")
    before = now()

    for _ in range(600):
        assert reader.read(KEY, REF) == "horse"
        await asyncio.sleep(0.2)  # virtual

    assert len(server.asked) <= 1 + 120 / 10
    assert len(news) == 2, "that it cannot be read any more is news once"
    assert now() - before == pytest.approx(120, abs=1)
    await lookups.close()


async def test_a_changed_secret_is_noticed_and_an_unchanged_one_is_no_news() -> None:
    server, lookups, reader, news = make()
    server.secrets["vault"] = "horse"
    for second in range(int(4 * KEPT_S)):
        if second == 2 * KEPT_S:
            server.secrets["vault"] = "donkey"
        try:
            found = reader.read(KEY, REF)
        except NotReadYetError:
            found = ""
        await asyncio.sleep(1)  # virtual

    assert (found, len(news)) == ("donkey", 2)
    assert len(server.asked) <= 5
    await lookups.close()


async def test_what_is_missing_or_forbidden_is_said_with_what_to_write() -> None:
    server, lookups, reader, _ = make()
    for fails, words in ((None, "there is no Secret vault: create it"), (Forbidden(403, "Forbidden", "no"), "403")):
        server.fails = fails
        await lookups.close()
        with pytest.raises(NotReadYetError):
            reader.read(KEY, REF)
        await lookups.settle()
        with pytest.raises(UnreadableSecretError, match=words):
            reader.read(KEY, REF)
        await lookups.close()


async def test_what_nobody_asks_for_any_more_is_forgotten_and_so_is_what_is_under_way() -> None:
    server, lookups, reader, news = make()
    server.secrets["vault"] = "horse"
    with pytest.raises(NotReadYetError):
        reader.read(KEY, REF)

    with lookups.only_asked(KEY):
        pass
    await asyncio.sleep(1)  # virtual

    assert (lookups.peek(KEY, REF), news) == (None, [])
    with pytest.raises(NotReadYetError):
        reader.read(KEY, REF)
    lookups.drop(KEY)
    await asyncio.sleep(1)
    assert news == []


def statefulset(replicas: int) -> Live:
    metadata: JSONObject = {"name": "tom", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return Live.of({"metadata": metadata, "spec": {"replicas": replicas}})


def event(name: str, message: str, at: str) -> JSONObject:
    return {"involvedObject": {"kind": "StatefulSet", "name": name}, "message": message, "lastTimestamp": at}


async def test_why_no_pod_comes_is_asked_for_only_while_one_is_missing() -> None:
    server, lookups, _, news = make()
    server.events = [
        event("tom", "the newest", "2026-01-01T00:02:00Z"),
        event("tom", "an older one", "2026-01-01T00:01:00Z"),
        event("tim", "another's", "2026-01-01T00:03:00Z"),
    ]
    unlisted = Unlisted(cast(Client, server), lookups)
    children = {Ref("StatefulSet", "tom"): statefulset(2), Ref("Service", "tom"): statefulset(0)}
    epoch = 1_800_000_000.0

    assert unlisted.creation_failures(KEY, children, {"tom": 2}, epoch) == {}
    await lookups.settle()
    assert server.asked == []

    assert unlisted.creation_failures(KEY, children, {"tom": 1}, epoch) == {}
    await lookups.settle()
    assert unlisted.creation_failures(KEY, children, {"tom": 1}, epoch) == {"tom": "the newest"}
    assert server.selectors == ["reason=FailedCreate,involvedObject.kind=StatefulSet,involvedObject.name=tom"]
    assert news == [KEY]


async def test_many_statefulsets_that_lack_pods_do_not_ask_for_each() -> None:
    server, lookups, _, _ = make()
    unlisted = Unlisted(cast(Client, server), lookups)
    children = {Ref("StatefulSet", f"tom-{number}"): statefulset(1) for number in range(1000)}

    for _ in range(10):
        unlisted.creation_failures(KEY, children, {}, 1_800_000_000.0)
        await asyncio.sleep(1)  # virtual

    assert len(server.asked) <= 3
    await lookups.close()
