"""Decides what one process of a standby says of itself: where others find it, whom it follows, whether it has data.

Identity is the pod's name, never the IP.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from tdredis.planning.snapshot import PodFacts
from tdredis.planning.steps import Process
from tdredis.redis.facts import NodeFacts
from tdredis.redis.ports import REDIS_PORT, SENTINEL_PORT
from tdredis.redis.sentinels import SentinelFacts, Watch

Place: TypeAlias = tuple[str, int]  # host and port, as a process announces it


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A Redis process that answered."""

    pod: PodFacts
    facts: NodeFacts

    @property
    def name(self) -> str:
        return self.pod.name

    @property
    def is_primary(self) -> bool:
        return self.facts.replication.role == "master"

    @property
    def place(self) -> Place:
        """Where others are to find it."""
        announced = self.facts.announced
        return (announced.host, announced.port) if announced else self.pod_place

    @property
    def pod_place(self) -> Place:
        return self.pod.ip or "", REDIS_PORT

    def is_at(self, place: Place) -> bool:
        return place in (self.place, self.pod_place)

    @property
    def follows(self) -> Place | None:
        """Whom it was told to replicate; None: nobody."""
        link = self.facts.replication
        return None if self.is_primary or link.primary_host is None else (link.primary_host, link.primary_port or 0)

    @property
    def has_data(self) -> bool:
        """It holds keys, or has been in sync with a primary (whose data set may be empty)."""
        return self.facts.keys > 0 or self.has_synced

    @property
    def has_synced(self) -> bool:
        """It has been in sync with a primary since its start. One that has not gives itself offset 0 or 1
        (replication.c, replicationCacheMasterUsingMyself).
        """
        link = self.facts.replication
        return link.offset_bytes > 1 or link.was_linked

    @property
    def may_be_chosen(self) -> bool:
        """It is a replica that Sentinels may make the primary."""
        return bool(self.facts.replication.priority)

    @property
    def process(self) -> Process:
        return Process(
            pod=self.pod.name, uid=self.pod.uid, ip=self.pod.ip or "", id=self.facts.run_id, in_cluster=False
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Watcher:
    """A Sentinel process that answered. *watch*: what it does for us; None: nothing."""

    pod: PodFacts
    facts: SentinelFacts
    watch: Watch | None

    @property
    def name(self) -> str:
        return self.pod.name

    @property
    def place(self) -> Place:
        host = self.facts.announced_host or self.pod.ip or ""
        return host, self.facts.announced_port or SENTINEL_PORT

    @property
    def process(self) -> Process:
        return Process(
            pod=self.pod.name,
            uid=self.pod.uid,
            ip=self.pod.ip or "",
            id=self.facts.run_id,
            port=SENTINEL_PORT,
            in_cluster=False,
        )
