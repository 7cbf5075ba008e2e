"""Decides how volumes grow while their pods run: claims ask for more, and then what makes claims for new pods is made
anew.

A StatefulSet's volumeClaimTemplates cannot be changed. It is deleted without its pods, and made again by the rule that
makes what is missing; the pods are adopted as they are. Between the two they are found as pods of a StatefulSet that
somebody deleted are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tdredis.api.changes import change_of
from tdredis.api.instance import Instance
from tdredis.manifests.claims import CLAIM
from tdredis.manifests.drift import parse_quantity
from tdredis.manifests.names import build_owner, pod_names, statefulset_names
from tdredis.planning.change import SIZE, Change, State, UnderWay, Waits
from tdredis.planning.conditions import has_been_ready
from tdredis.planning.earlier import note_for
from tdredis.planning.live import ClaimView, Live
from tdredis.planning.plan import Hold, Ruling, is_for_good
from tdredis.planning.sentences import list_names
from tdredis.planning.snapshot import PodFacts, Ref, Snapshot
from tdredis.planning.steps import Apply, Release, ResizeVolume, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What Redis pods have for their data. *storage_class*: "" on an emptyDir. *size*: what each volume has been given,
    and each new one is; it cannot be less any more.
    """

    storage_class: str
    size: str


def find_made(snapshot: Snapshot, statefulsets: Iterable[str]) -> Made | None:
    """None: nothing was made yet, or all of it is gone. A StatefulSet that is being made anew is not there."""
    names = tuple(statefulsets)
    lives = [live for name in names if (live := snapshot.children.get(Ref("StatefulSet", name))) is not None]
    theirs = {name: live.claim for name, live in sorted(snapshot.claims.items()) if _statefulset_of(name) in names}
    # One that a pod left behind when there were more says nothing, as long as there are pods.
    claims = [view for name, view in theirs.items() if name.removeprefix(f"{CLAIM}-") in snapshot.pods]
    claims = claims or [*theirs.values()]
    templates = [live.claim_template for live in lives]
    with_volumes = [each for each in templates if each is not None]
    if with_volumes or (claims and not lives):
        sizes = [least for view in claims if (least := _given(view)) is not None]
        sizes += [each.asked for each in with_volumes if each.size is not None]
        if not with_volumes and (recorded := snapshot.resource.status.storage_size):
            sizes.append(recorded)  # somebody may have let volumes grow by hand: that is not asked for
        classes = [each.storage_class for each in (*with_volumes, *claims)]
        return Made(storage_class=classes[0], size=min(sizes, key=_amount, default=""))
    if lives or any(pod.rpartition("-")[0] in names for pod in snapshot.pods):
        return Made(storage_class="", size="")
    return None


def keep_volumes(snapshot: Snapshot, instance: Instance, others: Sequence[Step]) -> Ruling:
    """Every volume has the size that spec asks for, and so have those of pods to come. *instance* has the effective
    values; *others*: what is done to objects before.
    """
    size = parse_quantity(instance.spec.storage.size)
    if not instance.spec.storage_class or size is None:
        return Ruling()
    claims = _wanted_claims(snapshot, instance)
    steps: list[Step] = [
        ResizeVolume(claim=name, uid=live.meta.uid, size=instance.spec.storage.size, why=why)
        for name, live in claims
        if (why := _why_resized(live.claim, size)) is not None
    ]
    troubles = [f"{name}: {words}" for name, live in claims if (words := _trouble(live.claim, size))]
    holds = (_not_grown(troubles, claims, size),) if troubles else ()
    if not steps and not any(isinstance(step, Apply) and step.ref.kind == "StatefulSet" for step in others):
        steps += _renew(snapshot, instance, size)
    return Ruling(steps=tuple(steps), holds=holds)


def _renew(snapshot: Snapshot, instance: Instance, size: Decimal) -> tuple[Release, ...]:
    """The first StatefulSet whose new pods would get another size than all of its claims ask for goes, without its
    pods. Guard: each of them is there and the controller has seen the StatefulSet as it is, so that the new one finds
    its pods and the revision they were made from; and there is no surplus pod, which only the StatefulSet remembers.
    """
    if not has_been_ready(snapshot.resource.status):
        return ()
    lives = {name: snapshot.children.get(Ref("StatefulSet", name)) for name in statefulset_names(instance)}
    for name, live in lives.items():
        if live is None:
            return ()
        template = live.claim_template
        if template is None or template.size in (None, size) or not _may_be_renewed(snapshot, instance, name, live):
            continue
        if any(claim.claim.size is None or claim.claim.size < size for claim in _claims_of(snapshot, instance, name)):
            continue
        why = f"its new pods would get volumes of {template.asked}: it is made anew with {instance.spec.storage.size}"
        return (
            Release(
                ref=Ref("StatefulSet", name),
                api_version="apps/v1",
                uid=live.meta.uid,
                pods=tuple((pod.name, pod.uid) for pod in _pods_of(snapshot, name)),
                notes=tuple((pod.name, note) for pod in _pods_of(snapshot, name) if (note := note_for(live, pod))),
                owner=build_owner(snapshot.resource, controller=False),
                why=why,
            ),
        )
    return ()


def volume_changes(snapshot: Snapshot, instance: Instance) -> Iterator[Change]:
    """storage.size, while not every volume has it."""
    size = parse_quantity(instance.spec.storage.size)
    if not instance.spec.storage_class or size is None:
        return
    claims = _wanted_claims(snapshot, instance)
    lacking = [name for name, live in claims if not _has(live.claim, size)]
    if not lacking or not any(live.claim.is_bound for name, live in claims if name in lacking):
        return  # those of pods that start for the first time have none yet
    troubles = [f"{name}: {words}" for name, live in claims if (words := _trouble(live.claim, size))]
    made = find_made(snapshot, statefulset_names(instance))
    state: State = UnderWay(done=len(claims) - len(lacking), of=len(claims), how=_how(claims, size), things="volumes")
    if troubles:
        state = Waits(hold=_not_grown(troubles, claims, size))
    yield Change(
        field=SIZE,
        old=made.size if made else "",
        new=instance.spec.storage.size,
        class_=change_of(instance.KIND, SIZE).class_,
        state=state,
    )


def volume_refusal(failed: Step | None, kind: str, words: str) -> Hold | None:
    """Guard: the server lets a claim ask for what spec says. *kind*: of the refusal, with its status first."""
    if not isinstance(failed, ResizeVolume) or not is_for_good(kind):
        return None
    why = (
        f"{words}: it keeps its size, and so do volumes of new pods. Raise the quota, let its storage class grow"
        " volumes (allowVolumeExpansion), or write the previous storage.size again"
    )
    return Hold(guard="volumes_can_grow", about="spec", why=why)


def _wanted_claims(snapshot: Snapshot, instance: Instance) -> list[tuple[str, Live]]:
    """Those that are there, of the pods that spec asks for: one that no pod mounts does not grow to its end."""
    names = (f"{CLAIM}-{pod}" for pod in pod_names(instance))
    return [(name, live) for name in names if (live := snapshot.claims.get(name)) is not None]


def _claims_of(snapshot: Snapshot, instance: Instance, statefulset: str) -> list[Live]:
    return [live for name, live in _wanted_claims(snapshot, instance) if _statefulset_of(name) == statefulset]


def _statefulset_of(claim: str) -> str:
    return claim.removeprefix(f"{CLAIM}-").rpartition("-")[0]


def _pods_of(snapshot: Snapshot, statefulset: str) -> list[PodFacts]:
    return [pod for name, pod in sorted(snapshot.pods.items()) if name.rpartition("-")[0] == statefulset]


def _may_be_renewed(snapshot: Snapshot, instance: Instance, statefulset: str, live: Live) -> bool:
    pods = [pod for pod in pod_names(instance) if pod.rpartition("-")[0] == statefulset]
    are_there = all(pod in snapshot.pods and not snapshot.pods[pod].deleting for pod in pods)
    return are_there and live.revision is not None and live.statefulset.surplus is None


def _why_resized(claim: ClaimView, size: Decimal) -> str | None:
    """None: it asks for what it should, or has more, which it keeps."""
    if not claim.is_bound or claim.size is None or claim.size == size:
        return None
    if claim.size < size:
        return f"it asks for {claim.asked}"
    has = parse_quantity(claim.has)
    return f"it asks for {claim.asked}, and was not given that" if has is not None and has < size else None


def _has(claim: ClaimView, size: Decimal) -> bool:
    has = parse_quantity(claim.has)
    return has is not None and has >= size


def _given(claim: ClaimView) -> str | None:
    """What it asks for and was given, the smaller of both; None: nobody can tell."""
    known = [each for each in (claim.asked, claim.has) if parse_quantity(each) is not None]
    return min(known, key=_amount, default=None)


def _amount(size: str) -> Decimal:
    return parse_quantity(size) or Decimal(0)


def _trouble(claim: ClaimView, size: Decimal) -> str:
    """Why it does not get what it asks for, in the words of who tried; "": nothing is known of that."""
    if _has(claim, size):
        return ""
    said = [each for each in claim.conditions if each.status == "True" and each.type.endswith("ResizeError")]
    if said:
        return "; ".join(f"{each.type}: {each.message}" if each.message else each.type for each in said)
    return claim.progress if claim.progress.endswith(("Infeasible", "Failed")) else ""


def _not_grown(troubles: list[str], claims: list[tuple[str, Live]], size: Decimal) -> Hold:
    done = sum(_has(live.claim, size) for _, live in claims)
    why = (
        f"{done} of {len(claims)} volumes have it; {'; '.join(troubles)}. What grows them tries again by itself; else"
        " write a storage.size that it can give"
    )
    return Hold(guard="volumes_can_grow", about="spec", why=why)


def _how(claims: list[tuple[str, Live]], size: Decimal) -> str:
    """What gives it to those that lack it."""
    lacking = [(name, live.claim) for name, live in claims if not _has(live.claim, size)]
    waiting = [
        name for name, claim in lacking if any(each.type == "FileSystemResizePending" for each in claim.conditions)
    ]
    if waiting:
        return (
            f"the file system of {list_names(waiting)} is next (FileSystemResizePending): where a driver does that only"
            " when a pod starts, ask for a restart (cache.tongdun.net/restart)"
        )
    if any(claim.size is not None and claim.size < size for _, claim in lacking):
        return "the others ask for it next"
    return "the others grow"
