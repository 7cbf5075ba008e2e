"""Decides what is told of an instance that is not as it should be: what was seen, what it means, what the operator does
about it, and what a person can do.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tdredis.api.instance import InstanceStatus
from tdredis.cli.errors import CommandError
from tdredis.cli.output import print_data
from tdredis.cli.relay import relayed
from tdredis.cli.seen import look
from tdredis.healing.advice import Advice, advise, all_advice
from tdredis.planning.decide import Judged, plan, report
from tdredis.planning.plan import Plan
from tdredis.planning.snapshot import Key
from tdredis.planning.steps import NAMES, Step
from tdredis.planning.steps.redis_step import RedisStep

SOMETHING_IS_WRONG: Final = 1  # the exit code, for scripts
# Conditions that tell something is wrong by being True, beside what findings say.
_ALARMS: Final = ("MemoryPressure", "RolledBack")


def diagnose(chosen: argparse.Namespace) -> int:
    if chosen.reason or chosen.catalogue:
        return _explain_words(chosen)
    if chosen.resource is None:
        raise CommandError("write RESOURCE, or --reason NAME for one reason or guard, or --catalogue for all")
    if (code := relayed(chosen, "diagnose")) is not None:
        return code
    key, judged = look(chosen)
    made = plan(judged)
    found = describe(key, judged, made)
    print_data(found, chosen.output, lambda: render(found))
    return SOMETHING_IS_WRONG if found["findings"] else 0


def _explain_words(chosen: argparse.Namespace) -> int:
    told = all_advice() if chosen.catalogue else tuple(_known(name) for name in chosen.reason)
    data = [describe_advice(each) for each in told]
    print_data(list(data), chosen.output, lambda: "\n\n".join("\n".join(_render_advice(each)) for each in data))
    return 0


def _known(name: str) -> Advice:
    found = advise(name)
    if found is None:
        raise CommandError(f"no reason or guard is called {name!r}: `diagnose --catalogue` has all")
    return found


def describe(key: Key, judged: Judged, made: Plan) -> dict[str, Any]:
    """Findings first, the first is why it is not Ready; then what waits, and alarms that keep it Ready."""
    status = report(judged, made)
    return {
        "resource": str(key),
        "namespace": key.namespace,
        "verdict": str(made.verdict),
        "phase": status.phase,
        "findings": list(find(judged, made, status)),
        "next": [describe_step(step) for step in made.steps],
    }


def find(judged: Judged, made: Plan, status: InstanceStatus) -> Iterator[dict[str, Any]]:
    for each in judged.findings:
        yield {"kind": "finding", "serious": each.serious, **_told(each.reason, each.message)}
    for hold in made.holds:
        yield {"kind": "held", "serious": False, **_told(hold.guard, hold.why)}
    for condition in status.conditions:
        if condition.type in _ALARMS and condition.status == "True":
            yield {"kind": "condition", "serious": False, **_told(condition.reason, condition.message)}


def _told(name: str, seen: str) -> dict[str, Any]:
    found = advise(name)
    if found is None:
        # A kubelet's or scheduler's own word, of which there is no end.
        kubernetes = Advice(
            name=name,
            kind="reason",
            means="Kubernetes says it in its own words",
            operator="waits until it is over, and decides nothing that rests on this pod",
            you="kubectl describe of the object that is named has more",
        )
        return {**describe_advice(kubernetes), "seen": seen}
    return {**describe_advice(found), "seen": seen}


def describe_advice(advice: Advice) -> dict[str, Any]:
    return {
        "reason": advice.name,
        "means": advice.means,
        "operator": advice.operator,
        "you": advice.you,
        "faults": list(advice.faults),
    }


def render(found: Mapping[str, Any]) -> str:
    lines = [f"{found['resource']} in namespace {found['namespace']}: {found['verdict']} (phase {found['phase']})"]
    if not found["findings"]:
        lines.append("nothing is wrong, and nothing waits")
    for each in found["findings"]:
        lines += ["", *_render_advice(each)]
    if found["next"]:
        lines += ["", "The operator's next steps:", *_render_steps(found["next"])]
    return "\n".join(lines)


def _render_advice(each: Mapping[str, Any]) -> Iterator[str]:
    kind = {"held": "held: ", "condition": "alarm: "}.get(each.get("kind", ""), "")
    yield f"{kind}{each['reason']}{' (clients cannot use part of their data)' if each.get('serious') else ''}"
    for title, name in (("seen", "seen"), ("means", "means"), ("operator", "operator"), ("you", "you")):
        if each.get(name):
            yield f"  {title + ':':<10} {each[name]}"
    if each["faults"]:
        yield f"  {'faults:':<10} {'; '.join(each['faults'])} (docs/reference/healing.md)"


def fix(chosen: argparse.Namespace) -> int:
    if not chosen.dry_run:
        raise CommandError(
            "the operator repairs by itself, and two who repair at once would break things: write --dry-run to see what"
            " it is about to do. `diagnose` says what only you can do"
        )
    if (code := relayed(chosen, "fix")) is not None:
        return code
    key, judged = look(chosen)
    made = plan(judged)
    found: dict[str, Any] = {
        "resource": str(key),
        "namespace": key.namespace,
        "paused": judged.world.instance.spec.paused,
        "steps": [describe_step(step) for step in made.steps],
        "held": [{"guard": hold.guard, "why": hold.why} for hold in made.holds],
        "nextLookSeconds": made.next_look_s,
    }
    print_data(found, chosen.output, lambda: render_fix(found))
    return 0


def describe_step(step: Step) -> dict[str, Any]:
    """*sends*: what a process is told; passwords are ***."""
    sends: list[str] = []
    if isinstance(step, RedisStep):
        sends = [" ".join(_word(word) for word in command) for command in step.commands("***")]
    return {"step": NAMES[type(step)], "on": subject_of(step), "why": step.why, "sends": sends}


def subject_of(step: Step) -> str:
    """The object, pod or shard that it is done to."""
    if isinstance(step, RedisStep):
        return f"pod {step.process.pod}"
    for name in ("ref", "pod", "claim", "name"):
        found = getattr(step, name, None)
        if found is not None:
            return str(found) if name == "ref" else f"{name} {found}"
    return ""


def _word(word: str | bytes | int) -> str:
    return word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word)


def render_fix(found: Mapping[str, Any]) -> str:
    lines = [f"{found['resource']} in namespace {found['namespace']}"]
    if found["paused"]:
        lines.append("it is paused: nothing is done until `resume`")
    lines.append("the operator would do now:" if found["steps"] else "the operator has nothing to do")
    lines += _render_steps(found["steps"])
    if found["held"]:
        lines.append("it would not do:")
        lines += [f"  {each['guard']}: {each['why']}" for each in found["held"]]
    return "\n".join(lines)


def _render_steps(steps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for number, step in enumerate(steps, 1):
        yield f"  {number}. {step['step']} {step['on']}: {step['why']}"
        for command in step["sends"]:
            yield f"       {command}"
