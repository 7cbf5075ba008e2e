"""Decides what a pass may know: one frozen picture of a resource and everything that belongs to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tdredis.api.json_object import JSONObject
from tdredis.api.rediscluster import RedisCluster
from tdredis.manifests.site import Passwords, Site
from tdredis.redis.facts import NodeFacts, Unknown


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Which resource: what queues, caches and connections are keyed by."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind.lower()}/{self.name}"


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """Which object, within the resource's namespace."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why a pod does not run: the kubelet's or the scheduler's own reason and sentence."""

    reason: str  # Unschedulable, ErrImagePull, CrashLoopBackOff, ...
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PodFacts:
    """One pod, as far as a decision needs it."""

    name: str
    uid: str
    created: float  # epoch seconds
    ip: str | None = None
    node: str | None = None  # None: not scheduled
    ready: bool = False
    running: bool = False  # the main container's process runs now
    ever_ran: bool = False  # it ran at least once: it may hold data
    deleting: bool = False
    finished: bool = False  # phase Failed or Succeeded: no process of it will run again
    revision: str = ""  # of the StatefulSet's template it was made from
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSnapshot:
    """A RedisCluster and its world at one moment.

    *pods* are the Redis pods that exist, by name. *nodes* has an entry for each of them whose process runs: its
    answers, or Unknown. *children* are the other objects that the resource controls.
    """

    now: float  # epoch seconds
    cluster: RedisCluster
    site: Site
    passwords: Passwords  # those in force: what the running processes were given
    children: Mapping[Ref, JSONObject] = field(default_factory=dict, repr=False)  # Secrets are among them
    pods: Mapping[str, PodFacts] = field(default_factory=dict)
    nodes: Mapping[str, NodeFacts | Unknown] = field(default_factory=dict)
    proxies: tuple[PodFacts, ...] = ()
