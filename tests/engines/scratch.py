"""A scratch process of an engine, and what it says of its own parameters."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tdredis.redislink.access import OPEN
from tdredis.redislink.errors import LinkError, Refused
from tdredis.redislink.link import Link, connect
from tests.kit.servers import HOST, free_port
from tests.kit.waiting import eventually

ANSWER_S: Final = 10.0
# "protected": live only where the command line said so (enable-protected-configs).
RESTART_WORDS: Final = ("immutable", "Unsupported CONFIG", "protected")
# The scratch process is not to move, to lock us out, or to follow anybody.
LEFT_ALONE: Final = (
    "port",
    "bind",
    "dir",
    "requirepass",
    "masterauth",
    "replicaof",
    "slaveof",
    "maxclients",
    "timeout",
)
FORMER_WORDS: Final = ("ziplist", "lua-time", "slowlog")


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """*name*: redis or valkey. *defaults*: of a process that was told nothing. *restart*: what it does not take while
    it runs. *aliases*: former names of parameters, each with the present one.
    """

    name: str
    version: str
    defaults: Mapping[str, str]
    restart: frozenset[str]
    aliases: Mapping[str, str]

    @property
    def order(self) -> tuple[int, ...]:
        return tuple(map(int, self.version.split(".")))


async def ask(program: str, folder: Path) -> Engine:
    """Starts *program* in *folder*, which is empty, asks it, and ends it."""
    port = free_port()
    command = (program, "--port", str(port), "--bind", HOST, "--dir", str(folder))
    log = (folder / "log").open("wb")
    process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
    log.close()
    try:
        link = await eventually(lambda: _connect(port), f"{program} listens", pause_s=0.05, not_yet=(LinkError,))
        try:
            return await _describe(link)
        finally:
            link.close()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _connect(port: int) -> Link:
    return await connect(HOST, port, access=OPEN, timeout_s=ANSWER_S)


async def _describe(link: Link) -> Engine:
    info = _text(await link.call("INFO", "server", timeout_s=ANSWER_S))
    defaults = await _values(link, "*")
    restart = set()
    for name in sorted(defaults):
        try:
            await link.call("CONFIG", "SET", name, defaults[name], timeout_s=ANSWER_S)
        except Refused as error:
            if any(word in str(error) for word in RESTART_WORDS):
                restart.add(name)
    aliases = {name: now for name in defaults if (now := name.replace("slave", "replica")) != name and now in defaults}
    for name in sorted(defaults.keys() - restart - aliases.keys() - set(LEFT_ALONE)):
        aliases |= await _followers(link, name, defaults, aliases)
    found = re.search(r"valkey_version:(\S+)", info) or re.search(r"redis_version:(\S+)", info)
    assert found is not None, info
    engine = "valkey" if "valkey_version" in info else "redis"
    return Engine(name=engine, version=found[1], defaults=defaults, restart=frozenset(restart), aliases=aliases)


async def _followers(link: Link, name: str, defaults: Mapping[str, str], known: Mapping[str, str]) -> Mapping[str, str]:
    """Former names of *name*, or its present one, with the present one: they change with it."""
    before = defaults[name]
    number = re.fullmatch(r"-?\d+", before)
    other = {"yes": "no", "no": "yes"}.get(before) or (str(int(before) + 1) if number else "")
    equal = [each for each, value in defaults.items() if value == before and each not in (name, *known)]
    if not other or not equal:
        return {}
    try:
        await link.call("CONFIG", "SET", name, other, timeout_s=ANSWER_S)
    except Refused:
        return {}
    now = await _values(link, "*")
    await link.call("CONFIG", "SET", name, before, timeout_s=ANSWER_S)
    return {_former(name, each): _present(name, each) for each in equal if now[each] == other}


def _former(one: str, other: str) -> str:
    return one if any(word in one for word in FORMER_WORDS) else other


def _present(one: str, other: str) -> str:
    return other if _former(one, other) == one else one


async def _values(link: Link, pattern: str) -> dict[str, str]:
    words = await link.call("CONFIG", "GET", pattern, timeout_s=ANSWER_S)
    assert isinstance(words, list)
    texts = [_text(word) for word in words]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def _text(reply: object) -> str:
    assert isinstance(reply, bytes), reply
    return reply.decode()
