"""Everything breaks, two faults at a time, while it is changed: `python -m bench chaos [--seed N | --replay FILE]`.

One RedisCluster, one RedisStandby and one RedisStandalone on localkube, clients that write without pause by every way,
and faults drawn from a menu by the seed: processes killed and frozen, pods deleted, the network cut, the operator
killed, the API server stopped, slow or refusing, disks filled and files torn. Beside them spec is edited: size,
capacity, parameters, images, replicas, Sentinels, proxies, volumes, restarts, handovers, pauses, several at once, one
on top of the other, and back half way (`--no-edits`: not). The same seed draws the same faults in the same order, from
the same menu, with edits and without; `--save FILE` keeps them as they were, and `--replay FILE` repeats them.

Afterwards every fault is undone, within two minutes everything must be Ready without anybody's help, and soon after
what spec says last must be so. The last line is the verdict: invariants that were broken (a Service that led to two
primaries, a slot without its one owner, a pass that failed with a bug, a resource that did not become Ready, an edit
that was not carried out, a write that is lost though nobody had crashed, an edit beside no fault that stopped writes
for more than five seconds), acknowledged writes that are missing, and for each fault how long writes stopped, how long
after its end status last said that its resource was not Ready (or nobody could tell), and how many of the missing
writes were acknowledged while it lasted or in the second before it. Two faults may share all three.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from redis.crc import key_slot

from bench._localkube import localkube
from bench.chaos_edits import EDITS, slots_amiss, until_carried_out
from bench.chaos_judge import SENT_S, Happening, is_judged, too_long, unexplained
from bench.chaos_menu import MENU, InapplicableError, Place, takes_a_copy
from bench.chaos_schedule import AT_ONCE, Draw, Schedule, draw_schedule, read_schedule, write_schedule
from tdredis.kube.errors import ApiError
from tdredis.kube.resources import ENDPOINTSLICES
from tests.chaos.ledger import Ledger, describe
from tests.e2e.faults import Addresses, ledgers_of
from tests.e2e.scaling import TAGS
from tests.e2e.world import (
    Operator,
    Subject,
    install_crds,
    new_namespace,
    sample,
    standalone,
    standby,
)

HEALS_S = 120.0
APPLIED_S = 300.0  # all pods of all shards are recreated, one by one
LOOK_S = 0.1  # how often status is looked at
SETTLED_S = 2.0  # Ready for so long: whatever the fault did has been noticed, and healed
CAPACITY_MIB = 768  # nothing of what the ledgers write may be evicted
# Addresses go from one to another. With the cluster's password, as in the samples, its clients would be acknowledged by
# the standalone, and what they write be missing.
OWN_PASSWORD = "hare"  # noqa: S105 of no instance but this
DISK = "256Mi"  # of each pod: so much memory is taken when it is filled
CLASS = "sized"
STORAGE = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": CLASS},
    "provisioner": "localkube.io/directory",
    "parameters": {"medium": "Memory"},
    "reclaimPolicy": "Delete",
    "allowVolumeExpansion": True,
}
HAPPENINGS = {**MENU, **EDITS}
SERVING = ("Ready", "Migrating")  # nothing is wrong; data moves, as was asked
WIDE = TAGS[:60]  # in slots of all shards that there are or will be
RESTART_PACE = 0.05  # a kubelet's back-off is for programs that fail by themselves


@dataclass
class Run:
    """Everything a chaos run holds."""

    place: Place
    begun: list[int]  # faults of each lane
    is_edited: bool
    ledgers: dict[str, Ledger] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    happened: list[Happening] = field(default_factory=list)  # more than was seen to its end
    broken: list[str] = field(default_factory=list)
    unready: dict[str, float] = field(default_factory=dict)  # resource -> when it was last seen not Ready (monotonic)
    taking: asyncio.Lock = field(default_factory=asyncio.Lock)  # by the fault that takes a copy of data away


@dataclass(slots=True)
class Seen:
    """What one fault did."""

    fault: str
    began: float  # monotonic
    healed: float
    gaps_s: dict[str, float]
    heal_s: float
    lost: int = 0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench chaos", description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--seed", type=int, default=1)
    what.add_argument(
        "--replay", type=Path, metavar="FILE", help="faults that --save has kept, such as tests/chaos/seeds"
    )
    parser.add_argument("--no-edits", action="store_true", help="of a seed: the faults alone")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--save", type=Path, metavar="FILE", help="where to keep the faults of this run")
    parser.add_argument("--logs", type=Path, help="an empty folder: what the operator and localkube said stays there")
    chosen = parser.parse_args(arguments)
    drawn = draw_schedule(chosen.seed, MENU, () if chosen.no_edits else EDITS)
    schedule = read_schedule(chosen.replay) if chosen.replay else drawn
    with tempfile.TemporaryDirectory(prefix="bench-chaos-") as folder:
        verdict, begun = asyncio.run(_run(chosen.logs or Path(folder), schedule, chosen.minutes * 60))
    if chosen.save:
        write_schedule(chosen.save, schedule, begun)
    said = {"seed": schedule.seed, "claims": schedule.claims, "reuse": schedule.reuse, "minutes": chosen.minutes}
    print(json.dumps({"bench": "chaos", **said, **verdict}))
    return 1 if verdict["invariants_broken"] or not verdict["all_ready"] else 0


async def _run(folder: Path, schedule: Schedule, seconds: float) -> tuple[dict[str, object], tuple[int, ...]]:
    """The verdict, and how many faults of each lane were begun."""
    async with AsyncExitStack() as stack:
        options = ("--empty-dir-size", DISK, *(("--address-reuse",) if schedule.reuse else ()))
        kube = await stack.enter_async_context(localkube(folder, nodes=6, restart_pace=RESTART_PACE, options=options))
        client = await stack.enter_async_context(kube.client())
        await install_crds(client)
        if schedule.claims:
            code, _, error = await kube.kubectl("apply", "-f", "-", stdin=json.dumps(STORAGE))
            assert code == 0, error
        where = {"storageclass": CLASS, "storage": {"size": DISK}} if schedule.claims else {}
        namespace = await stack.enter_async_context(new_namespace(client))
        operator = await stack.enter_async_context(Operator(kube, namespace))
        subjects = [
            await Subject.create(client, sample(namespace, capacity=CAPACITY_MIB, **where)),
            await Subject.create(client, standby(namespace, capacity=CAPACITY_MIB, replicas=2, **where)),
            await Subject.create(client, standalone(namespace, capacity=CAPACITY_MIB, secret=OWN_PASSWORD, **where)),
        ]
        await asyncio.gather(*(subject.until_ready() for subject in subjects))
        place = Place(kube=kube, client=client, operator=operator, subjects=subjects, claims=schedule.claims)
        run = Run(place=place, begun=[0 for _ in schedule.lanes], is_edited=len(schedule.lanes) > AT_ONCE)
        for subject in subjects:
            run.ledgers |= {f"{subject.kind.kind}/{way}": each for way, each in (await ledgers_of(subject)).items()}
        for name, ledger in run.ledgers.items():
            ledger.tags = WIDE if name.startswith("RedisCluster/") else ledger.tags
        async with AsyncExitStack() as writing:
            for ledger in run.ledgers.values():
                await writing.enter_async_context(ledger.writing())
            watching = [asyncio.create_task(each(run)) for each in (_watch, _refresh, _look)]
            end = time.monotonic() + seconds
            await asyncio.gather(*(_lane(run, lane, draws, end) for lane, draws in enumerate(schedule.lanes)))
            ready = await _all_ready(run)
            for task in watching:
                task.cancel()
            await asyncio.wait(watching)
            if ready:
                await asyncio.gather(*(each.until_written(50, deadline_s=HEALS_S) for each in run.ledgers.values()))
        return await _verdict(run, all_ready=ready), tuple(run.begun)


async def _lane(run: Run, lane: int, draws: Sequence[Draw], end: float) -> None:
    """Fault after fault, or edit after edit, each until its resource is Ready again."""
    heals_s = APPLIED_S if run.is_edited else HEALS_S  # nothing is Ready while its pods are recreated
    for draw in draws:
        await asyncio.sleep(draw.pause_s)  # the schedule itself
        if time.monotonic() > end:
            return
        run.begun[lane] += 1
        subject = run.place.subjects[draw.subject]
        alone = run.taking if takes_a_copy(draw.fault, claims=run.place.claims) else nullcontext()
        began = time.monotonic()
        try:
            async with alone:
                began = time.monotonic()
                await HAPPENINGS[draw.fault](run.place, subject, draw)
                ended = time.monotonic()
                await _settled(run, subject, ended, heals_s)
        except AssertionError as error:
            run.broken.append(f"after {draw.fault}: {error}")
            return
        except InapplicableError:
            continue
        except ApiError as error:
            print(f"lane {lane}: {draw.fault}: {error}", flush=True)  # the other lane stopped the API server
            continue
        finally:
            _note(run, draw, subject, began)
        gaps = run.happened[-1].gaps_s
        healed = max(ended, run.unready.get(subject.name, ended))
        run.seen.append(Seen(draw.fault, began, healed, dict(gaps), healed - ended))
        when = time.strftime("%H:%M:%S")
        said = ", ".join(f"{name} {gap:.2f}" for name, gap in gaps.items())
        print(f"{when} lane {lane}: {draw.fault} of {subject.name}: gaps {said}", end="; ")
        print(f"healed {healed - ended:.1f} s", flush=True)


def _note(run: Run, draw: Draw, subject: Subject, began: float) -> None:
    """Also what struck and failed, or was found to be nothing for that resource after it had done something."""
    kind = subject.kind.kind
    gaps = {name: each.longest_gap_s(began) for name, each in run.ledgers.items() if name.startswith(kind)}
    run.happened.append(Happening(draw.fault, kind, draw.fault in EDITS, began, time.monotonic(), gaps))


# ---- what is looked at meanwhile, and afterwards


async def _watch(run: Run) -> None:
    """The Service of the standby never leads to two pods."""
    pair = run.place.subjects[1]
    while True:
        await asyncio.sleep(0.05)  # the pace of looking
        try:
            live = await run.place.client.find(ENDPOINTSLICES, pair.namespace, f"{pair.name}-primary")
        except ApiError:
            continue
        ends = live.get("endpoints") if live else None
        if isinstance(ends, list) and len(ends) > 1:
            run.broken.append(f"the Service of {pair.name} leads to {len(ends)} pods")


async def _look(run: Run) -> None:
    """When each resource was last seen not Ready. While nobody can tell, it counts as not Ready."""
    while True:
        await asyncio.sleep(LOOK_S)
        for subject in run.place.subjects:
            try:
                resource = await subject.get()
                ready = resource["status"].get("phase") in SERVING and not run.place.operator_is_down.locked()
            except ApiError:
                ready = False
            if not ready:
                run.unready[subject.name] = time.monotonic()


async def _settled(run: Run, subject: Subject, ended: float, heals_s: float) -> None:
    """Waits until *subject* has been Ready for a while, and is written to. Raises AssertionError when time is up."""
    ledgers = [each for name, each in run.ledgers.items() if name.startswith(subject.kind.kind)]

    def settled() -> bool:
        ready_s = time.monotonic() - max(ended, run.unready.get(subject.name, ended))
        return ready_s > SETTLED_S and all(ledger.last_s > ended for ledger in ledgers)

    while not settled():
        if time.monotonic() > ended + heals_s:
            await subject.until_ready(deadline_s=1.0)  # says what is wrong
            raise AssertionError(f"{subject.name} does not stay Ready, or writes fail: {describe(run.ledgers)}")
        await asyncio.sleep(LOOK_S)


async def _refresh(run: Run) -> None:
    """Clients learn of new pods, as a real one does from what it is told at the start and from DNS."""
    places = [each.path.places for each in run.ledgers.values() if isinstance(each.path.places, Addresses)]
    while True:
        await asyncio.sleep(0.5)  # the pace of looking
        for place in places:
            try:
                await place.refresh()
            except ApiError:
                continue


async def _all_ready(run: Run) -> bool:
    try:
        await asyncio.gather(*(subject.until_ready(deadline_s=HEALS_S) for subject in run.place.subjects))
        await asyncio.gather(*(until_carried_out(each, deadline_s=APPLIED_S) for each in run.place.subjects))
    except AssertionError as error:
        run.broken.append(str(error))
        return False
    return True


def _tell_missing(name: str, ledger: Ledger, missing: Sequence[int]) -> None:
    """Which keys they are and when they were acknowledged: what the logs say of that slot and time explains them."""
    now = time.time() - time.monotonic()
    for number in missing:
        key = ledger.key(number)
        when = time.strftime("%H:%M:%S", time.localtime(now + ledger.acknowledged[number]))
        print(f"{name} lost {key} of slot {key_slot(key.encode())}, acknowledged at {when}", flush=True)


async def _verdict(run: Run, *, all_ready: bool) -> dict[str, object]:
    lost: dict[str, int] = {}
    gone: dict[str, list[float]] = {}
    if all_ready:
        for subject in run.place.subjects:
            if amiss := await slots_amiss(subject):
                run.broken.append(amiss)
            for way, fresh in (await ledgers_of(subject)).items():
                name = f"{subject.kind.kind}/{way}"
                missing = await run.ledgers[name].missing(fresh.path)
                lost[name] = len(missing)
                _tell_missing(name, run.ledgers[name], missing)
                fresh.path.close()
                gone[name] = [run.ledgers[name].acknowledged[number] for number in missing]
                for each in run.seen:  # of whatever resource: a node's fault is everybody's
                    each.lost += sum(each.began - SENT_S <= when <= each.healed for when in gone[name])
    run.broken += [*unexplained(gone, run.happened), *too_long(run.happened)]
    log = await asyncio.to_thread(run.place.operator.log.read_text)
    if bugs := log.count('"pass failed"'):
        run.broken.append(f"{bugs} passes of the operator failed with a bug")
    faults: dict[str, object] = {}
    for name in sorted({each.fault for each in run.seen}):
        mine = [each for each in run.seen if each.fault == name]
        gaps = [gap for each in mine for gap in each.gaps_s.values()]
        heals = [each.heal_s for each in mine]
        faults[name] = {
            "times": len(mine),
            "gap_p50_s": round(statistics.median(gaps), 2),
            "gap_p99_s": round(_p99(gaps), 2),
            "heal_p50_s": round(statistics.median(heals), 2),
            "heal_p99_s": round(_p99(heals), 2),
            "lost": sum(each.lost for each in mine),
        }
    return {
        "invariants_broken": run.broken,
        "all_ready": all_ready,
        "written": {name: len(each.acknowledged) for name, each in run.ledgers.items()},
        "lost": lost,
        "edits_judged": sum(is_judged(each, run.happened) for each in run.happened),
        "faults": faults,
    }


def _p99(values: Sequence[float]) -> float:
    return sorted(values)[math.ceil(0.99 * len(values)) - 1]
