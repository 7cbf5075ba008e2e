"""Decides what of the cluster is kept in memory: the resources, their pods, and the other objects they control."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import structlog
from msgspec.structs import replace

from tdredis.kube import resources
from tdredis.kube.cache import Cache
from tdredis.kube.client import Client
from tdredis.kube.joined import Joined
from tdredis.kube.objects import Bytes, Child, CustomObject, Meta, Pod, Stored, parse_child, parse_custom, parse_pod
from tdredis.kube.resources import Resource
from tdredis.manifests.names import INSTANCE_LABEL, KIND_LABEL, MANAGED_BY_SELECTOR
from tdredis.manifests.pods import PULL_SECRET
from tdredis.planning.snapshot import Key

CHILDREN: tuple[Resource, ...] = (
    resources.CONFIGMAPS,
    resources.SECRETS,
    resources.SERVICES,
    resources.STATEFULSETS,
    resources.DEPLOYMENTS,
    resources.PERSISTENTVOLUMECLAIMS,
)
OPTIONAL_CHILDREN: tuple[Resource, ...] = (
    resources.PODDISRUPTIONBUDGETS,
    resources.ENDPOINTSLICES,
    resources.NETWORKPOLICIES,
    resources.PODMONITORS,
)
WATCHES = len((*resources.CUSTOM, resources.PODS, *CHILDREN, *OPTIONAL_CHILDREN, resources.SECRETS))  # of a namespace
LATE_S = 10.0  # so long after the first namespace nobody waits for the others

T = TypeVar("T", bound=Stored)
Followed: TypeAlias = Cache[T] | Joined[T]

log = structlog.get_logger(__name__)


def key_of_child(meta: Meta) -> Key | None:
    """The resource that an object with our labels belongs to; None: not ours."""
    kind, name = meta.labels.get(KIND_LABEL), meta.labels.get(INSTANCE_LABEL)
    return Key(kind, meta.namespace, name) if kind and name else None


class Caches:
    """One cache a kind, filtered by our label; where namespaces are named, one a kind and namespace. *on_news* hears
    the key of everything that changed, of a namespace only when all of its objects are known: what is not listed there
    yet, or nobody may list, is not gone.
    """

    def __init__(
        self,
        client: Client,
        *,
        served: frozenset[tuple[str, str, str]],
        on_news: Callable[[Key], None] = lambda _: None,
        on_event: Callable[[Resource, str], None] = lambda _resource, _type: None,
        namespaces: Sequence[str] = (),
        is_own_status: Callable[[CustomObject], bool] = lambda _new: False,
    ) -> None:
        """*served* is what discovery found; *on_event* counts frames and lists; no *namespaces*: all of them.
        *is_own_status*: the status of the object is what we wrote ourselves.
        """
        self._client = client
        self._on_news = on_news
        self._on_event = on_event
        self._namespaces = namespaces
        self._is_own_status = is_own_status
        self._by_namespace: dict[str | None, list[Cache[Any]]] = {namespace: [] for namespace in namespaces or (None,)}
        self._complete: set[str | None] = set()
        self.custom: Mapping[str, Followed[CustomObject]] = {
            resource.kind: self._follow(
                resource,
                parse_custom(resource),
                index=lambda item: item.metadata.namespace,
                on_change=self._custom_changed(resource.kind),
            )
            for resource in resources.CUSTOM
        }
        self.pods: Followed[Pod] = self._follow(
            resources.PODS,
            parse_pod,
            label_selector=MANAGED_BY_SELECTOR,
            index=lambda pod: key_of_child(pod.metadata),
            on_change=self._child_changed,
        )
        optional = [each for each in OPTIONAL_CHILDREN if each.key in served]
        slices = resources.ENDPOINTSLICES.key in served
        kinds = (*CHILDREN, *optional, *(() if slices else (resources.ENDPOINTS,)))
        self.children: Mapping[str, Followed[Child]] = {
            resource.kind: self._follow(
                resource,
                parse_child(resource),
                label_selector=MANAGED_BY_SELECTOR,
                index=lambda child: key_of_child(child.metadata),
                on_change=self._child_changed,
            )
            for resource in kinds
        }

        # Somebody else's Secrets: whether they are there is asked, and what is in them is not sent.
        self.pull_secrets: Followed[Child] = self._follow(
            resources.SECRETS,
            parse_child(resources.SECRETS),
            field_selector=f"metadata.name={PULL_SECRET}",
            metadata_only=True,
            on_change=self._pull_secret_changed,
        )

    def _follow(
        self,
        resource: Resource,
        parse: Callable[[Bytes], T],
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        metadata_only: bool = False,
        index: Callable[[T], Hashable | None] | None = None,
        on_change: Callable[[T | None, T | None], None],
    ) -> Followed[T]:
        def cache(namespace: str | None) -> Cache[T]:
            made = Cache(
                self._client,
                resource,
                parse,
                namespace=namespace,
                on_event=self._on_event,
                label_selector=label_selector,
                field_selector=field_selector,
                metadata_only=metadata_only,
                index=index,
                on_change=on_change,
            )
            self._by_namespace[namespace].append(made)
            return made

        if not self._namespaces:
            return cache(None)
        return Joined({namespace: cache(namespace) for namespace in self._namespaces})

    def __iter__(self) -> Iterator[Cache[Any]]:
        """Each by itself, as it is to be fed."""
        return (cache for caches in self._by_namespace.values() for cache in caches)

    def kinds(self) -> Iterator[Followed[CustomObject] | Followed[Pod] | Followed[Child]]:
        """One a kind."""
        return iter((*self.custom.values(), self.pods, *self.children.values(), self.pull_secrets))

    async def run(self) -> None:
        """Feeds all caches until cancelled."""
        async with asyncio.TaskGroup() as group:
            for cache in self:
                group.create_task(cache.run())
            for namespace in self._by_namespace:
                group.create_task(self._complete_one(namespace))

    async def synced(self) -> None:
        """Waits until every cache has seen everything once. A namespace that cannot be listed, because it is gone with
        its Role, say, keeps nobody from the others for longer than a moment: it is taken up when it can.
        """
        waits = {
            asyncio.create_task(self._wait_for(namespace), name=str(namespace)) for namespace in self._by_namespace
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait(waits, timeout=LATE_S)
            for late in sorted(task.get_name() for task in waits if not task.done()):
                log.warning("namespace left out until its objects can be listed", namespace=late, why=self._why(late))
        finally:
            for task in waits:
                task.cancel()

    def why_not_synced(self) -> str | None:
        """None: it works for somebody."""
        if self._complete:
            return None
        waiting = dict.fromkeys(cache.name for cache in self if not cache.synced.is_set())
        return f"waiting for the first list of {', '.join(waiting)}"

    def keys(self) -> list[Key]:
        """Every resource there is, of namespaces whose objects are known."""
        return sorted(
            key
            for kind, cache in self.custom.items()
            for item in cache.all()
            if self._is_complete((key := Key(kind, item.metadata.namespace, item.metadata.name)).namespace)
        )

    async def _wait_for(self, namespace: str | None) -> None:
        for cache in self._by_namespace[namespace]:
            await cache.synced.wait()

    async def _complete_one(self, namespace: str | None) -> None:
        await self._wait_for(namespace)
        self._complete.add(namespace)
        for key in self.keys():
            if key.namespace == namespace:
                self._on_news(key)

    def _is_complete(self, namespace: str) -> bool:
        return not self._namespaces or namespace in self._complete

    def _why(self, namespace: str) -> str:
        errors = (cache.last_error for cache in self._by_namespace[namespace] if not cache.synced.is_set())
        return next((str(error) for error in errors if error is not None), "no answer yet")

    def _tell(self, key: Key) -> None:
        if self._is_complete(key.namespace):
            self._on_news(key)

    def _custom_changed(self, kind: str) -> Callable[[CustomObject | None, CustomObject | None], None]:
        def changed(old: CustomObject | None, new: CustomObject | None) -> None:
            if old is not None and new is not None and _differ_by_status(old, new) and self._is_own_status(new):
                return  # who would look again for each status that he writes would never come to rest
            meta = (new or old).metadata  # type: ignore[union-attr] # one of both is there: that is what a change is
            self._tell(Key(kind, meta.namespace, meta.name))

        return changed

    def _child_changed(self, old: Pod | Child | None, new: Pod | Child | None) -> None:
        for item in (old, new):
            key = key_of_child(item.metadata) if item is not None else None
            if key is not None:
                self._tell(key)
                return

    def _pull_secret_changed(self, old: Child | None, new: Child | None) -> None:
        if old is not None and new is not None:
            return  # it is there as before; what is in it is the kubelet's business
        namespace = (new or old).metadata.namespace  # type: ignore[union-attr] # as above
        for key in self.keys():
            if key.namespace == namespace:
                self._tell(key)


def _differ_by_status(old: CustomObject, new: CustomObject) -> bool:
    """By nothing else that says anything."""
    before, after = (replace(each.metadata, resource_version="") for each in (old, new))
    return before == after and old.spec == new.spec
