"""Decides which commands carry out a step that is done to a Redis or Sentinel process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias, assert_never

from tdredis.manifests.peers import peer_rules
from tdredis.planning.slot_steps import CloseSlot, MoveKeys, OpenSlot, ResetNode, TakeSlot
from tdredis.planning.steps import (
    AnnounceSentinel,
    AssignSlots,
    ConfigureMonitor,
    FailOver,
    FailOverShard,
    Follow,
    Forget,
    HandOver,
    Meet,
    Monitor,
    Process,
    Promote,
    PublishHellos,
    Reconnect,
    RemoveMonitor,
    Replicate,
    SentinelHello,
    SetAuthPass,
    SetConfig,
    SetPeerUser,
    TakeOverShard,
)
from tdredis.redislink.pool import Command

# Not TYPE master or replica: those connections are the replication itself. Ours is spared (SKIPME).
DISCONNECT: Final[tuple[Command, ...]] = (
    ("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"),
    ("CLIENT", "KILL", "TYPE", "pubsub"),
)
BUMP_EPOCH: Final[Command] = ("CLUSTER", "BUMPEPOCH")
MIGRATE_MS: Final = 1000  # without a byte of progress
PAUSE_MS: Final = 3000  # longer than a handover takes; ends by itself if none comes
PAUSE: Final[Command] = ("CLIENT", "PAUSE", PAUSE_MS)
PAUSE_WRITES: Final[Command] = (*PAUSE, "WRITE")
UNPAUSE: Final[Command] = ("CLIENT", "UNPAUSE")

RedisStep: TypeAlias = (
    AssignSlots
    | Meet
    | Replicate
    | HandOver
    | FailOverShard
    | TakeOverShard
    | Forget
    | CloseSlot
    | OpenSlot
    | TakeSlot
    | ResetNode
    | SetConfig
    | Follow
    | Reconnect
    | Promote
    | FailOver
    | Monitor
    | RemoveMonitor
    | ConfigureMonitor
    | SetAuthPass
    | SetPeerUser
    | PublishHellos
    | AnnounceSentinel
)


def redis_commands(step: RedisStep, password: str) -> tuple[Process, list[Command]]:  # noqa: PLR0912, PLR0915 a line a step
    """To whom, and what, in one round trip. *password* is Redis' own."""
    commands: list[Command]
    match step:
        case AssignSlots():
            commands = _assign(step)
        case Meet():
            commands = [("CLUSTER", "MEET", peer.ip, peer.port) for peer in step.peers]
        case Replicate():
            commands = [("CLUSTER", "REPLICATE", step.primary.id)]
        case HandOver():
            commands = [("CLUSTER", "FAILOVER")]
        case FailOverShard():
            commands = [("CLUSTER", "FAILOVER", "FORCE")]
        case TakeOverShard():
            commands = [("CLUSTER", "FAILOVER", "TAKEOVER")]
        case Forget():
            commands = [("CLUSTER", "FORGET", step.ghost_id)]
        case CloseSlot():
            commands = [("CLUSTER", "SETSLOT", step.slot, "STABLE")]
        case OpenSlot():
            commands = [("CLUSTER", "SETSLOT", step.slot, step.direction, step.other.id)]
        case TakeSlot():
            commands = [("CLUSTER", "SETSLOT", step.slot, "NODE", step.process.id), BUMP_EPOCH]
        case ResetNode():
            # In one go: a key written in between would forbid the reset. A replica takes no FLUSHALL and needs none.
            empty: list[Command] = [] if step.is_replica else [("FLUSHALL", "ASYNC")]
            commands = [*empty, ("CLUSTER", "RESET", "HARD"), *DISCONNECT]
        case SetConfig():
            commands = [("CONFIG", "SET", step.parameter, step.value)]
        case Follow():
            commands = [("REPLICAOF", step.host, step.port), *(DISCONNECT if step.was_primary else ())]
        case Reconnect():
            commands = [("CLIENT", "KILL", "TYPE", "master")]
        case Promote():
            commands = [("REPLICAOF", "NO", "ONE")]
        case FailOver():
            commands = [("SENTINEL", "FAILOVER", step.master_name)]
        case Monitor():
            commands = _watch(step, password)
        case RemoveMonitor():
            commands = [("SENTINEL", "REMOVE", step.master_name)]
        case ConfigureMonitor():
            commands = [("SENTINEL", "SET", step.master_name, step.setting, step.value)]
        case SetAuthPass():
            commands = _log_in(step.master_name, step.user, password)
        case SetPeerUser():
            commands = _know_peers(step, password)
        case PublishHellos():
            commands = [("PUBLISH", "__sentinel__:hello", _hello(step.master_name, other)) for other in step.others]
        case AnnounceSentinel():
            commands = [
                ("SENTINEL", "CONFIG", "SET", "announce-ip", step.host),
                ("SENTINEL", "CONFIG", "SET", "announce-port", step.port),
            ]
        case _:
            assert_never(step)
    return step.process, commands


def _assign(step: AssignSlots) -> list[Command]:
    """ADDSLOTS, not ADDSLOTSRANGE: Redis 6 knows only the first."""
    epoch: list[Command] = []
    if step.config_epoch is not None:
        epoch.append(("CLUSTER", "SET-CONFIG-EPOCH", step.config_epoch))
    add: Command = ("CLUSTER", "ADDSLOTS", *step.slots)
    if step.taken:
        # The others believe it too, so the new claim must be newer than what they believe.
        return [("CLUSTER", "DELSLOTS", *step.taken), add, BUMP_EPOCH]
    return [*epoch, add]


def migrate(step: MoveKeys, keys: Sequence[bytes], password: str) -> Command:
    """One round of it: *keys* of its slot."""
    secret: tuple[str, ...] = ("AUTH", password) if password else ()
    target = step.target
    return ("MIGRATE", target.ip, target.port, "", 0, MIGRATE_MS, "REPLACE", *secret, "KEYS", *keys)


def _watch(step: Monitor, password: str) -> list[Command]:
    """The password before the settings: until then the Sentinel is refused by the primary, and counts it as down."""
    name = step.master_name
    replaced: list[Command] = [("SENTINEL", "REMOVE", name)] if step.replaces else []
    secret = _log_in(name, step.user, password)
    settings: list[Command] = [("SENTINEL", "SET", name, setting, value) for setting, value in step.settings]
    return [*replaced, ("SENTINEL", "MONITOR", name, step.host, step.port, step.quorum), *secret, *settings]


def _know_peers(step: SetPeerUser, password: str) -> list[Command]:
    return [
        ("ACL", "SETUSER", step.user, "reset", *peer_rules(password, channels=step.channels)),
        ("CONFIG", "SET", "masterauth", password or step.user),
        ("CONFIG", "SET", "masteruser", step.user),
    ]


def _log_in(name: str, user: str, password: str) -> list[Command]:
    word = password or user
    secret: list[Command] = [("SENTINEL", "SET", name, "auth-pass", word)] if word else []
    return [*secret, ("SENTINEL", "SET", name, "auth-user", user)] if user else secret


def _hello(master_name: str, sentinel: SentinelHello) -> str:
    """Source: sentinel.c, sentinelSendHello. Its present epoch is not to be had: it is that of its configuration at the
    least. With less, a failover by who is told would be older than what the others believe, and be undone by them.
    """
    fields = (
        *(sentinel.host, sentinel.port, sentinel.id, sentinel.config_epoch),
        *(master_name, sentinel.primary_host, sentinel.primary_port, sentinel.config_epoch),
    )
    return ",".join(map(str, fields))
