"""Decides what the parameters that spec.config names need: whom to tell, what to keep for a start, what to refuse.

A value is tried on one process, a replica where there is one, and told to the others when that one took it. The file
for starts has it when all have taken it, so that a start never meets a value that an engine refuses. What is named is
kept: who sets it by hand finds it put back. What is not named any more gets its default again, and is then left alone.
Parameters that are read at a start alone are `settings_at_start.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from tdredis.api.changes import ChangeClass
from tdredis.api.instance import Instance
from tdredis.api.json_object import JSONObject
from tdredis.api.settings import as_texts, instead_of
from tdredis.manifests.redis_config import build_redis_conf
from tdredis.manifests.settings_file import with_settings, with_settings_at_start
from tdredis.planning.change import Change, Lack, UnderWay
from tdredis.planning.health import Limited, World
from tdredis.planning.live import Live
from tdredis.planning.objects import ref_of
from tdredis.planning.plan import Hold, Ruling
from tdredis.planning.setting import NOT_NAMED, NOTHING, Decision, RefusedStart
from tdredis.planning.settings_at_start import AtStart, at_start_of, needs_restart, settings_of_templates, with_start
from tdredis.planning.settings_beforehand import refused_beforehand, refused_by_any_engine, taken_into_use
from tdredis.planning.snapshot import Ref
from tdredis.planning.steps import SetParameter
from tdredis.redis.parameters import is_read_at_start, known_by, like, parameter_of
from tdredis.redis.settings import Refusal


def named_settings(instance: Instance, children: Mapping[Ref, Live]) -> tuple[str, ...]:
    """The parameters that processes are asked for: those of spec, and those that were of it and may still be set."""
    return tuple(sorted({*_wanted(instance), *_record(instance, children), *settings_of_templates(children)}))


def keep_settings(world: World) -> Ruling:
    """Every process has the parameters that spec names, as far as its engine takes them."""
    found = world.settings
    return Ruling(
        steps=tuple(step for each in found for step in each.steps),
        holds=tuple(hold for each in found for hold in each.holds),
    )


@dataclass(frozen=True, slots=True)
class Kept:
    """What a start is to find, by name. *file*: of the ConfigMap; None: the parameter is not named any more. *pods*: of
    the pods themselves, for as long as they live.
    """

    file: Mapping[str, str | None]
    pods: Mapping[str, str]


def with_kept(instance: Instance, settings: Kept, manifests: Iterable[JSONObject]) -> tuple[JSONObject, ...]:
    """*manifests* of *instance*, with *settings* for starts."""
    return tuple(_with_kept(instance, settings, each) for each in manifests)


def _with_kept(instance: Instance, settings: Kept, manifest: JSONObject) -> JSONObject:
    if ref_of(manifest) == Ref("ConfigMap", instance.name):
        return with_settings(manifest, settings.file)
    return with_settings_at_start(manifest, settings.pods) if manifest["kind"] == "StatefulSet" else manifest


def settings_to_keep(world: World) -> Kept:
    """What starts are to find. Before there is a pod, all that is wanted: the start script passes over what the engine
    does not take. While nobody answers, what is there.
    """
    snapshot, instance = world.snapshot, world.instance
    if Ref("ConfigMap", instance.name) not in snapshot.children and not snapshot.pods:
        wanted = {name: value for name, value in _wanted(instance).items() if not instead_of(name)}
        at_start = {name: value for name, value in wanted.items() if is_read_at_start(name)}
        taken = {name: value for name, value in at_start.items() if not refused_by_any_engine(instance, name, value)}
        return Kept({name: value for name, value in wanted.items() if name not in at_start}, taken)
    if not world.members:
        return Kept(_record(instance, snapshot.children), settings_of_templates(snapshot.children))
    return Kept(
        {each.name: each.kept for each in world.settings if each.kept is None or isinstance(each.kept, str)},
        {each.name: each.at_start for each in world.settings if each.at_start is not None},
    )


def settings_changes(world: World) -> Iterator[Change]:
    """What of spec.config processes are told next."""
    for each in world.settings:
        yield from each.changes


def settings_lacks(world: World) -> dict[str, list[Lack]]:
    """What processes lack until they start anew, by pod."""
    found: dict[str, list[Lack]] = {}
    for each in world.settings:
        for pod, lack in each.lacks.items():
            found.setdefault(pod, []).append(lack)
    return found


def refused_start(world: World) -> RefusedStart | None:
    """Guard: a value that the first pod to start with it did not take gets to no other. That pod alone goes again when
    it is to be made of something else: the previous image, say.
    """
    found = [each.refusal for each in world.settings if each.refusal is not None]
    return replace(found[0], pods=frozenset().union(*(each.pods for each in found))) if found else None


# ---- one parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """Of one parameter, whom of the processes it concerns, with what it is to have where it is told."""

    unknown: tuple[Limited, ...] = ()  # to its engine
    done: tuple[Limited, ...] = ()
    lacking: tuple[tuple[Limited, str], ...] = ()
    restart: tuple[tuple[Limited, str], ...] = ()  # lacks it, and gets it by a restart alone
    refused: tuple[tuple[Limited, str, Refusal], ...] = ()


def decide_settings(world: World) -> tuple[Decision, ...]:
    """What each parameter needs that spec names, or that was of it and may still be set. Worlds make it once."""
    if not world.members:
        return ()
    names = named_settings(world.instance, world.snapshot.children)
    return tuple(_decide_one(world, name) for name in names if not instead_of(name))


def _decide_one(world: World, name: str) -> Decision:
    wanted = _wanted(world.instance).get(name)
    kept = _record(world.instance, world.snapshot.children).get(name, NOT_NAMED)
    starting = at_start_of(world, name)
    goal = wanted if wanted is not None else _goal(world.instance, world.members[0].facts.engine, name, None)
    is_new = starting.is_read_then and goal != starting.value and (wanted is not None or starting.value is not None)
    refusal = refused_beforehand(world, name, goal) if is_new and goal is not None else None
    if refusal is None and not is_new and goal is not None and (found := taken_into_use(world, name, goal)):
        refusal, value = found
        starting = replace(starting, value=value)
    if refusal is None:
        return _decide(world, name, wanted, kept, starting)
    if starting.value is None:
        return Decision(name=name, kept=kept, holds=(refusal,))
    # What pods are made to start with goes on as if nobody had written anything else.
    before = _decide(world, name, starting.value, kept, starting)
    return replace(before, holds=(refusal, *before.holds))


def _decide(world: World, name: str, wanted: str | None, kept: object, starting: AtStart) -> Decision:
    found = _sort(world, name, wanted)
    if found.refused:
        return replace(_put_off(world, name, wanted, kept, found), at_start=starting.value)
    holds = [_not_known(name, found.unknown[0])] if found.unknown and wanted is not None else []
    # Whoever has it has shown that it is taken. And nobody is told what would be forgotten if spec were edited back.
    is_remembered = kept is not NOT_NAMED or starting.value is not None
    tried = () if not is_remembered else found.lacking if found.done else found.lacking[:1]
    decision = Decision(
        name=name,
        kept=_to_keep(wanted, kept, found),
        steps=tuple(_set(member, name, goal, wanted) for member, goal in tried),
        holds=tuple(holds),
        changes=tuple(_changes(name, found)),
    )
    if not starting.is_read_then and not found.restart:
        return decision
    return with_start(world, decision, starting, wanted=wanted, before=kept, lacking=found.restart)


def _sort(world: World, name: str, wanted: str | None) -> _Found:
    unknown, done, lacking, restart, refused = [], [], [], [], []
    for member in sorted(world.members, key=_replicas_first):
        value, engine = member.facts.settings.get(name), member.facts.engine
        goal = _goal(world.instance, engine, name, wanted)
        if value is None:
            unknown.append(member)
        elif goal is None or world.snapshot.answers.has(engine, name, value, goal):
            done.append(member)
        elif needs_restart(world, member, name, goal):
            restart.append((member, goal))
        elif refusal := world.snapshot.answers.refusals.get((member.process.id, name, goal)):
            refused.append((member, goal, refusal))
        else:
            lacking.append((member, goal))
    return _Found(
        unknown=tuple(unknown),
        done=tuple(done),
        lacking=tuple(lacking),
        restart=tuple(restart),
        refused=tuple(refused),
    )


def _replicas_first(member: Limited) -> tuple[bool, str]:
    return member.facts.replication.role != "slave", member.pod.name


def _goal(instance: Instance, engine: str, name: str, wanted: str | None) -> str | None:
    """What a process is to have. None: nobody knows what it had before."""
    if wanted is not None:
        return wanted
    ours = _own_values(instance).get(name)
    known = parameter_of(engine, name)
    return ours if ours is not None else known.default if known is not None else None


def _own_values(instance: Instance) -> Mapping[str, str]:
    """Of redis.conf, which every start reads."""
    lines = (line.partition(" ") for line in build_redis_conf(instance).splitlines())
    return {name: value.strip('"') for name, _, value in lines}


def _set(member: Limited, name: str, goal: str, wanted: str | None) -> SetParameter:
    has = member.facts.settings[name]
    why = (
        f"spec.config says so; it has {has!r}"
        if wanted is not None
        else f"spec.config names it no more; it has {has!r}"
    )
    return SetParameter(process=member.process, engine=member.facts.engine, name=name, value=goal, why=why)


def _to_keep(wanted: str | None, kept: object, found: _Found) -> object:
    if wanted is None:
        # Until every process has its default again it is remembered that one may not.
        return kept if found.lacking else NOT_NAMED
    if found.done and not found.lacking:
        return wanted
    return None if found.lacking and kept is NOT_NAMED else kept


def _put_off(world: World, name: str, wanted: str | None, kept: object, found: _Found) -> Decision:
    """Some process refuses it: nobody gets it, or keeps it, before that one takes it."""
    member, _, refusal = found.refused[0]
    # It may be this very one, which all had before one of them began anew.
    previous = kept if isinstance(kept, str) and (kept != wanted or found.done) else None
    steps = [_set(each, name, goal, wanted) for each, goal, one in found.refused if one.is_due]
    for each in found.done:
        before = _goal(world.instance, each.facts.engine, name, previous)
        engine, value = each.facts.engine, each.facts.settings[name]
        if before is not None and not world.snapshot.answers.has(engine, name, value, before):
            why = f"{member.pod.name} refuses {wanted!r}: it has what it had"
            steps.append(SetParameter(process=each.process, engine=engine, name=name, value=before, why=why))
    shown = "its default" if wanted is None else repr(wanted)
    why = (
        f"config.{name}: {member.facts.engine} in {member.pod.name} refuses {shown}: {refusal.words}. The previous"
        " value stays: write another"
    )
    hold = Hold(guard="engine_takes_the_value", about="spec", why=why)
    return Decision(name=name, kept=previous, steps=tuple(steps), holds=(hold,))


def _not_known(name: str, member: Limited) -> Hold:
    others = [engine for engine in known_by(name) if engine != member.facts.engine]
    meant = like(name)
    advice = (
        f"{others[0]} does" + (" and newer ones do" if len(others) > 1 else "")
        if others
        else f"write {meant}"
        if meant
        else "remove it"
    )
    why = f"config.{name}: {member.facts.engine} in {member.pod.name} knows no such parameter: {advice}"
    return Hold(guard="parameter_is_known", about="spec", why=why)


def _changes(name: str, found: _Found) -> Iterator[Change]:
    if found.lacking:
        (first, goal), of = found.lacking[0], len(found.done) + len(found.lacking)
        yield Change(
            field=f"config.{name}",
            old=first.facts.settings[name] or NOTHING,
            new=goal or NOTHING,
            class_=ChangeClass.LIVE,
            state=UnderWay(done=len(found.done), of=of, how="the others are told", things="processes"),
        )


# ---- the file


def _wanted(instance: Instance) -> dict[str, str]:
    return as_texts(instance.spec.config)


def _record(instance: Instance, children: Mapping[Ref, Live]) -> Mapping[str, str | None]:
    live = children.get(Ref("ConfigMap", instance.name))
    return live.settings if live is not None else {}
