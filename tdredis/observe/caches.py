"""Decides what of the cluster is kept in memory: the resources, their pods, and the other objects they control."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping

from msgspec.structs import replace

from tdredis.kube import resources
from tdredis.kube.cache import Cache
from tdredis.kube.client import Client
from tdredis.kube.objects import Child, CustomObject, Meta, Pod, parse_child, parse_custom, parse_pod
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


def key_of_child(meta: Meta) -> Key | None:
    """The resource that an object with our labels belongs to; None: not ours."""
    kind, name = meta.labels.get(KIND_LABEL), meta.labels.get(INSTANCE_LABEL)
    return Key(kind, meta.namespace, name) if kind and name else None


class Caches:
    """One cache a kind, filtered by our label. *on_news* hears the key of everything that changed."""

    def __init__(
        self,
        client: Client,
        *,
        served: frozenset[tuple[str, str, str]],
        on_news: Callable[[Key], None] = lambda _: None,
        on_event: Callable[[Resource, str], None] = lambda _resource, _type: None,
        namespace: str | None = None,
        is_own_status: Callable[[CustomObject], bool] = lambda _new: False,
    ) -> None:
        """*served* is what discovery found; *on_event* counts frames and lists; *namespace* None: all of them.
        *is_own_status*: the status of the object is what we wrote ourselves.
        """
        self._on_news = on_news
        self._is_own_status = is_own_status
        self.custom: Mapping[str, Cache[CustomObject]] = {
            resource.kind: Cache(
                client,
                resource,
                parse_custom(resource),
                namespace=namespace,
                on_event=on_event,
                index=lambda item: item.metadata.namespace,
                on_change=self._custom_changed(resource.kind),
            )
            for resource in resources.CUSTOM
        }
        self.pods: Cache[Pod] = Cache(
            client,
            resources.PODS,
            parse_pod,
            namespace=namespace,
            on_event=on_event,
            label_selector=MANAGED_BY_SELECTOR,
            index=lambda pod: key_of_child(pod.metadata),
            on_change=self._child_changed,
        )
        optional = [each for each in OPTIONAL_CHILDREN if each.key in served]
        slices = resources.ENDPOINTSLICES.key in served
        kinds = (*CHILDREN, *optional, *(() if slices else (resources.ENDPOINTS,)))
        self.children: Mapping[str, Cache[Child]] = {
            resource.kind: Cache(
                client,
                resource,
                parse_child(resource),
                namespace=namespace,
                on_event=on_event,
                label_selector=MANAGED_BY_SELECTOR,
                index=lambda child: key_of_child(child.metadata),
                on_change=self._child_changed,
            )
            for resource in kinds
        }

        # Somebody else's Secrets: whether they are there is asked, and what is in them is not sent.
        self.pull_secrets: Cache[Child] = Cache(
            client,
            resources.SECRETS,
            parse_child(resources.SECRETS),
            namespace=namespace,
            on_event=on_event,
            field_selector=f"metadata.name={PULL_SECRET}",
            metadata_only=True,
            on_change=self._pull_secret_changed,
        )

    def __iter__(self) -> Iterator[Cache[CustomObject] | Cache[Pod] | Cache[Child]]:
        return iter((*self.custom.values(), self.pods, *self.children.values(), self.pull_secrets))

    async def run(self) -> None:
        """Feeds all caches until cancelled."""
        async with asyncio.TaskGroup() as group:
            for cache in self:
                group.create_task(cache.run())

    async def synced(self) -> None:
        """Waits until every cache has seen everything once."""
        for cache in self:
            await cache.synced.wait()

    def keys(self) -> list[Key]:
        """Every resource there is."""
        return sorted(
            Key(kind, item.metadata.namespace, item.metadata.name)
            for kind, cache in self.custom.items()
            for item in cache.all()
        )

    def _custom_changed(self, kind: str) -> Callable[[CustomObject | None, CustomObject | None], None]:
        def changed(old: CustomObject | None, new: CustomObject | None) -> None:
            if old is not None and new is not None and _differ_by_status(old, new) and self._is_own_status(new):
                return  # who would look again for each status that he writes would never come to rest
            meta = (new or old).metadata  # type: ignore[union-attr] # one of both is there: that is what a change is
            self._on_news(Key(kind, meta.namespace, meta.name))

        return changed

    def _child_changed(self, old: Pod | Child | None, new: Pod | Child | None) -> None:
        for item in (old, new):
            key = key_of_child(item.metadata) if item is not None else None
            if key is not None:
                self._on_news(key)
                return

    def _pull_secret_changed(self, old: Child | None, new: Child | None) -> None:
        if old is not None and new is not None:
            return  # it is there as before; what is in it is the kubelet's business
        namespace = (new or old).metadata.namespace  # type: ignore[union-attr] # as above
        for key in self.keys():
            if key.namespace == namespace:
                self._on_news(key)


def _differ_by_status(old: CustomObject, new: CustomObject) -> bool:
    """By nothing else that says anything."""
    before, after = (replace(each.metadata, resource_version="") for each in (old, new))
    return before == after and old.spec == new.spec
