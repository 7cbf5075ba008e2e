"""Everything breaks, two faults at a time: `python -m bench chaos [--seed N] [--minutes M]`.

One RedisCluster, one RedisStandby and one RedisStandalone on localkube, clients that write without pause by every way,
and faults drawn from a menu by the seed: processes killed and frozen, pods deleted, the network cut, the operator
killed, the API server stopped, slow or refusing. The same seed draws the same faults in the same order.

Afterwards every fault is undone, and within two minutes everything must be Ready without anybody's help. The last line
is the verdict: invariants that were broken (a Service that led to two primaries, a pass that failed with a bug, a value
that nobody wrote, a resource that did not become Ready), acknowledged writes that are missing, and for each fault how
long writes stopped, how long after its end status last said that its resource was not Ready (or nobody could tell),
and how many of the missing writes were acknowledged while it lasted or in the second before it. Two faults may share
all three.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench._localkube import localkube
from tdredis.kube.client import Client
from tdredis.kube.errors import ApiError
from tdredis.kube.resources import ENDPOINTSLICES, PODS
from tdredis.redis.slots import parse_slots
from tdredis.redislink.errors import LinkError
from tests.chaos.ledger import Ledger, describe
from tests.e2e.faults import Addresses, ledgers_of
from tests.e2e.nodes import tell, view
from tests.e2e.world import (
    BIN,
    Kube,
    Operator,
    Subject,
    install_crds,
    new_namespace,
    sample,
    standalone,
    standby,
)

HEALS_S = 120.0
AT_ONCE = 2
LOOK_S = 0.1  # how often status is looked at
SETTLED_S = 2.0  # Ready for so long: whatever the fault did has been noticed, and healed
SENT_S = 1.0  # what was acknowledged so long before a crash has reached the replicas
CAPACITY_MIB = 768  # nothing of what the ledgers write may be evicted
RESTART_PACE = 0.05  # a kubelet's back-off is for programs that fail by themselves


@dataclass(frozen=True, slots=True)
class Draw:
    """One fault of the schedule, before it is known which pods there are."""

    fault: str
    subject: int  # whose pods, by place
    pod: float  # which of them, 0 to 1
    lasts_s: float
    pause_s: float  # before it


@dataclass(slots=True)
class Seen:
    """What one fault did."""

    fault: str
    began: float  # monotonic
    healed: float
    gaps_s: dict[str, float]
    heal_s: float
    lost: int = 0


@dataclass
class Run:
    """Everything a chaos run holds."""

    kube: Kube
    client: Client
    operator: Operator
    subjects: list[Subject]
    ledgers: dict[str, Ledger] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    unready: dict[str, float] = field(default_factory=dict)  # resource -> when it was last seen not Ready (monotonic)
    operator_is_down: asyncio.Lock = field(default_factory=asyncio.Lock)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--logs", type=Path, help="an empty folder: what the operator and localkube said stays there")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-chaos-") as folder:
        verdict = asyncio.run(_run(chosen.logs or Path(folder), chosen.seed, chosen.minutes * 60))
    print(json.dumps({"bench": "chaos", "seed": chosen.seed, "minutes": chosen.minutes, **verdict}))
    return 1 if verdict["invariants_broken"] or not verdict["all_ready"] else 0


def draw_schedule(seed: int, lane: int, count: int) -> list[Draw]:
    """What the seed has in store for one of the lanes that run side by side."""
    chance = random.Random(f"{seed}/{lane}")  # noqa: S311 to be repeated
    return [
        Draw(
            fault=chance.choice(sorted(MENU)),
            subject=chance.randrange(3),
            pod=chance.random(),
            lasts_s=chance.uniform(2, 8),
            pause_s=chance.uniform(0.5, 4),
        )
        for _ in range(count)
    ]


async def _run(folder: Path, seed: int, seconds: float) -> dict[str, object]:
    async with AsyncExitStack() as stack:
        kube = await stack.enter_async_context(localkube(folder, nodes=6, restart_pace=RESTART_PACE))
        client = await stack.enter_async_context(kube.client())
        await install_crds(client)
        namespace = await stack.enter_async_context(new_namespace(client))
        operator = await stack.enter_async_context(Operator(kube, namespace))
        subjects = [
            await Subject.create(client, sample(namespace, capacity=CAPACITY_MIB)),
            await Subject.create(client, standby(namespace, capacity=CAPACITY_MIB, replicas=2)),
            await Subject.create(client, standalone(namespace, capacity=CAPACITY_MIB)),
        ]
        await asyncio.gather(*(subject.until_ready() for subject in subjects))
        run = Run(kube=kube, client=client, operator=operator, subjects=subjects)
        for subject in subjects:
            run.ledgers |= {f"{subject.kind.kind}/{way}": each for way, each in (await ledgers_of(subject)).items()}
        async with AsyncExitStack() as writing:
            for ledger in run.ledgers.values():
                await writing.enter_async_context(ledger.writing())
            watching = [asyncio.create_task(each(run)) for each in (_watch, _refresh, _look)]
            end = time.monotonic() + seconds
            await asyncio.gather(*(_lane(run, seed, lane, end) for lane in range(AT_ONCE)))
            ready = await _all_ready(run)
            for task in watching:
                task.cancel()
            await asyncio.wait(watching)
            if ready:
                await asyncio.gather(*(each.until_written(50, deadline_s=HEALS_S) for each in run.ledgers.values()))
        return await _verdict(run, all_ready=ready)


async def _lane(run: Run, seed: int, lane: int, end: float) -> None:
    """Fault after fault, each until its resource is Ready again."""
    for draw in draw_schedule(seed, lane, 10_000):
        await asyncio.sleep(draw.pause_s)  # the schedule itself
        if time.monotonic() > end:
            return
        subject = run.subjects[draw.subject]
        began = time.monotonic()
        try:
            await MENU[draw.fault](run, subject, draw)
            ended = time.monotonic()
            await _settled(run, subject, ended)
        except AssertionError as error:
            run.broken.append(f"after {draw.fault}: {error}")
            return
        except InapplicableError:
            continue
        except ApiError as error:
            print(f"lane {lane}: {draw.fault}: {error}", flush=True)  # the other lane stopped the API server
            continue
        gaps = {
            name: each.longest_gap_s(began) for name, each in run.ledgers.items() if name.startswith(subject.kind.kind)
        }
        healed = max(ended, run.unready.get(subject.name, ended))
        run.seen.append(Seen(draw.fault, began, healed, gaps, healed - ended))
        when = time.strftime("%H:%M:%S")
        said = ", ".join(f"{name} {gap:.2f}" for name, gap in gaps.items())
        print(f"{when} lane {lane}: {draw.fault} of {subject.name}: gaps {said}", end="; ")
        print(f"healed {healed - ended:.1f} s", flush=True)


# ---- the menu


class InapplicableError(Exception):
    """The fault is nothing for that resource, or there is no such pod at the moment: the next one is drawn."""


async def _pod(subject: Subject, draw: Draw, *components: str) -> str:
    """Raises InapplicableError."""
    pods: list[str] = []
    for component in components:
        pods += sorted(await subject.pods(component))
    return _choose(draw, pods)


def _choose(draw: Draw, pods: Sequence[str]) -> str:
    if not pods:
        raise InapplicableError
    return pods[int(draw.pod * len(pods))]


def _only(subject: Subject, kind: str) -> None:
    if subject.kind.kind != kind:
        raise InapplicableError


async def _tell(subject: Subject, pod: str, *command: str | int) -> None:
    """To Redis, behind the operator's back. Raises InapplicableError where nobody listens, or it is refused."""
    try:
        await tell(subject, pod, command)
    except (LinkError, KeyError) as error:
        raise InapplicableError from error


async def _node(subject: Subject, draw: Draw) -> str:
    """The node of one of its Redis pods. Raises InapplicableError."""
    nodes = [pod["spec"].get("nodeName", "") for _, pod in sorted((await subject.pods()).items())]
    return _choose(draw, [node for node in nodes if node])


async def _fault(run: Run, *words: str) -> None:
    """One of localkube's own. What it cannot do at the moment (the pod is gone) it says, and nothing happens."""
    process = await asyncio.create_subprocess_exec(
        str(BIN / "localkube"),
        *("fault", "--kubeconfig", str(run.kube.kubeconfig), *words),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(HEALS_S):
        await process.wait()


async def kill_redis(run: Run, subject: Subject, draw: Draw) -> None:
    pod = await _pod(subject, draw, "redis")
    await _fault(run, "kill", "-c", "redis", f"{subject.namespace}/{pod}")


async def kill_sentinel_or_proxy(run: Run, subject: Subject, draw: Draw) -> None:
    pod = await _pod(subject, draw, "sentinel", "proxy")
    await _fault(run, "kill", f"{subject.namespace}/{pod}")


async def delete_pod(run: Run, subject: Subject, draw: Draw) -> None:
    # On an emptyDir the pod of a standalone is its only copy.
    components = ("redis", "sentinel", "proxy") if subject.kind.kind != "RedisStandalone" else ()
    pod = await _pod(subject, draw, *components)
    await run.client.delete(PODS, subject.namespace, pod)


async def freeze_redis(run: Run, subject: Subject, draw: Draw) -> None:
    pod = await _pod(subject, draw, "redis")
    await _fault(run, "freeze", "--for", f"{draw.lasts_s:.1f}s", f"{subject.namespace}/{pod}")


async def cut_off_redis(run: Run, subject: Subject, draw: Draw) -> None:
    """From its peers, not from its clients."""
    pods = [name for component in ("redis", "sentinel") for name in sorted(await subject.pods(component))]
    pod = _choose(draw, pods)
    others = ",".join(f"{subject.namespace}/{name}" for name in pods if name != pod)
    if others:
        await _fault(run, "cut", "--for", f"{draw.lasts_s:.1f}s", f"{subject.namespace}/{pod}", others)


async def drop_packets(run: Run, subject: Subject, draw: Draw) -> None:
    pod = await _pod(subject, draw, "redis", "sentinel", "proxy")
    side = f"{subject.namespace}/{pod}"
    await _fault(run, "drop", "--percent", "30", "--for", f"{draw.lasts_s:.1f}s", side, "others")


async def delay_packets(run: Run, subject: Subject, draw: Draw) -> None:
    pod = await _pod(subject, draw, "redis", "sentinel", "proxy")
    side = f"{subject.namespace}/{pod}"
    await _fault(run, "delay", "--by", "100ms", "--jitter", "50ms", "--for", f"{draw.lasts_s:.1f}s", side, "others")


async def fail_node(run: Run, subject: Subject, draw: Draw) -> None:
    """Everything on a node ends at once, of all resources, and starts again when the node is back."""
    node = await _node(subject, draw)
    await _fault(run, "fail-node", "--for", f"{draw.lasts_s:.1f}s", node)


async def partition_node(run: Run, subject: Subject, draw: Draw) -> None:
    node = await _node(subject, draw)
    await _fault(run, "partition-node", "--for", f"{draw.lasts_s:.1f}s", node)


async def lose_memory(run: Run, subject: Subject, draw: Draw) -> None:
    """A node of the cluster dies, and does not know any more who it is."""
    _only(subject, "RedisCluster")
    pod = await _pod(subject, draw, "redis")
    await run.kube.kubectl(
        *("exec", "-n", subject.namespace, pod, "-c", "redis", "--", "sh", "-c", "echo nonsense > /data/nodes.conf")
    )
    await _fault(run, "kill", "-c", "redis", f"{subject.namespace}/{pod}")


async def open_slot(run: Run, subject: Subject, draw: Draw) -> None:  # noqa: ARG001 the signature of the menu
    """Somebody began to move a slot by hand, and went home."""
    _only(subject, "RedisCluster")
    status = (await subject.get())["status"]
    pods = [shard.get("primary", "") for shard in status["shards"]]
    owner = _choose(draw, [pod for pod in pods if pod])
    slots = parse_slots(status["slots"][owner.rpartition("-")[0]])
    other = _choose(draw, [pod for pod in pods if pod not in ("", owner)])
    try:
        other_id = (await view(subject, other)).me.id
    except (LinkError, KeyError) as error:
        raise InapplicableError from error
    slot = list(slots)[int(draw.pod * len(slots))]
    await _tell(subject, owner, "CLUSTER", "SETSLOT", slot, "MIGRATING", other_id)


async def make_second_primary(run: Run, subject: Subject, draw: Draw) -> None:  # noqa: ARG001
    _only(subject, "RedisStandby")
    primary = await subject.primary()
    replica = _choose(draw, [pod for pod in sorted(await subject.pods()) if pod != primary])
    await _tell(subject, replica, "REPLICAOF", "NO", "ONE")


async def kill_operator(run: Run, subject: Subject, draw: Draw) -> None:  # noqa: ARG001 the signature of the menu
    async with run.operator_is_down:
        process = run.operator.process
        assert process is not None
        process.kill()
        await process.wait()
        await asyncio.sleep(draw.lasts_s / 2)  # the fault itself
        await run.operator.start()


async def stop_api(run: Run, subject: Subject, draw: Draw) -> None:  # noqa: ARG001
    await _fault(run, "stop-api", "--for", f"{draw.lasts_s:.1f}s")


async def refuse_requests(run: Run, subject: Subject, draw: Draw) -> None:  # noqa: ARG001
    await _fault(run, "refuse", "--percent", "30", "--for", f"{draw.lasts_s:.1f}s")


async def delay_watches(run: Run, subject: Subject, draw: Draw) -> None:  # noqa: ARG001
    await _fault(run, "delay-watch", "--by", "1s", "--for", f"{draw.lasts_s:.1f}s")


async def forget_history(run: Run, subject: Subject, draw: Draw) -> None:  # noqa: ARG001
    await _fault(run, "forget-history")


MENU = {
    each.__name__: each
    for each in (
        kill_redis,
        kill_sentinel_or_proxy,
        delete_pod,
        freeze_redis,
        cut_off_redis,
        drop_packets,
        delay_packets,
        fail_node,
        partition_node,
        lose_memory,
        open_slot,
        make_second_primary,
        kill_operator,
        stop_api,
        refuse_requests,
        delay_watches,
        forget_history,
    )
}


# ---- what is looked at meanwhile, and afterwards


async def _watch(run: Run) -> None:
    """The Service of the standby never leads to two pods."""
    pair = run.subjects[1]
    while True:
        await asyncio.sleep(0.05)  # the pace of looking
        try:
            live = await run.client.find(ENDPOINTSLICES, pair.namespace, f"{pair.name}-primary")
        except ApiError:
            continue
        ends = live.get("endpoints") if live else None
        if isinstance(ends, list) and len(ends) > 1:
            run.broken.append(f"the Service of {pair.name} leads to {len(ends)} pods")


async def _look(run: Run) -> None:
    """When each resource was last seen not Ready. While nobody can tell, it counts as not Ready."""
    while True:
        await asyncio.sleep(LOOK_S)
        for subject in run.subjects:
            try:
                resource = await subject.get()
                ready = resource["status"].get("phase") == "Ready" and not run.operator_is_down.locked()
            except ApiError:
                ready = False
            if not ready:
                run.unready[subject.name] = time.monotonic()


async def _settled(run: Run, subject: Subject, ended: float) -> None:
    """Waits until *subject* has been Ready for a while, and is written to. Raises AssertionError when time is up."""
    ledgers = [each for name, each in run.ledgers.items() if name.startswith(subject.kind.kind)]

    def settled() -> bool:
        ready_s = time.monotonic() - max(ended, run.unready.get(subject.name, ended))
        return ready_s > SETTLED_S and all(ledger.last_s > ended for ledger in ledgers)

    while not settled():
        if time.monotonic() > ended + HEALS_S:
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
        await asyncio.gather(*(subject.until_ready(deadline_s=HEALS_S) for subject in run.subjects))
    except AssertionError as error:
        run.broken.append(str(error))
        return False
    return True


async def _verdict(run: Run, *, all_ready: bool) -> dict[str, object]:
    lost: dict[str, int] = {}
    if all_ready:
        for subject in run.subjects:
            for way, fresh in (await ledgers_of(subject)).items():
                name = f"{subject.kind.kind}/{way}"
                missing = await run.ledgers[name].missing(fresh.path)
                lost[name] = len(missing)
                fresh.path.close()
                for each in run.seen:  # of whatever resource: a node's fault is everybody's
                    times = (run.ledgers[name].acknowledged[number] for number in missing)
                    each.lost += sum(each.began - SENT_S <= when <= each.healed for when in times)
    log = await asyncio.to_thread(run.operator.log.read_text)
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
        "faults": faults,
    }


def _p99(values: Sequence[float]) -> float:
    return sorted(values)[math.ceil(0.99 * len(values)) - 1]
