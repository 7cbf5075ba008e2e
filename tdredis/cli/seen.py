"""Decides what commands know of an instance that look at it as the operator does: its snapshot, judged and planned."""

from __future__ import annotations

import argparse

from tdredis.cli.errors import CommandError
from tdredis.cli.output import Data
from tdredis.cli.relay import operator_images
from tdredis.cli.target import with_client
from tdredis.controllers.explain import look as look_at
from tdredis.kube.client import Client
from tdredis.planning.decide import Judged, assess, plan, report
from tdredis.planning.snapshot import Key
from tdredis.planning.steps import NAMES


def look(chosen: argparse.Namespace) -> tuple[Key, Judged]:
    """Raises CommandError where there is no such resource, ApiError."""

    async def work(client: Client, key: Key) -> tuple[Key, Judged]:
        return key, await judge(client, key, await operator_images(client, key.namespace, chosen.image_map))

    return with_client(chosen, work)


async def judge(client: Client, key: Key, images: dict[str, str]) -> Judged:
    """Raises CommandError where there is no such resource, ApiError."""
    snapshot = await look_at(client, key, images=images)
    if snapshot is None:
        raise CommandError(
            f"there is no {key} in namespace {key.namespace}: `kubectl get redis -A` lists what there is"
        )
    return assess(snapshot)


def describe(key: Key, judged: Judged) -> dict[str, Data]:
    """What `explain` says, as data."""
    made = plan(judged)
    status = report(judged, made)
    return {
        "resource": str(key),
        "namespace": key.namespace,
        "verdict": str(made.verdict),
        "phase": status.phase,
        "conditions": [
            {"type": each.type, "status": each.status, "reason": each.reason, "message": each.message}
            for each in status.conditions
        ],
        "plan": [{"step": NAMES[type(step)], "what": str(step), "why": step.why} for step in made.steps],
        "pending": [{"what": change.sentence, "class": str(change.class_)} for change in judged.pending],
        "held": [{"guard": hold.guard, "about": hold.about, "why": hold.why} for hold in made.holds],
        "nextLookSeconds": made.next_look_s,
    }
