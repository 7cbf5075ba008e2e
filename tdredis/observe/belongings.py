"""Decides which objects and pods are a resource's: by who controls them, and where somebody removed that, by what else
they carry of ours.

A label or an owner that is missing makes nobody vanish: that a pod is gone is the proof that its process is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from tdredis.api.instance import Instance
from tdredis.api.redisstandby import RedisStandby
from tdredis.kube.objects import Child, Meta, Pod
from tdredis.manifests.claims import CLAIM
from tdredis.manifests.drift import DIGEST
from tdredis.manifests.made_of import MADE_OF
from tdredis.manifests.names import (
    IDENTITY_LABELS,
    REDIS_COMPONENT,
    SENTINEL_COMPONENT,
    auth_secret_name,
    sentinel_name,
    statefulset_names,
)
from tdredis.observe.caches import Caches, key_of_child
from tdredis.observe.strays import Strays
from tdredis.planning.decide import records_data
from tdredis.planning.live import Live
from tdredis.planning.memo import Memo
from tdredis.planning.snapshot import Key, Ref

OWNED_BY_NOBODY = frozenset(("PersistentVolumeClaim",))  # a StatefulSet makes them, and they outlive it
FoundT = TypeVar("FoundT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Belongings:
    """Of one resource. *pods* by component, then by name: those of its StatefulSets, as far as they were ever seen.
    *unclear*: of which of them, and of which others (by component), nobody knows whether they are there, and why.
    """

    children: dict[Ref, Live] = field(repr=False)  # Secrets are among them
    claims: Mapping[str, Live]
    stray_claims: frozenset[str]  # those of them without our labels
    kept_claims: Mapping[str, tuple[str, ...]]
    leftovers: frozenset[Ref]
    leftover_pods: tuple[str, ...]
    pods: Mapping[str, Mapping[str, Pod]]
    unclear: Mapping[str, Mapping[str, str]]
    unclear_statefulsets: tuple[str, ...]
    lost_labels: Mapping[str, Mapping[str, str]]  # that pods are to have, and somebody removed or changed, by pod
    counts: Mapping[str, int]  # of pods, by the StatefulSet, or the Deployment, that has them made


class Finder:
    """Remembers what was there last."""

    def __init__(self, caches: Caches, strays: Strays) -> None:
        self._caches = caches
        self._strays = strays

    def drop(self, key: Key) -> None:
        """The resource is gone."""
        self._strays.drop(key)

    def forget(self) -> None:
        """Another has led meanwhile."""
        self._strays.forget()

    async def find(self, key: Key, instance: Instance, memo: Memo) -> Belongings:
        """Waits for the API server a moment, where something vanished or is not there that was recorded. Where nothing
        had to be asked for, and no cache has anything else since, it is what the pass before found.
        """
        lives = memo.once("lives", (), Memo)
        others = (cache.by_index(key) for cache in self._caches.children.values())
        seen = (instance, self._caches.pods.by_index(key), *others)
        found: Belongings | None = memo.recall("belongings", seen)
        if found is None:
            asked = self._strays.asked
            lives.begin()
            found = await self._find(key, instance, lives)
            lives.end()
            if self._strays.asked != asked:
                return found
        memo.keep("belongings", seen, found)
        return found

    async def _find(self, key: Key, instance: Instance, memo: Memo) -> Belongings:
        search = _Search(key=key, instance=instance, is_recorded=records_data(instance.status))
        children = self._children(search, memo)
        sets, unclear_sets = await self._strays.statefulsets(
            key,
            search.statefulsets if search.is_recorded else (),
            self._cached_sets(search),
            lambda child: search.controls(child.metadata, "StatefulSet"),
        )
        children |= {Ref("StatefulSet", name): _live(memo, child) for name, child in sets.items()}
        await self._add_secret(search, children)
        search = replace(search, owners={live.meta.uid: ref.name for ref, live in _sets(children)})
        cached = {pod.metadata.name: pod for pod in self._caches.pods.by_index(key) if search.is_ours(pod)}
        names = search.pod_names(children) if search.is_recorded else ()
        strays = await self._strays.pods(key, names, cached, search.is_ours)
        stray_claims = await self._stray_claims(search, children) if search.is_recorded else {}
        pods = {**cached, **strays.found, **{name: pod for name, (pod, _) in strays.unclear.items() if pod}}
        return Belongings(
            children=children,
            claims=self._claims(key, memo) | stray_claims,
            stray_claims=frozenset(stray_claims),
            kept_claims=self._kept_claims(key),
            leftovers=self._leftovers(search),
            leftover_pods=self._leftover_pods(search),
            pods=_by_component(search, pods),
            unclear=_by_component(search, {name: why for name, (_, why) in strays.unclear.items()}),
            unclear_statefulsets=unclear_sets,
            lost_labels=_lost_labels(children, (*cached.values(), *strays.found.values())),
            counts=self._count_pods(key),
        )

    def _children(self, search: _Search, memo: Memo) -> dict[Ref, Live]:
        """One of a previous resource of the same name is not among them."""
        found = {}
        for kind, cache in self._caches.children.items():
            for child in cache.by_index(search.key):
                if child.metadata.deletion_timestamp is None and search.controls(child.metadata, kind):
                    found[Ref(kind, child.metadata.name)] = _live(memo, child)
        return found

    def _cached_sets(self, search: _Search) -> dict[str, Child]:
        """Those that are being deleted among them: there is nothing to ask."""
        sets = self._caches.children["StatefulSet"].by_index(search.key)
        return {each.metadata.name: each for each in sets if search.controls(each.metadata, "StatefulSet")}

    async def _add_secret(self, search: _Search, children: dict[Ref, Live]) -> None:
        """The password is in it: taken for gone, it would be made again with another."""
        ref = Ref("Secret", auth_secret_name(search.instance.name))
        if not search.is_recorded or ref in children:
            return
        for found in (await self._strays.others(search.key, ref.kind, [ref.name])).values():
            if search.controls(found.metadata, ref.kind):
                children[ref] = Live(found.to_json)

    def _claims(self, key: Key, memo: Memo) -> dict[str, Live]:
        """Volume claims with our labels. A StatefulSet makes them; whose they are is what its resource decides."""
        claims = self._caches.children["PersistentVolumeClaim"].by_index(key)
        return {
            claim.metadata.name: _live(memo, claim) for claim in claims if claim.metadata.deletion_timestamp is None
        }

    async def _stray_claims(self, search: _Search, children: Mapping[Ref, Live]) -> dict[str, Live]:
        """Those without our label, of StatefulSets that have volumes."""
        claims = self._caches.children["PersistentVolumeClaim"].by_index(search.key)
        cached = {claim.metadata.name for claim in claims}
        with_volumes = {ref: live for ref, live in _sets(children) if live.claim_templates}
        wanted = (f"{CLAIM}-{pod}" for pod in search.pod_names(with_volumes))
        missing = [name for name in wanted if name not in cached]
        found = await self._strays.others(search.key, "PersistentVolumeClaim", missing) if missing else {}
        return {name: Live(claim.to_json) for name, claim in found.items() if claim.metadata.deletion_timestamp is None}

    def _kept_claims(self, key: Key) -> dict[str, tuple[str, ...]]:
        claims = self._caches.children["PersistentVolumeClaim"].by_index(key)
        going = (claim.metadata for claim in claims if claim.metadata.deletion_timestamp is not None)
        return {meta.name: meta.finalizers for meta in going}

    def _leftovers(self, search: _Search) -> frozenset[Ref]:
        """Objects that a previous resource of this name controls, and ours that are being deleted: what is applied to
        one of them goes with it.
        """
        key = search.key
        return frozenset(
            Ref(kind, child.metadata.name)
            for kind, cache in self._caches.children.items()
            for child in cache.by_index(key)
            if (owner := child.metadata.controller) is not None
            and (owner.kind, owner.name) == (key.kind, key.name)
            and (owner.uid != search.uid or child.metadata.deletion_timestamp is not None)
        )

    def _leftover_pods(self, search: _Search) -> tuple[str, ...]:
        """Of StatefulSets that are no more: they have names that new pods would have."""
        controllers = ((pod.metadata.name, pod.metadata.controller) for pod in self._caches.pods.by_index(search.key))
        return tuple(
            sorted(
                name
                for name, owner in controllers
                if owner and owner.kind == "StatefulSet" and owner.uid not in search.owners
            )
        )

    def _count_pods(self, key: Key) -> Counter[str]:
        return Counter(
            owner.name if owner.kind == "StatefulSet" else owner.name.rpartition("-")[0]
            for pod in self._caches.pods.by_index(key)
            if (owner := pod.metadata.controller) is not None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    """What tells ours from others'. *is_recorded*: status says where its data is. So it had all its objects, and names
    are given once: what is under one of them is ours unless another controls it.
    """

    key: Key
    instance: Instance
    is_recorded: bool
    owners: Mapping[str, str] = field(default_factory=dict)  # names of its StatefulSets, by uid

    @property
    def uid(self) -> str:
        return self.instance.metadata.uid

    @property
    def statefulsets(self) -> frozenset[str]:
        """Those that spec asks for, and those of the record: size may have been edited, which is held."""
        sentinels = {sentinel_name(self.instance)} if isinstance(self.instance, RedisStandby) else set()
        recorded = {line.name for line in self.instance.status.shards}
        return frozenset((*statefulset_names(self.instance), *sentinels, *recorded))

    def controls(self, meta: Meta, kind: str) -> bool:
        """The resource controls the object, or did until somebody removed that."""
        controller = meta.controller
        if controller is not None:
            return controller.uid == self.uid
        return self.is_recorded and kind not in OWNED_BY_NOBODY and DIGEST in meta.annotations

    def is_ours(self, pod: Pod) -> bool:
        """It is a pod of one of our StatefulSets, or was: of one that was deleted and made again, or that lost it."""
        meta, owner = pod.metadata, pod.metadata.controller
        if owner is not None and owner.uid in self.owners:
            return True
        statefulset = meta.name.rpartition("-")[0]
        if not self.is_recorded or statefulset not in self.statefulsets.union(self.owners.values()):
            return False
        if owner is not None and (owner.kind, owner.name) != ("StatefulSet", statefulset):
            return False
        return key_of_child(meta) == self.key or MADE_OF in meta.annotations

    def pod_names(self, children: Mapping[Ref, Live]) -> Iterator[str]:
        """Those that its StatefulSets make."""
        for ref, live in _sets(children):
            view = live.statefulset
            yield from (f"{ref.name}-{ordinal + view.start}" for ordinal in range(view.replicas or 0))

    def component(self, pod: str) -> str:
        """Of the pod of that name, whatever its labels say by now."""
        is_sentinel = isinstance(self.instance, RedisStandby) and pod.rpartition("-")[0] != self.instance.name
        return SENTINEL_COMPONENT if is_sentinel else REDIS_COMPONENT


def _lost_labels(children: Mapping[Ref, Live], pods: Iterable[Pod]) -> dict[str, Mapping[str, str]]:
    """By what its StatefulSet gives a pod: of what tells whose it is there is one right value, of the others, which
    follow spec with the next pod, only that they are there counts.
    """
    found: dict[str, Mapping[str, str]] = {}
    for pod in pods:
        name, has = pod.metadata.name, pod.metadata.labels
        live = children.get(Ref("StatefulSet", name.rpartition("-")[0]))
        if live is None or pod.metadata.deletion_timestamp is not None:
            continue
        wanted = live.template_labels
        if not wanted.items() <= has.items():
            lost = {each: value for each, value in wanted.items() if _is_lost(each, value, has)}
            found |= {name: lost} if lost else {}
    return found


def _is_lost(name: str, value: str, has: Mapping[str, str]) -> bool:
    return name not in has or (name in IDENTITY_LABELS and has[name] != value)


def _live(memo: Memo, child: Child) -> Live:
    """A cache has another `Child` for every version of an object."""
    return memo.once(("live", child.kind, child.metadata.name), (child,), lambda: Live(child.to_json))


def _sets(children: Mapping[Ref, Live]) -> list[tuple[Ref, Live]]:
    return [(ref, live) for ref, live in children.items() if ref.kind == "StatefulSet"]


def _by_component(search: _Search, found: Mapping[str, FoundT]) -> dict[str, dict[str, FoundT]]:
    parts: dict[str, dict[str, FoundT]] = {REDIS_COMPONENT: {}, SENTINEL_COMPONENT: {}}
    for name in sorted(found):
        parts[search.component(name)][name] = found[name]
    return parts
