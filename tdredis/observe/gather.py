"""Decides what a pass sees: what the caches hold of one resource, and one question to each Redis process at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tdredis.api.fields import API_VERSION
from tdredis.api.instance import Instance
from tdredis.api.kinds import KINDS, parse
from tdredis.api.rediscluster import RedisCluster
from tdredis.api.redisstandalone import RedisStandalone
from tdredis.api.redisstandby import RedisStandby
from tdredis.kube.client import Client
from tdredis.kube.events import Reference
from tdredis.kube.objects import CustomObject, Pod
from tdredis.manifests.names import (
    COMPONENT_LABEL,
    PROXY_COMPONENT,
    PROXY_CONTAINER,
    REDIS_COMPONENT,
    REDIS_CONTAINER,
    SENTINEL_COMPONENT,
    SENTINEL_CONTAINER,
    auth_secret_name,
)
from tdredis.manifests.pods import PULL_SECRET
from tdredis.manifests.proxy import proxy_kind
from tdredis.manifests.services import has_external_pods
from tdredis.manifests.site import Passwords, Site
from tdredis.observe.asking import Asker, keys_to_read
from tdredis.observe.belongings import Belongings, Finder
from tdredis.observe.caches import Caches
from tdredis.observe.lookups import Lookups
from tdredis.observe.namesakes import Namesakes
from tdredis.observe.passwords import access, effective, most_accepted, read_desired
from tdredis.observe.pods import NO_TIMES, Times, read_pod
from tdredis.observe.pulse import ROLE, Pulse, role_signs
from tdredis.observe.questions import REPLICATION_NODE, proxy_questions, sentinel_questions
from tdredis.observe.secrets import SecretReader
from tdredis.observe.strays import Strays
from tdredis.observe.trials import Outside, Trials
from tdredis.observe.unlisted import Unlisted
from tdredis.planning.decide import records_data
from tdredis.planning.identity import NOBODY_KNOWS
from tdredis.planning.live import Live
from tdredis.planning.memo import Memo
from tdredis.planning.moving import Moving
from tdredis.planning.settings import named_settings
from tdredis.planning.snapshot import ClusterSnapshot, Key, PodFacts, Ref, ReplicationSnapshot, Snapshot, Trial
from tdredis.redis.facts import NodeFacts, ProxyFacts, Unknown
from tdredis.redis.ports import REDIS_PORT, RESP3_PORT, SENTINEL_PORT
from tdredis.redislink.access import Access
from tdredis.redislink.pool import Address, LinkPool


class NotKnownYetError(Exception):
    """The API server has not yet said what nothing can be begun without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """What it takes to enter the processes of a resource."""

    instance: Instance
    children: Mapping[Ref, Live] = field(repr=False)
    desired: Passwords | None = field(repr=False)
    sentinel_pods: Mapping[str, PodFacts]
    unclear: Mapping[str, Mapping[str, str]]  # by component: pods of which nobody knows whether they are there, and why


class Observer:
    """Makes snapshots. Remembers only since when a process is silent or not in sync, and a pod is there."""

    def __init__(
        self,
        client: Client,
        caches: Caches,
        links: LinkPool[Key],
        lookups: Lookups,
        *,
        site: Site,
        now: Callable[[], float],
        steady: Callable[[], float] = time.monotonic,
        pulse: Pulse | None = None,
        moving: Callable[[Key], Moving | None] = lambda _key: None,
    ) -> None:
        """*now*: epoch seconds. *steady*: seconds of a clock that does not jump. *pulse*: is told what to follow.
        *moving*: the last order to move slots, and what became of it.
        """
        self._caches = caches
        self._links = links
        self._lookups = lookups
        self._secrets = SecretReader(client, lookups)
        self._unlisted = Unlisted(client, lookups)
        self._site = site
        self._pulse = pulse
        self._moving = moving
        self._asker = Asker(links, now=now, steady=steady)
        self._trials = Trials(lookups, steady)
        self._namesakes = Namesakes(caches)
        self._finder = Finder(caches, Strays(client, lookups))
        self._memos: dict[Key, Memo] = {}
        self._accepted: dict[Key, str] = {}  # the password that most processes accepted
        self.now = now

    async def gather(self, key: Key, *, at_peace: bool = False, is_urgent: bool = False) -> Snapshot | None:
        """The snapshot of *key*; None: there is no such resource (any more), and nothing is held of it. Waits for
        processes, and never for the API server. *at_peace*: it will probably show that nothing is to be done, and a
        large cluster is not asked for everything. *is_urgent*: somebody died, and whoever was silent before is not
        waited for.

        Raises InvalidResourceError when the stored object has another shape, NotKnownYetError while the API server has
        not said what nothing can be begun without; its answer is news.
        """
        stored = self._stored(key)
        if stored is None:
            self.drop(key)
            return None
        memo = self._memos.setdefault(key, Memo())
        memo.begin()
        instance = memo.once("resource", (stored,), lambda: _parse(key, stored))
        with self._lookups.only_asked(key):
            found = await self._finder.find(key, instance, memo)
            children = found.children
            ages = self._asker.ages(key)
            ages.look((*(pod for pods in found.pods.values() for pod in pods.values()), *self._proxy_pods(key)))
            self._asker.begin(key, is_urgent=is_urgent)
            pods = self._pods(key, memo, found, REDIS_COMPONENT, REDIS_CONTAINER)
            desired = read_desired(key, instance, self._secrets)
            foreign = self._unlisted.foreign(key, instance, children)
            creation_failures = self._unlisted.creation_failures(key, children, found.counts, self.now())
            entry = _Entry(
                instance=instance,
                children=children,
                desired=desired.passwords,
                sentinel_pods=self._pods(key, memo, found, SENTINEL_COMPONENT, SENTINEL_CONTAINER),
                unclear=found.unclear,
            )
            trials = self._try_addresses(key, entry, pods, ages.known_pods())
        if desired.is_awaited and Ref("Secret", auth_secret_name(instance.name)) not in children:
            raise NotKnownYetError("a Secret that spec names")
        # One that was recorded had its own, and what is applied in the place of another's is refused.
        is_new = not records_data(instance.status)
        if foreign is None and is_new and not any(ref.kind == "StatefulSet" for ref in children):
            raise NotKnownYetError("whether there is a StatefulSet under our name")
        if found.unclear_statefulsets:
            raise NotKnownYetError(f"whether there is a StatefulSet {found.unclear_statefulsets[0]}")
        seen: dict[str, Any] = {
            "site": replace(self._site, pull_secret=self._has_pull_secret(key.namespace)),
            "desired_passwords": desired.passwords,
            "foreign": foreign or (),
            "collisions": self._namesakes.collisions(key, instance),
            "secret_problems": desired.problems,
            "children": children,
            "claims": found.claims,
            "stray_claims": found.stray_claims,
            "kept_claims": found.kept_claims,
            "leftovers": found.leftovers,
            "pods": pods,
            "leftover_pods": found.leftover_pods,
            "known_pods": ages.known_pods(),
            "trials": trials,
            "answers": self._links.settings.answers(key),
            "creation_failures": creation_failures,
            "write_failures": ages.write_failures(),
            "memo": memo,
        }
        unclear = found.unclear[REDIS_COMPONENT]
        addresses = memo.once("addresses", (pods, unclear), lambda: _addresses(pods, unclear))
        match instance:
            case RedisCluster():
                return await self._cluster(key, instance, addresses, entry, seen, at_peace=at_peace)
            case RedisStandalone() | RedisStandby():
                return await self._replication(key, instance, addresses, entry, seen)
            case _:
                raise TypeError(f"no snapshot is made of {key.kind}")

    async def _cluster(
        self,
        key: Key,
        instance: RedisCluster,
        addresses: Mapping[str, Address],
        entry: _Entry,
        seen: Mapping[str, Any],
        *,
        at_peace: bool,
    ) -> ClusterSnapshot:
        found = (_read(seen["memo"], pod, PROXY_CONTAINER) for pod in self._proxy_pods(key))
        proxies = {pod.name: pod for pod in found}
        doors = _addresses({name: pod for name, pod in proxies.items() if pod.ready}, ())
        speak = proxy_kind(instance, self._site) == "envoy"
        resp3_doors = {pod: replace(door, port=RESP3_PORT) for pod, door in doors.items() if speak}
        all_doors = (*doors.values(), *resp3_doors.values())
        self._links.keep(key, (*addresses.values(), *all_doors))
        self._admit(key, entry, all_doors)
        # Before the nodes are asked: what they say is open may be so because of it, though it has ended meanwhile.
        moving = self._moving(key)
        nodes, are_kept = await self._asker.ask_cluster(
            key, addresses, named_settings(instance, entry.children), at_peace=at_peace
        )
        if self._learn_accepted(key, addresses):
            self._admit(key, entry, all_doors)
        if self._pulse is not None:
            self._pulse.follow(key, addresses.values())
        nodes = await self._asker.with_slot_keys(key, addresses, nodes)
        reads: dict[str, ProxyFacts | Unknown] = {}
        if keys := keys_to_read(nodes.values()):
            reads = await self._asker.ask_proxies(key, doors, proxy_questions(keys), resp3_doors)
        return ClusterSnapshot(
            now=self._asker.ages(key).now(),
            cluster=instance,
            passwords=self._passwords(key, entry),
            nodes={**nodes, **self._unclear(key, entry, REDIS_COMPONENT)},
            proxies=tuple(proxies.values()),
            reads=reads,
            views_are_kept=are_kept,
            moving=moving,
            **self._with_lockout(key, entry, nodes, seen),
        )

    async def _replication(
        self,
        key: Key,
        instance: RedisStandalone | RedisStandby,
        addresses: Mapping[str, Address],
        entry: _Entry,
        seen: Mapping[str, Any],
    ) -> ReplicationSnapshot:
        master_name = instance.spec.sentinel.master_name if isinstance(instance, RedisStandby) else ""
        watching = _addresses(entry.sentinel_pods, entry.unclear[SENTINEL_COMPONENT], SENTINEL_PORT)
        self._links.keep(key, (*addresses.values(), *watching.values()))
        self._admit(key, entry)
        nodes, sentinels = await asyncio.gather(
            self._asker.ask_nodes(key, addresses, REPLICATION_NODE, named_settings(instance, entry.children)),
            self._asker.ask_all(key, watching, sentinel_questions(master_name)),
        )
        if self._learn_accepted(key, addresses):
            self._admit(key, entry)
        self._follow_roles(key, addresses, nodes)
        return ReplicationSnapshot(
            now=self._asker.ages(key).now(),
            instance=instance,
            passwords=self._passwords(key, entry),
            nodes={**nodes, **self._unclear(key, entry, REDIS_COMPONENT)},
            sentinel_pods=entry.sentinel_pods,
            sentinels={**sentinels, **self._unclear(key, entry, SENTINEL_COMPONENT)},
            **self._with_lockout(key, entry, nodes, seen),
        )

    def _unclear(self, key: Key, entry: _Entry, component: str) -> dict[str, Unknown]:
        """Processes that may run in pods of which nobody knows whether they are there."""
        now = self._asker.ages(key).now()
        return {
            name: Unknown(since=now, error=f"its pod is not in the watch any more, and {why} whether it is there")
            for name, why in entry.unclear[component].items()
        }

    def _try_addresses(
        self, key: Key, entry: _Entry, pods: Mapping[str, PodFacts], known_pods: Mapping[str, str]
    ) -> Mapping[str, Trial]:
        if not has_external_pods(entry.instance):
            return {}
        entered = access(entry.instance, entry.children, self._passwords(key, entry), entry.desired)
        outside = Outside(entry.instance, entry.children, pods, entry.sentinel_pods)
        return self._trials.look(key, outside, entered, known_pods)

    def _passwords(self, key: Key, entry: _Entry) -> Passwords:
        return effective(entry.instance, entry.children, entry.desired, self._accepted.get(key))

    def _with_lockout(
        self, key: Key, entry: _Entry, nodes: Mapping[str, NodeFacts | Unknown], seen: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Nobody knows the password of processes that run, once the Secret that had it is gone: it must not be made
        anew with another one beside them.
        """
        name = auth_secret_name(entry.instance.name)
        locked_out = [pod for pod, node in nodes.items() if isinstance(node, Unknown) and node.wrong_password]
        if not locked_out or key in self._accepted or Ref("Secret", name) in entry.children:
            return seen
        problem = (
            f"Secret {name}, which had the password of the running processes, is gone, and {locked_out[0]} refuses that"
            " of spec: write the previous password again"
        )
        return {**seen, "secret_problems": (*seen["secret_problems"], problem)}

    def _admit(self, key: Key, entry: _Entry, doors: Iterable[Address] = ()) -> None:
        found = self._passwords(key, entry)
        admitted = access(entry.instance, entry.children, found, entry.desired)
        self._links.admit(key, admitted, doors=doors, door=Access((found.proxy,)))

    def resource(self, key: Key) -> Instance | None:
        """As it is stored; None: it is gone, or going. Raises InvalidResourceError."""
        stored = self._stored(key)
        return None if stored is None else _parse(key, stored)

    def _stored(self, key: Key) -> CustomObject | None:
        """None: it is gone, or going."""
        stored = self._caches.custom[key.kind].get(key.namespace, key.name)
        return None if stored is None or stored.metadata.deletion_timestamp is not None else stored

    def _learn_accepted(self, key: Key, addresses: Mapping[str, Address]) -> bool:
        """Whether it is another password than was known."""
        before = self._accepted.get(key)
        found = most_accepted((self._links.accepted(key, address) for address in addresses.values()), before)
        if found is not None:
            self._accepted[key] = found
        return found != before

    def _follow_roles(
        self, key: Key, addresses: Mapping[str, Address], nodes: Mapping[str, NodeFacts | Unknown]
    ) -> None:
        if self._pulse is not None:
            answers = ((addresses[pod], node) for pod, node in nodes.items() if isinstance(node, NodeFacts))
            self._pulse.follow(key, addresses.values(), ROLE, {address: role_signs(node) for address, node in answers})

    def subject(self, key: Key) -> Reference:
        """Whom an event about *key* is about, also where the rest of it cannot be read."""
        stored = self._caches.custom[key.kind].get(key.namespace, key.name)
        uid = stored.metadata.uid if stored else ""
        return Reference(API_VERSION, key.kind, key.namespace, key.name, uid)

    def drop(self, key: Key) -> None:
        """The resource is gone: so are its connections."""
        self._links.keep(key, ())
        if self._pulse is not None:
            self._pulse.drop(key)
        self._links.settings.drop(key)
        self._asker.drop(key)
        self._lookups.drop(key)
        self._trials.drop(key)
        self._namesakes.drop(key)
        self._finder.drop(key)
        self._memos.pop(key, None)
        self._accepted.pop(key, None)

    def forget(self) -> None:
        """Another has led meanwhile: what was seen before is of no use, and nobody was silent all the time."""
        self._asker.forget()
        self._finder.forget()
        self._memos.clear()  # resources may be gone, and passwords are among what it holds
        self._accepted.clear()
        if self._pulse is not None:
            self._pulse.forget()

    def _has_pull_secret(self, namespace: str) -> bool:
        return self._caches.pull_secrets.get(namespace, PULL_SECRET) is not None

    def _pods(self, key: Key, memo: Memo, found: Belongings, component: str, container: str) -> dict[str, PodFacts]:
        """Of one that was never seen, and may be there, only its name is known."""
        ages, there = self._asker.ages(key), found.pods[component]
        singly = memo.once(("pods singly", component), (), Memo)

        def read() -> dict[str, PodFacts]:
            singly.begin()
            facts = {
                name: _read(singly, pod, container, ages.times(pod.metadata.uid), found.lost_labels.get(name))
                for name, pod in there.items()
            }
            singly.end()
            return facts

        pods = memo.once(("pods", component), (there, container, found.lost_labels, ages.births()), read)
        unseen = found.unclear[component].keys() - pods.keys()
        if not unseen:
            return pods
        return pods | {name: PodFacts(name=name, uid=NOBODY_KNOWS, created=ages.now()) for name in sorted(unseen)}

    def _proxy_pods(self, key: Key) -> Iterator[Pod]:
        pods = self._caches.pods.by_index(key)
        return (pod for pod in pods if pod.metadata.labels.get(COMPONENT_LABEL) == PROXY_COMPONENT)


def _read(
    memo: Memo, pod: Pod, container: str, times: Times = NO_TIMES, lost_labels: Mapping[str, str] | None = None
) -> PodFacts:
    """Thousands of pods are in a pass what they were in the one before."""
    return memo.once(
        ("pod", pod.metadata.uid, container),
        (pod, times, lost_labels),
        lambda: read_pod(pod, container=container, times=times, lost_labels=lost_labels),
    )


def _parse(key: Key, stored: CustomObject) -> Instance:
    return parse(KINDS[key.kind], stored.to_bytes())


def _addresses(pods: Mapping[str, PodFacts], unclear: Container[str], port: int = REDIS_PORT) -> dict[str, Address]:
    """Where to ask those whose process runs."""
    return {
        name: Address(pod.uid, pod.ip, port, name)
        for name, pod in pods.items()
        if pod.running and pod.ip and name not in unclear
    }
