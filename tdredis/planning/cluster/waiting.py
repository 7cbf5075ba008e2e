"""Decides when a decision waits: for processes that do not answer, and for pods that start."""

from __future__ import annotations

from tdredis.planning.cluster.world import World
from tdredis.planning.objects import list_names
from tdredis.planning.plan import Hold
from tdredis.planning.pods import silence_hold


def everybody_has_answered(world: World, why: str) -> Hold | None:
    """Guard: nobody who could contradict is silent, without_process or about to start. *why*: what waits for that."""
    if hold := nobody_is_unknown(world, why):
        return hold
    if world.starting_pods:
        return Hold(guard="pods_have_started", why=f"waiting for {list_names(world.starting_pods)} to start")
    return None


def nobody_is_unknown(world: World, why: str) -> Hold | None:
    """Guard: as above, without those that only start."""
    if world.unresponsive:
        return silence_hold(world.unresponsive, why)
    if world.without_process:
        return Hold(guard="every_process_answers", why=f"{why}; no process runs in {list_names(world.without_process)}")
    return None
