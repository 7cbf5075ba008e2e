"""Decides which pods are recreated because they cannot run as they are, a primary after it has handed over."""

from __future__ import annotations

from collections.abc import Iterator

from tdredis.manifests.names import sentinel_name
from tdredis.planning.objects import nothing_to_lose, outdated_pods, replace_troubled
from tdredis.planning.plan import Hold, Ruling
from tdredis.planning.replication.primary import hand_over
from tdredis.planning.replication.world import Member, World
from tdredis.planning.snapshot import PodFacts
from tdredis.planning.steps import Step


def replace_stuck_pods(world: World) -> Ruling:
    """A pod with trouble, made from a template that has changed since, is recreated: correcting a bad image heals.

    One that has nothing to lose goes at once. One that runs goes when it is a replica, or a Sentinel beside others that
    work; a primary hands over first.
    """
    snapshot = world.snapshot
    wanted = [snapshot.pods[name] for name in world.redis.wanted if name in snapshot.pods]
    redis = _replace_redis(world, outdated_pods(snapshot, world.instance.name, wanted))
    return Ruling(steps=(*redis.steps, *_replace_sentinels(world)), holds=redis.holds)


def _replace_redis(world: World, outdated: list[PodFacts]) -> Ruling:
    idle = {pod.name: why for pod in outdated if (why := _nothing_to_lose(world, pod))}
    if idle:
        return Ruling(steps=tuple(replace_troubled(pod, idle[pod.name]) for pod in outdated if pod.name in idle))
    primary = world.primary
    if not outdated or world.redis.has_unknown or primary is None:
        return Ruling()
    if world.standby is None:
        return _replace_the_only_one(world, primary)
    replicas = [pod for pod in outdated if pod.name != primary.name]
    if replicas:
        return Ruling(steps=(replace_troubled(replicas[0], "it is a replica"),))
    heirs = [member for member in world.replicas_in_sync() if not member.pod.trouble]
    return hand_over(world, primary, heirs, f"{primary.name} will be recreated")


def _nothing_to_lose(world: World, pod: PodFacts) -> str:
    never = "" if world.recorded else "there never was a primary"
    owner = world.primary.name if world.primary else ""
    return nothing_to_lose(world.snapshot, pod, world.instance.spec, never=never, owner=owner)


def _replace_the_only_one(world: World, member: Member) -> Ruling:
    if world.instance.spec.storage_class or not member.has_data:
        return Ruling(steps=(replace_troubled(member.pod, "it is the only one"),))
    why = (
        f"{member.name} has the only copy of the data, on an emptyDir: what is wrong in its pod is mended by a new pod,"
        " which would be empty; delete the pod yourself if you can do without the data"
    )
    return Ruling(holds=(Hold(guard="another_copy_exists", about="spec", why=why),))


def _replace_sentinels(world: World) -> Iterator[Step]:
    if world.standby is None:
        return
    pods = world.snapshot.sentinel_pods
    watching = [pods[name] for name in world.sentinels.wanted if name in pods]
    outdated = outdated_pods(world.snapshot, sentinel_name(world.standby), watching)
    stopped = [pod for pod in outdated if pod.name not in world.snapshot.sentinels]
    idle = [pod for pod in stopped if pod.main_trouble or not pod.ever_ran]
    yield from (replace_troubled(pod, "it does not run") for pod in idle)
    if outdated and not idle and len(world.watchers) > world.standby.spec.sentinel.quorum:
        yield replace_troubled(outdated[0], "the other Sentinels watch")
