"""A scratch process of an engine, and what it says of its own parameters."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tdredis.api.settings import instead_of
from tdredis.manifests.redis_config import quote
from tdredis.redis.parameter_values import NOT_A_NUMBER
from tdredis.redislink.access import OPEN
from tdredis.redislink.errors import LinkError, Refused
from tdredis.redislink.link import Link, connect
from tests.kit.servers import HOST, free_port
from tests.kit.waiting import eventually

ANSWER_S: Final = 10.0
# Of address space: an engine that is asked what it would do with billions of databases must not do it.
ROOM_BYTES: Final = 2_000_000_000
# Nothing that any parameter takes that is not free text, and numbers beyond those that any takes.
NONSENSE: Final = "no such value"
EXTREMES: Final = (str(-(2**63)), str(2**63 - 1))
SOME_DATABASES: Final = (16, 10016)
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
    it runs. *aliases*: former names of parameters, each with the present one. *values*: of what it reads only
    when it starts, by parameter, the words with which it refuses a value that is none; not of free text, nor of what is
    not users' to name. *database_bytes*: of an empty database.
    """

    name: str
    version: str
    defaults: Mapping[str, str]
    restart: frozenset[str]
    aliases: Mapping[str, str]
    values: Mapping[str, str]
    database_bytes: int

    @property
    def order(self) -> tuple[int, ...]:
        return tuple(map(int, self.version.split(".")))


async def ask(program: str, folder: Path) -> Engine:
    """Starts *program* in *folder*, which is empty, asks it, and ends it."""
    few, many = SOME_DATABASES
    async with _started(program, folder, "--databases", str(many)) as link:
        used = await _used_bytes(link)
    async with _started(program, folder, "--databases", str(few)) as link:
        used -= await _used_bytes(link)
        info = _text(await link.call("INFO", "server", timeout_s=ANSWER_S))
        defaults = await _values(link, "*")
        restart = await _read_at_start(link, defaults)
        aliases = await _aliases(link, defaults, restart)
    found = re.search(r"valkey_version:(\S+)", info) or re.search(r"redis_version:(\S+)", info)
    assert found is not None, info
    return Engine(
        name="valkey" if "valkey_version" in info else "redis",
        version=found[1],
        defaults=defaults,
        restart=restart,
        aliases=aliases,
        values={
            name: words
            for name in sorted(restart)
            if not instead_of(name) and (words := await _words_of(program, name))
        },
        database_bytes=used // (many - few),
    )


async def judge(program: str, name: str, value: str) -> str:
    """The words with which *program* refuses to start with *name* at *value*; "": it takes it. The line after it keeps
    every engine from beginning anything.
    """
    process = await asyncio.create_subprocess_exec(
        *_limited(program),
        "-",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    lines = f"{name} {quote(value)}\nport none\n"
    heard, _ = await asyncio.wait_for(process.communicate(lines.encode()), ANSWER_S)
    found = re.search(r"at line (\d+)\n>>> .*\n(.*)", heard.decode())
    assert found is not None, heard.decode()
    return "" if found[1] == "2" else found[2].strip()


async def _words_of(program: str, name: str) -> str:
    """What *program* wants of *name*; "": any text will do."""
    said = await judge(program, name, NONSENSE)
    if said != NOT_A_NUMBER:
        return said
    low, high = [await judge(program, name, value) for value in EXTREMES]
    assert low == high != "", (program, name, low, high)
    return low


def _limited(program: str) -> tuple[str, ...]:
    return ("prlimit", f"--as={ROOM_BYTES}", program)


@asynccontextmanager
async def _started(program: str, folder: Path, *more: str) -> AsyncIterator[Link]:
    port = free_port()
    command = (*_limited(program), "--port", str(port), "--bind", HOST, "--dir", str(folder), *more)
    log = (folder / "log").open("wb")
    process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
    log.close()
    try:
        link = await eventually(lambda: _connect(port), f"{program} listens", pause_s=0.05, not_yet=(LinkError,))
        try:
            yield link
        finally:
            link.close()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _connect(port: int) -> Link:
    return await connect(HOST, port, access=OPEN, timeout_s=ANSWER_S)


async def _used_bytes(link: Link) -> int:
    found = re.search(r"used_memory:(\d+)", _text(await link.call("INFO", "memory", timeout_s=ANSWER_S)))
    assert found is not None
    return int(found[1])


async def _read_at_start(link: Link, defaults: Mapping[str, str]) -> frozenset[str]:
    found = set()
    for name in sorted(defaults):
        try:
            await link.call("CONFIG", "SET", name, defaults[name], timeout_s=ANSWER_S)
        except Refused as error:
            if any(word in str(error) for word in RESTART_WORDS):
                found.add(name)
    return frozenset(found)


async def _aliases(link: Link, defaults: Mapping[str, str], restart: frozenset[str]) -> Mapping[str, str]:
    found = {name: now for name in defaults if (now := name.replace("slave", "replica")) != name and now in defaults}
    for name in sorted(defaults.keys() - restart - found.keys() - set(LEFT_ALONE)):
        found |= await _followers(link, name, defaults, found)
    return found


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
