"""The edits of a chaos run: each asks for a change of one resource, as its owner would, whatever breaks meanwhile.

None waits until it is carried out: the next may come on top of it. What was asked for last must be so in the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from bench.chaos_menu import ENDS_S, Fault, InapplicableError, Place
from bench.chaos_schedule import Draw
from tdredis.api.json_object import JSONObject
from tdredis.manifests.drift import parse_quantity
from tdredis.planning.handover import HANDOVER
from tdredis.planning.limits import MIB
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
SENTINELS: Final = (3, 5)
PROXIES: Final = (1, 2, 3)
GROWN_MIB: Final = 128  # a volume is so much larger each time: it does not shrink
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
    await subject.change(pod={"annotations": {"example.com/chaos": f"{draw.pod:.3f}"}})


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

    async def is_resumed() -> bool:
        await subject.change(paused=False)
        return True

    await eventually(is_resumed, f"{subject.name} is paused no more", deadline_s=ENDS_S)


EDITS: Mapping[str, Fault] = {
    each.__name__: each
    for each in (
        edit_capacity,
        edit_parameters,
        edit_image,
        edit_pod_annotation,
        ask_for_restart,
        ask_for_handover,
        edit_replicas,  # `size` belongs here, as soon as it may be edited
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
