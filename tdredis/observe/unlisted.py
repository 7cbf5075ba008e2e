"""Decides what is looked up of objects that no cache holds: who has our name, and why no pod comes."""

from __future__ import annotations

from collections.abc import Mapping

from tdredis.api.instance import Instance
from tdredis.kube.client import Client
from tdredis.kube.resources import STATEFULSETS
from tdredis.manifests.names import MANAGED_BY_LABEL, MANAGER, statefulset_names
from tdredis.observe.lookups import Lookups
from tdredis.planning.live import Live
from tdredis.planning.snapshot import Key, Ref

FOREIGN_KEPT_S = 2.0


class Unlisted:
    """Waits for nobody: what is not known yet is None."""

    def __init__(self, client: Client, lookups: Lookups) -> None:
        self._client = client
        self._lookups = lookups

    def foreign(self, key: Key, instance: Instance, children: Mapping[Ref, Live]) -> tuple[Ref, ...] | None:
        """The first StatefulSet of *instance*, where there is one that has not our label: the caches do not hold it.

        Asked only while we have none ourselves: at the beginning, and where somebody else's stands in its place.
        """
        name = statefulset_names(instance)[0]
        if Ref("StatefulSet", name) in children:
            return ()

        async def fetch() -> object:
            found = await self._client.find(STATEFULSETS, instance.namespace, name)
            metadata = found.get("metadata") if found else None
            labels = metadata.get("labels") if isinstance(metadata, dict) else None
            return found is not None and not (isinstance(labels, dict) and labels.get(MANAGED_BY_LABEL) == MANAGER)

        answer = self._lookups.look(key, Ref("StatefulSet", name), fetch, fresh_s=FOREIGN_KEPT_S)
        if answer is None:
            return None
        # Where it cannot be asked for, what would be applied next is refused as well.
        return (Ref("StatefulSet", name),) if answer.found and not answer.error else ()
