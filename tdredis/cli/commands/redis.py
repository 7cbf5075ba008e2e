"""Decides what is shown of the processes themselves: who owns which slots, how busy they are, what was slow."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tdredis.cli.errors import CommandError
from tdredis.cli.output import print_data, render_table
from tdredis.cli.pods import Pod, running_redis_pods
from tdredis.cli.redis_cli import RedisError, Reply, ask, ask_text
from tdredis.cli.target import with_client
from tdredis.kube.client import Client
from tdredis.planning.snapshot import Key
from tdredis.redis.facts import keys_by_database, parse_info
from tdredis.redis.slots import ALL_SLOTS, SlotSet
from tdredis.redis.views import ClusterView, KnownNode, parse_cluster_nodes

MIB = 2**20


def slots(chosen: argparse.Namespace) -> int:
    async def work(client: Client, key: Key) -> list[dict[str, Any]]:
        if key.kind != "RedisCluster":
            raise CommandError(f"{key} has no slots: all of its keys are on one primary (`status {key}`)")
        pods = await running_redis_pods(client, key)
        texts = await asyncio.gather(*(ask_text(client, key.namespace, pod.name, "CLUSTER", "NODES") for pod in pods))
        return describe_slots({pod: parse_cluster_nodes(text) for pod, text in zip(pods, texts, strict=True)})

    found = with_client(chosen, work)
    print_data(list(found), chosen.output, lambda: render_slots(found))
    return 0


def describe_slots(views: Mapping[Pod, ClusterView]) -> list[dict[str, Any]]:
    """What each node says of itself: by shard, who owns slots or has some open. Without a pod: what nobody owns."""
    found = [
        _slots_row(pod, view.me.slots, view.me.id, view.me)
        for pod, view in sorted(views.items(), key=lambda each: (each[0].shard, each[0].name))
        if (view.me.slots and not view.me.is_replica) or view.me.open_slots
    ]
    free = ALL_SLOTS - SlotSet.union(view.me.slots for view in views.values() if not view.me.is_replica)
    return [*found, _slots_row(None, free, None, None)] if free else found


def _slots_row(pod: Pod | None, slots: SlotSet, node_id: str | None, node: KnownNode | None) -> dict[str, Any]:
    return {
        "shard": pod.shard if pod else "",
        "pod": pod.name if pod else None,
        "nodeId": node_id,
        "count": len(slots),
        "slots": [str(each) for each in slots.ranges()],
        "migrating": {str(slot): to for slot, to in node.migrating.items()} if node else {},
        "importing": {str(slot): of for slot, of in node.importing.items()} if node else {},
    }


def render_slots(found: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            each["shard"] or "-",
            each["pod"] or "nobody",
            each["count"],
            " ".join(each["slots"]),
            " ".join([f"{slot}->" for slot in each["migrating"]] + [f"{slot}<-" for slot in each["importing"]]),
        )
        for each in found
    ]
    return render_table(("SHARD", "POD", "COUNT", "SLOTS", "OPEN"), rows)


def top(chosen: argparse.Namespace) -> int:
    async def one(client: Client, key: Key, pod: Pod) -> dict[str, Any]:
        return describe_load(pod, parse_info(await ask_text(client, key.namespace, pod.name, "INFO")))

    found = _of_each(chosen, one)
    behind = {
        each["shard"]: each["offset"] for each in found if each.get("role") == "master" and each["offset"] is not None
    }
    for each in found:
        primary = behind.get(each["shard"])
        is_replica = each.get("role") == "slave" and primary is not None and each["offset"] is not None
        each["behindBytes"] = max(0, primary - each["offset"]) if is_replica and primary is not None else None
    found.sort(key=lambda each: -(each.get(SORTS[chosen.sort]) or 0))
    print_data(list(found), chosen.output, lambda: render_load(found))
    return 0


SORTS: Mapping[str, str] = {"memory": "usedBytes", "ops": "opsPerSecond", "clients": "clients", "keys": "keys"}


def describe_load(pod: Pod, info: Mapping[str, str]) -> dict[str, Any]:
    """Of INFO."""
    hits, misses = _number(info, "keyspace_hits") or 0, _number(info, "keyspace_misses") or 0
    return {
        "pod": pod.name,
        "shard": pod.shard,
        "role": info.get("role", ""),
        "usedBytes": _number(info, "used_memory"),
        "maxBytes": _number(info, "maxmemory"),
        "opsPerSecond": _number(info, "instantaneous_ops_per_sec"),
        "inKibPerSecond": _decimal(info, "instantaneous_input_kbps"),
        "outKibPerSecond": _decimal(info, "instantaneous_output_kbps"),
        "clients": _number(info, "connected_clients"),
        "keys": sum(keys_by_database(info).values()),
        "hitRatio": round(hits / (hits + misses), 4) if hits + misses else None,
        "evicted": _number(info, "evicted_keys"),
        "offset": _number(info, "slave_repl_offset" if info.get("role") == "slave" else "master_repl_offset"),
        "error": "",
    }


def render_load(found: Sequence[Mapping[str, Any]]) -> str:
    head = (
        "POD",
        "ROLE",
        "MEMORY",
        "OF",
        "USED",
        "OPS/S",
        "IN KiB/S",
        "OUT KiB/S",
        "CLIENTS",
        "KEYS",
        "HITS",
        "BEHIND",
    )
    rows = [_load_row(each) for each in found if not each["error"]]
    failed = [each["error"] for each in found if each["error"]]
    return "\n".join([render_table(head, rows), *failed])


def _load_row(each: Mapping[str, Any]) -> tuple[object, ...]:
    used, most = each["usedBytes"], each["maxBytes"]
    return (
        each["pod"],
        {"master": "primary", "slave": "replica"}.get(each["role"], each["role"]),
        _mib(used),
        _mib(most) if most else "no limit",
        f"{100 * used / most:.0f}%" if most and used is not None else "",
        each["opsPerSecond"],
        each["inKibPerSecond"],
        each["outKibPerSecond"],
        each["clients"],
        each["keys"],
        "" if each["hitRatio"] is None else f"{100 * each['hitRatio']:.1f}%",
        "" if each["behindBytes"] is None else f"{each['behindBytes']} B",
    )


def slowlog(chosen: argparse.Namespace) -> int:
    async def one(client: Client, key: Key, pod: Pod) -> dict[str, Any]:
        reply = await ask(client, key.namespace, pod.name, "SLOWLOG", "GET", str(chosen.count))
        return {"pod": pod.name, "entries": list(read_slowlog(reply)), "error": ""}

    found = _of_each(chosen, one)
    entries = [{"pod": each["pod"], **entry} for each in found for entry in each.get("entries", ())]
    entries.sort(key=lambda entry: -entry["microseconds"])
    failed = [each["error"] for each in found if each["error"]]
    print_data(
        {"entries": list(entries), "errors": list(failed)}, chosen.output, lambda: render_slowlog(entries, failed)
    )
    return 0


def read_slowlog(reply: Reply) -> Iterator[dict[str, Any]]:
    """Entries of SLOWLOG GET: id, epoch seconds, microseconds, words, and of whom from 4.0 on."""
    for entry in reply if isinstance(reply, list) else ():
        if not isinstance(entry, list) or len(entry) < 4:
            continue
        number, at, took, words, *whom = entry
        yield {
            "id": number,
            "at": datetime.fromtimestamp(int(str(at)), UTC).isoformat() if str(at).isdecimal() else "",
            "microseconds": took if isinstance(took, int) else 0,
            "command": [str(word) for word in words] if isinstance(words, list) else [str(words)],
            "client": str(whom[0]) if whom else "",
        }


def render_slowlog(entries: Sequence[Mapping[str, Any]], failed: Sequence[str]) -> str:
    if not entries:
        return "\n".join(["nothing was slow", *failed])
    rows = [
        (
            each["pod"],
            each["at"],
            f"{each['microseconds'] / 1000:.1f} ms",
            each["client"],
            " ".join(each["command"])[:100],
        )
        for each in entries
    ]
    return "\n".join([render_table(("POD", "AT", "TOOK", "CLIENT", "COMMAND"), rows), *failed])


def _of_each(
    chosen: argparse.Namespace, one: Callable[[Client, Key, Pod], Awaitable[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """What *one* makes of every running Redis pod, or of the one that is named; of one that does not answer its error.

    Raises CommandError where none answers.
    """

    async def tried(client: Client, key: Key, pod: Pod) -> dict[str, Any]:
        try:
            return await one(client, key, pod)
        except RedisError as error:
            return {"pod": pod.name, "shard": pod.shard, "offset": None, "error": str(error)}

    async def work(client: Client, key: Key) -> list[dict[str, Any]]:
        pods = await running_redis_pods(client, key, chosen.pod)
        return list(await asyncio.gather(*(tried(client, key, pod) for pod in pods)))

    found = with_client(chosen, work)
    if all(each["error"] for each in found):
        raise CommandError("; ".join(each["error"] for each in found))
    return found


def _number(info: Mapping[str, str], name: str) -> int | None:
    text = info.get(name, "")
    return int(text) if text.lstrip("-").isdecimal() else None


def _decimal(info: Mapping[str, str], name: str) -> float | None:
    try:
        return float(info[name])
    except (KeyError, ValueError):
        return None


def _mib(number: int | None) -> str:
    return "" if number is None else f"{number / MIB:.1f} MiB"
