"""Decides when keys that were moved are in more hands than one: their source has them no more.

WAIT counts replicas that have what the same connection wrote, and MIGRATE writes by one of the source's. So something
is written first, and removed: what came before it in the stream of writes, they have then as well. Source: redis.io,
"WAIT"; replication.c, waitCommand.
"""

from __future__ import annotations

from collections.abc import Sequence

from tdredis.movers.node import ASKING, Node, is_of_memory
from tdredis.redis.facts import parse_info
from tdredis.redis.slot_marks import copy_names
from tdredis.redislink.errors import Refused
from tdredis.redislink.pool import Command

# At maxmemory a script may begin with what needs no memory, and then write (script.c, scriptVerifyOOM).
WRITES_WHEN_FULL = "redis.call('UNLINK', KEYS[1]) redis.call('SET', KEYS[1], '') return redis.call('UNLINK', KEYS[1])"
WAIT_MS = 1000  # a replica that is slower than that keeps no slot open


async def until_copied(target: Node, slots: Sequence[int]) -> bool:
    """Whether a replica of *target* has all that it was given of *slots*, which it is taking over. One that is not in
    sync is not waited for. Raises LinkError.
    """
    if not slots or not await _has_replica(target):
        return False
    mark = copy_names(slots[0])[0]  # whoever finds it left behind removes it
    wait: Command = ("WAIT", 1, WAIT_MS)
    _, written, *_, reply = await target.try_all([ASKING, ("SET", mark, ""), ASKING, ("UNLINK", mark), wait])
    if is_of_memory(written):
        *_, reply = await target.try_all([ASKING, ("EVAL", WRITES_WHEN_FULL, 1, mark), wait])
    return isinstance(reply, int) and reply > 0


async def _has_replica(target: Node) -> bool:
    reply = await target.ask("INFO", "replication")
    if not isinstance(reply, bytes):
        raise Refused(f"{target.name} answered INFO with {type(reply).__name__}")
    info = parse_info(reply.decode("utf-8", "replace"))
    return any("state=online" in value.split(",") for name, value in info.items() if name.startswith("slave"))
