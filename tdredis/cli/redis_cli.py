"""Decides how commands ask a Redis process: by the redis-cli beside it, in its own container, so that neither a
password nor a connection to Redis leaves the pod.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from tdredis.cli.errors import CommandError
from tdredis.kube.client import Client
from tdredis.manifests.cli_script import CLI
from tdredis.manifests.names import REDIS_CONTAINER

ANSWERS_S: Final = 5
DEADLINE_S: Final = 15.0  # starting it in the container comes to that
# As a terminal shows it: strings quoted, arrays numbered. Raw output has no boundaries, and --json is of 7.0 and later.
ASK: Final = f'{CLI}exec timeout {ANSWERS_S} "$cli" -h "$POD_IP" --no-raw "$@"\n'
OPEN: Final = f'{CLI}exec "$cli" -h "$POD_IP" "$@"\n'

Reply: TypeAlias = "list[Reply] | str | int | None"

_INDEX: Final = re.compile(r" *(\d+)[)#~] ")
_ESCAPED: Final = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
_LETTERS: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}


class RedisError(CommandError):
    """Redis, or redis-cli, said no."""


async def ask(client: Client, namespace: str, pod: str, *command: str) -> Reply:
    """What the Redis process of *pod* answers. Raises RedisError, ApiError."""
    return parse_reply(await _printed(client, namespace, pod, command))


async def ask_text(client: Client, namespace: str, pod: str, *command: str) -> str:
    """Of a command that answers a text: INFO, CLUSTER NODES, CLIENT LIST. Raises RedisError, ApiError."""
    return parse_text(await _printed(client, namespace, pod, command))


async def _printed(client: Client, namespace: str, pod: str, command: Sequence[str]) -> str:
    words = ("sh", "-c", ASK, "tdredis", *command)
    ran = await client.execute(namespace, pod, REDIS_CONTAINER, words, deadline_s=DEADLINE_S)
    text, said = ran.out.decode("utf-8", "replace"), ran.err.decode("utf-8", "replace").strip()
    if ran.code or (said and not text.strip()):
        why = said or text.strip() or ("no answer" if ran.code == 124 else f"redis-cli ended with {ran.code}")
        raise RedisError(f"Redis in pod {pod} did not answer {' '.join(command[:2])}: {why}")
    if text.startswith("(error) "):
        raise RedisError(f"Redis in pod {pod} refuses {' '.join(command[:2])}: {text.removeprefix('(error) ').strip()}")
    return text


def parse_text(text: str) -> str:
    """redis-cli prints some texts as they are, whatever it is told (redis-cli.c, cliSendCommand, output_raw)."""
    found = _parse_leaf(text.strip("\n")) if text.startswith('"') else text
    return found if isinstance(found, str) else ""


def parse_reply(text: str) -> Reply:
    """What `redis-cli --no-raw` prints. Source: redis-cli.c, cliFormatReplyTTY; the same from 6.0 to 8, and in Valkey.

    Raises ValueError for what it does not print.
    """
    lines = text.split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        return ""
    reply, end = _parse(lines, 0, 0)
    if end != len(lines):
        raise ValueError(f"line {end + 1} of an answer belongs to nothing: {lines[end][:80]!r}")
    return reply


def _parse(lines: Sequence[str], line: int, column: int) -> tuple[Reply, int]:
    """The value that begins there, and the line behind it."""
    first = _INDEX.match(lines[line], column)
    if first is None:
        return _parse_leaf(lines[line][column:]), line + 1
    found: list[Reply] = []
    while True:
        value, line = _parse(lines, line, first.end())
        found.append(value)
        # The next element stands below the first, and is numbered on.
        here = _INDEX.match(lines[line], column) if line < len(lines) and not lines[line][:column].strip() else None
        if here is None or here.end() != first.end() or int(here[1]) != len(found) + 1:
            return found, line


def _parse_leaf(text: str) -> Reply:
    if text.startswith('"') and text.endswith('"') and len(text) > 1:
        return _ESCAPED.sub(_unescape, text[1:-1].encode()).decode("utf-8", "replace")
    if text == "(nil)":
        return None
    if text in ("(empty array)", "(empty list or set)", "(empty hash)", "(empty set)"):
        return []
    if text.startswith("(integer) "):
        return int(text.removeprefix("(integer) "))
    return text


def _unescape(found: re.Match[bytes]) -> bytes:
    letter = found[1]
    return bytes((int(letter[1:], 16),)) if letter[:1] == b"x" and len(letter) == 3 else _LETTERS.get(letter, letter)


def pairs(reply: Reply) -> Iterator[tuple[str, str]]:
    """Of CONFIG GET: names and values in turn."""
    if isinstance(reply, list):
        for name, value in zip(reply[::2], reply[1::2], strict=False):
            yield str(name), "" if value is None else str(value)
