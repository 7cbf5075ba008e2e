"""Decides what of spec is not effective yet, change by change: what it was, what it is to be, what stands between.

What a pod was made from it says itself (manifests/made_of.py); what is held, `effective.py` of its kind says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from tdredis.api.changes import ChangeClass, change_of
from tdredis.api.fields import wire_name
from tdredis.api.instance import Instance, InstanceSpec
from tdredis.api.redisstandalone import RedisStandalone
from tdredis.manifests.drift import parse_quantity
from tdredis.manifests.made_of import fields_of, made_of
from tdredis.manifests.names import EXPORTER_CONTAINER, REDIS_COMPONENT, REDIS_CONTAINER, SENTINEL_CONTAINER
from tdredis.planning.limits import MIB, RESIZABLE, may_be_resized
from tdredis.planning.plan import Hold
from tdredis.planning.snapshot import PodFacts, Ref, Snapshot
from tdredis.redis.facts import NodeFacts

RESOURCES = "resources"
TEMPLATE = "operatorTemplate"  # no field of spec: what another version of this operator makes of it
_IMAGES = {"image": REDIS_CONTAINER, "monitorimage": EXPORTER_CONTAINER, "sentinelimage": SENTINEL_CONTAINER}


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """A guard refuses it for now."""

    hold: Hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Cannot:
    """This version does not do it."""

    hold: Hold


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderWay:
    """*done* of so many *things* have it; *how*: what gives it to the others. *by_person*: nobody else does."""

    done: int
    of: int
    how: str
    things: str = "pods"
    by_person: bool = True


State: TypeAlias = Waits | Cannot | UnderWay


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One field of spec, by its path. *old* and *new* are for people; both empty where values are not shown."""

    field: str
    old: str
    new: str
    class_: ChangeClass
    state: State

    @property
    def hold(self) -> Hold | None:
        """What keeps it from being done."""
        return None if isinstance(self.state, UnderWay) else self.state.hold

    @property
    def waits_for_a_person(self) -> bool:
        """Somebody edited it, and nothing will be done about it."""
        return self.field != TEMPLATE and isinstance(self.state, UnderWay) and self.state.by_person

    @property
    def sentence(self) -> str:
        what = f"{self.field} {self.old} -> {self.new}" if self.old or self.new else self.field
        match self.state:
            case UnderWay(done=done, of=of, how=how, things=things):
                return f"{what}: {done} of {of} {things} have it; {how}"
            case Waits(hold=hold) | Cannot(hold=hold):
                return f"{what}: {hold.why}"


def held_changes(instance: Instance, kept: Mapping[str, Any], hold: Hold) -> Iterator[Change]:
    """*kept*: attributes of spec with the values that stay effective because of *hold*."""
    for attribute, value in kept.items():
        wanted, path = getattr(instance.spec, attribute), wire_name(attribute)
        if isinstance(wanted, msgspec.Struct):
            below = {name: getattr(value, name) for name in wanted.__struct_fields__}
            differing = [name for name, each in below.items() if getattr(wanted, name) != each]
            pairs = [(f"{path}.{wire_name(name)}", below[name], getattr(wanted, name)) for name in differing]
        else:
            pairs = [(path, value, wanted)] if value != wanted else []
        for field, old, new in pairs:
            yield _held(instance, field, _text(old), _text(new), hold)


def held_password(instance: Instance, hold: Hold) -> Change:
    """No value of it is shown."""
    return _held(instance, "secretRef" if instance.spec.secret_ref else "secret", "", "", hold)


def _held(instance: Instance, field: str, old: str, new: str, hold: Hold) -> Change:
    class_ = change_of(instance.KIND, field).class_
    waits = class_ in (ChangeClass.GUARDED, ChangeClass.LIVE)
    state: State = Waits(hold=hold) if waits else Cannot(hold=hold)
    return Change(field=field, old=old, new=new, class_=class_, state=state)


def _text(value: object) -> str:
    return value or '""' if isinstance(value, str) else msgspec.json.encode(value).decode()


def quota_change(snapshot: Snapshot, spec: InstanceSpec, pods: Sequence[str]) -> Iterator[Change]:
    """capacity, while not every process of *pods* has the maxmemory that it gives."""
    nodes = [snapshot.nodes.get(pod) for pod in pods]
    done = sum(isinstance(node, NodeFacts) and node.maxmemory_bytes == spec.maxmemory_mib * MIB for node in nodes)
    if done < len(pods):
        yield Change(
            field="capacity",
            old=_text(snapshot.resource.status.capacity),
            new=_text(spec.capacity),
            class_=change_of(snapshot.resource.KIND, "capacity").class_,
            state=UnderWay(done=done, of=len(pods), how="the others are set next", things="processes", by_person=False),
        )


# ---- pods that were made from something else


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Pods made from one template: *pods* are there, by name; *how*: what gives them what they lack."""

    component: str
    pods: tuple[PodFacts, ...]
    how: str
    resources: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {})  # requests and limits of a Redis container


def how_of(instance: Instance) -> str:
    """What gives Redis pods what they lack."""
    if not isinstance(instance, RedisStandalone):
        return "the others get it when they are created again: delete them one by one, replicas first"
    if instance.spec.storage_class:
        return "the pod gets it when it is created again: delete it, its data is on a volume"
    return "the pod gets it when it is created again, and its data is on an emptyDir that goes with it"


OF_SENTINELS = "the others get it when they are created again: delete them one by one"


def rolled_changes(snapshot: Snapshot, instance: Instance, groups: Sequence[Group]) -> tuple[Change, ...]:
    """What pods lack that new ones would have, over all *groups*; *instance* has the effective values."""
    lacking: dict[str, list[_Lack]] = {}  # by path
    for group in groups:
        wanted = _made_of(snapshot, instance, group.component)
        for pod in group.pods:
            lacks = list(_lacks(snapshot, instance, group, pod, wanted))
            if not lacks and _is_outdated(snapshot, pod):
                lacks = [_Lack(TEMPLATE, "", "", group.how)]
            for lack in lacks:
                lacking.setdefault(lack.path, []).append(lack)
    return tuple(_rolled(instance, found, groups) for _, found in sorted(lacking.items()))


def _made_of(snapshot: Snapshot, instance: Instance, component: str) -> Mapping[str, str]:
    return snapshot.memo.once(("made of", component), (instance,), lambda: made_of(instance, component))


@dataclass(frozen=True, slots=True)
class _Lack:
    """What one pod has of the field *path*, what it is to have, and how it gets that."""

    path: str
    has: str
    wants: str
    how: str


def _rolled(instance: Instance, found: Sequence[_Lack], groups: Sequence[Group]) -> Change:
    first = found[0]
    concerned = (group for group in groups if _concerns(instance.KIND, first.path, group.component))
    of = sum(len(group.pods) for group in concerned)
    return Change(
        field=first.path,
        old=first.has or ("none" if first.wants else ""),
        new=first.wants or ("none" if first.has else ""),
        class_=ChangeClass.ROLLED,
        state=UnderWay(done=of - len(found), of=of, how=first.how),
    )


def _concerns(kind: str, path: str, component: str) -> bool:
    if path == RESOURCES:
        return component == REDIS_COMPONENT
    return path == TEMPLATE or path in fields_of(kind, component)


def _lacks(
    snapshot: Snapshot, instance: Instance, group: Group, pod: PodFacts, wanted: Mapping[str, str]
) -> Iterator[_Lack]:
    if group.component == REDIS_COMPONENT:
        yield from _lacks_resources(snapshot, instance, group, pod)
    if pod.made_of == wanted:
        return
    if pod.made_of:
        for path in sorted({*wanted, *pod.made_of}):
            has, wants = pod.made_of.get(path, ""), wanted.get(path, "")
            if has != wants:
                yield _Lack(path, has, wants, group.how)
        return
    for path, container in _IMAGES.items():  # made by a version that did not write it down
        image, wants = pod.images.get(container), wanted.get(path, "")
        if image is not None and wants and image != snapshot.site.image(wants):
            yield _Lack(path, image, wants, group.how)


def _lacks_resources(snapshot: Snapshot, instance: Instance, group: Group, pod: PodFacts) -> Iterator[_Lack]:
    """What is not given in place, or not yet told to be: a running container gets CPUs and memory where it can."""
    requests, limits = group.resources
    asked = {**limits, **requests}  # as the server completes it: who names a limit only requests as much
    has = {**pod.limits, **pod.requests}
    if has == asked and pod.limits == limits:
        return
    differing = {*_differing(has, asked), *_differing(pod.limits, limits)}
    node = snapshot.nodes.get(pod.name)
    moves = isinstance(node, NodeFacts) and node.maxmemory_bytes != instance.spec.maxmemory_mib * MIB
    in_place = snapshot.site.pod_resize and pod.running and differing <= {*RESIZABLE} & {*asked}
    if differing and not moves and not (in_place and may_be_resized(snapshot, pod, asked, limits)):
        yield _Lack(RESOURCES, _amounts(has, pod.limits), _amounts(asked, limits), group.how)


def _differing(has: Mapping[str, str], wanted: Mapping[str, str]) -> set[str]:
    return {name for name in {*has, *wanted} if parse_quantity(has.get(name)) != parse_quantity(wanted.get(name))}


def _amounts(requests: Mapping[str, str], limits: Mapping[str, str]) -> str:
    found = [(name, requests.get(name, "-"), limits.get(name, "-")) for name in sorted({*requests, *limits})]
    return ", ".join(f"{name} {least}" + (f" to {most}" if most != least else "") for name, least, most in found)


def _is_outdated(snapshot: Snapshot, pod: PodFacts) -> bool:
    live = snapshot.children.get(Ref("StatefulSet", pod.name.rpartition("-")[0]))
    revision = live.revision if live else None
    return revision is not None and pod.revision != revision
