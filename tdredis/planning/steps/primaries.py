"""Decides what can be done about who is the primary of a shard, or of a standby."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from tdredis.planning.process import Process
from tdredis.planning.steps.redis_step import DISCONNECT, Command, RedisStep

CATCHES_UP_MS: Final = 1500  # for that long a primary lets its clients wait for a replica to have everything


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOver(RedisStep):
    """Make *process*, a replica in sync, the primary of *shard*, without loss: the engine stops the old one's clients
    until the new one has everything. Source: redis.io, "CLUSTER FAILOVER" without options."""

    barrier: ClassVar[bool] = True
    # Asked again, the engine begins from the start, and primaries that voted already do not do so again for two node
    # timeouts: so one attempt has all of its time. Source: cluster.c, CLUSTER_MF_TIMEOUT, resetManualFailover,
    # clusterSendFailoverAuthIfNeeded.
    pace_s: ClassVar[float] = 5.0
    shard: str

    def __str__(self) -> str:
        return f"hand shard {self.shard} over to {self.process}"

    @property
    def words(self) -> tuple[Command, ...]:
        return (("CLUSTER", "FAILOVER"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailOverShard(RedisStep):
    """Have *process*, a replica of a dead primary, ask the other primaries for their votes at once, without the dead
    one's consent. Source: redis.io, "CLUSTER FAILOVER" (FORCE).
    """

    barrier: ClassVar[bool] = True
    shard: str

    def __str__(self) -> str:
        return f"have {self.process} take over shard {self.shard}"

    @property
    def words(self) -> tuple[Command, ...]:
        return (("CLUSTER", "FAILOVER", "FORCE"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeOverShard(RedisStep):
    """Have *process*, a replica of a dead primary, take its slots without a vote: there is no majority to ask. Source:
    redis.io, "CLUSTER FAILOVER" (TAKEOVER).
    """

    barrier: ClassVar[bool] = True
    shard: str

    def __str__(self) -> str:
        return f"have {self.process} take shard {self.shard} without a vote"

    @property
    def words(self) -> tuple[Command, ...]:
        return (("CLUSTER", "FAILOVER", "TAKEOVER"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promote(RedisStep):
    """Make *process* a primary by the operator's own decision: there is nobody to vote. Source: redis.io, "REPLICAOF"
    (NO ONE).
    """

    barrier: ClassVar[bool] = True

    def __str__(self) -> str:
        return f"make {self.process} the primary"

    @property
    def words(self) -> tuple[Command, ...]:
        return (("REPLICAOF", "NO", "ONE"),)


def fence(replicas: int) -> Command:
    """Has a primary that *replicas* follow refuse writes as soon as one of them does not any more, as the one that is
    promoted: whoever hands over may die, and Sentinels demote the former primary some ten seconds later. As long as
    all of them follow, it takes writes: a failover that was refused stops none. Source: server.c, processCommand
    (good_replicas_status); networking.c, freeClient (refreshGoodSlavesCount).
    """
    return least_in_reach(max(1, replicas))


def least_in_reach(replicas: int) -> Command:
    """Has a primary refuse writes while fewer than so many replicas are in reach."""
    return ("CONFIG", "SET", "min-replicas-to-write", replicas)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailOver(RedisStep):
    """Have the Sentinel *process* carry out its own failover at once. Source: redis.io, "SENTINEL FAILOVER".

    *primary*: the one that still lives, in a handover. Its clients' writes are stopped meanwhile, so that none is
    acknowledged that its replicas do not have ("CLIENT PAUSE", since 6.2 for writes alone), and it is fenced (`fence`)
    for as long as the operator may be away afterwards. *candidates*, any of which
    the Sentinel may choose, are waited for until they have all there is: a primary sends a new replica nothing for up
    to a second after its copy is complete (replication.c, replicaPutOnline: it waits for the next REPLCONF ACK).
    """

    barrier: ClassVar[bool] = True
    master_name: str
    primary: Process | None
    candidates: tuple[Process, ...] = ()
    least: int = 0  # min-replicas-to-write of *primary* as it was, which it gets back where nobody takes over

    def __str__(self) -> str:
        return f"have {self.process} fail over {self.master_name}"

    @property
    def words(self) -> tuple[Command, ...]:
        return (("SENTINEL", "FAILOVER", self.master_name),)


@dataclass(frozen=True, slots=True, kw_only=True)
class PassOn(RedisStep):
    """Have *process*, a primary that no Sentinel watches, hand over to its replica *candidate*, which it knows at
    *host* and *port*. The engine stops writes until the replica has them all, and is its replica then. Source:
    redis.io, "FAILOVER" (TO, TIMEOUT), since 6.2.
    """

    barrier: ClassVar[bool] = True
    # Sent again meanwhile it would be refused.
    pace_s: ClassVar[float] = 4.0
    candidate: Process
    host: str
    port: int

    def __str__(self) -> str:
        return f"have {self.process} hand over to {self.candidate}"

    @property
    def words(self) -> tuple[Command, ...]:
        return (("FAILOVER", "TO", self.host, self.port, "TIMEOUT", CATCHES_UP_MS),)


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeBack(RedisStep):
    """Make *process* the primary again, which is handing over to somebody who is gone: by itself it would try for ever,
    and its clients wait. Source: redis.io, "FAILOVER" (ABORT).
    """

    barrier: ClassVar[bool] = True

    def __str__(self) -> str:
        return f"have {self.process} be the primary again"

    @property
    def words(self) -> tuple[Command, ...]:
        return (("FAILOVER", "ABORT"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnect(RedisStep):
    """End the connections of the clients of *process*: the address that they used leads to another by now."""

    def __str__(self) -> str:
        return f"end the connections of clients of {self.process}"

    @property
    def words(self) -> tuple[Command, ...]:
        return DISCONNECT


@dataclass(frozen=True, slots=True, kw_only=True)
class Follow(RedisStep):
    """Make *process* a replica of *primary*, which others reach at *host* and *port*. Source: redis.io, "REPLICAOF".

    *was_primary*: end the connections of its clients too, so that their pools look for the right one ("CLIENT KILL").
    """

    barrier: ClassVar[bool] = True
    primary: str
    host: str
    port: int
    was_primary: bool
    given_up_bytes: int | None = None  # of a second primary's stream, that *primary* never had; None: it cannot be told

    def __str__(self) -> str:
        return f"attach {self.process} to {self.primary}"

    @property
    def words(self) -> tuple[Command, ...]:
        return ("REPLICAOF", self.host, self.port), *(DISCONNECT if self.was_primary else ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconnect(RedisStep):
    """Have the replica *process* connect to its primary again: only then it says at which address it is to be found.
    Nothing is copied again. Source: redis.io, "CLIENT KILL" (TYPE master); replication.c, syncWithMaster.
    """

    def __str__(self) -> str:
        return f"have {self.process} connect to its primary again"

    @property
    def words(self) -> tuple[Command, ...]:
        return (("CLIENT", "KILL", "TYPE", "master"),)
