"""Gives each claim a volume, a directory below the state directory, lets it grow, and decides when its data goes."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from localkube import errors
from localkube.controllers.events import Recorder
from localkube.controllers.pods import Obj, is_terminal, is_terminating, labels_of, now_text
from localkube.controllers.quantities import parse_quantity
from localkube.controllers.settings import Settings
from localkube.controllers.workqueue import KeyedQueue
from localkube.registry import Event, Registry
from localkube.selectors import selector_predicate
from localkube.sized import (
    ANNOTATION,
    MEDIUM,
    MEMORY,
    CannotMount,
    mount_sized,
    unmount,
    unmount_below,
    unmount_orphans,
)

NAME = "persistentvolume-controller"
CLAIMS = "persistentvolumeclaims"
VOLUMES = "persistentvolumes"
CLASSES = "storageclasses.storage.k8s.io"
PROVISIONER = "localkube.io/directory"
STANDARD = "standard"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
CLAIM_FINALIZER = "kubernetes.io/pvc-protection"
VOLUME_FINALIZER = "kubernetes.io/pv-protection"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
STORAGE_PROVISIONER = "volume.kubernetes.io/storage-provisioner"
ClaimKey = tuple[str, str]


class VolumeController:
    """One queue of claims and one of volumes, as the two may outlive each other."""

    def __init__(self, registry: Registry, settings: Settings) -> None:
        self._registry = registry
        self._folder: Path = settings.state_dir / "volumes"
        self._recorder = Recorder(registry, NAME)
        self._claims: KeyedQueue[ClaimKey] = KeyedQueue("claims", self._reconcile_claim)
        self._volumes: KeyedQueue[str] = KeyedQueue("volumes", self._reconcile_volume)
        self._unsubscribe: list[Callable[[], None]] = []
        self._removals: dict[str, asyncio.Task[None]] = {}
        # Hooks cannot be taken back: they belong to the registry's life, not to start and stop.
        registry.admit(CLAIMS, self._admit_claim)
        registry.check(CLAIMS, self._check_growth)
        registry.admit(VOLUMES, _admit_volume)

    def start(self) -> None:
        if self._registry.find(CLASSES, None, STANDARD) is None:
            self._registry.create(CLASSES, build_standard_class())
        unmount_orphans(self._folder)
        self._mount_again()
        self._unsubscribe = [
            self._registry.subscribe(CLAIMS, self._on_claim),
            self._registry.subscribe(VOLUMES, self._on_volume),
            self._registry.subscribe(CLASSES, self._on_class, replay=False),
            self._registry.subscribe("pods", self._on_pod, replay=False),
        ]

    async def stop(self) -> None:
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._claims.stop()
        self._volumes.stop()
        await asyncio.gather(*self._removals.values(), return_exceptions=True)
        unmount_below(self._folder)

    def _mount_again(self) -> None:
        """Volumes in memory that an earlier life of this state had: there, but empty, unless it was killed."""
        for volume in self._registry.list(VOLUMES):
            folder = self._folder / volume["metadata"]["name"]
            if _annotations(volume).get(ANNOTATION) == MEMORY and not folder.is_mount():
                try:
                    mount_sized(folder, int(_capacity(volume)))
                except CannotMount as problem:
                    self._recorder.warning(volume, "VolumeFailedMount", str(problem))

    # ---- what is asked on the way in

    def _admit_claim(self, new: Obj, old: Obj | None) -> Obj:
        if old is None:
            _add_finalizer(new, CLAIM_FINALIZER)
            if new["spec"].get("storageClassName") is None and not _has_class_annotation(new):
                default = self._default_class()
                if default is not None:
                    new["spec"]["storageClassName"] = default
        return new

    def _check_growth(self, new: Obj, old: Obj | None, subresource: str | None) -> None:
        """Raises ApiError 403. Of a claim that is not bound all growth is invalid, and does not come this far."""
        if old is None or subresource is not None or not _is_larger(new, old) or self._may_grow(old):
            return
        why = (
            "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc "
            "must support resize"
        )
        raise errors.forbidden(CLAIMS, old["metadata"]["name"], why)

    def _default_class(self) -> str | None:
        marked = [
            one
            for one in self._registry.list(CLASSES)
            if (one["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true"
        ]
        # The youngest wins, as on a real server.
        marked.sort(key=lambda one: one["metadata"]["name"])
        marked.sort(key=lambda one: one["metadata"]["creationTimestamp"], reverse=True)
        return marked[0]["metadata"]["name"] if marked else None

    def _may_grow(self, claim: Obj) -> bool:
        found = self._registry.find(CLASSES, None, claim["spec"].get("storageClassName") or "")
        return found is not None and bool(found.get("allowVolumeExpansion"))

    # ---- what changes

    def _on_claim(self, event: Event) -> None:
        metadata = event.object["metadata"]
        self._claims.mark((metadata["namespace"], metadata["name"]))
        volume = event.object["spec"].get("volumeName")
        if volume:
            self._volumes.mark(volume)

    def _on_volume(self, event: Event) -> None:
        self._volumes.mark(event.object["metadata"]["name"])
        ref = event.object["spec"].get("claimRef")
        if ref:
            self._claims.mark((ref["namespace"], ref["name"]))
        else:
            self._mark_unbound()

    def _on_class(self, _: Event) -> None:
        self._mark_unbound()

    def _mark_unbound(self) -> None:
        for claim in self._registry.list(CLAIMS):
            if _phase(claim) != "Bound":
                self._claims.mark((claim["metadata"]["namespace"], claim["metadata"]["name"]))

    def _on_pod(self, event: Event) -> None:
        pod = event.object
        if event.type == "MODIFIED" and event.old is not None and is_terminal(event.old) == is_terminal(pod):
            return
        for name in claims_of(pod):
            self._claims.mark((pod["metadata"]["namespace"], name))

    # ---- claims

    def _reconcile_claim(self, key: ClaimKey) -> None:
        claim = self._registry.find(CLAIMS, *key)
        if claim is None:
            return
        if is_terminating(claim):
            self._let_go(claim)
            return
        name = claim["spec"].get("volumeName")
        if not name:
            name = self._choose_volume(claim)
            if name is None:
                self._write_claim_status(claim, {"phase": "Pending"})
                return
        volume = self._registry.find(VOLUMES, None, name)
        if volume is None:
            if _annotations(claim).get(BIND_COMPLETED):
                if _phase(claim) != "Lost":
                    text = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
                    self._recorder.warning(claim, "ClaimLost", text)
                self._write_claim_status(claim, {"phase": "Lost"})
            return
        if not _is_for(volume, claim):
            text = f'volume "{name}" already bound to a different claim.'
            self._recorder.warning(claim, "FailedBinding", text)
            return
        self._bind(claim, volume)

    def _let_go(self, claim: Obj) -> None:
        """The claim goes when no pod that still may run uses it."""
        metadata = claim["metadata"]
        finalizers = metadata.get("finalizers") or []
        if CLAIM_FINALIZER not in finalizers or self._is_used(claim):
            return
        left = [one for one in finalizers if one != CLAIM_FINALIZER]
        self._registry.update(CLAIMS, {**claim, "metadata": {**metadata, "finalizers": left}}, manager=NAME)

    def _is_used(self, claim: Obj) -> bool:
        name = claim["metadata"]["name"]
        return any(
            name in claims_of(pod) and pod["spec"].get("nodeName") and not is_terminal(pod)
            for pod in self._registry.list("pods", claim["metadata"]["namespace"])
        )

    def _choose_volume(self, claim: Obj) -> str | None:
        """The name of the volume for a claim that has none: one that fits and is free, else a new one."""
        fitting = [one for one in self._registry.list(VOLUMES) if _fits(one, claim)]
        # One that was set aside for this very claim, else the smallest that is large enough.
        fitting.sort(key=lambda one: (one["spec"].get("claimRef") is None, _capacity(one), one["metadata"]["name"]))
        if fitting:
            name: str = fitting[0]["metadata"]["name"]
            return name
        return self._provision(claim)

    def _provision(self, claim: Obj) -> str | None:
        class_name = class_of(claim)
        if not class_name:
            text = "no persistent volumes available for this claim and no storage class is set"
            self._recorder.normal(claim, "FailedBinding", text)
            return None
        storage = self._registry.find(CLASSES, None, class_name)
        refused = why_not_provisioned(claim, class_name, storage)
        if storage is None or refused is not None:
            self._recorder.warning(claim, "ProvisioningFailed", refused or "")
            return None
        if storage["provisioner"] != PROVISIONER:
            text = (
                "Waiting for a volume to be created either by the external provisioner "
                f"'{storage['provisioner']}' or manually by the system administrator. If volume creation is delayed, "
                "please verify that the provisioner is running and correctly registered."
            )
            self._recorder.normal(claim, "ExternalProvisioning", text)
            return None
        if storage.get("volumeBindingMode") == "WaitForFirstConsumer" and not self._has_consumer(claim):
            text = "waiting for first consumer to be created before binding"
            self._recorder.normal(claim, "WaitForFirstConsumer", text)
            return None
        name = f"pvc-{claim['metadata']['uid']}"
        if self._registry.find(VOLUMES, None, name) is None:
            if not self._make_room(claim, storage, self._folder / name):
                return None
            self._registry.create(VOLUMES, build_volume(name, claim, storage, self._folder / name), manager=NAME)
            self._recorder.normal(claim, "ProvisioningSucceeded", f"Successfully provisioned volume {name}")
        return name

    def _make_room(self, claim: Obj, storage: Obj, folder: Path) -> bool:
        """Volumes of medium Memory are filesystems of their own, all others plain directories of the machine's disk."""
        if (storage.get("parameters") or {}).get(MEDIUM) != MEMORY:
            return True
        try:
            mount_sized(folder, int(_asked(claim)))
        except CannotMount as problem:
            self._recorder.warning(claim, "ProvisioningFailed", str(problem))
            return False
        return True

    def _has_consumer(self, claim: Obj) -> bool:
        pods = self._registry.list("pods", claim["metadata"]["namespace"])
        return any(claim["metadata"]["name"] in claims_of(pod) and not is_terminal(pod) for pod in pods)

    def _bind(self, claim: Obj, volume: Obj) -> None:
        ref = claim_ref(claim)
        if (volume["spec"].get("claimRef") or {}).get("uid") != ref["uid"]:
            annotations = {**_annotations(volume), BOUND_BY_CONTROLLER: "yes"}
            metadata = {**volume["metadata"], "annotations": annotations}
            bound = {**volume, "metadata": metadata, "spec": {**volume["spec"], "claimRef": ref}}
            volume = self._registry.update(VOLUMES, bound, manager=NAME)
        claim, volume = self._grow(claim, volume)
        name = volume["metadata"]["name"]
        annotations = {**_annotations(claim), BIND_COMPLETED: "yes"}
        if not claim["spec"].get("volumeName"):
            annotations[BOUND_BY_CONTROLLER] = "yes"
        provisioner = _annotations(volume).get(PROVISIONED_BY)
        if provisioner:
            annotations[STORAGE_PROVISIONER] = provisioner
        bound_claim = {
            **claim,
            "metadata": {**claim["metadata"], "annotations": annotations},
            "spec": {**claim["spec"], "volumeName": name},
        }
        claim = self._registry.update(CLAIMS, bound_claim, manager=NAME)
        status = {
            "phase": "Bound",
            "accessModes": volume["spec"].get("accessModes") or [],
            "capacity": {"storage": volume["spec"]["capacity"]["storage"]},
        }
        self._write_claim_status(claim, status)

    def _grow(self, claim: Obj, volume: Obj) -> tuple[Obj, Obj]:
        """A directory has no size: growing it is a matter of what is written about it. A mount grows indeed. The claim
        says that it is Resizing until its status has the new capacity.
        """
        if _asked(claim) <= _capacity(volume) or not _annotations(claim).get(BIND_COMPLETED):
            return claim, volume
        if _annotations(volume).get(PROVISIONED_BY) != PROVISIONER:
            text = "waiting for an external controller to expand this PVC"
            self._recorder.normal(claim, "ExternalExpanding", text)
            return claim, volume
        told = {"type": "Resizing", "status": "True", "lastProbeTime": None, "lastTransitionTime": now_text()}
        status = {**(claim.get("status") or {}), "conditions": [told]}
        claim = self._registry.update(CLAIMS, {**claim, "status": status}, subresource="status", manager=NAME)
        asked = claim["spec"]["resources"]["requests"]["storage"]
        spec = {**volume["spec"], "capacity": {**volume["spec"]["capacity"], "storage": asked}}
        folder = self._folder / volume["metadata"]["name"]
        if _annotations(volume).get(ANNOTATION) == MEMORY:
            mount_sized(folder, int(_asked(claim)))
        grown = self._registry.update(VOLUMES, {**volume, "spec": spec}, manager=NAME)
        text = f"Resize volume succeeded: {volume['metadata']['name']} is {asked} now"
        self._recorder.normal(claim, "VolumeResizeSuccessful", text)
        return claim, grown

    def _write_claim_status(self, claim: Obj, status: Obj) -> None:
        if (claim.get("status") or {}) != status:
            self._registry.update(CLAIMS, {**claim, "status": status}, subresource="status", manager=NAME)

    # ---- volumes

    def _reconcile_volume(self, name: str) -> None:
        volume = self._registry.find(VOLUMES, None, name)
        if volume is None:
            return
        ref = volume["spec"].get("claimRef")
        claim = self._registry.find(CLAIMS, ref["namespace"], ref["name"]) if ref else None
        if claim is not None and ref and ref.get("uid") not in (None, "", claim["metadata"]["uid"]):
            claim = None  # another claim of the same name: the one this volume knew is gone
        if is_terminating(volume):
            self._let_volume_go(volume, claim)
            return
        if ref is None or not ref.get("uid"):
            self._write_phase(volume, "Available")
        elif claim is not None:
            self._write_phase(volume, "Bound")
        elif volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete":
            self._reclaim(volume)
        else:
            self._write_phase(volume, "Released")

    def _let_volume_go(self, volume: Obj, claim: Obj | None) -> None:
        finalizers = volume["metadata"].get("finalizers") or []
        if VOLUME_FINALIZER in finalizers and claim is None:
            left = [one for one in finalizers if one != VOLUME_FINALIZER]
            metadata = {**volume["metadata"], "finalizers": left}
            self._registry.update(VOLUMES, {**volume, "metadata": metadata}, manager=NAME)

    def _reclaim(self, volume: Obj) -> None:
        """The data first: a volume object that is gone while its directory stays would be a leak nobody sees."""
        name = volume["metadata"]["name"]
        if _annotations(volume).get(PROVISIONED_BY) != PROVISIONER:
            text = f"error getting deleter volume plugin for volume {name!r}: no volume plugin matched"
            self._recorder.warning(volume, "VolumeFailedDelete", text)
            self._write_phase(volume, "Failed")
            return
        self._write_phase(volume, "Released")
        if name not in self._removals:
            task = asyncio.get_running_loop().create_task(self._remove(name), name=f"remove volume {name}")
            self._removals[name] = task

    async def _remove(self, name: str) -> None:
        try:
            # In a thread: gigabytes of small files must not hold up the whole cluster.
            unmount(self._folder / name)
            await asyncio.to_thread(shutil.rmtree, self._folder / name, True)
            volume = self._registry.find(VOLUMES, None, name)
            if volume is not None:
                self._registry.delete(VOLUMES, None, name, uid=volume["metadata"]["uid"])
        finally:
            self._removals.pop(name, None)

    def _write_phase(self, volume: Obj, phase: str) -> None:
        if _phase(volume) != phase:
            status = {**(volume.get("status") or {}), "phase": phase}
            self._registry.update(VOLUMES, {**volume, "status": status}, subresource="status", manager=NAME)


def build_standard_class() -> Obj:
    return {
        "metadata": {"name": STANDARD, "annotations": {DEFAULT_CLASS: "true"}},
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate",
        "allowVolumeExpansion": True,
    }


def build_volume(name: str, claim: Obj, storage: Obj, folder: Path) -> Obj:
    spec: dict[str, Any] = {
        "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
        "accessModes": list(claim["spec"]["accessModes"]),
        "persistentVolumeReclaimPolicy": storage.get("reclaimPolicy") or "Delete",
        "storageClassName": storage["metadata"]["name"],
        "volumeMode": claim["spec"].get("volumeMode") or "Filesystem",
        "hostPath": {"path": str(folder), "type": "DirectoryOrCreate"},
        "claimRef": claim_ref(claim),
    }
    if storage.get("mountOptions"):
        spec["mountOptions"] = list(storage["mountOptions"])
    annotations = {PROVISIONED_BY: PROVISIONER}
    if (storage.get("parameters") or {}).get(MEDIUM) == MEMORY:
        annotations[ANNOTATION] = MEMORY
    return {"metadata": {"name": name, "annotations": annotations}, "spec": spec}


def why_not_provisioned(claim: Obj, class_name: str, storage: Obj | None) -> str | None:
    if storage is None:
        return f'storageclass.storage.k8s.io "{class_name}" not found'
    if storage["provisioner"] != PROVISIONER:
        return None
    if claim["spec"].get("volumeMode") == "Block":
        return "localkube has directories only: volumeMode Block cannot be provisioned"
    if claim["spec"].get("selector"):
        return "claim.Spec.Selector is not supported for dynamic provisioning"
    if claim["spec"].get("dataSource") or claim["spec"].get("dataSourceRef"):
        return "localkube does not provision volumes from a dataSource"
    medium = (storage.get("parameters") or {}).get(MEDIUM)
    if medium not in (None, MEMORY):
        return f"localkube provisions plain directories, or filesystems of medium {MEMORY}, not of medium {medium}"
    return None


def claim_ref(claim: Obj) -> Obj:
    metadata = claim["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }


def claims_of(pod: Obj) -> frozenset[str]:
    return frozenset(
        volume["persistentVolumeClaim"]["claimName"]
        for volume in pod["spec"].get("volumes") or ()
        if volume.get("persistentVolumeClaim")
    )


def class_of(obj: Obj) -> str:
    """The class of a claim or a volume; in old manifests it is an annotation."""
    annotated = _annotations(obj).get("volume.beta.kubernetes.io/storage-class")
    return str(annotated if annotated is not None else obj["spec"].get("storageClassName") or "")


def _has_class_annotation(claim: Obj) -> bool:
    return "volume.beta.kubernetes.io/storage-class" in _annotations(claim)


def _annotations(obj: Obj) -> Obj:
    found: Obj = obj["metadata"].get("annotations") or {}
    return found


def _phase(obj: Obj) -> str:
    found: str = (obj.get("status") or {}).get("phase") or "Pending"
    return found


def _asked(claim: Obj) -> Any:
    return parse_quantity(((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage") or "0")


def _is_larger(new: Obj, old: Obj) -> bool:
    try:
        return bool(_asked(new) > _asked(old))
    except (AttributeError, ValueError):
        return False  # not a size at all: the server's validation, which comes next, says so


def _capacity(volume: Obj) -> Any:
    return parse_quantity((volume["spec"].get("capacity") or {}).get("storage") or "0")


def _is_for(volume: Obj, claim: Obj) -> bool:
    ref = volume["spec"].get("claimRef")
    if ref is None:
        return True
    metadata = claim["metadata"]
    same = (ref.get("namespace"), ref.get("name")) == (metadata["namespace"], metadata["name"])
    return same and ref.get("uid") in (None, "", metadata["uid"])


def _fits(volume: Obj, claim: Obj) -> bool:
    spec = claim["spec"]
    if is_terminating(volume) or not _is_for(volume, claim) or class_of(volume) != class_of(claim):
        return False
    if volume["spec"].get("volumeMode", "Filesystem") != spec.get("volumeMode", "Filesystem"):
        return False
    if not set(spec.get("accessModes") or ()) <= set(volume["spec"].get("accessModes") or ()):
        return False
    selector = spec.get("selector")
    if selector is not None and not selector_predicate(selector)(labels_of(volume)):
        return False
    return bool(_capacity(volume) >= _asked(claim))


def _admit_volume(new: Obj, old: Obj | None) -> Obj:
    if old is None:
        _add_finalizer(new, VOLUME_FINALIZER)
    return new


def _add_finalizer(new: Obj, finalizer: str) -> None:
    present: Iterable[str] = new["metadata"].get("finalizers") or ()
    if finalizer not in present:
        new["metadata"]["finalizers"] = [*present, finalizer]
