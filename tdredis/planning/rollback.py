"""Decides when pods go back to what all of them were made from, because what spec makes of them now does not come up.

What that was, which edit was tried since, and what came of it stand in status: written down first, and acted upon by
the next pass. An edit goes back whole, and is not tried again before it is another one; spec itself nobody touches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final, Generic, TypeVar

import msgspec

from tdredis.api.changes import ChangeClass, change_of
from tdredis.api.instance import Instance, InstanceSpec
from tdredis.api.rollout import RolloutStatus
from tdredis.api.settings import as_texts
from tdredis.manifests.asked import asked_for
from tdredis.manifests.made_of import made_of, shown
from tdredis.manifests.names import REDIS_COMPONENT
from tdredis.manifests.redis_pods import container_resources
from tdredis.manifests.settings_file import PATH as SETTING
from tdredis.planning.change import Change, Waits
from tdredis.planning.conditions import timestamp
from tdredis.planning.engine_change import image_change
from tdredis.planning.live import Live
from tdredis.planning.pending import Group
from tdredis.planning.plan import Hold
from tdredis.planning.proven import find_unproven
from tdredis.planning.rolling import Shard
from tdredis.planning.sizing import find_lag
from tdredis.planning.snapshot import PodFacts, Snapshot
from tdredis.planning.template_values import (
    ASKED,
    Values,
    digest,
    edited,
    read,
    values_of,
    with_request,
    with_values,
    write,
)
from tdredis.redis.parameters import is_always_read_at_start

IS_SEEN_S: Final = 1.0  # status is written when the pass is over
MOST_WORDS: Final = 400  # letters of what others say
RETRY: Final = "cache.tongdun.net/restart"

InstanceT = TypeVar("InstanceT", bound=Instance)


# ---- what is effective


@dataclass(frozen=True, slots=True, kw_only=True)
class Back(Generic[InstanceT]):
    """*instance*, with *spec* in the place of its own, as pods are made; *changes* of spec are not carried out, because
    of *hold*.
    """

    instance: InstanceT
    spec: InstanceSpec
    hold: Hold
    changes: tuple[Change, ...] = ()


def go_back(snapshot: Snapshot, instance: InstanceT, spec: InstanceSpec) -> Back[InstanceT] | None:
    """*spec*: that of *instance*, with as many shards as there are. None: what spec says is tried, or came up."""
    record = instance.status.rollout
    if record is None or not record.failed or instance.spec.rollout.rollback != "auto":
        return None
    good = read(record.last_good)
    edit = edited(values_of(instance), good)
    if not good or digest(edit) != record.tried:
        return None
    if getattr(spec, "size", 0) != getattr(instance.spec, "size", 0):
        edit = {path: value for path, value in edit.items() if path != "capacity"}  # a share, while shards come or go
    before = with_values(spec, edit, good)
    for _, unreadable in image_change(snapshot, before):
        why = f"{record.failed}. Pods do not go back to what they were made from before: {unreadable.why}"
        return Back(instance=instance, spec=spec, hold=Hold(guard=unreadable.guard, about="spec", why=why))
    what = "the restart that was asked for" if set(edit) == {ASKED} else f"generation {record.generation}"
    why = (
        f"{what} is not carried out, and pods are made as before: {record.failed}. Write other"
        f" values, or these again; to try the same once more, give {RETRY} another value (rollout.rollback)"
    )
    hold = Hold(guard="new_pods_come_up", about="spec", why=why)
    return Back(
        instance=with_request(instance, edit, good),
        spec=before,
        hold=hold,
        changes=tuple(_changes(instance, edit, good, hold)),
    )


def _changes(instance: Instance, edit: Values, good: Values, hold: Hold) -> Iterator[Change]:
    for path, value in edit.items():
        old, new = (shown(each) or '""' for each in (good.get(path), value))
        class_ = ChangeClass.ROLLED if path == ASKED else change_of(instance.KIND, path).class_
        yield Change(field=path, old=old, new=new, class_=class_, state=Waits(hold=hold))


# ---- what is written down


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """*record*: what status says of it. *look_s*: until it is looked at again; None: at any time. *says*: what comes
    if nothing changes, as the end of a sentence.
    """

    record: RolloutStatus | None
    look_s: float | None = None
    says: str = ""


def watch_edit(
    snapshot: Snapshot,
    instance: Instance,
    groups: Sequence[Group],
    copies: Callable[[], Sequence[Shard]],
    *,
    is_settled: bool,
    coming: Iterable[str] = (),
) -> Watched:
    """*instance* has the effective values, *groups* its pods; *copies*: who replicates whom. *is_settled*: all is well,
    and pods lack nothing; but for how many there are, where *coming* has the field that says so.
    """
    resource, before = snapshot.resource, snapshot.resource.status.rollout
    record = before or RolloutStatus()
    good = read(record.last_good)
    edit = edited(values_of(resource), good)
    tried = digest(edit) if resource.spec.rollout.rollback == "auto" else ""
    if resource.spec.paused or (record.failed and tried == record.tried and _is_back(instance, edit, good)):
        return Watched(record=before)
    unproven = find_unproven((*snapshot.pods.values(), *(pod for each in groups for pod in each.pods)), snapshot.now)
    if is_settled and not (good and edit and unproven):
        return Watched(record=RolloutStatus(last_good=write(_as_settled(instance, good, coming))))
    if not good:
        return Watched(record=before)
    if record.tried != tried:
        record = RolloutStatus(last_good=record.last_good, tried=tried)
    if not tried or record.came_up or is_settled:
        return Watched(record=record, look_s=max(unproven.values(), default=None))
    return _judge(snapshot, record, _Tried(snapshot, instance, groups, edit, good), copies)


def _as_settled(instance: Instance, good: Values, coming: Iterable[str]) -> Values:
    values = dict(values_of(instance))
    for path in coming:
        values.pop(path, None)
        if path in good:
            values[path] = good[path]
    return values


def _is_back(instance: Instance, edit: Values, good: Values) -> bool:
    """Pods are made as *good* says: *instance* has its values, and not those of *edit*."""
    return edited(values_of(instance), good).items() != edit.items()


def _judge(snapshot: Snapshot, record: RolloutStatus, tried: _Tried, copies: Callable[[], Sequence[Shard]]) -> Watched:
    pods = tuple(tried.pods())
    unproven = find_unproven((pod for _, pod in pods), snapshot.now)
    if any(pod.name not in unproven and _is_up(pod, component, copies) for component, pod in pods):
        record = RolloutStatus(last_good=record.last_good, tried=record.tried, came_up=True)
        return Watched(record=record, look_s=IS_SEEN_S)
    if record.failed:
        return Watched(record=record)
    troubles = [
        (pod.created, f"pod {pod.name}", f"{pod.trouble.reason}: {pod.trouble.message}")
        for _, pod in pods
        if pod.trouble is not None and not pod.deleting
    ]
    return judge(snapshot, record, troubles, tuple(tried.refused()), look_s=min(unproven.values(), default=None))


def judge(
    snapshot: Snapshot,
    record: RolloutStatus,
    troubles: Iterable[tuple[float, str, str]],
    refused: Sequence[tuple[str, str]],
    *,
    look_s: float | None = None,
) -> Watched:
    """*troubles* of pods that were made from an edit: since when, of whom, in whose words; *refused*: of whom none can
    be made, and why. None of them is up. *look_s*: when to look again while nothing is wrong.
    """
    troubles = list(troubles)
    if refused:
        since = datetime.fromisoformat(record.failing_since).timestamp() if record.failing_since else snapshot.now
        record = msgspec.structs.replace(record, failing_since=timestamp(since))
        troubles += [(since, f"a pod of {name}", words) for name, words in refused]
    if not troubles:
        return Watched(record=record, look_s=look_s)
    since, who, words = min(troubles)
    limit_s = snapshot.resource.spec.rollout.progress_deadline_seconds
    if snapshot.now < since + limit_s:
        says = f"pods are made as before from {timestamp(since + limit_s)} on if {who} is not up by then"
        return Watched(record=record, look_s=since + limit_s - snapshot.now, says=says)
    failed = f"{who} did not come up in {limit_s} s: {words[:MOST_WORDS]}"
    generation = snapshot.resource.metadata.generation
    return Watched(
        record=msgspec.structs.replace(record, failed=failed, generation=generation, failing_since=""),
        look_s=IS_SEEN_S,
    )


def _is_up(pod: PodFacts, component: str, copies: Callable[[], Sequence[Shard]]) -> bool:
    if not pod.ready or pod.deleting or pod.trouble is not None:
        return False
    return component != REDIS_COMPONENT or any(
        copy.name == pod.name and copy.is_whole for shard in copies() for copy in shard.copies
    )


@dataclass(frozen=True)
class _Tried:
    """Templates that have all that *instance* asks for, and something that *good* did not have."""

    snapshot: Snapshot
    instance: Instance
    groups: Sequence[Group]
    edit: Values
    good: Values

    def pods(self) -> Iterator[tuple[str, PodFacts]]:
        """What was made from them, with the component; one that is there beyond what spec asks for too."""
        for group, name, live in self._templates():
            pods = self.snapshot.pods.values() if group.component == REDIS_COMPONENT else group.pods
            for pod in pods:
                if pod.name.rpartition("-")[0] == name and live.revision and pod.revision == live.revision:
                    yield group.component, pod

    def refused(self) -> Iterator[tuple[str, str]]:
        """StatefulSets whose pods cannot be made from them, and why."""
        for _, name, _ in self._templates():
            if words := self.snapshot.creation_failures.get(name):
                yield name, words

    def _templates(self) -> Iterator[tuple[Group, str, Live]]:
        """Each of its StatefulSet, with its name."""
        before = with_request(self.instance, self.edit, self.good)
        before = msgspec.structs.replace(before, spec=with_values(self.instance.spec, self.edit, self.good))
        for group in self.groups:
            for ref, live in sorted(self.snapshot.children.items()):
                if ref.kind != "StatefulSet" or live.component != group.component:
                    continue
                if self._is_wanted(group, ref.name, live) and self._is_new(group, live, before):
                    yield group, ref.name, live

    def _is_wanted(self, group: Group, name: str, live: Live) -> bool:
        """It is not one of an edit before, which is written anew in this very pass."""
        config = as_texts(self.instance.spec.config)
        if any(config.get(name) != value for name, value in live.settings_at_start.items()):
            return False
        if _made_of(live) != made_of(self.instance, group.component):
            return False
        if group.component != REDIS_COMPONENT or live.made.asked is None:
            return True
        asked = asked_for(*container_resources(self.instance))
        return not live.made.asked.differing(asked) or name in self._lagging

    def _is_new(self, group: Group, live: Live, before: Instance) -> bool:
        settings = {f"{SETTING}{name}": value for name, value in live.settings_at_start.items()}
        if any(self.edit.get(path) == value for path, value in settings.items()):
            return True
        if group.component == REDIS_COMPONENT and not self._named_no_more <= settings.keys():
            return True
        if _made_of(live) != made_of(before, group.component):
            return True
        if group.component != REDIS_COMPONENT or live.made.asked is None:
            return False
        return bool(live.made.asked.differing(asked_for(*container_resources(before))))

    @cached_property
    def _named_no_more(self) -> frozenset[str]:
        """Parameters that pods were made with before, as far as some say so, or any engine would have it; live ones are
        no part of a template.
        """
        removed = {path for path, value in self.edit.items() if path.startswith(SETTING) and value is None}
        said = {path for pod in self.snapshot.pods.values() for path in pod.made_of}
        return frozenset(
            path for path in removed if path in said or is_always_read_at_start(path.removeprefix(SETTING))
        )

    @cached_property
    def _lagging(self) -> frozenset[str]:
        """What these say of CPUs and memory waits for running containers."""
        return find_lag(self.snapshot, self.instance).statefulsets


def _made_of(live: Live) -> dict[str, str]:
    """Of parameters that are read at the start `settings_at_start` says which."""
    return {path: each for path, each in live.made.made_of.items() if not path.startswith(SETTING)}
