"""Decides what became of a scene: the proxy answered as a plain server does, refused it, or said something else."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tdredis.redis.ports import REDIS_PORT, RESP3_PORT
from tdredis.redislink.access import Access
from tdredis.redislink.errors import LinkError, NoAnswer, Refused
from tdredis.redislink.link import Link, connect
from tdredis.redislink.pool import Command
from tests.kit.containers import OUTER
from tests.proxy.servers import Servers
from tests.proxy.shapes import FIXTURE, SCENES, Scene, split_words, unknown_scenes

SAME, REFUSED, DIFFERS = "same", "refused", "differs"
ANSWER_S: Final = 5.0
# Their order is nobody's promise.
UNORDERED: Final = frozenset(
    (b"KEYS", b"SMEMBERS", b"SUNION", b"SDIFF", b"SINTER", b"SPOP", b"SRANDMEMBER", b"SSCAN", b"ZRANDMEMBER")
)
# Time passes between two questions: answers in these units may differ by so many.
PASSING: Final[Mapping[bytes, float]] = {b"PTTL": ANSWER_S * 1000, b"TTL": ANSWER_S, b"OBJECT IDLETIME": ANSWER_S}
ABOUT_ITSELF: Final = frozenset((b"HELLO",))  # name, version and number of the connection are the speaker's own
READERS: Final[Mapping[str, tuple[str, ...]]] = {
    "string": ("GET",),
    "list": ("LRANGE", "0", "-1"),
    "set": ("SMEMBERS",),
    "hash": ("HGETALL",),
    "zset": ("ZRANGE", "0", "-1", "WITHSCORES"),
    "stream": ("XRANGE", "-", "+"),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    scene: Scene
    verdict: str  # SAME, REFUSED, DIFFERS
    words: str = ""  # the error of a refusal; what differs
    tells: bool = True  # the plain server answered with something else than an error


State = dict[bytes, object]


class Comparison:
    """One plain server and one proxy, filled alike before every scene."""

    def __init__(self, servers: Servers, plain: Link, *, resp3: bool = False) -> None:
        """*plain*: a connection to the plain server. *resp3*: clients speak RESP3, to the port that is for them."""
        self._servers = servers
        self._plain = plain
        self._resp3 = resp3
        self._fixture = [split_words(line) for line in FIXTURE]

    async def judge(self, scene: Scene) -> Outcome:
        before = await self._fill()
        plain = await self._play(scene, self._servers.plain, REDIS_PORT)
        proxied = await self._play(scene, self._servers.proxy, self._proxy_port)
        steps = scene.steps(OUTER)
        tells = not has_error(plain[-1])
        for (_, words), expected, found in zip(steps, plain, proxied, strict=False):
            if not alike(words, expected, found):
                break
        else:
            # Equal answers, but one may have done something else than it said.
            there, here = await self._state(self._servers.shards), await self._state([self._plain])
            if there == here:
                return Outcome(scene, SAME, tells=tells)
            return Outcome(scene, DIFFERS, f"keys differ: {_difference(there, here)}")
        shown = b" ".join(words).decode("latin-1")
        if not has_error(found):
            return Outcome(scene, DIFFERS, f"{shown}: {_shorten(found)}, not {_shorten(expected)}")
        after = await self._state(self._servers.shards)
        if len(steps) == 1 and after != before:
            return Outcome(scene, DIFFERS, f"{shown}: an error, and yet keys differ: {_difference(after, before)}")
        return Outcome(scene, REFUSED, first_error(found), tells=tells)

    async def is_refused(self, scene: Scene) -> Outcome:
        """For what the proxy does not know; a plain server is not asked: who knows what it would do."""
        answer = (await self._play(scene, self._servers.proxy, self._proxy_port))[-1]
        if has_error(answer):
            return Outcome(scene, REFUSED, first_error(answer))
        return Outcome(scene, DIFFERS, f"answered {_shorten(answer)}: write scenes for it")

    @property
    def _proxy_port(self) -> int:
        return RESP3_PORT if self._resp3 else REDIS_PORT

    async def _fill(self) -> State:
        """The keys of FIXTURE and no others, on both sides."""
        links = (*self._servers.shards, self._plain)
        await asyncio.gather(*(link.call("FLUSHALL", timeout_s=ANSWER_S) for link in links))
        # Every shard is told everything, and takes what is its own; the others name it (MOVED).
        replies = await asyncio.gather(*(link.call_all(self._fixture, timeout_s=ANSWER_S) for link in links))
        taken = [[reply for reply in each if not has_error(reply)] for each in zip(*replies, strict=True)]
        assert all(len(each) == 2 for each in taken), taken
        state = await self._state(self._servers.shards)
        assert state == await self._state([self._plain])
        return state

    async def _play(self, scene: Scene, address: str, port: int) -> list[object]:
        """Every step's answer, an error as a Refused; a step that is not answered, or ends the connection, as such."""
        links = [await self._connect(address, port) for _ in range(2)]
        answers: list[object] = []
        try:
            for aside, words in scene.steps(OUTER):
                try:
                    answers += await links[aside].call_all([words], timeout_s=ANSWER_S)
                except NoAnswer:
                    answers.append("no answer")
                    break
                except LinkError:
                    answers.append("connection closed")
                    break
        finally:
            for link in links:
                link.close()
        return answers

    async def _connect(self, address: str, port: int) -> Link:
        link = await connect(address, port, access=Access((OUTER,)), timeout_s=ANSWER_S)
        if self._resp3:
            await link.call("HELLO", "3", timeout_s=ANSWER_S)
        return link

    async def _state(self, links: Iterable[Link]) -> State:
        """Every key with its content, and whether it expires."""
        return {key: content for link in links for key, content in (await _read_all(link)).items()}


async def _read_all(link: Link) -> State:
    keys = sorted(as_list(await link.call("KEYS", "*", timeout_s=ANSWER_S)))
    if not keys:
        return {}
    types: list[Any] = await link.call_all([("TYPE", key) for key in keys], timeout_s=ANSWER_S)
    kinds = [kind.decode() for kind in types]
    ends = await link.call_all([("PTTL", key) for key in keys], timeout_s=ANSWER_S)
    reads: list[Command] = [(READERS[kind][0], key, *READERS[kind][1:]) for key, kind in zip(keys, kinds, strict=True)]
    contents = await link.call_all(reads, timeout_s=ANSWER_S)
    return {
        key: (kind, sorted(as_list(content)) if kind == "set" else content, end != -1)
        for key, kind, content, end in zip(keys, kinds, contents, ends, strict=True)
    }


def alike(words: Sequence[bytes], expected: object, found: object) -> bool:
    """Both refuse, or both say the same, as far as *words* promise what that is."""
    command = words[0].upper()
    if isinstance(expected, Refused) or isinstance(found, Refused):
        return isinstance(expected, Refused) and isinstance(found, Refused)
    if command in ABOUT_ITSELF:
        return _fields(expected, b"proto", b"mode", b"role") == _fields(found, b"proto", b"mode", b"role")
    may_differ = PASSING.get(command, PASSING.get(b" ".join(words[:2]).upper()))
    if may_differ and isinstance(expected, int) and isinstance(found, int):
        return abs(expected - found) < may_differ and (expected < 0) == (found < 0)
    if command == b"INFO":
        return _without_ages(expected) == _without_ages(found)
    if command == b"TIME":
        return _is_time(expected) == _is_time(found)
    if command in UNORDERED:
        return _sorted(_plain_form(expected)) == _sorted(_plain_form(found))
    return _plain_form(expected) == _plain_form(found)


def _is_time(reply: object) -> bool:
    return isinstance(reply, list) and len(reply) == 2 and int(reply[1]) < 1_000_000


def _without_ages(reply: object) -> object:
    """db0:keys=26,expires=1,avg_ttl=0: the last is an estimate that each server makes in its own time."""
    return re.sub(rb"avg_ttl=\d+", b"", reply) if isinstance(reply, bytes) else reply


def _fields(reply: object, *names: bytes) -> list[object]:
    pairs = dict(zip(reply[::2], reply[1::2], strict=True)) if isinstance(reply, list) else reply
    return [pairs.get(name) for name in names] if isinstance(pairs, dict) else [pairs]


def _plain_form(reply: object) -> object:
    """Errors inside a list by their text: two of them are never equal."""
    if isinstance(reply, dict):
        return {_plain_form(name): _plain_form(value) for name, value in reply.items()}
    if isinstance(reply, list):
        return [_plain_form(each) for each in reply]
    return str(reply) if isinstance(reply, Refused) else reply


def _sorted(reply: object) -> object:
    return sorted((_sorted(each) for each in reply), key=repr) if isinstance(reply, list) else reply


# Nothing that can be set in Envoy changes these: it answers before it looks at its faults.
KNOWN_DIFFERENCES: Final[Mapping[str, str]] = {
    "PING hello": "PING with a word is answered PONG, without it",
    "TIME": "the second number is microseconds since 1970, not those of the present second",
    "INFO replication": "INFO sums up all shards: keys, memory, clients. This section is empty, and much else reads 0",
    "EVAL \"return redis.call('DBSIZE')\" 0 argument": (
        "KEYS, SCAN, DBSIZE and RANDOMKEY inside a script speak of one shard, as in every Redis Cluster"
    ),
    "MULTI ; SET s 1 ; PING ; EXEC": "PING, ECHO and TIME are answered at once, and are not in the answer of EXEC",
    "MULTI ; SET s 1 ; ECHO hello ; EXEC": "see PING",
    "MULTI ; SET s 1 ; TIME ; EXEC": "see PING",
    "MULTI ; SET s 1 ; UNKNOWN ; EXEC": (
        "a command that Envoy refuses gets its error, and EXEC carries out the others: DISCARD after an error"
    ),
}


def has_error(reply: object) -> bool:
    return isinstance(reply, Refused) or (isinstance(reply, list) and any(map(has_error, reply)))


def first_error(reply: object) -> str:
    if isinstance(reply, list):
        return next(first_error(each) for each in reply if has_error(each))
    return str(reply)


def as_list(reply: object) -> list[bytes]:
    assert isinstance(reply, list)
    return reply


def _shorten(reply: object) -> str:
    text = repr(reply)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _difference(left: State, right: State) -> str:
    names = sorted(key for key in {*left, *right} if left.get(key) != right.get(key))
    return ", ".join(name.decode("latin-1") for name in names)


async def list_commands(plain: Link) -> dict[str, str]:
    """Every command of the server and its group; of one with subcommands, these. Source: redis.io, "COMMAND DOCS"."""
    found: dict[str, str] = {}
    docs = await plain.call("COMMAND", "DOCS", timeout_s=ANSWER_S)
    for name, said in _by_name(docs).items():
        subcommands = _by_name(said).get("subcommands", [])
        for each in [each.decode() for each in subcommands[::2]] or [name]:
            found[each.replace("|", " ")] = _by_name(said)["group"].decode()
    return found


def _by_name(flat: Any) -> dict[str, Any]:
    """A map as RESP2 writes it: names and values in turn."""
    return {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}


async def compare(comparison: Comparison, commands: Iterable[str]) -> dict[str, tuple[Outcome, ...]]:
    """What became of every scene of *commands*."""
    found: dict[str, tuple[Outcome, ...]] = {}
    for name in commands:
        known = SCENES.get(name)
        found[name] = (
            tuple([await comparison.judge(scene) for scene in known])
            if known
            else tuple([await comparison.is_refused(scene) for scene in unknown_scenes(name)])
        )
    return found
