"""Decides what a pass may know: one frozen picture of a resource and everything that belongs to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from tdredis.api.instance import Instance
from tdredis.api.rediscluster import RedisCluster
from tdredis.api.redisstandalone import RedisStandalone
from tdredis.api.redisstandby import RedisStandby
from tdredis.manifests.asked import Asked
from tdredis.manifests.site import Passwords, Site
from tdredis.planning.live import Live
from tdredis.planning.memo import Memo
from tdredis.planning.moving import Moving
from tdredis.redis.facts import NodeFacts, ProxyFacts, Unknown
from tdredis.redis.sentinels import SentinelFacts
from tdredis.redis.settings import Answers

EARLIER: Final = "cache.tongdun.net/earlier"  # annotation of a StatefulSet, or of pods whose one was made anew


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
    created: float  # epoch seconds by the clock of snapshot.now
    ip: str | None = None
    node: str | None = None  # None: not scheduled
    ready: bool = False
    # Epoch seconds. A container without a readiness probe runs since then: of that one Ready says no more. None: each
    # has a probe.
    unproven_since: float | None = None
    running: bool = False  # the main container's process runs now
    ever_ran: bool = False  # it ran at least once: it may hold data
    deleting: bool = False
    gone_by: float | None = None  # of one that is being deleted: when its grace is over; epoch seconds
    finished: bool = False  # phase Failed or Succeeded: no process of it will run again
    revision: str = ""  # of the StatefulSet's template it was made from; of a Deployment's its hash
    made_of: Mapping[str, str] = field(default_factory=dict)  # by path, of spec; empty: it does not say
    asked: Asked | None = None  # what its main container was to have when it was made, or last resized by us
    earlier: str = ""  # what the template said that it was made from, where it does not say all (planning/earlier.py)
    restarted_at: str = ""  # by the template it was made from: when `kubectl rollout restart` was called; "": never
    images: Mapping[str, str] = field(default_factory=dict)  # by container, as its spec has them
    host_ip: str | None = None  # of its node; None: not known yet
    role: str = ""  # the label that people and tools see
    lost_labels: Mapping[str, str] = field(default_factory=dict)  # labels of ours that somebody removed, or changed
    requests: Mapping[str, str] = field(default_factory=dict)  # of the main container, as its spec has them now
    limits: Mapping[str, str] = field(default_factory=dict)
    given_requests: Mapping[str, str] = field(default_factory=dict)  # what the container has as yet
    given_limits: Mapping[str, str] = field(default_factory=dict)
    resize_trouble: Trouble | None = None  # why it does not get them: Deferred, Infeasible, Error
    trouble: Trouble | None = None  # of any of its containers, for people
    main_trouble: Trouble | None = None  # why the main container's process does not run, or come back: decisions use it
    oom_killed: float | None = None  # when the kernel last ended its main container for want of memory; epoch seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Collision:
    """An object of ours would have a name that *owner*'s has, who was first."""

    ref: Ref
    owner: Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of trying an address for outside. *verdict*: leads (to its pod), elsewhere, nowhere, untried."""

    verdict: str
    words: str = ""  # of the last three
    for_s: float = 0.0  # it has been no "leads" for so long


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Whether pods may be recreated because spec says so. *ours*: they may. *others*: how many other resources have a
    turn; so many may at once: *limit*.
    """

    ours: bool
    others: int
    limit: int


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A resource and its world at one moment.

    *pods* are the Redis pods that exist, by name. *nodes* has an entry for each of them whose process runs: its
    answers, or Unknown. *children* are the other objects that the resource controls, *claims* the volume claims of its
    pods.
    """

    now: float  # epoch seconds
    site: Site
    passwords: Passwords  # the effective ones: what the running processes were given
    desired_passwords: Passwords | None = None  # what spec asks for; None: the same, or not to be read at the moment
    collisions: tuple[Collision, ...] = ()  # names that another resource of ours has
    foreign: tuple[Ref, ...] = ()  # StatefulSets under our names that nobody labelled as ours
    secret_problems: tuple[str, ...] = ()  # why the Secrets that spec names cannot be read, a sentence each
    children: Mapping[Ref, Live] = field(default_factory=dict, repr=False)  # Secrets are among them
    kept_claims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # deleted ones that stay: finalizers
    claims: Mapping[str, Live] = field(default_factory=dict, repr=False)  # by name
    stray_claims: frozenset[str] = frozenset()  # those of them from which somebody removed our labels
    pods: Mapping[str, PodFacts] = field(default_factory=dict)
    leftovers: frozenset[Ref] = frozenset()  # objects under our names that are still being deleted
    leftover_pods: tuple[str, ...] = ()  # of a previous resource of the same name, still being deleted
    nodes: Mapping[str, NodeFacts | Unknown] = field(default_factory=dict)
    # Uids of pods, there or not, by what a process in them said of itself when it last answered: its node id, its run
    # id, "host:port" where it is reached. Addresses may change while it is silent; which pod it is in does not.
    known_pods: Mapping[str, str] = field(default_factory=dict)
    trials: Mapping[str, Trial] = field(default_factory=dict)  # of addresses for outside, by "host:port"
    answers: Answers = field(default_factory=Answers)  # of processes that were told parameters
    creation_failures: Mapping[str, str] = field(default_factory=dict)  # why no pod comes, by StatefulSet, Deployment
    write_failures: Mapping[str, float] = field(default_factory=dict)  # seconds since a pod's disk took nothing, by uid
    turn: Turn | None = None  # to recreate pods because spec says so; None: nobody limits that
    memo: Memo = field(default_factory=Memo, repr=False, compare=False)  # no fact: what need not be made again

    @property
    def resource(self) -> Instance:
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class ClusterSnapshot(Snapshot):
    """A RedisCluster and its world at one moment."""

    cluster: RedisCluster
    views_are_kept: bool = False  # some nodes were not asked whom they know: no step may rest on this snapshot
    proxies: tuple[PodFacts, ...] = ()
    reads: Mapping[str, ProxyFacts | Unknown] = field(default_factory=dict)  # by proxy pod whose process runs
    moving: Moving | None = None  # the last order to move slots, as it was before the nodes were asked

    @property
    def resource(self) -> RedisCluster:
        return self.cluster


@dataclass(frozen=True, kw_only=True)
class ReplicationSnapshot(Snapshot):
    """A RedisStandby or RedisStandalone and its world at one moment. *sentinels* is to *sentinel_pods* as nodes is to
    pods; both are empty for a RedisStandalone.
    """

    instance: RedisStandby | RedisStandalone
    sentinel_pods: Mapping[str, PodFacts] = field(default_factory=dict)
    sentinels: Mapping[str, SentinelFacts | Unknown] = field(default_factory=dict)

    @property
    def resource(self) -> RedisStandby | RedisStandalone:
        return self.instance


def with_resource(snapshot: Snapshot, resource: Instance) -> Snapshot:
    """*snapshot* with another version of its own resource."""
    match snapshot, resource:
        case ClusterSnapshot(), RedisCluster():
            return replace(snapshot, cluster=resource)
        case ReplicationSnapshot(), RedisStandby() | RedisStandalone():
            return replace(snapshot, instance=resource)
        case _:
            raise TypeError(f"a {resource.KIND} in a {type(snapshot).__name__}")
