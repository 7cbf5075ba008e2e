"""Decides what a pass sees: what the caches hold of one resource, and one question to each Redis process at once."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from tdredis.api.fields import API_VERSION
from tdredis.api.instance import Instance, SecretRef
from tdredis.api.kinds import KINDS, parse
from tdredis.api.rediscluster import RedisCluster
from tdredis.api.redisstandalone import RedisStandalone
from tdredis.api.redisstandby import RedisStandby
from tdredis.kube.client import Client
from tdredis.kube.errors import ApiError
from tdredis.kube.events import Reference
from tdredis.kube.objects import Pod
from tdredis.kube.resources import STATEFULSETS
from tdredis.manifests.names import (
    COMPONENT_LABEL,
    MANAGED_BY_LABEL,
    MANAGER,
    PASSWORD_KEY,
    PROXY_COMPONENT,
    PROXY_CONTAINER,
    PROXY_PASSWORD_KEY,
    REDIS_COMPONENT,
    REDIS_CONTAINER,
    SENTINEL_COMPONENT,
    SENTINEL_CONTAINER,
    auth_secret_name,
    proxy_name,
    statefulset_names,
)
from tdredis.manifests.site import Passwords, Site
from tdredis.observe.ages import Ages
from tdredis.observe.caches import Caches
from tdredis.observe.lives import Lives
from tdredis.observe.pods import read_pod
from tdredis.observe.pulse import ROLE, Pulse, role_signs
from tdredis.observe.questions import (
    CLUSTER_NODE,
    CLUSTER_NODE_WITHOUT_VIEW,
    REPLICATION_NODE,
    Questions,
    proxy_questions,
    sentinel_questions,
    slot_questions,
)
from tdredis.observe.secrets import SecretReader, UnreadableSecretError
from tdredis.observe.views import Views
from tdredis.planning.identity import names_of
from tdredis.planning.live import Live
from tdredis.planning.snapshot import ClusterSnapshot, Key, PodFacts, Ref, ReplicationSnapshot, Snapshot
from tdredis.redis.facts import NodeFacts, ProxyFacts, Unknown
from tdredis.redis.slots import NO_SLOTS, SlotSet, keys_into
from tdredis.redislink.access import Access
from tdredis.redislink.errors import LinkError, Refused, Unreachable
from tdredis.redislink.pool import REDIS_PORT, SENTINEL_PORT, Address, LinkPool

# Proxies are asked last, and a pass waits for them: not for long, unless one has been silent for so long that it is
# about to be condemned. Where Redis is slow every proxy is, and none of them is to blame.
ASK_PROXY_S, PROXY_IS_LATE_S, ASK_LATE_PROXY_S = 0.25, 2.0, 1.5
ASK_S = 1.0  # a healthy Redis answers INFO in a millisecond; one that needs a second is Unknown for this pass
MOST_OPEN_SLOTS = 64  # looked at in one pass: when these are closed, the next are
# Who falls silent does not keep the others' news waiting so long again while a vote may be near; later it does.
ASK_AGAIN_S, VOTE_IS_NEAR_S = 0.3, 15.0
FactsT = TypeVar("FactsT")


class Observer:
    """Makes snapshots. Remembers only since when a process is silent or not in sync, and a pod is there."""

    def __init__(
        self,
        client: Client,
        caches: Caches,
        links: LinkPool[Key],
        secrets: SecretReader,
        *,
        site: Site,
        now: Callable[[], float],
        steady: Callable[[], float] = time.monotonic,
        pulse: Pulse | None = None,
    ) -> None:
        """*now*: epoch seconds. *steady*: seconds of a clock that does not jump. *pulse*: is told what to follow."""
        self._client = client
        self._caches = caches
        self._links = links
        self._secrets = secrets
        self._site = site
        self._now = now
        self._steady = steady
        self._pulse = pulse
        self._ages: dict[Key, Ages] = {}
        self._views: dict[Key, Views] = {}
        self._lives: dict[Key, Lives] = {}

    async def gather(self, key: Key, *, at_peace: bool = False) -> Snapshot | None:
        """The snapshot of *key*; None: there is no such resource (any more), and nothing is held of it. *at_peace*: it
        will probably show that nothing is to be done, and a large cluster is not asked for everything.

        Raises InvalidResourceError when the stored object has another shape.
        """
        stored = self._caches.custom[key.kind].get(key.namespace, key.name)
        if stored is None or stored.metadata.deletion_timestamp is not None:
            self.drop(key)
            return None
        instance = parse(KINDS[key.kind], stored.to_bytes())
        ages = self._ages.setdefault(key, Ages(self._now, self._steady))
        ages.look(self._caches.pods.by_index(key))
        self._lives.setdefault(key, Lives()).look()
        children = self._children(key, stored.metadata.uid)
        pods = self._pods(key, children, REDIS_COMPONENT, REDIS_CONTAINER)
        desired_passwords, problems = await self._wished(instance)
        effective = _effective(instance, children, desired_passwords)
        access = _access(effective, desired_passwords)
        seen: dict[str, Any] = {
            "site": self._site,
            "passwords": effective,
            "desired_passwords": desired_passwords,
            "foreign": await self._foreign(instance, children),
            "secret_problems": problems,
            "children": children,
            "claims": self._claims(key),
            "pods": pods,
            "leftover_pods": self._leftover_pods(key, children),
            "known_pods": ages.known_pods(),
            "write_failures": ages.write_failures(),
        }
        addresses = _addresses(pods)
        match instance:
            case RedisCluster():
                found = (read_pod(pod, container=PROXY_CONTAINER) for pod in self._labelled(key, PROXY_COMPONENT))
                proxies = {pod.name: pod for pod in found}
                doors = _addresses({name: pod for name, pod in proxies.items() if pod.ready})
                self._links.keep(key, (*addresses.values(), *doors.values()))
                self._links.admit(key, access, doors=doors.values(), door=Access((effective.proxy,)))
                nodes, are_kept = await self._ask_cluster(key, addresses, at_peace=at_peace)
                if self._pulse is not None:
                    self._pulse.follow(key, addresses.values())
                nodes = await self._with_slot_keys(key, addresses, nodes)
                reads: dict[str, ProxyFacts | Unknown] = {}
                if keys := _keys_of(nodes.values()):
                    reading = proxy_questions(keys)
                    reads = await self.ask_proxies(key, doors, reading)
                return ClusterSnapshot(
                    now=ages.now(),
                    cluster=instance,
                    nodes=nodes,
                    proxies=tuple(proxies.values()),
                    reads=reads,
                    views_are_kept=are_kept,
                    **seen,
                )
            case RedisStandalone():
                self._links.keep(key, addresses.values())
                self._links.admit(key, access)
                nodes = await self._ask_nodes(key, addresses, REPLICATION_NODE)
                self._follow_roles(key, addresses, nodes)
                return ReplicationSnapshot(now=ages.now(), instance=instance, nodes=nodes, **seen)
            case RedisStandby():
                sentinel_pods = self._pods(key, children, SENTINEL_COMPONENT, SENTINEL_CONTAINER)
                watching = _addresses(sentinel_pods, SENTINEL_PORT)
                self._links.keep(key, (*addresses.values(), *watching.values()))
                self._links.admit(key, access)
                questions = sentinel_questions(instance.spec.sentinel.master_name)
                nodes, sentinels = await asyncio.gather(
                    self._ask_nodes(key, addresses, REPLICATION_NODE),
                    self._ask_all(key, watching, questions),
                )
                self._follow_roles(key, addresses, nodes)
                return ReplicationSnapshot(
                    now=ages.now(),
                    instance=instance,
                    nodes=nodes,
                    sentinel_pods=sentinel_pods,
                    sentinels=sentinels,
                    **seen,
                )
            case _:
                raise TypeError(f"no snapshot is made of {key.kind}")

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
        self._ages.pop(key, None)
        self._views.pop(key, None)
        self._lives.pop(key, None)

    def forget(self) -> None:
        """Another has led meanwhile: what was seen before is of no use, and nobody was silent all the time."""
        self._ages.clear()
        self._views.clear()
        if self._pulse is not None:
            self._pulse.forget()

    async def _wished(self, instance: Instance) -> tuple[Passwords | None, tuple[str, ...]]:
        """The passwords that spec asks for, or None and why a Secret that it names cannot be read."""
        problems: list[str] = []

        async def read(inline: str, ref: SecretRef | None) -> str:
            if ref is None:
                return inline
            try:
                return await self._secrets.read(instance.namespace, ref)
            except UnreadableSecretError as error:
                problems.append(str(error))
                return ""

        spec = instance.spec
        redis = await read(spec.secret, spec.secret_ref)
        proxy = ""
        if isinstance(instance, RedisCluster):
            proxy = await read(instance.spec.proxy_secret or "", instance.spec.proxy_secret_ref)
        if problems:
            return None, tuple(problems)
        return Passwords(redis=redis, proxy=proxy), ()

    def _children(self, key: Key, uid: str) -> dict[Ref, Live]:
        """Objects that the resource controls; one of a former resource of the same name is not among them."""
        lives, found = self._lives[key], {}
        for kind, cache in self._caches.children.items():
            for child in cache.by_index(key):
                controller = child.metadata.controller
                if controller is not None and controller.uid == uid and child.metadata.deletion_timestamp is None:
                    found[Ref(kind, child.metadata.name)] = lives.of(child)
        return found

    async def _foreign(self, instance: Instance, children: Mapping[Ref, Live]) -> tuple[Ref, ...]:
        """The first StatefulSet of *instance*, where there is one that has not our label: the caches do not hold it.

        Asked only while we have none ourselves: at the beginning, and where somebody else's stands in its place.
        """
        name = statefulset_names(instance)[0]
        if Ref("StatefulSet", name) in children:
            return ()
        try:
            found = await self._client.find(STATEFULSETS, instance.namespace, name)
        except ApiError:
            return ()  # what would be applied next is refused as well
        labels = metadata.get("labels") if found and isinstance(metadata := found.get("metadata"), dict) else None
        if found is None or (isinstance(labels, dict) and labels.get(MANAGED_BY_LABEL) == MANAGER):
            return ()
        return (Ref("StatefulSet", name),)

    def _claims(self, key: Key) -> dict[str, Live]:
        """Volume claims with our labels. A StatefulSet makes them; whose they are is what its resource decides."""
        claims = self._caches.children["PersistentVolumeClaim"].by_index(key)
        return {
            claim.metadata.name: Live(claim.to_json) for claim in claims if claim.metadata.deletion_timestamp is None
        }

    def _pods(self, key: Key, children: Mapping[Ref, Live], component: str, container: str) -> dict[str, PodFacts]:
        """Pods of our own StatefulSets; those of a former resource of the same name are still on their way out."""
        ours, ages = _statefulsets(children), self._ages[key]
        return {
            pod.metadata.name: replace(read_pod(pod, container=container), created=ages.created(pod.metadata.uid))
            for pod in self._labelled(key, component)
            if pod.metadata.controller is not None and pod.metadata.controller.uid in ours
        }

    def _leftover_pods(self, key: Key, children: Mapping[Ref, Live]) -> tuple[str, ...]:
        ours = _statefulsets(children)
        controllers = ((pod.metadata.name, pod.metadata.controller) for pod in self._caches.pods.by_index(key))
        return tuple(
            sorted(
                name for name, owner in controllers if owner and owner.kind == "StatefulSet" and owner.uid not in ours
            )
        )

    def _labelled(self, key: Key, component: str) -> Iterator[Pod]:
        pods = self._caches.pods.by_index(key)
        return (pod for pod in pods if pod.metadata.labels.get(COMPONENT_LABEL) == component)

    async def _with_slot_keys(
        self, key: Key, addresses: Mapping[str, Address], nodes: dict[str, NodeFacts | Unknown]
    ) -> dict[str, NodeFacts | Unknown]:
        """While slots are open: *nodes* with their keys in them. One that does not answer that has not said it."""
        views = (node.view for node in nodes.values() if isinstance(node, NodeFacts) and node.view is not None)
        found = {slot for view in views for slot in (*view.me.migrating, *view.me.importing)}
        if not found:
            return nodes
        asked = {pod: addresses[pod] for pod, node in nodes.items() if isinstance(node, NodeFacts)}
        counts = await self._ask_all(key, asked, slot_questions(sorted(found)[:MOST_OPEN_SLOTS]))
        return {
            pod: replace(node, slot_keys=said) if isinstance(node, NodeFacts) and isinstance(said, dict) else node
            for pod, node, said in ((pod, node, counts.get(pod)) for pod, node in nodes.items())
        }

    async def _ask_nodes(
        self, key: Key, addresses: Mapping[str, Address], questions: Questions[NodeFacts]
    ) -> dict[str, NodeFacts | Unknown]:
        """As `_ask_all`, of Redis processes."""
        nodes = await self._ask_all(key, addresses, questions)
        ages = self._ages.setdefault(key, Ages(self._now, self._steady))
        for pod, node in nodes.items():
            if isinstance(node, NodeFacts):
                nodes[pod] = replace(
                    node,
                    replication=ages.not_in_sync(addresses[pod], node.replication),
                    write_failed_s=ages.write_failed_s(addresses[pod].uid, fails=bool(node.write_error)),
                    heard_s=ages.heard_s(addresses[pod]),
                )
                ages.remember(addresses[pod].uid, *names_of(node, addresses[pod].ip))
        return nodes

    async def _ask_cluster(
        self, key: Key, addresses: Mapping[str, Address], *, at_peace: bool
    ) -> tuple[dict[str, NodeFacts | Unknown], bool]:
        """As `_ask_all`, of cluster nodes, and whether some views are of passes before."""
        views = self._views.setdefault(key, Views())
        due = views.due(addresses.values())
        if at_peace and len(due) < len(addresses):
            asked = {pod: address for pod, address in addresses.items() if address in due}
            others = {pod: address for pod, address in addresses.items() if address not in due}
            some, rest = await asyncio.gather(
                self._ask_nodes(key, asked, CLUSTER_NODE),
                self._ask_nodes(key, others, CLUSTER_NODE_WITHOUT_VIEW),
            )
            answers = {**some, **rest}
            kept = views.complete({address: answers[pod] for pod, address in addresses.items()})
            if kept is not None:
                return {
                    pod: replace(node, view=kept[addresses[pod]])
                    if isinstance(node, NodeFacts) and node.view is None
                    else node
                    for pod, node in answers.items()
                }, True
        nodes = await self._ask_nodes(key, addresses, CLUSTER_NODE)
        views.learn((address, nodes[pod]) for pod, address in addresses.items())
        return nodes, False

    async def ask_proxies(
        self, key: Key, doors: Mapping[str, Address], reading: Questions[ProxyFacts]
    ) -> dict[str, ProxyFacts | Unknown]:
        """As `_ask_all`, of proxies."""
        ages = self._ages.setdefault(key, Ages(self._now, self._steady))
        late = {pod for pod, door in doors.items() if (ages.silent_for_s(door) or 0.0) >= PROXY_IS_LATE_S}

        async def ask(pod: str, door: Address) -> ProxyFacts | Unknown:
            timeout_s = ASK_LATE_PROXY_S if pod in late else ASK_PROXY_S
            return await self._ask(key, door, reading, timeout_s, again_s=timeout_s)

        answers = await asyncio.gather(*(ask(pod, door) for pod, door in doors.items()))
        return dict(zip(doors, answers, strict=True))

    async def _ask_all(
        self,
        key: Key,
        addresses: Mapping[str, Address],
        questions: Questions[FactsT],
    ) -> dict[str, FactsT | Unknown]:
        """One answer or Unknown for every pod whose process runs."""

        async def ask(address: Address) -> FactsT | Unknown:
            return await self._ask(key, address, questions, ASK_S, again_s=ASK_AGAIN_S)

        answers = await asyncio.gather(*map(ask, addresses.values()))
        return dict(zip(addresses, answers, strict=True))

    async def _ask(
        self,
        key: Key,
        address: Address,
        questions: Questions[FactsT],
        timeout_s: float,
        *,
        again_s: float,
    ) -> FactsT | Unknown:
        """The process's facts, or since when and why there are none. *again_s*: as long for who fell silent lately."""
        ages = self._ages.setdefault(key, Ages(self._now, self._steady))
        silent_s = ages.silent_for_s(address)
        if silent_s is not None and silent_s < VOTE_IS_NEAR_S:
            timeout_s = min(timeout_s, again_s)
        try:
            replies = await self._links.ask(key, address, questions.commands, timeout_s=timeout_s)
            facts = questions.parse(replies)
        except (LinkError, ValueError, KeyError) as error:
            since = ages.silent_since(address)
            refused = isinstance(error, Unreachable) and error.refused
            refusing = ages.refusing_since(address, replied=isinstance(error, Refused))
            text = str(error) or type(error).__name__
            return Unknown(since=since, error=text, refused=refused, refusing_since=refusing)
        ages.answered(address)
        return facts


def _addresses(pods: Mapping[str, PodFacts], port: int = REDIS_PORT) -> dict[str, Address]:
    """Where to ask those whose process runs."""
    return {name: Address(pod.uid, pod.ip, port, name) for name, pod in pods.items() if pod.running and pod.ip}


def _keys_of(nodes: Iterable[NodeFacts | Unknown]) -> tuple[str, ...]:
    """A key of each primary's slots; none while a node does not answer or two own the same slot.

    A proxy waits for a dead Redis, and whoever asks it waits too: a failover must not.
    """
    parts: list[SlotSet] = []
    owned = NO_SLOTS
    for node in nodes:
        if isinstance(node, Unknown):
            return ()
        mine = node.view.me.slots if node.view else NO_SLOTS
        if owned & mine:
            return ()
        if mine:
            parts.append(mine)
        owned |= mine
    return keys_into(tuple(parts))


def _statefulsets(children: Mapping[Ref, Live]) -> set[str]:
    return {child.meta.uid for ref, child in children.items() if ref.kind == "StatefulSet"}


def _effective(instance: Instance, children: Mapping[Ref, Live], desired_passwords: Passwords | None) -> Passwords:
    """What the running processes were given: the Secrets', where there are any; else what spec says.

    The proxy's follows spec at once: it is rolled.
    """
    wanted = desired_passwords or Passwords(redis="", proxy="")
    redis = _stored(children, auth_secret_name(instance.name), PASSWORD_KEY)
    proxy = None if desired_passwords else _stored(children, proxy_name(instance.name), PROXY_PASSWORD_KEY)
    return Passwords(redis=wanted.redis if redis is None else redis, proxy=wanted.proxy if proxy is None else proxy)


def _access(effective: Passwords, desired: Passwords | None) -> Access:
    """A process may have the password that spec asks for, and not that of the Secret that was made of it."""
    return Access(tuple(dict.fromkeys((effective.redis, desired.redis if desired else effective.redis))))


def _stored(children: Mapping[Ref, Live], name: str, key: str) -> str | None:
    secret = children.get(Ref("Secret", name))
    data = secret.json.get("data") if secret else None
    encoded = data.get(key) if isinstance(data, dict) else None
    return base64.b64decode(encoded).decode() if isinstance(encoded, str) else None
