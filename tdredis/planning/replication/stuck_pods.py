"""Decides which pods are made anew because they cannot run as they are, a primary after it has handed over."""

from __future__ import annotations

from collections.abc import Iterator

from tdredis.manifests.names import sentinel_name
from tdredis.planning.objects import Ruling, outdated_pods, replace_troubled
from tdredis.planning.replication.picture import Picture
from tdredis.planning.replication.primary import hand_over
from tdredis.planning.replication.world import World
from tdredis.planning.snapshot import PodFacts
from tdredis.planning.steps import Step


def replace_stuck_pods(world: World) -> Ruling:
    """A pod with trouble, made from a template that has changed since, is made anew: correcting a bad image heals.

    One that never ran goes at once. One that runs goes when it is a replica, or a Sentinel beside others that work; a
    primary hands over first.
    """
    picture, snapshot = world.picture, world.picture.snapshot
    wanted = [snapshot.pods[name] for name in picture.wanted_pods if name in snapshot.pods]
    steps: list[Step] = list(_replace_redis(picture, outdated_pods(snapshot, world.instance.name, wanted)))
    if picture.standby is not None:
        watching = [snapshot.sentinel_pods[n] for n in picture.wanted_sentinels if n in snapshot.sentinel_pods]
        outdated = outdated_pods(snapshot, sentinel_name(picture.standby), watching)
        never_ran = [pod for pod in outdated if not pod.ever_ran]
        steps += [replace_troubled(pod, "it never ran") for pod in never_ran]
        running = len(picture.watchers) > picture.standby.spec.sentinel.quorum
        if outdated and not never_ran and running:
            steps.append(replace_troubled(outdated[0], "the other Sentinels watch"))
    return Ruling(steps=tuple(steps))


def _replace_redis(picture: Picture, outdated: list[PodFacts]) -> Iterator[Step]:
    never_ran = [pod for pod in outdated if not pod.ever_ran]
    yield from (replace_troubled(pod, "it never ran") for pod in never_ran)
    primary = picture.primary
    if never_ran or not outdated or picture.silent or picture.unheard:
        return
    if picture.standby is None:
        yield replace_troubled(outdated[0], "it is the only one")
        return
    if primary is None:
        return
    replicas = [pod for pod in outdated if pod.name != primary.name]
    if replicas:
        yield replace_troubled(replicas[0], "it is a replica")
        return
    heirs = [member for member in picture.replicas_in_sync() if not member.pod.trouble]
    yield from hand_over(picture, primary, heirs, f"{primary.name} is to be made anew")
