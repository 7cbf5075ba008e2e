"""Decides how it is noticed what breaks no connection: a frozen process, a lost node, a failover that was not ours.

Every node of a cluster is asked every three seconds, so that who is silent is known before the engine calls it failed,
for a few numbers that change when somebody is missed or took over: 28 microseconds of a core each, and not a pass.
Those of a standby are asked for their role: somebody may make a replica a second primary by hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import structlog

from tdredis.planning.snapshot import Key
from tdredis.redis.facts import AOF_ERROR, NodeFacts, find_write_error, parse_info
from tdredis.redislink.errors import LinkError
from tdredis.redislink.pool import Address, Command, LinkPool

log = structlog.get_logger(__name__)

PULSE_S = 3.0
ANSWER_S = 1.0
CLUSTER_INFO: Command = ("CLUSTER", "INFO")
ROLE: Command = ("ROLE",)
PERSISTENCE: Command = ("INFO", "persistence")  # that its disk is full breaks no connection either
SILENT = "silent"
DISK_FAILS = "disk fails"
SIGNS = ("cluster_state", "cluster_slots_pfail", "cluster_slots_fail", "cluster_current_epoch")
Signs = tuple[str, ...]


@dataclass(slots=True)
class _Followed:
    question: Command
    signs: dict[Address, Signs | None]  # what each said last; None: nothing yet


class Pulse:
    """*on_change* is told of every cluster of which a node says something else than the last time, or nothing."""

    def __init__(self, links: LinkPool[Key], on_change: Callable[[Key], None]) -> None:
        self._links = links
        self._on_change = on_change
        self._followed: dict[Key, _Followed] = {}

    def follow(
        self,
        key: Key,
        addresses: Iterable[Address],
        question: Command = CLUSTER_INFO,
        seen: Mapping[Address, Signs] = MappingProxyType({}),
    ) -> None:
        """*addresses* are the Redis processes of *key*, as of its last pass, *seen* what that saw of them. *question*:
        CLUSTER_INFO or ROLE.
        """
        before = self._followed.get(key)
        known = {**(before.signs if before else {}), **seen}
        self._followed[key] = _Followed(question, {address: known.get(address) for address in addresses})

    def drop(self, key: Key) -> None:
        self._followed.pop(key, None)

    def forget(self) -> None:
        self._followed.clear()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                nodes = [(key, address) for key, followed in self._followed.items() for address in followed.signs]
                for key, address in nodes:
                    group.create_task(self.beat(key, address))
                    await asyncio.sleep(PULSE_S / len(nodes))  # the pace: never all at once
                if not nodes:
                    await asyncio.sleep(PULSE_S)

    async def beat(self, key: Key, address: Address) -> None:
        """Asks one node."""
        followed = self._followed.get(key)
        if followed is None or address not in followed.signs:
            return
        signs = await self._ask(key, address, followed)
        before, followed.signs[address] = followed.signs[address], signs
        if signs != before and (before is not None or signs[0] == SILENT):
            log.info(
                "heartbeat answer changed",
                resource=str(key),
                namespace=key.namespace,
                pod=address.pod,
                was=before,
                now=signs,
            )
            self._on_change(key)

    async def _ask(self, key: Key, address: Address, followed: _Followed) -> Signs:
        questions = [followed.question, PERSISTENCE]
        try:
            reply, persistence = await self._links.ask(key, address, questions, timeout_s=ANSWER_S)
            return (*_read(reply), _read_disk(persistence))
        except LinkError as error:
            return (SILENT, type(error).__name__)
        except Exception:
            # The pulse of all others goes on: without it the operator would end.
            log.exception("heartbeat answer not read", resource=str(key), namespace=key.namespace, pod=address.pod)
            return ("unread",)


def role_signs(found: NodeFacts) -> Signs:
    """What a process will say to ROLE, and of its disk, that was found so."""
    disk = DISK_FAILS if found.write_error == AOF_ERROR else ""
    link = found.replication
    if link.role == "master":
        return ("master", disk)
    place = (link.primary_host or "", str(link.primary_port))
    return ("slave", *place, "connected" if link.link_up else "connect", disk)


def _read_disk(reply: object) -> str:
    """Of one that does not say it nothing is known."""
    said = parse_info(reply.decode("utf-8", "replace")) if isinstance(reply, bytes) else {}
    return DISK_FAILS if find_write_error(said, "") == AOF_ERROR else ""


def _read(reply: object) -> Signs:
    match reply:
        case [b"slave", bytes() as host, int() as port, bytes() as state, *_]:
            # Of no coding that is sure: who may send commands to a Redis can tell it any bytes.
            return ("slave", host.decode("utf-8", "replace"), str(port), state.decode("utf-8", "replace"))
        case [b"master", *_]:
            return ("master",)
        case bytes():
            said = parse_info(reply.decode("utf-8", "replace"))
            return tuple(said.get(sign, "") for sign in SIGNS)
        case _:
            return (str(reply),)
