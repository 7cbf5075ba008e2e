"""Decides what the answers of all Redis and Sentinel processes together say: who is the primary, who follows it, who
watches whom, what is missing.

Identity is the pod's name, never the IP.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from tdredis.api.redisstandalone import RedisStandalone
from tdredis.api.redisstandby import RedisStandby
from tdredis.manifests.names import pod_names, sentinel_pod_names
from tdredis.manifests.services import has_external_pods
from tdredis.planning.addresses import external_target, resting_place
from tdredis.planning.identity import find_pod, place_name
from tdredis.planning.loss import lost_data
from tdredis.planning.plan import Hold
from tdredis.planning.pods import Pods
from tdredis.planning.replication.members import Member, Place, Watcher
from tdredis.planning.setting import Decision
from tdredis.planning.settings import decide_settings
from tdredis.planning.snapshot import PodFacts, Ref, ReplicationSnapshot, Trouble
from tdredis.redis.facts import Announced, NodeFacts
from tdredis.redis.ports import REDIS_PORT, SENTINEL_PORT
from tdredis.redis.sentinels import SentinelFacts

PORTS = {"redis": REDIS_PORT, "sentinel": SENTINEL_PORT}  # by the name that pods and Services give them
Replicated: TypeAlias = RedisStandby | RedisStandalone


@dataclass(frozen=True)
class World:
    """Everything the rules ask for, drawn from one snapshot. *instance* has the effective values."""

    snapshot: ReplicationSnapshot
    instance: Replicated

    @property
    def standby(self) -> RedisStandby | None:
        return self.instance if isinstance(self.instance, RedisStandby) else None

    @property
    def master_name(self) -> str:
        """Under which Sentinels watch the primary; "": a standalone has none."""
        return self.standby.spec.sentinel.master_name if self.standby else ""

    @cached_property
    def members(self) -> tuple[Member, ...]:
        """By name."""
        found = []
        for name, node in sorted(self.snapshot.nodes.items()):
            pod = self.snapshot.pods.get(name)
            if pod is not None and isinstance(node, NodeFacts):
                found.append(Member(pod=pod, facts=node))
        return tuple(found)

    @cached_property
    def settings(self) -> tuple[Decision, ...]:
        return decide_settings(self)

    @cached_property
    def watchers(self) -> tuple[Watcher, ...]:
        """By name."""
        found = []
        for pod_name, facts in sorted(self.snapshot.sentinels.items()):
            pod = self.snapshot.sentinel_pods.get(pod_name)
            if pod is not None and isinstance(facts, SentinelFacts):
                found.append(Watcher(pod=pod, facts=facts, watch=facts.watch(self.master_name)))
        return tuple(found)

    # -- pods ---------------------------------------------------------------------------------------------------------

    @cached_property
    def redis(self) -> Pods[NodeFacts]:
        snapshot = self.snapshot
        return Pods(
            wanted=pod_names(self.instance),
            there=snapshot.pods,
            answers=snapshot.nodes,
            may_hold_data=bool(self.instance.spec.storage_class),
            now=snapshot.now,
        )

    @cached_property
    def sentinels(self) -> Pods[SentinelFacts]:
        """A standalone has none."""
        wanted = sentinel_pod_names(self.standby) if self.standby else ()
        snapshot = self.snapshot
        return Pods(wanted=wanted, there=snapshot.sentinel_pods, answers=snapshot.sentinels, now=snapshot.now)

    @property
    def components(self) -> tuple[Pods[object], ...]:
        return (self.redis, self.sentinels)

    @cached_property
    def troubles(self) -> tuple[tuple[str, Trouble], ...]:
        return tuple(each for component in self.components for each in component.troubles)

    # -- who is the primary -------------------------------------------------------------------------------------------

    @cached_property
    def agreed(self) -> Place | None:
        """Where the Sentinels say that the primary is: the newest configuration, then the most voices, then the lowest.

        None: no Sentinel that answers watches anything of ours.
        """
        watches = [watcher.watch for watcher in self.watchers if watcher.watch is not None]
        if not watches:
            return None
        voices = Counter((watch.host, watch.port) for watch in watches if watch.config_epoch == self._newest_epoch)
        return min(voices, key=lambda place: (-voices[place], place))

    @cached_property
    def in_failover(self) -> bool:
        """A Sentinel carries one out."""
        return any(watcher.watch is not None and watcher.watch.in_failover for watcher in self.watchers)

    @cached_property
    def chosen(self) -> Member | None:
        """The process that the Sentinels take for the primary, whatever it reports itself."""
        if self.agreed is None:
            return None
        if (pod := self._pod_of_agreed_run) is not None:
            return next((member for member in self.members if member.pod.uid == pod), None)
        return next((member for member in self.members if member.is_at(self.agreed)), None)

    @property
    def _pod_of_agreed_run(self) -> str | None:
        """Uid of the pod in which the run was that the Sentinels saw at that address; None: nobody remembers."""
        found = (self.snapshot.known_pods.get(run_id) for run_id in self._agreed_runs)
        return next((uid for uid in found if uid is not None), None)

    @cached_property
    def _agreed_runs(self) -> tuple[str, ...]:
        """Run ids of the agreed primary, as the Sentinels that agree read them last; those of pods that are there
        before others.
        """
        present = {pod.uid for pod in self.snapshot.pods.values()}
        watches = (watcher.watch for watcher in self.watchers if watcher.watch is not None)
        runs = {each.run_id for each in watches if (each.host, each.port) == self.agreed and each.run_id}
        return tuple(sorted(runs, key=lambda run: (self.snapshot.known_pods.get(run) not in present, run)))

    @cached_property
    def primaries(self) -> tuple[Member, ...]:
        """All that report role:master, by name."""
        return tuple(member for member in self.members if member.is_primary)

    @cached_property
    def primary(self) -> Member | None:
        """Who is the primary now. The engine is the authority: of several the one that the Sentinels chose, and of
        those the one that a failover has just made: what the previous one takes from now on will not count.

        Where they chose somebody who is none (it died, or came back as a replica of nobody), the only primary there is
        was made by their failover, or by us. Nobody is one by accident: every process begins as a replica of nobody.
        """
        promoted = [member for member in self.primaries if self.is_promoted(member)]
        if len(promoted) == 1:
            return promoted[0]
        if self.chosen is not None and self.chosen.is_primary:
            return self.chosen
        if len(self.primaries) == 1 and not self._chosen_one_may_live and not self._came_back_empty:
            return self.primaries[0]
        return None

    @property
    def _came_back_empty(self) -> bool:
        """The only primary is a standalone's that has nothing: the pod beside it has the data, and is not to be emptied
        after it.
        """
        (only,) = self.primaries
        return (
            self.standby is None
            and not only.facts.keys
            and any(each.facts.keys and not self._copies(each, only) for each in self.members)
        )

    def _copies(self, member: Member, primary: Member) -> bool:
        return member.follows is not None and primary.is_at(member.follows) and bool(member.facts.replication.link_up)

    def is_promoted(self, member: Member) -> bool:
        """A Sentinel that won the vote, or was asked, has chosen it: the others will hear of it in a second or two. Not
        one that was cut off in the middle of it, while the others have agreed on something newer.
        """
        return any(
            watcher.watch is not None and watcher.watch.config_epoch >= self._newest_epoch
            for watcher in self.watchers
            if self.is_chosen_by(watcher, member)
        )

    @cached_property
    def _newest_epoch(self) -> int:
        return max((watcher.watch.config_epoch for watcher in self.watchers if watcher.watch is not None), default=0)

    def is_chosen_by(self, watcher: Watcher, member: Member) -> bool:
        """*watcher* carries out a failover that makes *member* the primary."""
        return (
            watcher.watch is not None
            and watcher.watch.in_failover
            and any(
                "promoted" in known.flags and member.is_at((known.host, known.port)) for known in watcher.watch.replicas
            )
        )

    @property
    def _chosen_one_may_live(self) -> bool:
        """The process that the Sentinels chose did not answer: it may still be the primary for those it can reach."""
        unknown = self.redis.unresponsive.get(self.agreed_pod.name) if self.agreed_pod else None
        return unknown is not None and not unknown.refused and not self.is_voted_out

    @cached_property
    def is_voted_out(self) -> bool:
        """Whom the Sentinels agree on is found down by most of them, which is what a failover takes, and none of them
        knows any replica that it could choose. Those that watch somebody else by now have been told to.

        What a Sentinel in TILT finds is old, and one without the right password finds everybody down.
        """
        if self.agreed is None:
            return False
        against = 0
        for watcher in self.watchers:
            watch = watcher.watch
            if watch is None or watcher.facts.in_tilt:
                continue
            if (watch.host, watch.port) != self.agreed:
                against += 1
            elif watch.replicas:
                return False
            else:
                against += watch.is_down and not watch.is_shut_out
        return 2 * against > len(self.sentinels.wanted)

    @cached_property
    def agreed_pod(self) -> PodFacts | None:
        """The pod of the process on which the Sentinels agree; None: it is gone, or they say nothing."""
        if self.agreed is None:
            return None
        if self.chosen is not None:
            return self.chosen.pod
        agreed = self.agreed
        names = (*self._agreed_runs, place_name(*agreed))
        pods = self.snapshot.pods.values()
        return find_pod(self.snapshot, pods, names, agreed[1], lambda pod: self._is_of(pod, agreed))

    def _is_of(self, pod: PodFacts, place: Place) -> bool:
        """The process in *pod* is, or was when it last answered, reached at *place*: by its own address or by its own
        Service's.
        """
        if uid := self.snapshot.known_pods.get(place_name(*place)):
            return uid == pod.uid
        target = self.target(pod, "redis")
        return place == (pod.ip, REDIS_PORT) or (isinstance(target, Announced) and place == (target.host, target.port))

    def target(self, pod: PodFacts, port_name: str) -> Announced | Hold | None:
        """Where the process behind that port of *pod* is to announce itself. None: not known yet; what it says now
        will do.
        """
        if not has_external_pods(self.instance):
            return resting_place(pod, port=PORTS[port_name])
        service = self.snapshot.children.get(Ref("Service", pod.name))
        return external_target(self.instance.spec, pod, service, (port_name,))

    def finds(self, watcher: Watcher, pod: PodFacts) -> bool:
        """*watcher* knows the replica in *pod*, and reaches it."""
        if watcher.watch is None:
            return False
        return any(not known.is_down and self._is_of(pod, (known.host, known.port)) for known in watcher.watch.replicas)

    @cached_property
    def lost(self) -> str:
        """What was there and nobody has any more, once all have answered; "": nothing, or somebody may have it."""
        unanswered = self.redis.has_unknown or self.redis.starting or self.redis.missing
        if self.primary is not None or unanswered or not self.members:
            return ""
        if any(member.has_data or member.facts.loading for member in self.members):
            return ""
        shards = self.snapshot.instance.status.shards
        return lost_data(
            self.instance,
            shards[0] if shards else None,
            name=self.instance.name,
            nodes={member.name: member.facts for member in self.members},
            pods=[member.pod for member in self.members],
            was_there=bool(self.recorded),
        )

    @property
    def recorded(self) -> str:
        """Pod that was the primary when status was last written; "" for an instance that never had one."""
        shards = self.snapshot.instance.status.shards
        return shards[0].primary if shards else ""

    def replicas_in_sync(self) -> tuple[Member, ...]:
        primary = self.primary
        if primary is None:
            return ()
        return tuple(member for member in self.members if self.is_attached(member) and member.facts.replication.link_up)

    def is_attached(self, member: Member) -> bool:
        """It was told to follow the primary, under the address that this has now."""
        return self.primary is not None and member is not self.primary and member.follows == self.primary.place

    def has_another_name(self, member: Member) -> bool:
        """The primary, and whoever asks it for its replicas, know it under another address than the one that it
        announces now: it connected before it was told of that.
        """
        if self.primary is None or not self.is_attached(member) or not member.facts.replication.link_up:
            return False
        known = self.primary.facts.replication.replicas
        return member.place not in known and any(self._is_of(member.pod, place) for place in known)
