"""Decides how it is noticed that a cluster's process is frozen or its node lost: that breaks no connection.

One node of each cluster is asked in turn, every two seconds, for a few numbers that change when somebody is missed, and
when a failover was carried out: a hundredth of what a pass asks for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import structlog

from tdredis.planning.snapshot import Key
from tdredis.redis.facts import parse_info
from tdredis.redislink.errors import LinkError
from tdredis.redislink.pool import Address, LinkPool

log = structlog.get_logger(__name__)

PULSE_S = 2.0
ANSWER_S = 1.0
SIGNS = ("cluster_state", "cluster_slots_pfail", "cluster_slots_fail", "cluster_current_epoch")


@dataclass(slots=True)
class _Followed:
    addresses: tuple[Address, ...]
    password: str = field(repr=False)
    turn: int = 0
    signs: tuple[str, ...] | None = None  # what was said last; None: nothing yet


class Pulse:
    """*on_change* is told of every cluster that says something else than the last time, or nothing."""

    def __init__(self, links: LinkPool[Key], on_change: Callable[[Key], None]) -> None:
        self._links = links
        self._on_change = on_change
        self._followed: dict[Key, _Followed] = {}

    def follow(self, key: Key, addresses: Iterable[Address], password: str) -> None:
        """*addresses* are the Redis processes of the cluster *key*, as of its last pass."""
        followed = self._followed.setdefault(key, _Followed((), ""))
        followed.addresses, followed.password = tuple(addresses), password

    def drop(self, key: Key) -> None:
        self._followed.pop(key, None)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                keys = list(self._followed)
                for key in keys:
                    group.create_task(self.beat(key))
                    await asyncio.sleep(PULSE_S / len(keys))  # the pace: never all at once
                if not keys:
                    await asyncio.sleep(PULSE_S)

    async def beat(self, key: Key) -> None:
        """Asks the next node of *key*."""
        followed = self._followed.get(key)
        if followed is None or not followed.addresses:
            return
        followed.turn += 1
        address = followed.addresses[followed.turn % len(followed.addresses)]
        signs = await self._ask(key, address, followed.password)
        before, followed.signs = followed.signs, signs
        if before is not None and signs != before:
            log.info("pulse changed", resource=str(key), namespace=key.namespace, address=str(address), signs=signs)
            self._on_change(key)

    async def _ask(self, key: Key, address: Address, password: str) -> tuple[str, ...]:
        question = [("CLUSTER", "INFO")]
        try:
            (reply,) = await self._links.ask(key, address, question, password=password, timeout_s=ANSWER_S)
        except LinkError as error:
            return (str(address), type(error).__name__)
        said = parse_info(reply.decode("utf-8", "replace")) if isinstance(reply, bytes) else {}
        return tuple(said.get(sign, "") for sign in SIGNS)
