"""Decides what a pass sees: what the caches hold of one resource, and one question to each Redis process at once."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterator, Mapping

from tdredis.api.json_object import JSONObject
from tdredis.api.rediscluster import API_VERSION, RedisCluster, parse_rediscluster
from tdredis.kube.events import Reference
from tdredis.kube.objects import Pod
from tdredis.manifests.names import (
    COMPONENT_LABEL,
    PROXY_COMPONENT,
    PROXY_CONTAINER,
    REDIS_COMPONENT,
    REDIS_CONTAINER,
    auth_secret_name,
)
from tdredis.manifests.site import Passwords, Site
from tdredis.observe.caches import Caches
from tdredis.observe.pods import read_pod
from tdredis.planning.snapshot import ClusterSnapshot, Key, PodFacts, Ref
from tdredis.redis.facts import NodeFacts, Unknown, parse_node_facts
from tdredis.redis.views import parse_cluster_nodes
from tdredis.redislink.errors import LinkError, Refused
from tdredis.redislink.pool import Address, LinkPool

ASK_S = 1.0  # a healthy Redis answers INFO in a millisecond; one that needs a second is Unknown for this pass
QUESTIONS = (("INFO",), ("CLUSTER", "NODES"), ("CLUSTER", "INFO"), ("CONFIG", "GET", "cluster-node-timeout"))


class Observer:
    """Makes snapshots. Remembers only since when a process is silent."""

    def __init__(self, caches: Caches, links: LinkPool[Key], site: Site, now: Callable[[], float]) -> None:
        """*now*: epoch seconds."""
        self._caches = caches
        self._links = links
        self._site = site
        self._now = now
        self._silent_since: dict[Key, dict[Address, float]] = {}

    async def gather(self, key: Key) -> ClusterSnapshot | None:
        """The snapshot of *key*; None: there is no such resource (any more), and nothing is held of it.

        Raises InvalidRedisClusterError when the stored object has another shape.
        """
        stored = self._caches.custom[key.kind].get(key.namespace, key.name)
        if stored is None or stored.metadata.deletion_timestamp is not None:
            self.drop(key)
            return None
        cluster = parse_rediscluster(stored.to_bytes())
        children = self._children(key, stored.metadata.uid)
        pods = self._redis_pods(key, children)
        passwords = _passwords_in_force(cluster, children)
        return ClusterSnapshot(
            now=self._now(),
            cluster=cluster,
            site=self._site,
            passwords=passwords,
            children=children,
            pods=pods,
            nodes=await self._ask_all(key, pods, passwords.redis),
            proxies=tuple(read_pod(pod, container=PROXY_CONTAINER) for pod in self._labelled(key, PROXY_COMPONENT)),
        )

    def subject(self, key: Key) -> Reference:
        """Whom an event about *key* is about, also where the rest of it cannot be read."""
        stored = self._caches.custom[key.kind].get(key.namespace, key.name)
        uid = stored.metadata.uid if stored else ""
        return Reference(API_VERSION, key.kind, key.namespace, key.name, uid)

    def drop(self, key: Key) -> None:
        """The resource is gone: so are its connections."""
        self._links.keep(key, ())
        self._silent_since.pop(key, None)

    def _children(self, key: Key, uid: str) -> dict[Ref, JSONObject]:
        """Objects that the resource controls; one of a former resource of the same name is not among them."""
        found = {}
        for kind, cache in self._caches.children.items():
            for child in cache.by_index(key):
                controller = child.metadata.controller
                if controller is not None and controller.uid == uid and child.metadata.deletion_timestamp is None:
                    found[Ref(kind, child.metadata.name)] = child.to_json()
        return found

    def _redis_pods(self, key: Key, children: Mapping[Ref, JSONObject]) -> dict[str, PodFacts]:
        """Pods of our own StatefulSets; those of a former resource of the same name are still on their way out."""
        ours = {_uid(child) for ref, child in children.items() if ref.kind == "StatefulSet"}
        return {
            pod.metadata.name: read_pod(pod, container=REDIS_CONTAINER)
            for pod in self._labelled(key, REDIS_COMPONENT)
            if pod.metadata.controller is not None and pod.metadata.controller.uid in ours
        }

    def _labelled(self, key: Key, component: str) -> Iterator[Pod]:
        pods = self._caches.pods.by_index(key)
        return (pod for pod in pods if pod.metadata.labels.get(COMPONENT_LABEL) == component)

    async def _ask_all(self, key: Key, pods: Mapping[str, PodFacts], password: str) -> dict[str, NodeFacts | Unknown]:
        """One answer or Unknown for every pod whose process runs. Closes the connections to those that are gone."""
        running = {name: Address(pod.uid, pod.ip) for name, pod in pods.items() if pod.running and pod.ip}
        self._links.keep(key, running.values())
        answers = await asyncio.gather(*(self._ask(key, address, password) for address in running.values()))
        before = self._silent_since.pop(key, {})
        nodes: dict[str, NodeFacts | Unknown] = {}
        for (name, address), answer in zip(running.items(), answers, strict=True):
            if isinstance(answer, str):
                since = before.get(address, self._now())
                self._silent_since.setdefault(key, {})[address] = since
                nodes[name] = Unknown(since=since, error=answer)
            else:
                nodes[name] = answer
        return nodes

    async def _ask(self, key: Key, address: Address, password: str) -> NodeFacts | str:
        """The process's facts, or why there are none."""
        try:
            replies = await self._links.ask(key, address, QUESTIONS, password=password, timeout_s=ASK_S)
            info, nodes, cluster_info = (_text(reply) for reply in replies[:3])
            return parse_node_facts(info, parse_cluster_nodes(nodes), cluster_info, int(_parameter(replies[3])))
        except (LinkError, ValueError, KeyError) as error:
            return str(error) or type(error).__name__


def _uid(child: JSONObject) -> str:
    metadata = child["metadata"]
    return str(metadata.get("uid", "")) if isinstance(metadata, dict) else ""


def _text(reply: object) -> str:
    """Raises Refused for an error reply, ValueError for anything but text."""
    if isinstance(reply, Refused):
        raise reply
    if not isinstance(reply, bytes):
        raise ValueError(f"expected text from Redis, got {type(reply).__name__}")  # noqa: TRY004 a border: data
    return reply.decode("utf-8", "replace")


def _parameter(reply: object) -> str:
    """The value of the one parameter that CONFIG GET was asked for. Raises as `_text` does."""
    if not isinstance(reply, list) or len(reply) != 2:
        return _text(reply)
    return _text(reply[1])


def _passwords_in_force(cluster: RedisCluster, children: Mapping[Ref, JSONObject]) -> Passwords:
    """What the running processes were given: the Secret's, where there is one; else what spec says."""
    secret = children.get(Ref("Secret", auth_secret_name(cluster.name)))
    data = secret.get("data") if secret else None
    encoded = data.get("password") if isinstance(data, dict) else None
    redis = base64.b64decode(encoded).decode() if isinstance(encoded, str) else cluster.spec.secret
    return Passwords(redis=redis, proxy=cluster.spec.proxy_secret)
