"""The edits of a chaos run: each asks for a change of one resource, as its owner would, whatever breaks meanwhile.

None waits until it is carried out: the next may come on top of it. What was asked for last must be so in the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, TypeVar

from bench.chaos_menu import ENDS_S, Fault, InapplicableError, Place
from bench.chaos_schedule import Draw
from tdredis.api.json_object import JSONObject
from tdredis.manifests.drift import parse_quantity
from tdredis.planning.handover import HANDOVER
from tdredis.planning.limits import MIB
from tdredis.redis.slots import SLOT_COUNT, SlotSet
from tests.e2e.scaling import owned_slots
from tests.e2e.world import Obj, Subject, condition, eventually

RESTART: Final = "cache.tongdun.net/restart"
CAPACITIES_MIB: Final = (768, 896, 1024)  # none is too small for what the ledgers write
IMAGES: Final = ("redis:7.0", "redis:7.0.15")  # either reads what the other has written
PARAMETERS: Final[tuple[JSONObject | None, ...]] = (
    {"timeout": 300},
    {"maxmemory-samples": 7, "slowlog-max-len": 256},
    {"tcp-keepalive": 100},
    None,
)
REPLICAS: Final = {"RedisCluster": (1, 2), "RedisStandby": (1, 2)}
SIZES: Final = (3, 4, 5)  # each holds what the ledgers write, whatever the capacity
SENTINELS: Final = (3, 5)
PROXIES: Final = (1, 2, 3)
GROWN_MIB: Final = 128  # a volume is so much larger each time: it does not shrink
BEGINS_S: Final = 30.0  # what is not begun by then is held by a fault, and is taken back all the same
UNDER_WAY: Final = ("Migrating", "Rolling")
ANNOTATION: Final = "example.com/chaos"
PRIMARY_STAYS: Final = "no_primary_is_removed"
T = TypeVar("T")


def _one_of(draw: Draw, ways: Sequence[T]) -> T:
    return ways[int(draw.way * len(ways))]


def _rolls(place: Place, subject: Subject) -> None:
    """Raises InapplicableError where nobody else could have the data meanwhile: such a wish is held, and stays so."""
    if subject.kind.kind == "RedisStandalone" and not place.claims:
        raise InapplicableError


async def _annotate(subject: Subject, name: str, value: str) -> None:
    patch: JSONObject = {"metadata": {"annotations": {name: value}}}
    await subject.client.patch(subject.kind, subject.namespace, subject.name, patch)


async def edit_capacity(place: Place, subject: Subject, draw: Draw) -> None:  # noqa: ARG001 the signature of the menu
    await subject.change(capacity=_one_of(draw, CAPACITIES_MIB))


async def edit_parameters(place: Place, subject: Subject, draw: Draw) -> None:  # noqa: ARG001
    await subject.change(config=None)
    await subject.change(config=_one_of(draw, PARAMETERS))


async def edit_image(place: Place, subject: Subject, draw: Draw) -> None:
    _rolls(place, subject)
    await subject.change(image=_one_of(draw, IMAGES))


async def edit_pod_annotation(place: Place, subject: Subject, draw: Draw) -> None:
    _rolls(place, subject)
    await subject.change(pod={"annotations": {ANNOTATION: f"{draw.pod:.3f}"}})


async def ask_for_restart(place: Place, subject: Subject, draw: Draw) -> None:
    _rolls(place, subject)
    await _annotate(subject, RESTART, f"{draw.pod}")


async def ask_for_handover(place: Place, subject: Subject, draw: Draw) -> None:  # noqa: ARG001
    if subject.kind.kind == "RedisStandalone":
        raise InapplicableError
    chosen = f"at-{draw.pod}"
    if subject.kind.kind == "RedisCluster":
        primaries = {shard.get("primary") for shard in (await subject.get())["status"]["shards"]}
        replicas = [pod for pod in sorted(await subject.pods()) if pod not in primaries]
        if not replicas:
            raise InapplicableError
        chosen = _one_of(draw, replicas)
    await _annotate(subject, HANDOVER, chosen)


async def edit_replicas(place: Place, subject: Subject, draw: Draw) -> None:  # noqa: ARG001
    if subject.kind.kind not in REPLICAS:
        raise InapplicableError
    await subject.change(replicas=_one_of(draw, REPLICAS[subject.kind.kind]))


async def edit_size(place: Place, subject: Subject, draw: Draw) -> None:  # noqa: ARG001
    await subject.change(size=await _another_size(subject, draw))


async def _another_size(subject: Subject, draw: Draw) -> int:
    """Raises InapplicableError for what has no shards."""
    if subject.kind.kind != "RedisCluster":
        raise InapplicableError
    now = (await subject.get())["spec"]["size"]
    return _one_of(draw, [size for size in SIZES if size != now])


async def edit_size_image_and_capacity(place: Place, subject: Subject, draw: Draw) -> None:  # noqa: ARG001
    """At once: shards come or go, all pods are recreated, and each may hold another share."""
    size = await _another_size(subject, draw)
    image = (await subject.get())["spec"].get("image")
    others = [each for each in IMAGES if each != image]
    capacity = CAPACITIES_MIB[int(draw.pod * len(CAPACITIES_MIB))]
    await subject.change(size=size, image=_one_of(draw, others), capacity=capacity)


async def edit_during_a_roll(place: Place, subject: Subject, draw: Draw) -> None:
    """Another image, when pods are being recreated for something else."""
    await edit_pod_annotation(place, subject, draw)
    await _under_way(subject)
    await _insist(subject, image=_one_of(draw, IMAGES))


async def edit_back_half_way(place: Place, subject: Subject, draw: Draw) -> None:
    """What is asked for goes on for a while, and then what was there before is asked for again."""
    before = (await subject.get())["spec"]
    if subject.kind.kind == "RedisCluster":
        await edit_size(place, subject, draw)
        back: JSONObject = {"size": before["size"]}
    else:
        await edit_pod_annotation(place, subject, draw)
        back = {"pod": {"annotations": {ANNOTATION: (before.get("pod") or {}).get("annotations", {}).get(ANNOTATION)}}}
    await _under_way(subject)
    await asyncio.sleep(draw.lasts_s)  # the edit itself
    await _insist(subject, **back)


async def _under_way(subject: Subject) -> None:
    """Until status says that the edit is being carried out. Whoever edits waits no longer than BEGINS_S for it: then a
    fault holds it, and whatever comes next comes on top of that.
    """

    async def has_begun() -> bool:
        return condition(await subject.get(), "Accepted").get("reason") in UNDER_WAY

    with suppress(AssertionError):
        await eventually(has_begun, f"the edit of {subject.name} is under way", deadline_s=BEGINS_S)


async def _insist(subject: Subject, **spec: object) -> None:
    """Changes it, as soon as the API server takes it."""

    async def is_taken() -> bool:
        await subject.change(**spec)
        return True

    await eventually(is_taken, f"{subject.name} is edited", deadline_s=ENDS_S)


async def edit_sentinels(place: Place, subject: Subject, draw: Draw) -> None:  # noqa: ARG001
    if subject.kind.kind != "RedisStandby":
        raise InapplicableError
    await subject.change(sentinel={"replicas": _one_of(draw, SENTINELS)})


async def edit_proxies(place: Place, subject: Subject, draw: Draw) -> None:  # noqa: ARG001
    if subject.kind.kind != "RedisCluster":
        raise InapplicableError
    await subject.change(proxy={"replicas": _one_of(draw, PROXIES)})


async def grow_volumes(place: Place, subject: Subject, draw: Draw) -> None:  # noqa: ARG001
    if not place.claims:
        raise InapplicableError
    size = parse_quantity((await subject.get())["spec"]["storage"]["size"])
    assert size is not None
    await subject.change(storage={"size": f"{int(size) // MIB + GROWN_MIB}Mi"})


async def pause(place: Place, subject: Subject, draw: Draw) -> None:  # noqa: ARG001
    await subject.change(paused=True)
    await asyncio.sleep(draw.lasts_s)  # the edit itself
    await _insist(subject, paused=False)


EDITS: Mapping[str, Fault] = {
    each.__name__: each
    for each in (
        edit_capacity,
        edit_parameters,
        edit_image,
        edit_pod_annotation,
        ask_for_restart,
        ask_for_handover,
        edit_replicas,
        edit_size,
        edit_size_image_and_capacity,
        edit_during_a_roll,
        edit_back_half_way,
        edit_sentinels,
        edit_proxies,
        grow_volumes,
        pause,
    )
}


async def until_carried_out(subject: Subject, *, deadline_s: float) -> None:
    """Until spec is applied to a resource that is Ready, and no handover is owed. A person helps where the condition
    says so: replicas that would take a primary along are not asked for any more, nor is a handover to a pod that is
    gone. Raises AssertionError.
    """

    async def is_applied() -> bool:
        resource = await subject.get()
        told = condition(resource, "Accepted")
        await _help(subject, resource, str(told.get("reason")))
        current = resource["status"]["observedGeneration"] == resource["metadata"]["generation"]
        is_whole = current and resource["status"]["phase"] == "Ready"
        return bool(is_whole and told.get("reason") == "AsSpecified" and _handed_over(resource))

    try:
        await eventually(is_applied, f"spec of {subject.name} is applied", deadline_s=deadline_s, pause_s=0.5)
    except AssertionError as error:
        resource = await subject.get()
        said = condition(resource, "Accepted"), condition(resource, "Progressing")
        raise AssertionError(f"{error}: {said}") from None


async def slots_amiss(subject: Subject) -> str:
    """What is wrong with who owns which slots, by what each process of a Ready cluster says; "" if nothing."""
    if subject.kind.kind != "RedisCluster":
        return ""
    size, owned = (await subject.get())["spec"]["size"], await owned_slots(subject)
    count, different = sum(map(len, owned.values())), len(SlotSet.union(list(owned.values())))
    if count == different == SLOT_COUNT and len(owned) == size:
        return ""
    return f"{len(owned)} of {size} shards of {subject.name} own {count} slots, {different} different ones"


async def _help(subject: Subject, resource: Obj, reason: str) -> None:
    if reason == PRIMARY_STAYS:
        await subject.change(replicas=REPLICAS[subject.kind.kind][-1])
    asked = resource["metadata"].get("annotations", {}).get(HANDOVER, "")
    if asked and subject.kind.kind == "RedisCluster" and asked not in await subject.pods():
        await subject.client.patch(
            subject.kind, subject.namespace, subject.name, {"metadata": {"annotations": {HANDOVER: None}}}
        )


def _handed_over(resource: Obj) -> bool:
    asked = resource["metadata"].get("annotations", {}).get(HANDOVER, "")
    done = resource["status"].get("handover", {})
    return not asked or (done.get("asked") == asked and bool(done.get("done")))
