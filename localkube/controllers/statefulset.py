"""Keeps the numbered pods of each StatefulSet: which is made, replaced or removed next, and when to wait instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from localkube.controllers.events import Recorder
from localkube.controllers.ownership import Children
from localkube.controllers.pod_template import build_pod
from localkube.controllers.pods import (
    Obj,
    build_controller_ref,
    controller_ref,
    is_running_and_ready,
    is_terminal,
    is_terminating,
    labels_of,
    phase,
    seconds_to_available,
)
from localkube.controllers.quantities import scale_int_or_percent
from localkube.controllers.revisions import hash_template
from localkube.controllers.settings import Settings
from localkube.controllers.workqueue import KeyedQueue
from localkube.errors import ApiError
from localkube.registry import Event, Registry, copy_of
from localkube.selectors import selector_predicate

NAME = "statefulset-controller"
SETS = "statefulsets.apps"
REVISIONS = "controllerrevisions.apps"
REVISION_LABEL = "controller-revision-hash"
POD_NAME_LABEL = "statefulset.kubernetes.io/pod-name"
INDEX_LABEL = "apps.kubernetes.io/pod-index"
Key = tuple[str, str]
_NUMBERED = re.compile(r"(.*)-([0-9]+)$")


def ordinal_of(pod: Obj, owner_name: str) -> int | None:
    found = _NUMBERED.match(pod["metadata"]["name"])
    return int(found[2]) if found and found[1] == owner_name else None


def claim_name(template: Obj, pod_name: str) -> str:
    return f"{template['metadata']['name']}-{pod_name}"


@dataclass(slots=True)
class Pass:
    """One look at one set: what it is, what it has, and what is counted on the way."""

    set: Obj
    current: Obj  # ControllerRevision
    update: Obj
    replicas: dict[int, Obj]  # by ordinal, those that are wanted and exist
    condemned: dict[int, Obj]  # those that are too many
    again_s: float | None = None
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def spec(self) -> Obj:
        spec: Obj = self.set["spec"]
        return spec

    @property
    def wanted(self) -> range:
        start: int = (self.spec.get("ordinals") or {}).get("start") or 0
        return range(start, start + int(self.spec["replicas"]))

    @property
    def one_by_one(self) -> bool:
        return bool(self.spec.get("podManagementPolicy") != "Parallel")

    @property
    def rolling(self) -> Obj | None:
        strategy = self.spec.get("updateStrategy") or {}
        return (strategy.get("rollingUpdate") or {}) if strategy.get("type") == "RollingUpdate" else None

    @property
    def partition(self) -> int:
        return int((self.rolling or {}).get("partition") or 0)

    def pod_name(self, ordinal: int) -> str:
        return f"{self.set['metadata']['name']}-{ordinal}"

    def is_available(self, pod: Obj) -> bool:
        """Ready for minReadySeconds. Remembers when to look again."""
        if not is_running_and_ready(pod):
            return False
        left_s = seconds_to_available(pod, self.spec.get("minReadySeconds") or 0)
        if left_s:
            self.again_s = left_s if self.again_s is None else min(self.again_s, left_s)
        return left_s == 0.0


class StatefulSetController:
    def __init__(self, registry: Registry, settings: Settings) -> None:
        del settings
        self._registry = registry
        self._recorder = Recorder(registry, NAME)
        self._pods = Children(registry, "pods", NAME)
        self._revisions = Children(registry, REVISIONS, NAME)
        self._queue: KeyedQueue[Key] = KeyedQueue("statefulset", self._reconcile)
        self._unsubscribe: list[Callable[[], None]] = []

    def start(self) -> None:
        self._unsubscribe = [
            self._registry.subscribe(SETS, self._on_set),
            self._registry.subscribe("pods", self._on_pod, replay=False),
            self._registry.subscribe("persistentvolumeclaims", self._on_claim, replay=False),
        ]

    async def stop(self) -> None:
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._queue.stop()

    def _on_set(self, event: Event) -> None:
        metadata = event.object["metadata"]
        self._queue.mark((metadata["namespace"], metadata["name"]))

    def _on_pod(self, event: Event) -> None:
        pod = event.object
        namespace = pod["metadata"]["namespace"]
        for one in (event.old, pod):
            ref = controller_ref(one) if one else None
            if ref is not None and ref["kind"] == "StatefulSet":
                self._queue.mark((namespace, ref["name"]))
        numbered = _NUMBERED.match(pod["metadata"]["name"])
        if event.type == "DELETED" and numbered:
            # Whoever's it was: its name is free now.
            self._queue.mark((namespace, numbered[1]))
        if controller_ref(pod) is None:
            for owner in self._registry.list(SETS, namespace):
                if selector_predicate(owner["spec"].get("selector"))(labels_of(pod)):
                    self._queue.mark((namespace, owner["metadata"]["name"]))

    def _on_claim(self, event: Event) -> None:
        # A set waits for a claim that is going to be gone before it makes the claim anew.
        if event.type != "DELETED":
            return
        namespace, name = event.object["metadata"]["namespace"], event.object["metadata"]["name"]
        for owner in self._registry.list(SETS, namespace):
            for template in owner["spec"].get("volumeClaimTemplates") or ():
                if name.startswith(claim_name(template, owner["metadata"]["name"])):
                    self._queue.mark((namespace, owner["metadata"]["name"]))

    # ---- one pass

    def _reconcile(self, key: Key) -> float | None:
        owner = self._registry.find(SETS, *key)
        if owner is None:
            return None
        pods = self._pods.claim(owner, lambda pod: ordinal_of(pod, owner["metadata"]["name"]) is not None)
        if is_terminating(owner):
            return None
        # Those of a former set of this name, too: pods that are adopted keep a revision that is the present one.
        self._revisions.claim(owner)
        revisions = self._revisions_of(owner)
        current, update, collisions = self._live_revisions(owner, revisions)
        it = Pass(owner, current, update, {}, {})
        for pod in pods:
            ordinal = ordinal_of(pod, owner["metadata"]["name"])
            if ordinal is not None:
                (it.replicas if ordinal in it.wanted else it.condemned)[ordinal] = pod
        try:
            self._update_pods(it)
        finally:
            # What went wrong with one pod must not hide from the status what is true of the others.
            self._write_status(it, collisions)
        self._forget_old_revisions(it, pods)
        return it.again_s

    def _update_pods(self, it: Pass) -> None:
        """The order is that of the real controller; each guard that waits is looked at again on the next event."""
        self._follow_retention(it)
        for ordinal in it.wanted:
            if not self._tend(it, ordinal):
                return
        unhealthy = next(
            (
                ordinal
                for ordinal, pod in sorted({**it.replicas, **it.condemned}.items())
                if not is_running_and_ready(pod) or is_terminating(pod)
            ),
            None,
        )
        for ordinal in sorted(it.condemned, reverse=True):
            pod = it.condemned[ordinal]
            if is_terminating(pod):
                if it.one_by_one:
                    return
                continue
            # A set that is ordered shrinks only while it is well, but never waits for the very pod it removes.
            if it.one_by_one and not it.is_available(pod) and ordinal != unhealthy:
                return
            self._delete(it, pod)
            if it.one_by_one:
                return
        if it.rolling is not None:
            self._roll(it)

    def _tend(self, it: Pass, ordinal: int) -> bool:
        """Makes, replaces or mends one wanted pod. False: the pass ends here, the next ones must wait."""
        pod = it.replicas.get(ordinal)
        if pod is not None and is_terminal(pod):
            if not is_terminating(pod):
                owner = f"{it.set['metadata']['namespace']}/{it.set['metadata']['name']}"
                name = pod["metadata"]["name"]
                if phase(pod) == "Failed":
                    text = f"StatefulSet {owner} is recreating failed Pod {name}"
                    self._recorder.warning(it.set, "RecreatingFailedPod", text)
                else:
                    text = f"StatefulSet {owner} is recreating terminated Pod {name}"
                    self._recorder.normal(it.set, "RecreatingTerminatedPod", text)
                self._delete(it, pod)
            pod = self._registry.find("pods", pod["metadata"]["namespace"], pod["metadata"]["name"])
            if pod is not None:
                return not it.one_by_one
            del it.replicas[ordinal]
        if pod is None:
            made = self._create(it, ordinal)
            return made and not it.one_by_one
        if is_terminating(pod):
            return not it.one_by_one
        if phase(pod) == "Pending" and not self._make_claims(it, ordinal):
            return not it.one_by_one
        if it.one_by_one and not it.is_available(pod):
            return False
        self._mend_identity(it, ordinal, pod)
        return True

    def _roll(self, it: Pass) -> None:
        """Replaces outdated pods, the highest first, never more at once than may be unavailable (one by default)."""
        update = it.update["metadata"]["name"]
        allowed = (it.rolling or {}).get("maxUnavailable", 1)
        limit = max(1, scale_int_or_percent(allowed, len(it.wanted), round_up=False))
        unavailable = sum(1 for ordinal in it.wanted if not self._is_well(it, ordinal))
        for ordinal in reversed(it.wanted):
            if ordinal < it.wanted.start + it.partition:
                return
            pod = it.replicas.get(ordinal)
            if pod is not None and labels_of(pod).get(REVISION_LABEL) != update and not is_terminating(pod):
                # A pod that is not well is replaced at any time: waiting for it could last for ever.
                well = self._is_well(it, ordinal)
                if well and unavailable >= limit:
                    return
                self._delete(it, pod)
                unavailable += well
                if limit == 1:
                    return
            elif not self._is_well(it, ordinal) and limit == 1:
                return

    def _is_well(self, it: Pass, ordinal: int) -> bool:
        pod = it.replicas.get(ordinal)
        return pod is not None and not is_terminating(pod) and it.is_available(pod)

    # ---- pods

    def _revision_for(self, it: Pass, ordinal: int) -> Obj:
        """Below the partition pods stay what they were."""
        if it.rolling is not None and ordinal < it.wanted.start + it.partition:
            return it.current
        return it.update

    def _create(self, it: Pass, ordinal: int) -> bool:
        if not self._make_claims(it, ordinal):
            return False
        pod = build_numbered_pod(it, ordinal, self._revision_for(it, ordinal))
        name = pod["metadata"]["name"]
        set_name = it.set["metadata"]["name"]
        if self._registry.find("pods", it.set["metadata"]["namespace"], name) is not None:
            # Somebody else's pod has the name; its end brings us back.
            text = f'Create Pod {name} in StatefulSet {set_name} failed error: pods "{name}" already exists'
            self._recorder.warning(it.set, "FailedCreate", text)
            return False
        try:
            it.replicas[ordinal] = self._registry.create("pods", pod, manager=NAME)
        except ApiError as refused:
            text = f"Create Pod {name} in StatefulSet {set_name} failed error: {refused.message}"
            self._recorder.warning(it.set, "FailedCreate", text)
            raise
        self._recorder.normal(it.set, "SuccessfulCreate", f"Create Pod {name} in StatefulSet {set_name} successful")
        return True

    def _delete(self, it: Pass, pod: Obj) -> None:
        metadata = pod["metadata"]
        deleted = self._registry.delete("pods", metadata["namespace"], metadata["name"], uid=metadata["uid"])
        ordinal = ordinal_of(pod, it.set["metadata"]["name"])
        for known in (it.replicas, it.condemned):
            if ordinal in known:
                known[ordinal] = deleted
        name, set_name = metadata["name"], it.set["metadata"]["name"]
        self._recorder.normal(it.set, "SuccessfulDelete", f"Delete Pod {name} in StatefulSet {set_name} successful")

    def _mend_identity(self, it: Pass, ordinal: int, pod: Obj) -> None:
        wanted = identity_labels(it, ordinal)
        if all(labels_of(pod).get(key) == value for key, value in wanted.items()):
            return
        labels = {**labels_of(pod), **wanted}
        updated = {**pod, "metadata": {**pod["metadata"], "labels": labels}}
        it.replicas[ordinal] = self._registry.update("pods", updated, manager=NAME)

    # ---- claims

    def _make_claims(self, it: Pass, ordinal: int) -> bool:
        """False: a claim of that name is still going away."""
        namespace = it.set["metadata"]["namespace"]
        for template in it.spec.get("volumeClaimTemplates") or ():
            name = claim_name(template, it.pod_name(ordinal))
            known = self._registry.find("persistentvolumeclaims", namespace, name)
            if known is not None and is_terminating(known):
                return False
            if known is None:
                self._registry.create("persistentvolumeclaims", build_claim(it, template, ordinal), manager=NAME)
                where = f"Pod {it.pod_name(ordinal)} in StatefulSet {it.set['metadata']['name']}"
                text = f"create Claim {name} {where} success"
                self._recorder.normal(it.set, "SuccessfulCreate", text)
        return True

    def _follow_retention(self, it: Pass) -> None:
        """Claims that are to go with their pod or their set belong to it; the garbage collector does the rest."""
        for ordinal, pod in sorted({**it.replicas, **it.condemned}.items()):
            for template in it.spec.get("volumeClaimTemplates") or ():
                name = claim_name(template, pod["metadata"]["name"])
                claim = self._registry.find("persistentvolumeclaims", pod["metadata"]["namespace"], name)
                if claim is None or is_terminating(claim):
                    continue
                before = claim["metadata"].get("ownerReferences") or []
                after = _claim_owners(it, before, pod, condemned=ordinal in it.condemned)
                if before != after:
                    changed = {**claim, "metadata": {**claim["metadata"], "ownerReferences": after}}
                    self._registry.update("persistentvolumeclaims", changed, manager=NAME)

    # ---- revisions

    def _revisions_of(self, owner: Obj) -> list[Obj]:
        return sorted(self._revisions.of(owner), key=lambda one: (one["revision"], one["metadata"]["name"]))

    def _live_revisions(self, owner: Obj, revisions: Sequence[Obj]) -> tuple[Obj, Obj, int]:
        """The revision pods have now, the one they are to get, and how often a hash met a stranger's."""
        collisions = int((owner.get("status") or {}).get("collisionCount") or 0)
        data = {"spec": {"template": {**owner["spec"]["template"], "$patch": "replace"}}}
        newest = max((one["revision"] for one in revisions), default=0)
        update = next((one for one in reversed(revisions) if one["data"] == data), None)
        if update is None:
            update, collisions = self._new_revision(owner, data, newest + 1, collisions)
        elif update["revision"] < newest:
            # Back to a former template: it is the newest again.
            update = self._registry.update(REVISIONS, {**update, "revision": newest + 1}, manager=NAME)
        name = (owner.get("status") or {}).get("currentRevision")
        current = next((one for one in revisions if one["metadata"]["name"] == name), update)
        return current, update, collisions

    def _new_revision(self, owner: Obj, data: Obj, number: int, collisions: int) -> tuple[Obj, int]:
        metadata = owner["metadata"]
        while True:
            digest = hash_template(data, collisions)
            name = f"{metadata['name']}-{digest}"
            stranger = self._registry.find(REVISIONS, metadata["namespace"], name)
            if stranger is None:
                break
            collisions += 1
        labels = {
            **((owner["spec"]["template"].get("metadata") or {}).get("labels") or {}),
            "controller.kubernetes.io/hash": digest,
        }
        revision = {
            "metadata": {
                "name": name,
                "namespace": metadata["namespace"],
                "labels": labels,
                "ownerReferences": [build_controller_ref(owner)],
            },
            "data": copy_of(data),
            "revision": number,
        }
        return self._registry.create(REVISIONS, revision, manager=NAME), collisions

    def _forget_old_revisions(self, it: Pass, pods: Sequence[Obj]) -> None:
        live = {labels_of(pod).get(REVISION_LABEL) for pod in pods}
        live |= {it.current["metadata"]["name"], it.update["metadata"]["name"]}
        old = [one for one in self._revisions_of(it.set) if one["metadata"]["name"] not in live]
        keep = it.spec.get("revisionHistoryLimit", 10)
        for one in old[: max(0, len(old) - keep)]:
            self._registry.delete(REVISIONS, one["metadata"]["namespace"], one["metadata"]["name"])

    # ---- status

    def _write_status(self, it: Pass, collisions: int) -> None:
        status = build_status(it, collisions)
        before = it.set.get("status") or {}
        if before.get("conditions"):
            status["conditions"] = before["conditions"]
        if status != before:
            latest = self._registry.find(SETS, it.set["metadata"]["namespace"], it.set["metadata"]["name"])
            if latest is not None and latest["metadata"]["uid"] == it.set["metadata"]["uid"]:
                self._registry.update(SETS, {**latest, "status": status}, subresource="status", manager=NAME)


def build_status(it: Pass, collisions: int) -> Obj:
    pods = [*it.replicas.values(), *it.condemned.values()]
    current, update = it.current["metadata"]["name"], it.update["metadata"]["name"]
    standing = [pod for pod in pods if not is_terminating(pod)]

    def of_revision(name: str) -> int:
        return sum(1 for pod in standing if labels_of(pod).get(REVISION_LABEL) == name)

    ready = sum(1 for pod in pods if is_running_and_ready(pod))
    counts = {"currentReplicas": of_revision(current), "updatedReplicas": of_revision(update), "readyReplicas": ready}
    complete = counts["updatedReplicas"] == len(pods) == ready
    if it.rolling is not None and complete:
        current, counts["currentReplicas"] = update, counts["updatedReplicas"]
    status: Obj = {
        "observedGeneration": it.set["metadata"]["generation"],
        "replicas": len(pods),
        "availableReplicas": sum(1 for pod in pods if it.is_available(pod)),
        "currentRevision": current,
        "updateRevision": update,
        "collisionCount": collisions,
    }
    # As a real server writes it: these are left out when they are zero.
    return {**status, **{name: count for name, count in counts.items() if count}}


def identity_labels(it: Pass, ordinal: int) -> Mapping[str, str]:
    return {POD_NAME_LABEL: it.pod_name(ordinal), INDEX_LABEL: str(ordinal)}


def build_numbered_pod(it: Pass, ordinal: int, revision: Obj) -> Obj:
    template = {key: value for key, value in revision["data"]["spec"]["template"].items() if key != "$patch"}
    pod = build_pod(template, it.set)
    name = it.pod_name(ordinal)
    pod["metadata"]["name"] = name
    pod["metadata"]["labels"].update(identity_labels(it, ordinal))
    pod["metadata"]["labels"][REVISION_LABEL] = revision["metadata"]["name"]
    spec = pod["spec"]
    spec["hostname"] = name
    if it.spec.get("serviceName"):
        spec["subdomain"] = it.spec["serviceName"]
    claimed = {one["metadata"]["name"]: claim_name(one, name) for one in it.spec.get("volumeClaimTemplates") or ()}
    volumes = [one for one in spec.get("volumes") or () if one["name"] not in claimed]
    volumes += [{"name": short, "persistentVolumeClaim": {"claimName": full}} for short, full in claimed.items()]
    if volumes:
        spec["volumes"] = volumes
    return pod


def build_claim(it: Pass, template: Obj, ordinal: int) -> Obj:
    described = template["metadata"]
    labels = {
        **(described.get("labels") or {}),
        **((it.spec.get("selector") or {}).get("matchLabels") or {}),
    }
    metadata: dict[str, Any] = {
        "name": claim_name(template, it.pod_name(ordinal)),
        "namespace": it.set["metadata"]["namespace"],
        "labels": labels,
    }
    if described.get("annotations"):
        metadata["annotations"] = dict(described["annotations"])
    owners = _claim_owners(it, [], None, condemned=False)
    if owners:
        metadata["ownerReferences"] = owners
    return {"metadata": metadata, "spec": copy_of(template["spec"])}


def _claim_owners(it: Pass, before: Sequence[Obj], pod: Obj | None, *, condemned: bool) -> list[Obj]:
    policy = it.spec.get("persistentVolumeClaimRetentionPolicy") or {}
    with_set = policy.get("whenDeleted") == "Delete"
    with_pod = policy.get("whenScaled") == "Delete" and condemned and pod is not None
    ours = {it.set["metadata"]["uid"]}
    if pod is not None:
        ours.add(pod["metadata"]["uid"])
    owners = [ref for ref in before if ref["uid"] not in ours]
    # A pod of that name that is gone must not take the claim with it when the set has grown again.
    if pod is not None:
        owners = [ref for ref in owners if (ref["kind"], ref["name"]) != ("Pod", pod["metadata"]["name"])]
    if with_pod and pod is not None:
        owners.append(build_controller_ref(pod))
    elif with_set:
        owners.append(build_controller_ref(it.set))
    return owners
