"""Decides what the parameters that spec.config names need: whom to tell, what to keep for a start, what to refuse.

A value is tried on one process, a replica where there is one, and told to the others when that one took it. The file
for starts has it when all have taken it, so that a start never meets a value that an engine refuses. What is named is
kept: who sets it by hand finds it put back. What is not named any more gets its default again, and is then left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from tdredis.api.changes import ChangeClass
from tdredis.api.instance import Instance
from tdredis.api.json_object import JSONObject
from tdredis.api.settings import as_texts, instead_of
from tdredis.manifests.made_of import RESTART
from tdredis.manifests.redis_config import build_redis_conf
from tdredis.manifests.settings_file import with_settings
from tdredis.planning.health import Limited, World
from tdredis.planning.live import Live
from tdredis.planning.objects import ref_of
from tdredis.planning.pending import Change, UnderWay
from tdredis.planning.plan import Hold, Ruling
from tdredis.planning.snapshot import Ref
from tdredis.planning.steps import SetParameter
from tdredis.redis.parameters import known_by, like, parameter_of
from tdredis.redis.settings import Refusal

NOTHING: Final = '""'
NOT_NAMED: Final = object()
Kept: TypeAlias = tuple[tuple[str, str | None], ...]  # names in their order, with their values


def named_settings(instance: Instance, children: Mapping[Ref, Live]) -> tuple[str, ...]:
    """The parameters that processes are asked for: those of spec, and those that were of it and may still be set."""
    return tuple(sorted({*_wanted(instance), *_record(instance, children)}))


def keep_settings(world: World) -> Ruling:
    """Every process has the parameters that spec names, as far as its engine takes them."""
    found = _decide(world)
    return Ruling(
        steps=tuple(step for each in found for step in each.steps),
        holds=tuple(hold for each in found for hold in each.holds),
    )


def with_kept(instance: Instance, settings: Kept, manifests: Iterable[JSONObject]) -> tuple[JSONObject, ...]:
    """*manifests*, of which the ConfigMap of *instance* has *settings* for the next start."""
    own = Ref("ConfigMap", instance.name)
    return tuple(with_settings(each, dict(settings)) if ref_of(each) == own else each for each in manifests)


def settings_to_keep(world: World) -> Kept:
    """What the file for the next start is to say. Before there is a pod, all that is wanted: the start script passes
    over what the engine does not take.
    """
    snapshot, instance = world.snapshot, world.instance
    if Ref("ConfigMap", instance.name) not in snapshot.children and not snapshot.pods:
        return tuple((name, value) for name, value in _wanted(instance).items() if not instead_of(name))
    if not world.members:
        return tuple(sorted(_record(instance, snapshot.children).items()))
    kept = ((each.name, each.kept) for each in _decide(world))
    return tuple((name, value) for name, value in kept if value is None or isinstance(value, str))


def settings_changes(world: World) -> Iterator[Change]:
    """What of spec.config processes do not have yet."""
    for each in _decide(world):
        yield from each.changes


# ---- one parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """Of one parameter, whom of the processes it concerns, with what it is to have where it is told."""

    unknown: tuple[Limited, ...] = ()  # to its engine
    done: tuple[Limited, ...] = ()
    lacking: tuple[tuple[Limited, str], ...] = ()
    restart: tuple[Limited, ...] = ()  # lacks it, and gets it by a restart alone
    refused: tuple[tuple[Limited, str, Refusal], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decision:
    """Of one parameter. *kept*: what the file for the next start says of it; NOT_NAMED: nothing."""

    name: str
    kept: object
    steps: tuple[SetParameter, ...] = ()
    holds: tuple[Hold, ...] = ()
    changes: tuple[Change, ...] = ()


def _decide(world: World) -> tuple[_Decision, ...]:
    if not world.members:
        return ()
    names = named_settings(world.instance, world.snapshot.children)
    return tuple(_decide_one(world, name) for name in names if not instead_of(name))


def _decide_one(world: World, name: str) -> _Decision:
    wanted = _wanted(world.instance).get(name)
    kept = _record(world.instance, world.snapshot.children).get(name, NOT_NAMED)
    found = _sort(world, name, wanted)
    if found.refused:
        return _put_off(world, name, wanted, kept, found)
    holds = [_not_known(name, found.unknown[0])] if found.unknown and wanted is not None else []
    if found.restart:
        holds.append(_not_live(world, name, wanted, found))
    # Whoever has it has shown that it is taken. And nobody is told what would be forgotten if spec were edited back.
    tried = () if kept is NOT_NAMED else found.lacking if found.done else found.lacking[:1]
    steps = tuple(_set(member, name, goal, wanted) for member, goal in tried)
    return _Decision(
        name=name,
        kept=_to_keep(wanted, kept, found),
        steps=steps,
        holds=tuple(holds),
        changes=tuple(_changes(name, found)),
    )


def _sort(world: World, name: str, wanted: str | None) -> _Found:
    unknown, done, lacking, restart, refused = [], [], [], [], []
    for member in sorted(world.members, key=_replicas_first):
        value, engine = member.facts.settings.get(name), member.facts.engine
        goal = _goal(world.instance, engine, name, wanted)
        if value is None:
            unknown.append(member)
        elif goal is None or world.snapshot.answers.has(engine, name, value, goal):
            done.append(member)
        elif _needs_restart(world, member, name, goal):
            restart.append(member)
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


def _needs_restart(world: World, member: Limited, name: str, goal: str) -> bool:
    """The engine's own word wins over what was known of it."""
    refusal = world.snapshot.answers.refusals.get((member.process.id, name, goal))
    if refusal is not None and refusal.needs_restart:
        return True
    known = parameter_of(member.facts.engine, name)
    return known is not None and not known.is_live


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
        return None if found.restart else kept if found.lacking else NOT_NAMED
    if found.restart or (found.done and not found.lacking):
        return wanted
    return None if found.lacking and kept is NOT_NAMED else kept


def _put_off(world: World, name: str, wanted: str | None, kept: object, found: _Found) -> _Decision:
    """Some process refuses it: nobody gets it, or keeps it, before that one takes it."""
    (member, _, refusal), previous = found.refused[0], kept if isinstance(kept, str) and kept != wanted else None
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
    return _Decision(name=name, kept=previous, steps=tuple(steps), holds=(hold,))


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


def _not_live(world: World, name: str, wanted: str | None, found: _Found) -> Hold:
    """Nobody restarts a pod for it: a value that is wrong would be found out by one pod after the other."""
    instance, first = world.instance, found.restart[0]
    of = len(found.done) + len(found.lacking) + len(found.restart)
    has, goal = first.facts.settings[name], _goal(instance, first.facts.engine, name, wanted)
    command = (
        f"kubectl annotate {instance.KIND.lower()} {instance.name} -n {instance.namespace} --overwrite {RESTART}={name}"
    )
    why = (
        f"config.{name} {has or NOTHING} -> {goal or NOTHING}: {of - len(found.restart)} of {of} pods have it, the"
        f" others get it when they start: {command}"
    )
    return Hold(guard="parameter_is_live", about="spec", why=why)


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
