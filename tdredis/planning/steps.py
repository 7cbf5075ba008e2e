"""Decides what the operator can do to the world: every effect is one of these, with the reason it is done for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, TypeAlias

from tdredis.api.json_object import JSONObject
from tdredis.planning.process import Process as Process  # noqa: PLC0414 said again: a step names it
from tdredis.planning.slot_steps import CloseSlot, MoveKeys, OpenSlot, ResetNode, TakeSlot
from tdredis.planning.snapshot import Ref
from tdredis.redis.slots import NO_SLOTS, SlotSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Apply:
    """Make the object be as *manifest* says, by server-side apply."""

    barrier: ClassVar[bool] = False
    reason: ClassVar[str] = "ObjectApplied"
    ref: Ref
    manifest: JSONObject
    why: str
    is_new: bool = False  # we know of none: what is found under this name after all may be somebody else's

    def __str__(self) -> str:
        return f"apply {self.ref}"

    def __repr__(self) -> str:  # the manifest of a Secret must not reach a traceback
        return f"Apply(ref={self.ref!r}, why={self.why!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """Delete an object of ours that the spec no longer asks for."""

    barrier: ClassVar[bool] = False
    reason: ClassVar[str] = "ObjectDeleted"
    ref: Ref
    api_version: str
    uid: str
    why: str

    def __str__(self) -> str:
        return f"delete {self.ref}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplacePod:
    """Delete a pod without which nothing is lost, so that its StatefulSet makes it from the present template."""

    barrier: ClassVar[bool] = True
    reason: ClassVar[str] = "PodReplaced"
    pod: str
    uid: str
    why: str

    def __str__(self) -> str:
        return f"replace pod {self.pod}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignSlots:
    """Give *slots*, which nobody owns, to *process*. Source: redis.io, "CLUSTER ADDSLOTS"."""

    barrier: ClassVar[bool] = False
    reason: ClassVar[str] = "SlotsAssigned"
    process: Process
    shard: str
    slots: SlotSet
    config_epoch: int | None  # set first, on a node that has met nobody: spares the engine the resolving of collisions
    why: str
    taken: SlotSet = NO_SLOTS  # those of *slots* that it believes to be another's, who does not say so himself

    def __str__(self) -> str:
        return f"assign slots {self.slots} to {self.process}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meet:
    """Introduce *process* to *peers*. Source: redis.io, "CLUSTER MEET"."""

    barrier: ClassVar[bool] = True
    reason: ClassVar[str] = "NodesIntroduced"
    process: Process
    peers: tuple[Process, ...]
    why: str

    def __str__(self) -> str:
        return f"introduce {self.process} to {', '.join(peer.pod for peer in self.peers)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicate:
    """Make *process* a replica of *primary*. Source: redis.io, "CLUSTER REPLICATE"."""

    barrier: ClassVar[bool] = True
    reason: ClassVar[str] = "ReplicaAttached"
    process: Process
    primary: Process
    why: str

    def __str__(self) -> str:
        return f"attach {self.process} to {self.primary}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOver:
    """Make *process*, a replica in sync, the primary of *shard*, without loss: the engine stops the old one's clients
    until the new one has everything. Source: redis.io, "CLUSTER FAILOVER" without options."""

    barrier: ClassVar[bool] = True
    reason: ClassVar[str] = "HandedOver"
    pace_s: ClassVar[float] = 1.0  # asked again, the engine begins anew with it (cluster.c, resetManualFailover)
    process: Process
    shard: str
    why: str

    def __str__(self) -> str:
        return f"hand shard {self.shard} over to {self.process}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailOverShard:
    """Have *process*, a replica of a dead primary, ask the other primaries for their votes at once, without the dead
    one's consent. Source: redis.io, "CLUSTER FAILOVER" (FORCE).
    """

    barrier: ClassVar[bool] = True
    reason: ClassVar[str] = "FailedOver"
    process: Process
    shard: str
    why: str

    def __str__(self) -> str:
        return f"have {self.process} take over shard {self.shard}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeOverShard:
    """Have *process*, a replica of a dead primary, take its slots without a vote: there is no majority to ask. Source:
    redis.io, "CLUSTER FAILOVER" (TAKEOVER).
    """

    barrier: ClassVar[bool] = True
    reason: ClassVar[str] = "TakenOver"
    process: Process
    shard: str
    why: str

    def __str__(self) -> str:
        return f"have {self.process} take shard {self.shard} without a vote"


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """Have *process* forget a node that is no more. Source: redis.io, "CLUSTER FORGET" (banned for a minute)."""

    barrier: ClassVar[bool] = True
    reason: ClassVar[str] = "NodeForgotten"
    process: Process
    ghost_id: str
    why: str

    def __str__(self) -> str:
        return f"have {self.process} forget node {self.ghost_id[:8]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetConfig:
    """Change a parameter of a running process; redis.conf has it for the next start. Source: redis.io, "CONFIG SET"."""

    barrier: ClassVar[bool] = False
    reason: ClassVar[str] = "ConfigSet"
    process: Process
    parameter: str
    value: int | str
    why: str

    def __str__(self) -> str:
        return f"set {self.parameter} of {self.process} to {self.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Follow:
    """Make *process* a replica of *primary*, which others reach at *host* and *port*. Source: redis.io, "REPLICAOF".

    *was_primary*: end the connections of its clients too, so that their pools look for the right one ("CLIENT KILL").
    """

    barrier: ClassVar[bool] = True
    reason: ClassVar[str] = "PrimaryChanged"
    process: Process
    primary: str
    host: str
    port: int
    was_primary: bool
    why: str
    given_up_bytes: int | None = None  # of a second primary's stream, that *primary* never had; None: it cannot be told

    def __str__(self) -> str:
        return f"attach {self.process} to {self.primary}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconnect:
    """Have the replica *process* connect to its primary again: only then it says at which address it is to be found.
    Nothing is copied anew. Source: redis.io, "CLIENT KILL" (TYPE master); replication.c, syncWithMaster.
    """

    barrier: ClassVar[bool] = False
    reason: ClassVar[str] = "ReplicaReconnected"
    process: Process
    why: str

    def __str__(self) -> str:
        return f"have {self.process} connect to its primary again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promote:
    """Make *process* a primary by the operator's own decision: there is nobody to vote. Source: redis.io, "REPLICAOF"
    (NO ONE).
    """

    barrier: ClassVar[bool] = True
    reason: ClassVar[str] = "Promoted"
    process: Process
    why: str

    def __str__(self) -> str:
        return f"make {self.process} the primary"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailOver:
    """Have the Sentinel *process* carry out its own failover at once. Source: redis.io, "SENTINEL FAILOVER".

    *primary*: the one that still lives, in a handover. Its clients' writes are stopped meanwhile, so that none is
    acknowledged that its replicas do not have ("CLIENT PAUSE", since 6.2 for writes alone), and *heirs*, any of whom
    the Sentinel may choose, are waited for until they have all there is: a primary sends a new replica nothing for up
    to a second after its copy is complete (replication.c, replicaPutOnline: it waits for the next REPLCONF ACK).
    """

    barrier: ClassVar[bool] = True
    reason: ClassVar[str] = "SentinelFailover"
    process: Process
    master_name: str
    primary: Process | None
    why: str
    heirs: tuple[Process, ...] = ()

    def __str__(self) -> str:
        return f"have {self.process} fail over {self.master_name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """Have the Sentinel *process* watch the primary at *host* and *port*, and none that it watched under that name
    before. Source: redis.io, "SENTINEL MONITOR", "SENTINEL SET". The password is added when it is carried out; where
    there is none, *user* is the word too.
    """

    barrier: ClassVar[bool] = False
    reason: ClassVar[str] = "MonitorAdded"
    process: Process
    master_name: str
    host: str
    port: int
    quorum: int
    settings: tuple[tuple[str, int], ...]  # names as SENTINEL SET has them
    user: str  # as whom it logs in; "": as everybody
    replaces: bool  # it watches another one, or under another address, as yet
    why: str

    def __str__(self) -> str:
        return f"have {self.process} watch {self.master_name} at {self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelHello:
    """What a Sentinel says of itself to the others: where it is, and whom it takes for the primary."""

    name: str
    host: str
    port: int
    id: str
    primary_host: str
    primary_port: int
    config_epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishHellos:
    """Tell the Sentinel *process* what *others* say of themselves: by their own way, through Redis, it would hear of
    them within two seconds. Source: sentinel.c, sentinelPublishCommand: a Sentinel takes PUBLISH of such messages.
    """

    barrier: ClassVar[bool] = False
    reason: ClassVar[str] = "SentinelsIntroduced"
    process: Process
    master_name: str
    others: tuple[SentinelHello, ...]
    why: str

    def __str__(self) -> str:
        return f"tell {self.process} of {', '.join(other.name for other in self.others)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveMonitor:
    """Have the Sentinel *process* forget *master_name*, which is not ours. Source: redis.io, "SENTINEL REMOVE"."""

    barrier: ClassVar[bool] = False
    reason: ClassVar[str] = "MonitorRemoved"
    process: Process
    master_name: str
    why: str

    def __str__(self) -> str:
        return f"have {self.process} watch {self.master_name} no more"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPeerUser:
    """Have *process* know the instance's own *user*, and follow others as that. Source: redis.io, "ACL SETUSER".

    The password is added when it is carried out; where there is none, *user* is the word too.
    """

    barrier: ClassVar[bool] = False
    reason: ClassVar[str] = "UserSet"
    process: Process
    user: str
    channels: bool  # its engine knows rules for channels
    why: str

    def __str__(self) -> str:
        return f"have {self.process} log in to others as {self.user}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAuthPass:
    """Tell the Sentinel *process* the password of the Redis processes. Source: redis.io, "SENTINEL SET" (auth-pass). It
    is added when it is carried out.
    """

    barrier: ClassVar[bool] = False
    reason: ClassVar[str] = "AuthPassSet"
    pace_s: ClassVar[float] = 10.0  # it cuts what the Sentinel has under way
    process: Process
    master_name: str
    user: str  # as whom it logs in; "": as everybody
    why: str

    def __str__(self) -> str:
        return f"tell {self.process} the password"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigureMonitor:
    """Change a setting of what the Sentinel *process* does. Source: redis.io, "SENTINEL SET"."""

    barrier: ClassVar[bool] = False
    reason: ClassVar[str] = "MonitorSet"
    process: Process
    master_name: str
    setting: str
    value: int
    why: str

    def __str__(self) -> str:
        return f"set {self.setting} of {self.process} to {self.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnounceSentinel:
    """Have the Sentinel *process* tell others this address. Source: redis.io, "SENTINEL CONFIG SET" (since 6.2)."""

    barrier: ClassVar[bool] = False
    reason: ClassVar[str] = "AddressAnnounced"
    process: Process
    host: str
    port: int
    why: str

    def __str__(self) -> str:
        return f"have {self.process} announce {self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResizePod:
    """Change requests and limits of a running container in place. Source: kubernetes.io, "Resize CPU and Memory
    Resources assigned to Containers" (since 1.33).
    """

    barrier: ClassVar[bool] = False
    reason: ClassVar[str] = "PodResized"
    pod: str
    uid: str
    container: str
    requests: tuple[tuple[str, str], ...]
    limits: tuple[tuple[str, str], ...]
    why: str

    def __str__(self) -> str:
        return f"resize pod {self.pod}"


PACED_STEPS: Final = (HandOver, SetAuthPass)  # not done again to the same process before their pace_s is over
OBJECT_STEPS: Final = (Apply, Remove, ReplacePod, ResizePod)  # what needs the API server; all others need a process

Step: TypeAlias = (
    Apply
    | Remove
    | ReplacePod
    | AssignSlots
    | Meet
    | Replicate
    | HandOver
    | FailOverShard
    | TakeOverShard
    | Forget
    | CloseSlot
    | OpenSlot
    | TakeSlot
    | MoveKeys
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
    | ResizePod
)
