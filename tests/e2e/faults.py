"""Faults, and what is measured of them: the longest write gap, acknowledged writes that are missing, time to heal."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

from redis.crc import key_slot

from tdredis.redis.slots import parse_slots
from tests.chaos.ledger import ByCluster, BySentinel, Door, Ledger, describe
from tests.e2e import by_hand
from tests.e2e.reach import linked
from tests.e2e.world import BIN, Kube, Obj, Subject, eventually

GOES_ON_S = 60.0
SENT_S = 1.0  # what was acknowledged so long before a crash has reached the replicas
NOISE_S = 4.0  # what a busy machine may add to the bound of a row; an engine that nobody helps needs five seconds
ALONE_NOISE_S = 0.5  # the same where no other test runs beside: bounds of fractions of a second say something then
ATTEMPTS = 3  # of those: whatever else the machine does, it does not do it each time


def passwords(manifest: Obj) -> tuple[str, str]:
    """Of Redis itself, and of what clients use."""
    spec = manifest["spec"]
    return spec["secret"], spec.get("proxysecret") or spec["secret"]


async def crash(subject: Subject, pod: str) -> None:
    """The Redis process ends at once: nothing is saved, nothing is sent to replicas any more."""
    resource = await subject.get()
    ip = (await subject.pods())[pod]["status"]["podIP"]
    async with linked(f"{ip}:6379", resource["spec"]["secret"]) as link:
        link.send("SHUTDOWN", "NOSAVE", "NOW", "FORCE")


async def in_container(kube: Kube, subject: Subject, pod: str, script: str) -> None:
    """Runs *script* beside Redis."""
    code, _, err = await kube.kubectl("exec", "-n", subject.namespace, pod, "-c", "redis", "--", "sh", "-c", script)
    assert code == 0, err


def tags_of(resource: Obj) -> tuple[str, ...]:
    """One hash tag for each shard of a RedisCluster, in their order."""
    shards = [parse_slots(ranges) for _, ranges in sorted(resource["status"]["slots"].items())]
    return tuple(next(f"t{n}" for n in range(100_000) if key_slot(f"t{n}".encode()) in slots) for slots in shards)


async def ledgers_of(subject: Subject) -> dict[str, Ledger]:
    """A ledger for every way to the instance, writing into every shard."""
    resource = await subject.get()
    inner, outer = passwords(resource)
    address = resource["status"]["clusterIP"]
    match resource["kind"]:
        case "RedisCluster":
            nodes = Addresses(subject, "redis", 6379)
            await nodes.refresh()
            tags = tags_of(resource)
            return {
                "proxy": Ledger("proxy", Door(address, outer), tags),
                "cluster": Ledger("cluster", ByCluster(nodes, inner), tags),
            }
        case "RedisStandby":
            sentinels = Addresses(subject, "sentinel", 26379)
            await sentinels.refresh()
            return {
                "service": Ledger("service", Door(address, outer)),
                "sentinel": Ledger("sentinel", BySentinel(sentinels, "mymaster", outer)),
            }
        case _:
            return {"service": Ledger("service", Door(address, outer))}


class Addresses:
    """Where the pods of a component are, as of the last `refresh`."""

    def __init__(self, subject: Subject, component: str, port: int) -> None:
        self._subject = subject
        self._component = component
        self._port = port
        self._known: list[str] = []

    def __call__(self) -> list[str]:
        return self._known

    async def refresh(self) -> None:
        pods = (await self._subject.pods(self._component)).values()
        self._known = [f"{pod['status']['podIP']}:{self._port}" for pod in pods if pod["status"].get("podIP")]


@asynccontextmanager
async def under_load(
    subject: Subject, ways: Sequence[str] = (), *, tags: Sequence[str] = ()
) -> AsyncIterator[dict[str, Ledger]]:
    """Clients write by every way, or by *ways* only, before, during and after what happens in the block. *tags*: of
    the keys, in place of one a shard.
    """
    ledgers = {way: ledger for way, ledger in (await ledgers_of(subject)).items() if not ways or way in ways}
    for ledger in ledgers.values():
        ledger.tags = tags or ledger.tags
    async with AsyncExitStack() as stack:
        for ledger in ledgers.values():
            await stack.enter_async_context(ledger.writing())
        await asyncio.gather(*(ledger.until_written(100, deadline_s=GOES_ON_S) for ledger in ledgers.values()))
        yield ledgers
        await asyncio.gather(*(ledger.until_written(100, deadline_s=GOES_ON_S) for ledger in ledgers.values()))


async def lost(subject: Subject, ledgers: Mapping[str, Ledger], *, until: float = float("inf")) -> dict[str, list[int]]:
    """Acknowledged before *until* (monotonic), and not there any more, by way."""
    found = {}
    ways = await ledgers_of(subject)
    for name, written in ledgers.items():
        ledger = ways[name]
        missing = await written.missing(ledger.path)
        ledger.path.close()
        if early := [number for number in missing if written.acknowledged[number] < until]:
            found[name] = early
    return found


async def kill_pods(kube: Kube, subject: Subject, pods: Iterable[str]) -> None:
    """They go at once, with no time to hand over to anybody, and with what they had on an emptyDir."""
    code, _, err = await kube.kubectl("delete", "pod", "-n", subject.namespace, "--grace-period=0", "--force", *pods)
    assert code == 0, err


async def another_primary(subject: Subject, before: str) -> None:
    async def moved() -> bool:
        return await subject.primary() not in ("", before)

    await eventually(moved, f"another pod than {before} is the primary")


def api_server_gone(kube: Kube) -> AbstractAsyncContextManager[None]:
    return fault(kube, "stop-api")


@asynccontextmanager
async def fault(kube: Kube, *words: str) -> AsyncIterator[None]:
    """One of localkube's own (`localkube fault --help`), in force for the block; elsewhere, the same by hand."""
    if not kube.is_localkube:
        async with by_hand.fault(kube, *words):
            yield
        return
    process = await asyncio.create_subprocess_exec(
        str(BIN / "localkube"),
        *("fault", "--kubeconfig", str(kube.kubeconfig), *words),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            assert await process.stdout.readline()
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(30):
            await process.wait()


async def strike(kube: Kube, *words: str) -> None:
    """One of localkube's own that is over at once; elsewhere, the same by hand."""
    if not kube.is_localkube:
        await by_hand.strike(kube, *words)
        return
    process = await asyncio.create_subprocess_exec(
        str(BIN / "localkube"),
        *("fault", "--kubeconfig", str(kube.kubeconfig), *words),
        stdout=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(30):
        assert await process.wait() == 0


@asynccontextmanager
async def proving(
    *rows: int,
    subject: Subject,
    gap_s: float,
    heal_s: float | None = None,
    planned: bool = False,
    ways: Sequence[str] = (),
    noise_s: float = NOISE_S,
) -> AsyncIterator[dict[str, Ledger]]:
    """The block makes the fault of *rows* and waits for what must come of it; clients write by every way, or by
    *ways* only, meanwhile.

    Afterwards the instance is Ready again, *heal_s* after the beginning if that is promised; no write waited longer
    than *gap_s* (0: none failed); *planned*: no acknowledged write is missing, else none that is older than SENT_S.
    All of it is recorded before it is judged. Raises TooLongError, if nothing else is wrong, for the gap.
    """
    async with under_load(subject, ways) as ledgers:
        began = time.monotonic()
        failures = {way: ledger.failures for way, ledger in ledgers.items()}
        yield ledgers
    await subject.until_ready()
    healed_s = time.monotonic() - began
    missing = await lost(subject, ledgers)
    for row in rows:
        for way, ledger in ledgers.items():
            gone, longest_s = len(missing.get(way, ())), ledger.longest_gap_s(began)
            kind = f"{subject.kind.kind} by {way}"
            record(row, kind, gap_s=round(longest_s, 3), lost=gone, heal_s=round(healed_s, 2))
    for way, ledger in ledgers.items():
        if gap_s == 0:
            assert ledger.failures == failures[way], describe(ledgers)
        early = [each for each in missing.get(way, ()) if planned or ledger.acknowledged[each] < began - SENT_S]
        assert not early, f"{way} lost {early}; {describe(ledgers)}"
    assert heal_s is None or healed_s < heal_s + noise_s, f"Ready again after {healed_s:.1f} s"
    longest_s = max(ledger.longest_gap_s(began) for ledger in ledgers.values())
    if longest_s >= gap_s + noise_s:
        raise TooLongError(f"no write for {longest_s:.2f} s, bound {gap_s:g} s; {describe(ledgers)}")


class TooLongError(AssertionError):
    """Writes waited longer than a row promises."""


async def prove_promptly(
    row: int, fault: Callable[[], Awaitable[None]], *, subject: Subject, gap_s: float, planned: bool = False
) -> None:
    """As `proving`, for a test that is marked `alone`: within ALONE_NOISE_S of the bound in one of ATTEMPTS. Nothing is
    lost in any. *fault* makes the fault, and waits for what must come of it.
    """
    seen = []
    for _ in range(ATTEMPTS):
        try:
            async with proving(row, subject=subject, gap_s=gap_s, planned=planned, noise_s=ALONE_NOISE_S):
                await fault()
        except TooLongError as error:
            seen.append(str(error))
        else:
            return
    raise TooLongError("\n".join(seen))


def record(row: int, kind: str, **measured: object) -> None:
    """What a row of docs/reference/healing.md did this time, for whoever measures: a line of JSON in the file that
    TDREDIS_HEALING names. *measured*: gap_s, the longest write gap; lost, acknowledged writes; heal_s, until Ready.
    """
    if named := os.environ.get("TDREDIS_HEALING"):
        line = json.dumps({"row": row, "kind": kind, **measured})
        with Path(named).open("a") as file:  # one write call a line: workers of a run may share the file
            file.write(line + "\n")
