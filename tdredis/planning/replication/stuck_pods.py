"""Decides which pods are made anew because they cannot run as they are, a primary after it has handed over."""

from __future__ import annotations

from collections.abc import Iterator

from tdredis.manifests.names import sentinel_name
from tdredis.planning.objects import Ruling, outdated_pods, replace_troubled
from tdredis.planning.replication.picture import Member, Picture
from tdredis.planning.replication.primary import hand_over
from tdredis.planning.replication.world import World, held
from tdredis.planning.snapshot import PodFacts
from tdredis.planning.steps import Step


def replace_stuck_pods(world: World) -> Ruling:
    """A pod with trouble, made from a template that has changed since, is made anew: correcting a bad image heals.

    One that has nothing to lose goes at once. One that runs goes when it is a replica, or a Sentinel beside others that
    work; a primary hands over first.
    """
    picture, snapshot = world.picture, world.picture.snapshot
    wanted = [snapshot.pods[name] for name in picture.wanted_pods if name in snapshot.pods]
    redis = _replace_redis(picture, outdated_pods(snapshot, world.instance.name, wanted))
    return Ruling(steps=(*redis.steps, *_replace_sentinels(picture)), holds=redis.holds)


def _replace_redis(picture: Picture, outdated: list[PodFacts]) -> Ruling:
    idle = {pod.name: why for pod in outdated if (why := _nothing_to_lose(picture, pod))}
    if idle:
        return Ruling(steps=tuple(replace_troubled(pod, idle[pod.name]) for pod in outdated if pod.name in idle))
    primary = picture.primary
    if not outdated or picture.unresponsive or picture.without_process or primary is None:
        return Ruling()
    if picture.standby is None:
        return _replace_the_only_one(picture, primary)
    replicas = [pod for pod in outdated if pod.name != primary.name]
    if replicas:
        return Ruling(steps=(replace_troubled(replicas[0], "it is a replica"),))
    heirs = [member for member in picture.replicas_in_sync() if not member.pod.trouble]
    return Ruling(steps=tuple(hand_over(picture, primary, heirs, f"{primary.name} will be recreated")))


def _nothing_to_lose(picture: Picture, pod: PodFacts) -> str:
    """Why nothing is lost with *pod*, in which no process runs; "": something may be, or one does."""
    if not pod.ever_ran:
        return "it never ran"
    if pod.name in picture.snapshot.nodes:
        return ""
    if picture.instance.spec.storage_class:
        return "it does not run, its data is on a volume"
    if not picture.recorded:
        return "it does not run, there never was a primary"
    if picture.primary is not None:
        return f"it does not run, {picture.primary.name} has the data"
    return ""


def _replace_the_only_one(picture: Picture, member: Member) -> Ruling:
    if picture.instance.spec.storage_class or not member.has_data:
        return Ruling(steps=(replace_troubled(member.pod, "it is the only one"),))
    why = (
        f"{member.name} has the only copy of the data, on an emptyDir: what is wrong in its pod is mended by a new pod,"
        " which would be empty; delete the pod yourself if you can do without the data"
    )
    return held("another_copy_exists", why)


def _replace_sentinels(picture: Picture) -> Iterator[Step]:
    if picture.standby is None:
        return
    pods = picture.snapshot.sentinel_pods
    watching = [pods[name] for name in picture.wanted_sentinels if name in pods]
    outdated = outdated_pods(picture.snapshot, sentinel_name(picture.standby), watching)
    idle = [pod for pod in outdated if pod.name not in picture.snapshot.sentinels]
    yield from (replace_troubled(pod, "it does not run") for pod in idle)
    if outdated and not idle and len(picture.watchers) > picture.standby.spec.sentinel.quorum:
        yield replace_troubled(outdated[0], "the other Sentinels watch")
