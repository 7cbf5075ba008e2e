"""Decides what goes on while a primary is killed, and how it is put to an end before the next one is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from redis.crc import key_slot

from tdredis.kube.resources import PODS
from tdredis.redis.slots import SLOT_COUNT, parse_slots
from tdredis.redislink.access import Access
from tdredis.redislink.errors import LinkError
from tdredis.redislink.link import connect
from tests.e2e.faults import Addresses
from tests.e2e.rolling import outdated, rolled
from tests.e2e.scaling import TAGS, fill, owned_slots, scaled
from tests.e2e.world import Obj, Subject, condition, eventually

HEALS_S = 60.0
APPLIED_S = 120.0
LOOK_S = 0.02  # a pod of a roll lives for seconds
KEYS = 200_000  # a quarter of them takes longer to move than a primary to die and be replaced
SPREAD = 500  # slots: after how many more each kill comes later than the one before


class Serving(Addresses):
    """Pods that are not about to go: whose address was silent a moment later, a client would wait for its own patience,
    and not for the failover.
    """

    async def refresh(self) -> None:
        pods = (await self._subject.pods(self._component)).values()
        staying = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
        self._known = [f"{pod['status']['podIP']}:{self._port}" for pod in staying if pod["status"].get("podIP")]


class Change(Protocol):
    """Raises AssertionError where time is up."""

    @property
    def keeps_primaries(self) -> bool:
        """Who is the primary before is it when the change is under way."""

    def tags(self, resource: Obj, shard: str) -> Sequence[str]:
        """Of the keys of a cluster that clients write while the primary of *shard* is killed."""

    async def prepare(self, subject: Subject) -> bool:
        """Once, when *subject* is Ready. False: no such change is made to its kind."""

    async def begin(self, subject: Subject, run: int) -> None:
        """Until it is under way in *subject*, which is Ready."""

    async def goes_on(self, subject: Subject, run: int) -> bool:
        """It is under way still, as the API server has it: nobody who may be dead is asked."""

    async def end(self, subject: Subject, run: int, pod: str) -> None:
        """Until nothing of it is left, after the process of *pod* was killed."""


class Quiet:
    """Nothing goes on."""

    keeps_primaries = True

    def tags(self, resource: Obj, shard: str) -> Sequence[str]:
        return (tag_in(resource, shard),)

    async def prepare(self, subject: Subject) -> bool:  # noqa: ARG002 the signature of all
        return True

    async def begin(self, subject: Subject, run: int) -> None: ...

    async def goes_on(self, subject: Subject, run: int) -> bool:  # noqa: ARG002
        return True

    async def end(self, subject: Subject, run: int, pod: str) -> None:  # noqa: ARG002
        await make_anew(subject, pod)


class Roll(Quiet):
    """Every pod is recreated; so many are new when the primary is killed as runs were before, modulo all."""

    keeps_primaries = False

    async def begin(self, subject: Subject, run: int) -> None:
        pods = len(await subject.pods())
        await subject.change(pod={"annotations": {"team": f"run-{run}"}})

        async def is_under_way() -> bool:
            new = await subject.pods()
            old = await outdated(subject, f"run-{run}")
            return len(new.keys() - old) >= run % (pods - 1) + 1

        await eventually(is_under_way, "pods are recreated", deadline_s=APPLIED_S, pause_s=LOOK_S)

    async def goes_on(self, subject: Subject, run: int) -> bool:
        return bool(await outdated(subject, f"run-{run}"))

    async def end(self, subject: Subject, run: int, pod: str) -> None:  # noqa: ARG002
        await rolled(subject, f"run-{run}")


class Config(Quiet):
    """Parameters are set on every process, within a fraction of a second: the primary is killed at once after the edit,
    or, in every other run, when somebody has them.
    """

    async def begin(self, subject: Subject, run: int) -> None:
        ips = [pod["status"]["podIP"] for pod in (await subject.pods()).values()]
        await subject.change(config={"timeout": 300 + run, "maxmemory-samples": 6 + run % 2})

        async def is_under_way() -> bool:
            replies = await asyncio.gather(*(_ask(subject, ip, "CONFIG", "GET", "timeout") for ip in ips))
            return [b"timeout", str(300 + run).encode()] in replies

        if run % 2:
            await eventually(is_under_way, "parameters are set", deadline_s=APPLIED_S, pause_s=0)

    async def goes_on(self, subject: Subject, run: int) -> bool:  # noqa: ARG002
        return not await is_applied(subject)

    async def end(self, subject: Subject, run: int, pod: str) -> None:  # noqa: ARG002
        await eventually(lambda: is_applied(subject), "parameters are set", deadline_s=APPLIED_S)
        await make_anew(subject, pod)


class Reshard(Quiet):
    """A fourth shard comes, or goes in the next run; it owns more of its slots when a primary is killed, run by run."""

    def tags(self, resource: Obj, shard: str) -> Sequence[str]:  # noqa: ARG002
        return TAGS  # of all slots, those too that move

    async def prepare(self, subject: Subject) -> bool:
        if subject.kind.kind != "RedisCluster":
            return False
        await fill(subject, KEYS)
        return True

    async def begin(self, subject: Subject, run: int) -> None:
        size = _size_of(run)
        await subject.change(size=size)

        async def is_under_way() -> bool:
            moved = await _owned_by_added(subject) if size == 4 else SLOT_COUNT // 4 - await _owned_by_added(subject)
            return moved >= 100 + run * SPREAD % 3000

        await eventually(is_under_way, "slots move", deadline_s=APPLIED_S, pause_s=LOOK_S)

    async def goes_on(self, subject: Subject, run: int) -> bool:  # noqa: ARG002
        return "resharding" in (await subject.get())["status"]

    async def end(self, subject: Subject, run: int, pod: str) -> None:
        await scaled(subject, _size_of(run))
        if pod in await subject.pods():
            await make_anew(subject, pod)


def _size_of(run: int) -> int:
    return 4 if run % 2 == 0 else 3


async def _owned_by_added(subject: Subject) -> int:
    owned = await owned_slots(subject)
    return sum(len(slots) for pod, slots in owned.items() if pod.startswith(f"{subject.name}-3-"))


async def is_applied(subject: Subject) -> bool:
    resource = await subject.get()
    is_current = resource["status"]["observedGeneration"] == resource["metadata"]["generation"]
    return bool(is_current and condition(resource, "Accepted")["reason"] == "AsSpecified")


def tag_in(resource: Obj, shard: str) -> str:
    """A hash tag whose keys *shard* owns."""
    slots = parse_slots(resource["status"]["slots"][shard])
    return next(f"t{n}" for n in range(100_000) if key_slot(f"t{n}".encode()) in slots)


async def make_anew(subject: Subject, pod: str) -> None:
    """A new pod has no restart back-off, which would grow from kill to kill. By now it is no primary."""
    found = (await subject.pods())[pod]
    uid, ip = found["metadata"]["uid"], found["status"]["podIP"]

    async def demoted() -> bool:
        return await _role(subject, ip) == b"slave"

    await eventually(demoted, f"{pod} is a replica", deadline_s=HEALS_S)
    await subject.client.delete(PODS, subject.namespace, pod)

    async def is_new() -> bool:
        pods = await subject.pods()
        return pod in pods and pods[pod]["metadata"]["uid"] != uid

    await eventually(is_new, f"{pod} is made anew", deadline_s=HEALS_S)


async def primary_of(subject: Subject, shard: str) -> str:
    """Of *shard*, as status says, if its process says so too: status is a moment behind. Raises AssertionError."""
    found = ""

    async def is_found() -> bool:
        nonlocal found
        shards = (await subject.get())["status"]["shards"]
        found = next((each.get("primary", "") for each in shards if each["name"] == shard), "")
        pod = (await subject.pods()).get(found)
        return pod is not None and await _role(subject, pod["status"].get("podIP", "")) == b"master"

    await eventually(is_found, f"{shard} has a primary", deadline_s=HEALS_S, pause_s=LOOK_S)
    return found


async def _role(subject: Subject, ip: str) -> object:
    role = await _ask(subject, ip, "ROLE")
    return role[0] if isinstance(role, list) else None


async def _ask(subject: Subject, ip: str, *words: str) -> object:
    """None: nobody answers there; its container is not started (again) yet."""
    password = (await subject.get())["spec"]["secret"]
    try:
        link = await connect(ip, 6379, access=Access((password,)), timeout_s=1)
        try:
            return await link.call(*words, timeout_s=1)
        finally:
            link.close()
    except LinkError:
        return None
