"""Decides what of spec is not effective yet, change by change: what it was, what it is to be, what stands between.

What a pod was made from it says itself (manifests/made_of.py); what is held, `effective.py` of its kind says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tdredis.api.changes import ChangeClass, change_of
from tdredis.api.fields import wire_name
from tdredis.api.instance import Instance, InstanceSpec
from tdredis.manifests.asked import Asked, asked_for
from tdredis.manifests.made_of import fields_of, made_of
from tdredis.manifests.names import EXPORTER_CONTAINER, REDIS_COMPONENT, REDIS_CONTAINER, SENTINEL_CONTAINER
from tdredis.manifests.settings_file import PATH as SETTING
from tdredis.manifests.settings_file import settings_at_start
from tdredis.planning.change import TEMPLATE, Cannot, Change, Lack, State, UnderWay, Waits
from tdredis.planning.earlier import asked_of, images_of
from tdredis.planning.limits import MIB, RESIZABLE, may_be_resized, memory_limit_follows
from tdredis.planning.plan import Hold
from tdredis.planning.snapshot import PodFacts, Ref, Snapshot
from tdredis.redis.facts import NodeFacts

RESOURCES = "resources"
RESTART = "restart"  # no field of spec either: somebody asked for new pods as they are
LEAST_SEEN = 2  # pods that have it: a pace is the time between them
WAITING_PACES = 3.0  # whoever has not gone on for so long waits, and for how long nobody knows
_IMAGES = {"image": REDIS_CONTAINER, "monitorimage": EXPORTER_CONTAINER, "sentinelimage": SENTINEL_CONTAINER}


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
    waits = class_ in (ChangeClass.GUARDED, ChangeClass.LIVE, ChangeClass.MOVED)
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
            state=UnderWay(done=done, of=len(pods), how="the others are set next", things="processes"),
        )


# ---- pods that were made from something else


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Pods made from one template: *pods* are there, by name."""

    component: str
    pods: tuple[PodFacts, ...]
    resources: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {})  # requests and limits of a Redis container


def _made_of(snapshot: Snapshot, instance: Instance, component: str) -> Mapping[str, str]:
    return snapshot.memo.once(("made of", component), (instance,), lambda: made_of(instance, component))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacks:
    """What pods lack that new ones would have, by pod. *late*: those of them that were made from the newest
    template of their StatefulSet, so that a new pod would lack it too.
    """

    by_pod: Mapping[str, tuple[Lack, ...]]
    late: frozenset[str] = frozenset()

    @property
    def outdated(self) -> frozenset[str]:
        """Pods that are to be replaced: what only a new version of this operator makes otherwise can wait."""
        return frozenset(pod for pod, lacks in self.by_pod.items() if any(each.path != TEMPLATE for each in lacks))


def find_lacks(
    snapshot: Snapshot, instance: Instance, groups: Sequence[Group], settings: Mapping[str, Sequence[Lack]]
) -> Lacks:
    """Over all *groups*; *instance* has the effective values. *settings*: what processes lack, by pod, of parameters
    that they read when they start.
    """
    by_pod: dict[str, tuple[Lack, ...]] = {}
    late = set()
    for group in groups:
        wanted = _made_of(snapshot, instance, group.component)
        others = {pod.name for pod in _others_than_new(snapshot, group, wanted)}
        for pod in group.pods:
            if pod.name not in others and pod.name not in settings:
                continue
            found = (*_lacks(snapshot, instance, group, pod, wanted), *settings.get(pod.name, ()))
            lacks = {each.path: each for each in found}
            if not lacks and _has_another_template(snapshot, pod) and not _is_explained(snapshot, pod, wanted):
                lacks = {TEMPLATE: Lack(TEMPLATE, "", "")}
            elif lacks and pod.revision == _revision(snapshot, pod):
                late.add(pod.name)
            if lacks:
                by_pod[pod.name] = tuple(lacks.values())
    return Lacks(by_pod=by_pod, late=frozenset(late))


def _others_than_new(snapshot: Snapshot, group: Group, wanted: Mapping[str, str]) -> tuple[PodFacts, ...]:
    """Those of *group* that are not all that a new pod would be, by what they and their StatefulSets say of them."""
    return snapshot.memo.once(
        ("others than new", group.component),
        (group, wanted, snapshot.site, snapshot.children),
        lambda: tuple(pod for pod in group.pods if not _is_as_new(snapshot, group, pod, wanted)),
    )


def _is_as_new(snapshot: Snapshot, group: Group, pod: PodFacts, wanted: Mapping[str, str]) -> bool:
    """Whatever its process answers: it lacks nothing, and is made from its StatefulSet's present template; what
    admission made of it, it would make of a new one too.
    """
    if _is_of_the_template(snapshot, group, pod, wanted):
        return True
    if group.component == REDIS_COMPONENT and not _has_resources(group, pod):
        return False
    return not any(_lacks_of_template(snapshot, pod, wanted)) and not _has_another_template(snapshot, pod)


def _has_resources(group: Group, pod: PodFacts) -> bool:
    requests, limits = group.resources
    return {**pod.limits, **pod.requests} == {**limits, **requests} and pod.limits == limits


def rolled_changes(
    snapshot: Snapshot, instance: Instance, groups: Sequence[Group], lacks: Lacks, how: str
) -> tuple[Change, ...]:
    """*lacks*, told field by field. *how*: what gives the pods what they lack."""
    found: dict[str, list[Lack]] = {}
    for each in lacks.by_pod.values():
        for lack in each:
            found.setdefault(lack.path, []).append(lack)
    return tuple(_rolled(snapshot, instance, found[path], groups, lacks=lacks, how=how) for path in sorted(found))


def _rolled(
    snapshot: Snapshot, instance: Instance, found: Sequence[Lack], groups: Sequence[Group], *, lacks: Lacks, how: str
) -> Change:
    first = found[0]
    concerned = [pod for group in groups for pod in group.pods if _concerns(snapshot, instance, first.path, group, pod)]
    late = {pod for pod, each in lacks.by_pod.items() if any(lack.path == first.path for lack in each)}
    of = len(concerned)
    return Change(
        field=first.path,
        old=first.has or ("none" if first.wants else ""),
        new=first.wants or ("none" if first.has else ""),
        class_=ChangeClass.ROLLED,
        state=UnderWay(
            done=of - len(found),
            of=of,
            how="it goes along with the next change" if first.path == TEMPLATE else how,
            left_s=None
            if first.path == TEMPLATE
            else time_left_s(
                snapshot.now,
                done=[pod.created for pod in concerned if pod.name not in late],
                lacking=[pod.created for pod in concerned if pod.name in late],
            ),
        ),
    )


def time_left_s(now: float, *, done: Sequence[float], lacking: Sequence[float]) -> float | None:
    """For the pods that still lack something, by when pods were created, in epoch seconds: the pace is that of those
    that were created since. None: fewer than two were, or the last one so long ago that they wait for something.
    """
    since = sorted(created for created in done if created > max(lacking, default=now))
    if len(since) < LEAST_SEEN:
        return None
    pace_s = (since[-1] - since[0]) / (len(since) - 1)
    if now - since[-1] > WAITING_PACES * max(pace_s, 1.0):
        return None
    return pace_s * len(lacking)


def _is_of_the_template(snapshot: Snapshot, group: Group, pod: PodFacts, wanted: Mapping[str, str]) -> bool:
    """It was made from the present template of its StatefulSet, which gives all that is *wanted*."""
    live = snapshot.children.get(Ref("StatefulSet", pod.name.rpartition("-")[0]))
    if live is None or live.revision is None or pod.revision != live.revision:
        return False
    # Of parameters that are read at the start its process says itself whether it has them.
    if {path: each for path, each in live.made.made_of.items() if not path.startswith(SETTING)} != wanted:
        return False
    return group.component != REDIS_COMPONENT or live.made.asked == asked_for(*group.resources)


def _concerns(snapshot: Snapshot, instance: Instance, path: str, group: Group, pod: PodFacts) -> bool:
    if path == RESOURCES:
        return group.component == REDIS_COMPONENT
    if path == RESTART:
        return RESTART in _made_of(snapshot, instance, group.component) or bool(_restart_asked(snapshot, pod))
    if path.startswith(SETTING):
        return group.component == REDIS_COMPONENT
    return path == TEMPLATE or path in fields_of(instance.KIND, group.component)


def _lacks(
    snapshot: Snapshot, instance: Instance, group: Group, pod: PodFacts, wanted: Mapping[str, str]
) -> Iterator[Lack]:
    if group.component == REDIS_COMPONENT:
        yield from _lacks_resources(snapshot, instance, group, pod)
    yield from _lacks_of_template(snapshot, pod, wanted)


def _lacks_of_template(snapshot: Snapshot, pod: PodFacts, wanted: Mapping[str, str]) -> Iterator[Lack]:
    if (asked := _restart_asked(snapshot, pod)) and asked != pod.restarted_at:
        yield Lack(RESTART, pod.restarted_at, asked)
    if pod.made_of == wanted:
        return
    if pod.made_of:
        for path in sorted({*wanted, *pod.made_of}):
            if path.startswith(SETTING):
                continue  # what its process has counts
            has, wants = pod.made_of.get(path, ""), wanted.get(path, "")
            if has != wants and (wants or path != RESTART):  # a request that was taken back asks for nothing
                yield Lack(path, has, wants)
        return
    if RESTART in wanted:
        yield Lack(RESTART, "", wanted[RESTART])
    asked_images = images_of(snapshot, pod)
    for path, container in _IMAGES.items():  # made by a version that did not write it down
        image, wants = pod.images.get(container), wanted.get(path, "")
        if asked_images:
            image = asked_images.get(container)
        if (
            image is not None
            and wants
            and not any(_may_be(image, each) for each in (wants, snapshot.site.image(wants)))
        ):
            yield Lack(path, image, wants)


def _may_be(image: str, wanted: str) -> bool:
    """*image* of a pod is what became of *wanted*: a webhook names another registry, or the digest for the tag. A pod
    that does not say what it was made from is recreated only for what somebody must have edited.
    """
    name, tag, digest = _words(image)
    wanted_name, wanted_tag, wanted_digest = _words(wanted)
    if name != wanted_name or (wanted_digest and digest != wanted_digest):
        return False
    return bool(wanted_digest) or tag == wanted_tag or (bool(digest) and not tag)


def _words(image: str) -> tuple[str, str, str]:
    """``registry:5000/library/redis:7.0@sha256:12``: redis, 7.0, sha256:12. Without both a tag of its own is meant."""
    rest, _, digest = image.rpartition("/")[2].partition("@")
    name, _, tag = rest.partition(":")
    return name, tag or ("" if digest else "latest"), digest


def _restart_asked(snapshot: Snapshot, pod: PodFacts) -> str:
    """When `kubectl rollout restart` was last called for its StatefulSet; "": never."""
    live = snapshot.children.get(Ref("StatefulSet", pod.name.rpartition("-")[0]))
    return live.statefulset.restarted_at if live else ""


def _is_explained(snapshot: Snapshot, pod: PodFacts, wanted: Mapping[str, str]) -> bool:
    """Its template differs by a request that was carried out, and is not made any more; a StatefulSet that was made
    anew knows of none. Or by parameters that its process has all the same.
    """
    of_kubectl = bool(pod.restarted_at) and not _restart_asked(snapshot, pod)
    if of_kubectl or (RESTART in pod.made_of and RESTART not in wanted):
        return True
    live = snapshot.children.get(Ref("StatefulSet", pod.name.rpartition("-")[0]))
    return live is not None and settings_at_start(pod.made_of) != live.settings_at_start


def _lacks_resources(snapshot: Snapshot, instance: Instance, group: Group, pod: PodFacts) -> Iterator[Lack]:
    """What is not given in place, or not yet told to be: a running container gets CPUs and memory where it can."""
    requests, limits = group.resources
    asked, has = asked_for(requests, limits), Asked(requests={**pod.limits, **pod.requests}, limits=pod.limits)
    told = asked_of(snapshot, pod)
    parts = has.differing(asked)
    if told is not None:  # what it has otherwise, others gave it
        parts &= told.differing(asked)
    else:  # what it has and nobody asks for may be by a LimitRange
        parts = frozenset((part, name) for part, name in parts if name in getattr(asked, part))
    if not parts:
        return
    differing = {name for _, name in parts}
    node = snapshot.nodes.get(pod.name)
    maxmemory_bytes = instance.spec.maxmemory_mib * MIB
    differs = isinstance(node, NodeFacts) and node.maxmemory_bytes != maxmemory_bytes
    moves = differs and memory_limit_follows(pod, maxmemory_bytes) is None  # what waits for room waits for a new pod
    in_place = snapshot.site.pod_resize and pod.running and differing <= {*RESIZABLE} & {*asked.requests}
    if not moves and not (in_place and may_be_resized(snapshot, pod, asked.requests, limits)):
        yield Lack(RESOURCES, _amounts(has.requests, pod.limits), _amounts(asked.requests, limits))


def _amounts(requests: Mapping[str, str], limits: Mapping[str, str]) -> str:
    found = [(name, requests.get(name, "-"), limits.get(name, "-")) for name in sorted({*requests, *limits})]
    return ", ".join(f"{name} {least}" + (f" to {most}" if most != least else "") for name, least, most in found)


def _has_another_template(snapshot: Snapshot, pod: PodFacts) -> bool:
    revision = _revision(snapshot, pod)
    return revision is not None and pod.revision != revision


def _revision(snapshot: Snapshot, pod: PodFacts) -> str | None:
    """Of the present template of its StatefulSet; None: its controller has not seen that yet."""
    live = snapshot.children.get(Ref("StatefulSet", pod.name.rpartition("-")[0]))
    return live.revision if live else None
