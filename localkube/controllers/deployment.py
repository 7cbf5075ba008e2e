"""Leads each Deployment from one template to the next: which ReplicaSet exists, how large it is, what is told of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localkube.controllers.events import Recorder
from localkube.controllers.ownership import Children
from localkube.controllers.pods import (
    Obj,
    build_controller_ref,
    condition,
    controller_ref,
    is_terminal,
    is_terminating,
    labels_of,
    now_text,
    seconds_since,
)
from localkube.controllers.revisions import hash_template, without_label
from localkube.controllers.rollout import (
    DESIRED,
    MAXIMUM,
    Limits,
    Scales,
    limits_of,
    name_of,
    oldest_first,
    plan_new,
    plan_old,
    plan_resize,
    replicas_of,
)
from localkube.controllers.settings import Settings
from localkube.controllers.workqueue import KeyedQueue
from localkube.errors import ApiError
from localkube.registry import Event, Registry, copy_of
from localkube.selectors import selector_predicate

NAME = "deployment-controller"
DEPLOYMENTS = "deployments.apps"
REPLICA_SETS = "replicasets.apps"
HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
# What describes the Deployment alone, and would lie on a ReplicaSet.
_NOT_INHERITED = frozenset(
    ("kubectl.kubernetes.io/last-applied-configuration", REVISION, HISTORY, DESIRED, MAXIMUM,
     "deprecated.deployment.rollback.to")
)  # fmt: skip
NO_DEADLINE_S = 2**31 - 1
Key = tuple[str, str]


@dataclass(slots=True)
class Rollout:
    """One look at one Deployment: the set of its present template, if there is one, and those of former ones."""

    deployment: Obj
    new: Obj | None
    old: list[Obj]
    limits: Limits
    created: bool = False

    @property
    def all(self) -> list[Obj]:
        return [*self.old, *([self.new] if self.new is not None else [])]

    def put(self, changed: Obj) -> None:
        if self.new is not None and name_of(changed) == name_of(self.new):
            self.new = changed
        self.old = [changed if name_of(one) == name_of(changed) else one for one in self.old]


class DeploymentController:
    def __init__(self, registry: Registry, settings: Settings) -> None:
        del settings
        self._registry = registry
        self._recorder = Recorder(registry, NAME)
        self._sets = Children(registry, REPLICA_SETS, NAME)
        self._pods = Children(registry, "pods", NAME)
        self._queue: KeyedQueue[Key] = KeyedQueue("deployment", self._reconcile)
        self._unsubscribe: list[Callable[[], None]] = []

    def start(self) -> None:
        self._unsubscribe = [
            self._registry.subscribe(DEPLOYMENTS, self._on_deployment),
            self._registry.subscribe(REPLICA_SETS, self._on_replica_set, replay=False),
            self._registry.subscribe("pods", self._on_pod, replay=False),
        ]

    async def stop(self) -> None:
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._queue.stop()

    def _on_deployment(self, event: Event) -> None:
        metadata = event.object["metadata"]
        self._queue.mark((metadata["namespace"], metadata["name"]))

    def _on_replica_set(self, event: Event) -> None:
        namespace = event.object["metadata"]["namespace"]
        for one in (event.old, event.object):
            ref = controller_ref(one) if one else None
            if ref is not None and ref["kind"] == "Deployment":
                self._queue.mark((namespace, ref["name"]))
        if controller_ref(event.object) is None:
            for owner in self._registry.list(DEPLOYMENTS, namespace):
                if selector_predicate(owner["spec"].get("selector"))(labels_of(event.object)):
                    self._queue.mark((namespace, owner["metadata"]["name"]))

    def _on_pod(self, event: Event) -> None:
        # Only the end of a pod matters here: Recreate waits for it. It has ended when its phase says so.
        ended = is_terminal(event.object) and (event.old is None or not is_terminal(event.old))
        if event.type != "DELETED" and not ended:
            return
        ref = controller_ref(event.object)
        namespace = event.object["metadata"]["namespace"]
        if ref is not None and ref["kind"] == "ReplicaSet":
            replica_set = self._registry.find(REPLICA_SETS, namespace, ref["name"])
            owner = controller_ref(replica_set) if replica_set else None
            if owner is not None:
                self._queue.mark((namespace, owner["name"]))

    # ---- one pass

    def _reconcile(self, key: Key) -> float | None:
        deployment = self._registry.find(DEPLOYMENTS, *key)
        if deployment is None:
            return None
        sets = self._sets.claim(deployment)
        new = find_new(deployment, sets)
        old = [one for one in sets if new is None or name_of(one) != name_of(new)]
        it = Rollout(deployment, new, old, limits_of(deployment))
        if not is_terminating(deployment):
            if deployment["spec"].get("paused") or self._was_resized(it):
                self._mark_new(it)
                self._resize(it)
            elif deployment["spec"]["strategy"]["type"] == "Recreate":
                self._recreate(it)
            else:
                self._roll(it)
            self._annotate(it)
        again_s = self._write_status(it)
        if it.new is not None and is_complete(it) and not is_terminating(deployment):
            self._forget_old(it)
        return again_s

    def _was_resized(self, it: Rollout) -> bool:
        """The wished number is not the one the sets were last told: that is settled before a rollout goes on."""
        return any(
            replicas_of(one) > 0 and _annotations(one).get(DESIRED, str(it.limits.replicas)) != str(it.limits.replicas)
            for one in it.all
        )

    def _resize(self, it: Rollout) -> None:
        sets = it.all
        if not sets:
            return
        newest = it.new if it.new is not None else oldest_first(it.old)[-1]
        rolling = it.deployment["spec"]["strategy"]["type"] == "RollingUpdate"
        if it.new is not None and _is_saturated(it.new, it.limits.replicas):
            self._scale(it, {name_of(one): 0 for one in it.old if replicas_of(one) > 0})
        else:
            self._scale(it, plan_resize(sets, newest, it.limits, rolling=rolling))

    def _roll(self, it: Rollout) -> None:
        new = self._need_new(it)
        grown = plan_new(new, it.old, it.limits)
        if grown:
            self._scale(it, grown)
            return
        self._scale(it, plan_old(new, it.old, it.limits))

    def _recreate(self, it: Rollout) -> None:
        left = {name_of(one): 0 for one in it.old if replicas_of(one) > 0}
        if left:
            self._scale(it, left)
            return
        if self._old_pods_run(it):
            return
        new = self._need_new(it)
        if replicas_of(new) != it.limits.replicas:
            self._scale(it, {name_of(new): it.limits.replicas})

    def _old_pods_run(self, it: Rollout) -> bool:
        return any(not is_terminal(pod) for one in it.old for pod in self._pods.of(one))

    # ---- ReplicaSets

    def _need_new(self, it: Rollout) -> Obj:
        if it.new is None:
            it.new, it.created = self._create(it), True
        self._mark_new(it)
        return it.new

    def _create(self, it: Rollout) -> Obj:
        deployment = it.deployment
        metadata, template = deployment["metadata"], copy_of(deployment["spec"]["template"])
        collisions = int((deployment.get("status") or {}).get("collisionCount") or 0)
        digest = hash_template(template, collisions)
        while self._registry.find(REPLICA_SETS, metadata["namespace"], f"{metadata['name']}-{digest}") is not None:
            collisions += 1
            digest = hash_template(template, collisions)
        described = template.setdefault("metadata", {})
        described["labels"] = {**(described.get("labels") or {}), HASH_LABEL: digest}
        selector = copy_of(deployment["spec"]["selector"])
        selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH_LABEL: digest}
        total = sum(map(replicas_of, it.old))
        recreate = deployment["spec"]["strategy"]["type"] == "Recreate"
        first = it.limits.replicas if recreate else max(0, min(it.limits.most - total, it.limits.replicas))
        replica_set = {
            "metadata": {
                "name": f"{metadata['name']}-{digest}",
                "namespace": metadata["namespace"],
                "labels": described["labels"],
                "annotations": self._annotations_for(it, {}),
                "ownerReferences": [build_controller_ref(deployment)],
            },
            "spec": {
                "replicas": first,
                "minReadySeconds": deployment["spec"].get("minReadySeconds") or 0,
                "selector": selector,
                "template": template,
            },
        }
        created = self._registry.create(REPLICA_SETS, replica_set, manager=NAME)
        if first:
            self._recorder.normal(
                deployment, "ScalingReplicaSet", f"Scaled up replica set {name_of(created)} from 0 to {first}"
            )
        return created

    def _annotations_for(self, it: Rollout, before: Mapping[str, str]) -> dict[str, str]:
        inherited = {name: value for name, value in _annotations(it.deployment).items() if name not in _NOT_INHERITED}
        newest = max((_revision(one) for one in it.old), default=0) + 1
        annotations = {**before, **inherited, DESIRED: str(it.limits.replicas), MAXIMUM: str(it.limits.most)}
        former = before.get(REVISION)
        if former is None or int(former) < newest:
            annotations[REVISION] = str(newest)
            if former is not None:
                # The template was in use before: under which numbers, is kept for `kubectl rollout history`.
                annotations[HISTORY] = ",".join(filter(None, (before.get(HISTORY), former)))
        return annotations

    def _mark_new(self, it: Rollout) -> None:
        if it.new is None:
            return
        annotations = self._annotations_for(it, _annotations(it.new))
        if it.deployment["spec"].get("paused") or self._was_resized(it):
            # What the sets were last told is what tells a change of the wish: only scaling renews it.
            for name in (DESIRED, MAXIMUM):
                if name in _annotations(it.new):
                    annotations[name] = _annotations(it.new)[name]
        spec = {**it.new["spec"], "minReadySeconds": it.deployment["spec"].get("minReadySeconds") or 0}
        changed = {**it.new, "spec": spec, "metadata": {**it.new["metadata"], "annotations": annotations}}
        it.new = self._registry.update(REPLICA_SETS, changed, manager=NAME)
        revision = annotations[REVISION]
        if _annotations(it.deployment).get(REVISION) != revision:
            marked = {**_annotations(it.deployment), REVISION: revision}
            deployment = {**it.deployment, "metadata": {**it.deployment["metadata"], "annotations": marked}}
            it.deployment = self._registry.update(DEPLOYMENTS, deployment, manager=NAME)

    def _scale(self, it: Rollout, scales: Scales) -> None:
        for one in it.all:
            wanted = scales.get(name_of(one))
            if wanted is None or wanted == replicas_of(one):
                continue
            before = replicas_of(one)
            annotations = {**_annotations(one), DESIRED: str(it.limits.replicas), MAXIMUM: str(it.limits.most)}
            changed = {
                **one,
                "metadata": {**one["metadata"], "annotations": annotations},
                "spec": {**one["spec"], "replicas": wanted},
            }
            it.put(self._registry.update(REPLICA_SETS, changed, manager=NAME))
            way = "up" if wanted > before else "down"
            text = f"Scaled {way} replica set {name_of(one)} from {before} to {wanted}"
            self._recorder.normal(it.deployment, "ScalingReplicaSet", text)

    def _annotate(self, it: Rollout) -> None:
        """All active sets learn the wish, so that the next change of it is seen."""
        for one in it.all:
            wanted = {DESIRED: str(it.limits.replicas), MAXIMUM: str(it.limits.most)}
            if replicas_of(one) > 0 and not wanted.items() <= _annotations(one).items():
                metadata = {**one["metadata"], "annotations": {**_annotations(one), **wanted}}
                it.put(self._registry.update(REPLICA_SETS, {**one, "metadata": metadata}, manager=NAME))

    def _forget_old(self, it: Rollout) -> None:
        keep = it.deployment["spec"].get("revisionHistoryLimit", 10)
        idle = [one for one in sorted(it.old, key=_revision) if not is_terminating(one) and _is_idle(one)]
        for one in idle[: max(0, len(idle) - keep)]:
            self._registry.delete(REPLICA_SETS, one["metadata"]["namespace"], name_of(one))

    # ---- status

    def _write_status(self, it: Rollout) -> float | None:
        before = it.deployment.get("status") or {}
        status = build_counts(it, before)
        conditions, again_s = build_conditions(it, status)
        status["conditions"] = conditions
        if status == before:
            return again_s
        metadata = it.deployment["metadata"]
        latest = self._registry.find(DEPLOYMENTS, metadata["namespace"], metadata["name"])
        if latest is not None and latest["metadata"]["uid"] == metadata["uid"]:
            try:
                self._registry.update(DEPLOYMENTS, {**latest, "status": status}, subresource="status", manager=NAME)
            except ApiError as refused:
                if refused.code != 404:
                    raise
        return again_s


def _annotations(obj: Obj) -> Mapping[str, str]:
    return obj["metadata"].get("annotations") or {}


def _revision(replica_set: Obj) -> int:
    return int(_annotations(replica_set).get(REVISION) or 0)


def _count(replica_set: Obj | None, name: str) -> int:
    found: int = ((replica_set or {}).get("status") or {}).get(name) or 0
    return found


def _is_idle(replica_set: Obj) -> bool:
    observed = _count(replica_set, "observedGeneration") >= replica_set["metadata"]["generation"]
    return replicas_of(replica_set) == 0 and _count(replica_set, "replicas") == 0 and observed


def _is_saturated(replica_set: Obj, wanted: int) -> bool:
    told = _annotations(replica_set).get(DESIRED) == str(wanted)
    return told and replicas_of(replica_set) == wanted == _count(replica_set, "availableReplicas")


def find_new(deployment: Obj, sets: Sequence[Obj]) -> Obj | None:
    """The set of the present template; the oldest, should there be two."""
    wanted = _comparable(deployment["spec"]["template"])
    return next((one for one in oldest_first(sets) if _comparable(one["spec"]["template"]) == wanted), None)


def _comparable(template: Obj) -> Any:
    bare = without_label(template, HASH_LABEL)
    return {**bare, "metadata": {key: value for key, value in (bare.get("metadata") or {}).items() if value}}


def build_counts(it: Rollout, before: Obj) -> Obj:
    total = sum(_count(one, "replicas") for one in it.all)
    available = sum(_count(one, "availableReplicas") for one in it.all)
    wished = sum(map(replicas_of, it.all))
    counts = {
        "replicas": total,
        "updatedReplicas": _count(it.new, "replicas"),
        "readyReplicas": sum(_count(one, "readyReplicas") for one in it.all),
        "availableReplicas": available,
        "unavailableReplicas": max(0, wished - available),
    }
    status: Obj = {"observedGeneration": it.deployment["metadata"]["generation"]}
    status.update({name: count for name, count in counts.items() if count})
    if before.get("collisionCount"):
        status["collisionCount"] = before["collisionCount"]
    return status


def is_complete(it: Rollout) -> bool:
    return _is_done(it, build_counts(it, {}))


def _is_done(it: Rollout, counts: Obj) -> bool:
    wanted = it.limits.replicas
    return bool(
        counts.get("updatedReplicas", 0) == wanted
        and counts.get("replicas", 0) == wanted
        and counts.get("availableReplicas", 0) == wanted
    )


def _has_moved(before: Obj, after: Obj) -> bool:
    def old_replicas(status: Obj) -> int:
        return int(status.get("replicas", 0)) - int(status.get("updatedReplicas", 0))

    return bool(
        after.get("updatedReplicas", 0) > before.get("updatedReplicas", 0)
        or old_replicas(after) < old_replicas(before)
        or after.get("readyReplicas", 0) > before.get("readyReplicas", 0)
        or after.get("availableReplicas", 0) > before.get("availableReplicas", 0)
    )


def build_conditions(it: Rollout, counts: Obj) -> tuple[list[Obj], float | None]:
    """The conditions, and seconds after which a rollout that does not move has to be called late."""
    deployment = it.deployment
    others = [
        one
        for one in (deployment.get("status") or {}).get("conditions") or ()
        if one["type"] not in ("Available", "Progressing", "ReplicaFailure")
    ]
    enough = counts.get("availableReplicas", 0) >= it.limits.fewest_available
    available = _told(
        deployment,
        "Available",
        "True" if enough else "False",
        "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
        f"Deployment {'has' if enough else 'does not have'} minimum availability.",
    )
    progressing, again_s = _progress(it, counts)
    failure = next((found for one in it.all if (found := condition(one, "ReplicaFailure"))), None)
    told = [one for one in (available, progressing) if one is not None]
    if failure is not None:
        told.append(_told(deployment, "ReplicaFailure", "True", failure["reason"], failure["message"]))
    # As a real server has them: what came first stays first.
    known = [one["type"] for one in (deployment.get("status") or {}).get("conditions") or ()]
    told.sort(key=lambda one: known.index(one["type"]) if one["type"] in known else len(known))
    return [*others, *told], again_s


def _progress(it: Rollout, counts: Obj) -> tuple[Obj | None, float | None]:
    deployment = it.deployment
    deadline_s = deployment["spec"].get("progressDeadlineSeconds", 600)
    if deadline_s >= NO_DEADLINE_S:
        return None, None
    before = deployment.get("status") or {}
    known = condition(deployment, "Progressing")
    name = name_of(it.new) if it.new is not None else deployment["metadata"]["name"]
    kind = "ReplicaSet" if it.new is not None else "Deployment"
    if deployment["spec"].get("paused"):
        return _told(deployment, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused"), None
    if it.created or known is None:
        text = f'Created new replica set "{name}"'
        return _told(deployment, "Progressing", "True", "NewReplicaSetCreated", text, renewed=True), float(deadline_s)
    once_complete = known["reason"] == "NewReplicaSetAvailable"
    if once_complete and counts.get("replicas", 0) == counts.get("updatedReplicas", 0):
        # A pod that dies, or a new size, is no rollout: what was completed stays so.
        return known, None
    if it.new is not None and _is_done(it, counts):
        text = f'{kind} "{name}" has successfully progressed.'
        return _told(deployment, "Progressing", "True", "NewReplicaSetAvailable", text, renewed=True), None
    if once_complete or known["reason"] == "DeploymentPaused" or _has_moved(before, counts):
        text = f'{kind} "{name}" is progressing.'
        told = _told(deployment, "Progressing", "True", "ReplicaSetUpdated", text, renewed=True)
        return told, float(deadline_s)
    left_s = deadline_s - seconds_since(known.get("lastUpdateTime") or now_text())
    if left_s <= 0 or known["reason"] == "ProgressDeadlineExceeded":
        text = f'{kind} "{name}" has timed out progressing.'
        return _told(deployment, "Progressing", "False", "ProgressDeadlineExceeded", text), None
    return known, left_s + 1


def _told(deployment: Obj, kind: str, status: str, reason: str, message: str, *, renewed: bool = False) -> Obj:
    """The condition as it is now. Unless *renewed*, one that says the same keeps its times."""
    known = condition(deployment, kind)
    if (
        known is not None
        and not renewed
        and (known["status"], known["reason"], known.get("message")) == (status, reason, message)
    ):
        return known
    now = now_text()
    same = known is not None and known["status"] == status
    since = known["lastTransitionTime"] if same and known is not None else now
    return {
        "type": kind, "status": status, "reason": reason, "message": message,
        "lastUpdateTime": now, "lastTransitionTime": since,
    }  # fmt: skip
