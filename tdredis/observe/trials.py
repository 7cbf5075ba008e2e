"""Decides what is known of addresses for outside before they are given out: each is tried, beside the passes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tdredis.api.instance import Instance
from tdredis.api.rediscluster import RedisCluster
from tdredis.api.redisstandby import RedisStandby
from tdredis.manifests.sentinel_config import build_sentinel_id
from tdredis.manifests.services import CLUSTER_PORTS, REDIS_PORTS, SENTINEL_PORTS, has_external_pods
from tdredis.observe.lookups import Lookups
from tdredis.planning.addresses import external_target
from tdredis.planning.identity import place_name
from tdredis.planning.live import Live
from tdredis.planning.snapshot import Key, PodFacts, Ref, Trial
from tdredis.redis.facts import Announced, parse_info
from tdredis.redislink.access import Access
from tdredis.redislink.errors import LinkError, NoAnswer, NoFreeConnection, Refused, Unreachable
from tdredis.redislink.link import connect
from tdredis.redislink.pool import Command

TRY_S = 2.0
# What leads where it should is tried again now and then; what does not, soon: somebody may be mending it.
GOOD_S, BAD_S = 300.0, 3.0


@dataclass(frozen=True, slots=True)
class Found:
    """Who is at an address. *id*: what it says of itself; *verdict*: where it says nothing, why."""

    id: str = ""
    verdict: str = ""
    words: str = ""


@dataclass(frozen=True, slots=True)
class Outside:
    """What may be reached from outside."""

    instance: Instance
    children: Mapping[Ref, Live]
    pods: Mapping[str, PodFacts]
    sentinel_pods: Mapping[str, PodFacts]


@dataclass(frozen=True, slots=True)
class _Question:
    pod: PodFacts
    target: Announced
    command: Command
    expected: str  # the id that it must have; "": any that its pod's process is known by


class Trials:
    """Remembers since when an address leads elsewhere. *steady*: seconds of a clock that does not jump."""

    def __init__(self, lookups: Lookups, steady: Callable[[], float]) -> None:
        self._lookups = lookups
        self._steady = steady
        self._bad: dict[Key, dict[str, float]] = {}

    def look(self, key: Key, outside: Outside, access: Access, known_pods: Mapping[str, str]) -> dict[str, Trial]:
        """What is known of where the pods' own Services lead, by "host:port"; nothing of one that was not tried yet."""
        found: dict[str, Trial] = {}
        before = self._bad.pop(key, {})
        for asked in _questions(outside):
            place = place_name(asked.target.host, asked.target.port)
            trial = self._judge(key, asked, access, known_pods)
            if trial is None:
                continue
            if trial.verdict != "leads":
                since = self._bad.setdefault(key, {}).setdefault(place, before.get(place, self._steady()))
                trial = replace(trial, for_s=self._steady() - since)
            found[place] = trial
        return found

    def drop(self, key: Key) -> None:
        self._bad.pop(key, None)

    def _judge(self, key: Key, asked: _Question, access: Access, known_pods: Mapping[str, str]) -> Trial | None:
        what = ("trial", asked.pod.uid, asked.target)
        known = self._lookups.peek(key, what)
        before = _verdict(asked, known.found, known_pods) if known and isinstance(known.found, Found) else None
        fresh_s = GOOD_S if before and before.verdict == "leads" else BAD_S

        async def fetch() -> object:
            return await try_address(asked.target, access, asked.command)

        answer = self._lookups.look(key, what, fetch, fresh_s=fresh_s)
        if answer is None or not isinstance(answer.found, Found):
            return None
        return _verdict(asked, answer.found, known_pods)


def _verdict(asked: _Question, found: Found, known_pods: Mapping[str, str]) -> Trial:
    if found.verdict:
        return Trial(verdict=found.verdict, words=found.words)
    is_it = found.id == asked.expected if asked.expected else known_pods.get(found.id) == asked.pod.uid
    return Trial(verdict="leads") if is_it else Trial(verdict="elsewhere", words="another process answers there")


def _questions(outside: Outside) -> list[_Question]:
    """Of every pod whose process runs and whose Service has an address."""
    instance = outside.instance
    if not has_external_pods(instance) or instance.spec.outside.verify == "off":
        return []
    is_cluster = isinstance(instance, RedisCluster)
    command: Command = ("CLUSTER", "MYID") if is_cluster else ("INFO", "server")
    ports = tuple(CLUSTER_PORTS if is_cluster else REDIS_PORTS)
    asked = [(pod, ports, command, "") for pod in outside.pods.values()]
    if isinstance(instance, RedisStandby):
        asked += [
            (pod, tuple(SENTINEL_PORTS), ("SENTINEL", "MYID"), build_sentinel_id(instance, pod.name))
            for pod in outside.sentinel_pods.values()
        ]
    found = []
    for pod, names, words, expected in asked:
        target = external_target(instance.spec, pod, outside.children.get(Ref("Service", pod.name)), names)
        if pod.running and isinstance(target, Announced):
            found.append(_Question(pod, target, words, expected))
    return found


async def try_address(target: Announced, access: Access, command: Command) -> Found:
    """Connects and asks who is there. Never raises for what the world may answer."""
    where = place_name(target.host, target.port)
    try:
        link = await connect(target.host, target.port, access=access, timeout_s=TRY_S)
    except Unreachable as error:
        return _unreachable(error, where)
    except NoAnswer:
        return Found(verdict="untried", words=f"{where} does not answer within {TRY_S:g} s")
    except Refused as error:
        if not error.is_of_the_password:
            return _busy(error, where)
        return Found(verdict="elsewhere", words=f"what answers at {where} refuses our password ({error.code})")
    except LinkError:
        return Found(verdict="elsewhere", words=f"what answers at {where} is no Redis")
    try:
        reply = await link.call(*command, timeout_s=TRY_S)
    except NoAnswer:
        return Found(verdict="untried", words=f"{where} does not answer within {TRY_S:g} s")
    except Refused as error:
        return _busy(error, where)
    except LinkError as error:
        return Found(verdict="elsewhere", words=f"what answers at {where} does not say who it is ({error})")
    finally:
        link.close()
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else ""
    if target.bus_port and not await _listens(target.host, target.bus_port):
        bus = place_name(target.host, target.bus_port)
        return Found(verdict="nowhere", words=f"nobody listens at {bus}, its bus port")
    return Found(id=parse_info(text).get("run_id", text))


def _busy(error: Refused, where: str) -> Found:
    """A Redis that cannot answer now may be ours; one that does not know the question is none of ours."""
    is_now = isinstance(error, NoFreeConnection) or error.code in ("BUSY", "LOADING", "MASTERDOWN", "MISCONF")
    return Found(verdict="untried" if is_now else "elsewhere", words=f"what answers at {where} says {error.code}")


def _unreachable(error: Unreachable, where: str) -> Found:
    if error.refused:
        return Found(verdict="nowhere", words=f"nobody listens at {where}: the connection is refused")
    if error.accepted:
        return Found(verdict="elsewhere", words=f"what takes connections at {where} closes them without a word")
    return Found(verdict="untried", words=str(error))


async def _listens(host: str, port: int) -> bool:
    """False: refused. Who does not answer may listen."""
    try:
        async with asyncio.timeout(TRY_S):
            _, writer = await asyncio.open_connection(host, port)
    except ConnectionRefusedError:
        return False
    except (OSError, TimeoutError):
        return True
    writer.close()
    return True
