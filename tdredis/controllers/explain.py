"""Decides how a plan reads to a person: the verdict, every step with its reason, every hold; nothing is done."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping

from tdredis.controllers.manager import build_site
from tdredis.kube.cache import wait_synced
from tdredis.kube.client import Client
from tdredis.observe.caches import Caches
from tdredis.observe.gather import NotKnownYetError, Observer
from tdredis.observe.lookups import Lookups
from tdredis.planning.decide import Judged, plan, report
from tdredis.planning.snapshot import Key, Snapshot
from tdredis.redislink.pool import LinkPool

SYNC_S = 30.0


async def look(client: Client, key: Key, *, images: Mapping[str, str]) -> Snapshot | None:
    """What a pass would see: the objects of the cluster, and what the Redis processes answer; None: there is no *key*.
    Writes nothing.

    Raises ApiError, or TimeoutError if the server does not list its objects in time.
    """
    served = await client.discover()
    caches = Caches(client, served=served, namespaces=(key.namespace,))
    links: LinkPool[Key] = LinkPool(lambda _key, _address: None)
    feeding = asyncio.create_task(caches.run())
    try:
        await wait_synced(caches, SYNC_S)
        lookups = Lookups(now=time.monotonic)
        observer = Observer(client, caches, links, lookups, site=build_site(served, images), now=time.time)
        with contextlib.suppress(NotKnownYetError):
            await observer.gather(key)
        await lookups.settle()  # a pass takes what has been answered by then; we have time
        return await observer.gather(key)
    finally:
        links.close()
        feeding.cancel()
        await asyncio.wait({feeding})


def render(key: Key, assessment: Judged) -> str:
    """The verdict, what is wrong, the plan and the holds, a line each."""
    made = plan(assessment)
    status = report(assessment, made)
    lines = [f"{key} in namespace {key.namespace}: {made.verdict} (phase {status.phase})"]
    lines += [f"  {each.type:<14} {each.status:<6} {each.reason}: {each.message}" for each in status.conditions]
    lines.append("plan:" if made.steps else "plan: nothing to do")
    lines += [f"  {number}. {step} - {step.why}" for number, step in enumerate(made.steps, 1)]
    if assessment.pending:
        lines.append("pending:")
        lines += [f"  {change.sentence} ({change.class_})" for change in assessment.pending]
    if made.holds:
        lines.append("held:")
        lines += [f"  {hold.guard}: {hold.why}" for hold in made.holds]
    lines.append(f"next look in {made.next_look_s:g} s")
    return "\n".join(lines)
