"""Decides how docs/reference/proxy-commands.md tells what was measured, and what is known of predixy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final

from tdredis.manifests.envoy import REFUSED_COMMANDS
from tests.proxy.outcomes import DIFFERS, KNOWN_DIFFERENCES, REFUSED, SAME
from tests.proxy.predixy import predixy_says
from tests.proxy.recorded import CommandRecord, Record, SceneRecord

FAULT: Final = "Fault Injected: Error"
UNKNOWN: Final = "unknown command"

_HEAD = """\
# Commands through the proxy

Made by `make proxy-commands`: every command that Redis {engine} lists was sent through Envoy {envoy}, with the
configuration that the operator gives it, to a cluster of three shards, and to a plain server. `make test` measures it
again, by RESP2 on port 6379 and by RESP3 on 6380. "same": the same answer, and the same keys afterwards.

An error says in whose name it is:

| error | whose, and why |
|---|---|
| `{fault}` | Envoy's answer would be wrong, so the operator's configuration has it refused. The words are Envoy's |
| `ERR unknown command` | Envoy does not have this command, or not with these words |
| `CROSSSLOT`, `MOVED` | Redis': keys of different slots. In one slot are `{{user:1}}:name` and `{{user:1}}:mail` |
| `... not supported within transaction` | Envoy's: between MULTI and EXEC only commands with keys of one slot |
| `upstream failure`, `finished with N error(s)` | Envoy's: a shard did not answer. MSET, DEL: done on the others |

Refused by the operator's configuration:

| command | because |
|---|---|
{refused}

What differs, and cannot be set to be refused:

| sent | answered |
|---|---|
{differs}

MSET over several slots is not atomic. PUBLISH reaches the subscribers of all nodes and counts those of one, as in every
Redis Cluster. Who needs what is refused here uses `proxy.enabled: false` and a cluster client.

The column predixy is not measured. "has it": in the table of commands of its source (src/Command.cpp), whatever it
answers; "README": said there; "tried": by hand, before a Redis Cluster.
"""


def render(record: Record) -> str:
    refused = "\n".join(f"| {name.upper()} | {why} |" for name, why in sorted(REFUSED_COMMANDS.items()))
    differs = "\n".join(f"| `{_cell(scene)}` | {why} |" for scene, why in KNOWN_DIFFERENCES.items())
    parts = [
        _HEAD.format(engine=record.engine, envoy=record.envoy, fault=FAULT, refused=refused, differs=differs),
        *(_group(name, list(commands)) for name, commands in groupby(record.commands, key=lambda each: each.group)),
    ]
    return "\n".join(parts)


def _group(name: str, commands: list[CommandRecord]) -> str:
    known = [each for each in commands if not is_unknown(each)]
    unknown = sorted({_container(each) for each in commands} - {_container(each) for each in known})
    lines = [f"## {name.capitalize()}", ""]
    if known:
        rows = [row for _, same in groupby(known, key=_container) for row in _rows(list(same))]
        lines += ["| command | Envoy | predixy |", "|---|---|---|", *rows, ""]
    if unknown:
        there = [word for word in unknown if predixy_says(word).startswith("has it")]
        also = f" predixy has {_upper(there)}." if there else ""
        lines += [f"Not known to Envoy (`ERR unknown command`, or not supported): {_upper(unknown)}.{also}", ""]
    return "\n".join(lines)


def _rows(commands: list[CommandRecord]) -> Iterator[str]:
    """One for each, or one for all that belong to one command and of which the same is to be said."""
    found = [(each.command, says(each), predixy_says(each.command)) for each in commands]
    if len(found) > 1 and len({each[1:] for each in found}) == 1:
        found = [(_container(commands[0]), *found[0][1:])]
    return (f"| {name.upper()} | {envoy} | {predixy} |" for name, envoy, predixy in found)


def _upper(words: Iterable[str]) -> str:
    return ", ".join(word.upper() for word in words)


def _container(command: CommandRecord) -> str:
    return command.command.partition(" ")[0]


def is_unknown(command: CommandRecord) -> bool:
    """Envoy has nothing of it, and so nothing had to be done about it."""
    return all(each.outcome == REFUSED and FAULT not in each.error for each in command.scenes)


def says(command: CommandRecord) -> str:
    """One sentence: what a client finds."""
    told = [each for each in command.scenes if not each.refused_by_both]
    refused = [each for each in told if each.outcome == REFUSED]
    if all(FAULT in each.error for each in refused) and len(refused) == len(told):
        return f"error: `{FAULT}`" if command.command.partition(" ")[0] in REFUSED_COMMANDS else "error, as Redis"
    parts = [_served(told), *_errors(refused)]
    if any(each.outcome == DIFFERS for each in told):
        parts.append("differs, see above")
    return "; ".join(part for part in parts if part)


def _served(told: Iterable[SceneRecord]) -> str:
    scenes = list(told)
    same = [each for each in scenes if each.outcome == SAME]
    over_slots = [each for each in scenes if each.across]
    if not same:
        return ""
    if over_slots and all(each.outcome == REFUSED for each in over_slots):
        return "same with keys of one slot"
    return "same, over several slots too" if any(each.across for each in same) else "same"


def _errors(refused: Iterable[SceneRecord]) -> Iterator[str]:
    """By their words. What is refused because its keys are in different slots has been said already."""
    left = [each for each in refused if not each.across or "WRONGTYPE" in each.error]
    for error, scenes in groupby(sorted(left, key=lambda each: each.error), key=lambda each: each.error):
        yield f"`{_cell(error)}`: {', '.join(f'`{_cell(each.scene)}`' for each in scenes)}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
