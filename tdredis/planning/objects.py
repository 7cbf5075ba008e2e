"""Decides what keeping a Kubernetes object as it should be means for any kind, and reads what the API server said."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from tdredis.api.instance import Instance
from tdredis.api.json_object import JSON, JSONObject, object_at
from tdredis.manifests.claims import UNTRACKED, build_claim_owner
from tdredis.manifests.drift import difference, stamp
from tdredis.manifests.names import ROLE_LABEL, entrance_name
from tdredis.manifests.network_policy import build_network_policies
from tdredis.manifests.pod_monitor import build_pod_monitors
from tdredis.planning.earlier import with_earlier
from tdredis.planning.live import Live
from tdredis.planning.plan import Hold, Ruling
from tdredis.planning.sentences import list_names
from tdredis.planning.snapshot import PodFacts, Ref, Snapshot
from tdredis.planning.steps import Apply, Remove, RestoreLabels, Step
from tdredis.planning.surplus import with_surplus

_MAKERS_OF_PODS: Final = ("StatefulSet", "Deployment")
_READ_BY_PODS: Final = ("Secret", "ConfigMap")
_OPTIONAL: Final = {"NetworkPolicy": "networking.k8s.io/v1", "PodMonitor": "monitoring.coreos.com/v1"}


def keep(
    snapshot: Snapshot, what: str, made_of: tuple[object, ...], build: Callable[[], Iterable[JSONObject]]
) -> Ruling:
    """Every object that *build* makes is there and says what it should. *what*: their name among those of a resource.

    *made_of* is all that *build* goes by beside the live objects. While neither changes, nothing is built or compared.
    """
    seen = (*made_of, snapshot.resource, snapshot.leftovers, snapshot.leftover_pods, *snapshot.children.values())
    return snapshot.memo.once(("kept", what), seen, lambda: _keep(snapshot, build()))


def _keep(snapshot: Snapshot, wanted: Iterable[JSONObject]) -> Ruling:
    steps = []
    holds = []
    for manifest in (as_kept(snapshot, each) for each in wanted):
        ref = ref_of(manifest)
        live = snapshot.children.get(ref)
        if live is None and (hold := _leftovers_are_gone(snapshot, ref)) is not None:
            holds.append(hold)
        elif live is None:
            made = _with_recorded_address(snapshot, manifest)
            steps.append(Apply(ref=ref, manifest=made, is_new=True, why="it does not exist"))
        elif (path := live.lacks(manifest)) is not None:
            steps.append(Apply(ref=ref, manifest=manifest, why=f"{path} is not as the spec wants it"))
    return Ruling(steps=tuple(steps), holds=tuple(holds))


def as_kept(snapshot: Snapshot, manifest: JSONObject) -> JSONObject:
    """*manifest* with what is there and stays."""
    return stamp(with_earlier(snapshot, with_surplus(snapshot, with_claims_as_made(snapshot, manifest))))


def _leftovers_are_gone(snapshot: Snapshot, ref: Ref) -> Hold | None:
    if ref in snapshot.leftovers:
        why = f"{ref} is created when the previous one of this name is gone: Kubernetes is deleting it"
        return Hold(guard="leftover_objects_are_gone", why=why)
    return _what_pods_read_is_ours(snapshot, ref) or leftover_pods_are_gone(snapshot, ref)


def _what_pods_read_is_ours(snapshot: Snapshot, ref: Ref) -> Hold | None:
    """Guard: no pod begins with the password or the settings of the previous resource, which it would not read again:
    a proxy would then refuse the password of this one.
    """
    left = sorted(str(each) for each in snapshot.leftovers if each.kind in _READ_BY_PODS)
    if ref.kind not in _MAKERS_OF_PODS or not left:
        return None
    why = (
        f"{ref} is created when what its pods read is not the previous one's: Kubernetes is deleting {list_names(left)}"
    )
    return Hold(guard="leftover_objects_are_gone", why=why)


def _with_recorded_address(snapshot: Snapshot, manifest: JSONObject) -> JSONObject:
    """The clients' Service that somebody deleted gets the address again that status knows, if nobody has it since."""
    instance, spec = snapshot.resource, manifest.get("spec")
    recorded = instance.status.cluster_ip.rpartition(":")[0].strip("[]")
    if not recorded or not isinstance(spec, dict) or ref_of(manifest) != Ref("Service", entrance_name(instance)):
        return manifest
    return {**manifest, "spec": {**spec, "clusterIP": recorded}}


def leftover_pods_are_gone(snapshot: Snapshot, ref: Ref) -> Hold | None:
    """Guard: no pod has a name that the StatefulSet *ref* would give. Its controller would try in vain, and after some
    failures again only in a minute: it hears nothing of pods that were another's.
    """
    left = [
        name for name in snapshot.leftover_pods if ref.kind == "StatefulSet" and name.rpartition("-")[0] == ref.name
    ]
    if not left:
        return None
    why = f"{ref} is created when the pods of the previous one are gone: {list_names(left)}"
    return Hold(guard="leftover_pods_are_gone", why=why)


def with_claims_as_made(snapshot: Snapshot, manifest: JSONObject) -> JSONObject:
    """A StatefulSet that exists keeps its volumeClaimTemplates: Kubernetes refuses whatever would change them, and with
    them every other change of the object.
    """
    live = snapshot.children.get(ref_of(manifest)) if manifest["kind"] == "StatefulSet" else None
    spec = manifest.get("spec")
    if live is None or not isinstance(spec, dict):
        return manifest
    theirs: JSONObject = {"volumeClaimTemplates": live.claim_templates}
    # As we wrote it, where only the size is another by now: there is nothing to write then.
    for templates in (spec.get("volumeClaimTemplates") or [], _with_size(spec.get("volumeClaimTemplates"), live)):
        ours: JSONObject = {"volumeClaimTemplates": templates}
        if difference(ours, theirs) is None:
            return {**manifest, "spec": {**spec, **ours}} if templates else manifest
    return {**manifest, "spec": {**spec, **theirs}}


def _with_size(templates: JSON, live: Live) -> JSON:
    """*templates*, which ask for as much as those of *live* do."""
    made = live.claim_template
    if made is None or not isinstance(templates, list) or len(templates) != 1 or not isinstance(templates[0], dict):
        return templates
    asked: JSONObject = {"requests": {"storage": made.asked}}
    return [{**templates[0], "spec": {**object_at(templates[0], "spec"), "resources": asked}}]


def remove(snapshot: Snapshot, unwanted: Iterable[JSONObject], why: str) -> tuple[Remove, ...]:
    """Steps for those of *unwanted* that are there."""
    steps = []
    for manifest in unwanted:
        ref = ref_of(manifest)
        if ref in snapshot.children:
            steps.append(_removal(snapshot, ref, str(manifest["apiVersion"]), why))
    return tuple(steps)


def remove_unwanted_external(snapshot: Snapshot, wanted: Iterable[JSONObject]) -> tuple[Remove, ...]:
    """Pods' own Services that are there and not *wanted*."""
    kept = {ref_of(manifest) for manifest in wanted}
    why = "no client outside uses this pod's own address"
    found = (ref for ref, live in snapshot.children.items() if ref.kind == "Service" and live.is_external_service)
    return tuple(_removal(snapshot, ref, "v1", why) for ref in sorted(found) if ref not in kept)


def remove_switched_off(snapshot: Snapshot, instance: Instance) -> tuple[Remove, ...]:
    """Policies and monitors that are there and that *instance* does not ask for: it once did."""
    there = sorted(ref for ref in snapshot.children if ref.kind in _OPTIONAL)
    if not there:
        return ()
    wanted = (*build_network_policies(instance), *build_pod_monitors(instance, snapshot.site))
    kept = {ref_of(manifest) for manifest in wanted}
    return tuple(
        _removal(snapshot, ref, _OPTIONAL[ref.kind], "spec does not ask for it any more")
        for ref in there
        if ref not in kept
    )


def object_refusal(failed: Step | None, kind: str, words: str) -> Hold | None:
    """Guard: Kubernetes takes what spec makes of an object. *kind*: of the refusal, with its status first."""
    # A part of another type than Kubernetes has it is an internal error to a server (its structuredmerge.go).
    is_about_it = kind.startswith(("400", "422")) or "failed to create typed patch object" in words
    if not isinstance(failed, Apply) or not is_about_it:
        return None
    why = f"{words}: this object stays as it is, or is not created. Write in spec what Kubernetes accepts"
    return Hold(guard="objects_are_valid", about="spec", why=why)


def _removal(snapshot: Snapshot, ref: Ref, api_version: str, why: str) -> Remove:
    return Remove(ref=ref, api_version=api_version, uid=snapshot.children[ref].meta.uid, why=why)


def pod_monitors_are_served(snapshot: Snapshot) -> tuple[Hold, ...]:
    """Guard: the PodMonitor that spec asks for can be made; () if so."""
    if not snapshot.resource.spec.pod_monitor or snapshot.site.pod_monitors:
        return ()
    why = "podMonitor is true and this Kubernetes has no PodMonitors: install the Prometheus operator, or write false"
    return (Hold(guard="pod_monitors_are_served", about="spec", why=why),)


def keep_claims(snapshot: Snapshot) -> tuple[Apply, ...]:
    """Each claim goes with the resource or stays, as storage.retain says now, and no tool takes it for its own."""
    resource, uid = snapshot.resource, snapshot.resource.metadata.uid
    steps = []
    for name, live in sorted(snapshot.claims.items()):
        is_owned = any(owner.uid == uid for owner in live.meta.owner_references)
        is_told_of = all(live.meta.annotations.get(name) for name in UNTRACKED)  # what a person wrote there stays
        is_found = name not in snapshot.stray_claims
        if is_owned is resource.spec.storage.retain or not is_told_of or not is_found:
            why = "storage.retain is " + (
                "true: it stays" if resource.spec.storage.retain else "false: it goes with it"
            )
            if is_owned is not resource.spec.storage.retain:
                why = "tools that track objects by label are not to prune it"
            if not is_found:
                why = "somebody removed or changed the labels by which this claim is found"
            manifest = _of_this_very_one(build_claim_owner(resource, name), live.meta.uid)
            steps.append(Apply(ref=ref_of(manifest), manifest=manifest, why=why))
    return tuple(steps)


def restore_labels(pods: Iterable[PodFacts]) -> Ruling:
    """Each of *pods* has the labels of ours that tell whose it is: Services, budgets and we find it by them."""
    steps = (
        RestoreLabels(
            pod=pod.name,
            uid=pod.uid,
            labels=tuple(sorted(pod.lost_labels.items())),
            why=f"somebody removed or changed {', '.join(sorted(pod.lost_labels))}, by which this pod is found",
        )
        for pod in sorted(pods, key=lambda pod: pod.name)
        if pod.lost_labels
    )
    return Ruling(steps=tuple(steps))


def label_role(snapshot: Snapshot, pod: PodFacts, role: str) -> Apply | None:
    """The step after which *pod* is labelled with its *role*, for people and tools; None: it is."""
    if pod.role == role or pod.deleting:
        return None
    bare: JSONObject = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod.name, "namespace": snapshot.resource.namespace, "labels": {ROLE_LABEL: role}},
    }
    why = f"it is a {role}" + (f", and labelled {pod.role}" if pod.role else "")
    return Apply(ref=Ref("Pod", pod.name), manifest=_of_this_very_one(bare, pod.uid), why=why)


def _of_this_very_one(manifest: JSONObject, uid: str) -> JSONObject:
    """*manifest*, refused by the server where another object has the name by now, or none."""
    return {**manifest, "metadata": {**object_at(manifest, "metadata"), "uid": uid}}


def ref_of(manifest: JSONObject) -> Ref:
    return Ref(str(manifest["kind"]), str(object_at(manifest, "metadata")["name"]))


def service_ip(snapshot: Snapshot, name: str) -> str | None:
    """clusterIP of the Service *name*; None: no such Service (yet), or headless."""
    live = snapshot.children.get(Ref("Service", name))
    return live.cluster_ip if live else None
