"""Decides what the operator can do to the world: every effect is one of these, with the reason it is done for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias, TypeGuard

from tdredis.planning.process import Process
from tdredis.planning.steps.moving import MoveSlots
from tdredis.planning.steps.nodes import Forget, Meet, Replicate, ResetNode
from tdredis.planning.steps.objects import (
    Apply,
    Release,
    Remove,
    ReplacePod,
    ResizePod,
    ResizeVolume,
    RestoreLabels,
)
from tdredis.planning.steps.primaries import (
    Disconnect,
    FailOver,
    FailOverShard,
    Follow,
    HandOver,
    PassOn,
    Promote,
    Reconnect,
    TakeBack,
    TakeOverShard,
)
from tdredis.planning.steps.redis_step import Command, RedisStep
from tdredis.planning.steps.sentinels import (
    AnnounceSentinel,
    ConfigureMonitor,
    Monitor,
    PublishHellos,
    RemoveMonitor,
    SentinelHello,
    SetAuthPass,
)
from tdredis.planning.steps.settings import SetConfig, SetParameter, SetPeerUser
from tdredis.planning.steps.slots import AssignSlots, CloseSlot, MoveKeys, OpenSlot, TakeSlot, TellOwner

ObjectStep: TypeAlias = Apply | Remove | Release | ReplacePod | ResizePod | ResizeVolume | RestoreLabels
Step: TypeAlias = ObjectStep | RedisStep | MoveSlots

# What a step is called by its event and by the label of tdredis_steps_total: people's alerts match these words.
NAMES: Final[Mapping[type[Step], str]] = {
    Apply: "ObjectApplied",
    Remove: "ObjectDeleted",
    Release: "StatefulSetRenewed",
    ReplacePod: "PodReplaced",
    ResizePod: "PodResized",
    ResizeVolume: "VolumeResized",
    RestoreLabels: "LabelsRestored",
    Meet: "NodesIntroduced",
    Replicate: "ReplicaAttached",
    Forget: "NodeForgotten",
    ResetNode: "NodeReset",
    AssignSlots: "SlotsAssigned",
    OpenSlot: "SlotOpened",
    MoveKeys: "KeysMoved",
    TakeSlot: "SlotTaken",
    CloseSlot: "SlotClosed",
    TellOwner: "OwnerTold",
    MoveSlots: "SlotsMoving",
    HandOver: "HandedOver",
    FailOverShard: "FailedOver",
    TakeOverShard: "TakenOverWithoutVote",
    Promote: "Promoted",
    PassOn: "PassedOn",
    TakeBack: "TakenBack",
    Disconnect: "ClientsDisconnected",
    FailOver: "SentinelFailover",
    Follow: "ReplicaRepointed",
    Reconnect: "ReplicaReconnected",
    SetConfig: "ConfigSet",
    SetParameter: "ParameterSet",
    SetPeerUser: "UserSet",
    Monitor: "MonitorAdded",
    RemoveMonitor: "MonitorRemoved",
    ConfigureMonitor: "MonitorSet",
    SetAuthPass: "AuthPassSet",
    PublishHellos: "SentinelsIntroduced",
    AnnounceSentinel: "AddressAnnounced",
}


def name_of(step: Step) -> str:
    return NAMES[type(step)]


def is_object_step(step: Step) -> TypeGuard[ObjectStep]:
    """It is done to an object, by the API server."""
    return not isinstance(step, RedisStep | MoveSlots)


__all__ = [
    "NAMES",
    "AnnounceSentinel",
    "Apply",
    "AssignSlots",
    "CloseSlot",
    "Command",
    "ConfigureMonitor",
    "Disconnect",
    "FailOver",
    "FailOverShard",
    "Follow",
    "Forget",
    "HandOver",
    "Meet",
    "Monitor",
    "MoveKeys",
    "MoveSlots",
    "ObjectStep",
    "OpenSlot",
    "PassOn",
    "Process",
    "Promote",
    "PublishHellos",
    "Reconnect",
    "RedisStep",
    "Release",
    "Remove",
    "RemoveMonitor",
    "ReplacePod",
    "Replicate",
    "ResetNode",
    "ResizePod",
    "ResizeVolume",
    "RestoreLabels",
    "SentinelHello",
    "SetAuthPass",
    "SetConfig",
    "SetParameter",
    "SetPeerUser",
    "Step",
    "TakeBack",
    "TakeOverShard",
    "TakeSlot",
    "TellOwner",
    "is_object_step",
    "name_of",
]
