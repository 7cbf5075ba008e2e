"""Decides what is looked up of objects that no cache holds: who has our name, and why no pod comes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import msgspec

from tdredis.api.instance import Instance
from tdredis.api.json_object import JSONObject
from tdredis.kube.client import Client
from tdredis.kube.objects import parse_identity, parse_time
from tdredis.kube.resources import EVENTS, STATEFULSETS
from tdredis.manifests.names import MANAGED_BY_LABEL, MANAGER, statefulset_names
from tdredis.observe.lookups import Lookups
from tdredis.planning.live import Live
from tdredis.planning.snapshot import Key, Ref

FOREIGN_KEPT_S = 2.0
# A pod comes within a second; what keeps one from coming keeps all of them. So few are asked for, and so seldom.
COMES_S, FAILURE_KEPT_S, MOST_ASKED = 3.0, 15.0, 3
MAKERS = {"StatefulSet": "StatefulSet", "Deployment": "ReplicaSet"}  # whose events tell of the pods


class Unlisted:
    """Waits for nobody: what is not known yet is None."""

    def __init__(self, client: Client, lookups: Lookups) -> None:
        self._client = client
        self._lookups = lookups

    def creation_failures(
        self, key: Key, children: Mapping[Ref, Live], pods: Mapping[str, int], now: float
    ) -> dict[str, str]:
        """Why pods do not come, by StatefulSet or Deployment: the words of the newest event FailedCreate. *pods*: how
        many there are, by the same names. *now*: epoch seconds.
        """
        found: dict[str, str] = {}
        asked = 0
        for ref in sorted(
            ref for ref in children if ref.kind in MAKERS and pods.get(ref.name, 0) < _replicas(children[ref])
        ):
            live, makes = children[ref], MAKERS[ref.kind]
            if asked == MOST_ASKED:
                break
            if now - parse_time(live.meta.creation_timestamp or "1970-01-01T00:00:00Z") < COMES_S:
                continue
            asked += 1
            answer = self._lookups.look(
                key, ("FailedCreate", ref), partial(self._newest_failure, key, makes, ref.name), fresh_s=FAILURE_KEPT_S
            )
            if answer is not None and isinstance(answer.found, str) and answer.found:
                found[ref.name] = answer.found
        return found

    async def _newest_failure(self, key: Key, kind: str, name: str) -> str:
        selector = f"reason=FailedCreate,involvedObject.kind={kind}"
        if kind == "StatefulSet":
            selector += f",involvedObject.name={name}"
        events = await self._client.list(EVENTS, key.namespace, field_selector=selector)
        ours = (event for event in events if _is_about(event, kind, name))
        newest = max(ours, key=_last_seen, default=None)
        return str(newest.get("message") or "") if newest else ""

    def foreign(self, key: Key, instance: Instance, children: Mapping[Ref, Live]) -> tuple[Ref, ...] | None:
        """The first StatefulSet of *instance*, where there is one that is not ours and has not our label: the caches
        do not hold it.

        Asked only while we have none ourselves: at the beginning, and where somebody else's stands in its place.
        """
        name = statefulset_names(instance)[0]
        if Ref("StatefulSet", name) in children:
            return ()

        async def fetch() -> object:
            found = await self._client.find(STATEFULSETS, instance.namespace, name)
            if found is None:
                return False
            meta = parse_identity(msgspec.json.encode(found))
            is_ours = meta.controller is not None and meta.controller.uid == instance.metadata.uid
            return not is_ours and meta.labels.get(MANAGED_BY_LABEL) != MANAGER

        answer = self._lookups.look(key, Ref("StatefulSet", name), fetch, fresh_s=FOREIGN_KEPT_S)
        if answer is None:
            return None
        # Where it cannot be asked for, what would be applied next is refused as well.
        return (Ref("StatefulSet", name),) if answer.found and not answer.error else ()


def _replicas(live: Live) -> int:
    """Of a StatefulSet or a Deployment; where it does not say, it is one."""
    return 1 if live.statefulset.replicas is None else live.statefulset.replicas


def _is_about(event: JSONObject, kind: str, name: str) -> bool:
    """A Deployment's pods are made by its ReplicaSets, which are called after it."""
    about = event.get("involvedObject")
    if not isinstance(about, dict) or about.get("kind") != kind:
        return False
    found = str(about.get("name"))
    return found == name if kind == "StatefulSet" else found.rpartition("-")[0] == name


def _last_seen(event: JSONObject) -> str:
    """Times of one server are ordered as texts are."""
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")
