"""Decides when a decision waits: for processes that do not answer, and for pods that start."""

from __future__ import annotations

from tdredis.planning.cluster.picture import Picture
from tdredis.planning.objects import list_names
from tdredis.planning.plan import Hold
from tdredis.planning.pods import silence_hold


def everybody_has_answered(picture: Picture, why: str) -> Hold | None:
    """Guard: nobody who could contradict is silent, without_process or about to start. *why*: what waits for that."""
    if hold := nobody_is_unknown(picture, why):
        return hold
    if picture.starting_pods:
        return Hold(guard="pods_have_started", why=f"waiting for {list_names(picture.starting_pods)} to start")
    return None


def nobody_is_unknown(picture: Picture, why: str) -> Hold | None:
    """Guard: as above, without those that only start."""
    if picture.unresponsive:
        return silence_hold(picture.unresponsive, why)
    if picture.without_process:
        return Hold(
            guard="every_process_answers", why=f"{why}; no process runs in {list_names(picture.without_process)}"
        )
    return None
