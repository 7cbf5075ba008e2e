"""Decides how processes get parameters of spec.config that they read only when they start: their pods are recreated.

Pods are made to start with them, and say so; which of them have it their processes say. The first pod that is recreated
is the one on which a value is tried: where its process has it not, its engine refused it, and no other pod goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tdredis.manifests.settings_file import PATH
from tdredis.planning.change import Lack
from tdredis.planning.health import Limited, World
from tdredis.planning.live import Live
from tdredis.planning.plan import Hold
from tdredis.planning.setting import NOT_NAMED, NOTHING, Decision, RefusedStart
from tdredis.planning.snapshot import Ref
from tdredis.redis.parameters import is_read_at_start, parameter_of


@dataclass(frozen=True, slots=True)
class AtStart:
    """Of one parameter. *value*: what new pods start with as yet; None: they do not name it. *is_read_then*: it is for
    the pods themselves to have it, and not for the file.
    """

    value: str | None
    is_read_then: bool


def settings_of_templates(children: Mapping[Ref, Live]) -> dict[str, str]:
    """What new pods start with."""
    found: dict[str, str] = {}
    for ref, live in children.items():
        if ref.kind == "StatefulSet":
            found |= live.settings_at_start
    return found


def at_start_of(world: World, name: str) -> AtStart:
    """Once pods are made to start with it, it is theirs for as long as spec names it. And so is one that no process
    knows, where other engines read it then: with an image of the same edit such an engine may come.
    """
    value = settings_of_templates(world.snapshot.children).get(name)
    is_read = any(_is_read_at_start(member, name) for member in world.members)
    is_unknown = all(name not in member.facts.settings for member in world.members)
    return AtStart(value, value is not None or is_read or (is_unknown and is_read_at_start(name)))


def _is_read_at_start(member: Limited, name: str) -> bool:
    known = parameter_of(member.facts.engine, name)
    return known is not None and not known.is_live


def needs_restart(world: World, member: Limited, name: str, goal: str) -> bool:
    """The engine's own word wins over what was known of it."""
    refusal = world.snapshot.answers.refusals.get((member.process.id, name, goal))
    return (refusal is not None and refusal.needs_restart) or _is_read_at_start(member, name)


def with_start(
    world: World,
    decision: Decision,
    starting: AtStart,
    *,
    wanted: str | None,
    before: object,
    lacking: Sequence[tuple[Limited, str]],
) -> Decision:
    """*decision* of a parameter that pods start with. *before*: what the file says of it now; *lacking*: processes that
    have another value than the one beside them, until they start anew.
    """
    name, path = decision.name, f"{PATH}{decision.name}"
    if wanted is None:
        # A pod that was made of it says so, and the file that this is to be looked for; then new pods do without.
        silent = (pod for pod in world.snapshot.pods.values() if _is_silent(world, pod.name))
        are_left = lacking or any(path in pod.made_of for pod in silent)
        concerned = [each for each in lacking if path in each[0].pod.made_of or before is not NOT_NAMED]
        is_told = before is not NOT_NAMED
        return replace(
            decision,
            kept=None if are_left or not is_told else decision.kept,
            at_start=None if is_told else starting.value,
            lacks=_lacks(path, concerned, wanted),
        )
    tried = [each for each, _ in lacking if each.pod.made_of.get(path) == wanted]
    hold = _refused(name, wanted, tried[0]) if tried else None
    are_made = all(pod.made_of.get(path) == wanted for pod in world.snapshot.pods.values())
    return replace(
        decision,
        # What an earlier version kept in the file stays there until pods have it.
        kept=before if isinstance(before, str) and not are_made else None if decision.steps else NOT_NAMED,
        at_start=wanted,
        lacks=_lacks(path, lacking, wanted),
        holds=(*decision.holds, *((hold,) if hold else ())),
        refusal=RefusedStart(hold, frozenset(each.pod.name for each in tried)) if hold else None,
    )


def _is_silent(world: World, pod: str) -> bool:
    return all(member.pod.name != pod for member in world.members)


def _lacks(path: str, lacking: Sequence[tuple[Limited, str]], wanted: str | None) -> dict[str, Lack]:
    name = path.removeprefix(PATH)
    return {
        each.pod.name: Lack(path, each.facts.settings[name] or NOTHING, (goal if wanted is None else wanted) or NOTHING)
        for each, goal in lacking
    }


def _refused(name: str, wanted: str, member: Limited) -> Hold:
    """Guard: a value that the first pod to start with it did not take gets to no other."""
    words = member.facts.refused_at_start
    said = words.get(name) or words.get("*") or "it started without it"
    why = (
        f"config.{name}: {member.facts.engine} in {member.pod.name} refuses {wanted!r} at its start: {said}. It runs"
        f" with {member.facts.settings[name]!r}, and no other pod is recreated: write another value, or the previous"
        " one"
    )
    return Hold(guard="engine_starts_with_the_value", about="spec", why=why)
