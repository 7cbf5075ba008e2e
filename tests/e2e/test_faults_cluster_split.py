"""Two owners of the same slots: a cluster split into two that each look whole, and two primaries in one shard (rows 12
and 15 of the healing table; the rule is docs/decisions/0010).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from tdredis.kube.client import Client
from tests.e2e.faults import fault, lost, passwords, proving
from tests.e2e.needs import PROCESSES
from tests.e2e.nodes import is_replica, paused, tell, view, views
from tests.e2e.reach import linked
from tests.e2e.world import Kube, Operator, Subject, eventually, sample

ONE = tuple(f"redis-cluster-rat-{shard}-0" for shard in range(3))
OTHER = tuple(f"redis-cluster-rat-{shard}-1" for shard in range(3))
FIRST, SECOND = ONE[0], OTHER[0]
RANGES = ((0, 5460), (5461, 10922), (10923, 16383))
SETTLES_S = 5.0  # "bounded": within a node timeout


def side(namespace: str, pods: Sequence[str]) -> str:
    return ",".join(f"{namespace}/{pod}" for pod in pods)


async def dropped_keys(subject: Subject) -> int | None:
    """What the event says that the reset cost; None: there is no such event."""
    for event in await subject.events():
        if event["reason"] == "NodeReset" and (found := re.search(r"(\d+) keys of the other", event["message"])):
            return int(found[1])
    return None


async def keys_of(subject: Subject, pods: Sequence[str]) -> int:
    found = [(await tell(subject, pod, ("DBSIZE",)))[0] for pod in pods]
    return sum(each for each in found if isinstance(each, int))


async def one_cluster(subject: Subject, primaries: Sequence[str]) -> bool:
    """All know all, and *primaries* own the slots."""
    seen = await views(subject)
    ids = {each.me.id for each in seen.values()}
    owners = sorted(pod for pod, each in seen.items() if each.me.slots)
    return owners == sorted(primaries) and all({*each.others, each.me.id} == ids for each in seen.values())


async def forget(subject: Subject, pods: Sequence[str], ids: Sequence[str]) -> None:
    for pod in pods:
        await tell(subject, pod, *(("CLUSTER", "FORGET", each) for each in ids))


@pytest.mark.needs(PROCESSES)
async def test_of_two_whole_clusters_with_data_the_one_with_the_newer_claims_wins_and_the_loss_is_counted(
    kube: Kube, client: Client, namespace: str
) -> None:
    """Replicas took over in a network that was cut in two, and each half forgot the other."""
    async with Operator(kube, namespace):
        subject = await Subject.create(client, sample(namespace))
        resource = await subject.until_ready()
        inner, _ = passwords(resource)
        ip = (await subject.pods())[FIRST]["status"]["podIP"]
        async with (
            linked(f"{ip}:6379", inner) as client_of_loser,
            proving(12, subject=subject, gap_s=SETTLES_S),
        ):
            async with paused(subject), fault(kube, "cut", side(namespace, ONE), side(namespace, OTHER)):
                for pod in OTHER:
                    await tell(subject, pod, ("CLUSTER", "FAILOVER", "TAKEOVER"))
                ids = {pod: (await view(subject, pod)).me.id for pod in (*ONE, *OTHER)}
                await forget(subject, ONE, [ids[pod] for pod in OTHER])
                await forget(subject, OTHER, [ids[pod] for pod in ONE])
            await eventually(lambda: dropped_keys(subject), "what is dropped is told")
            await subject.until_ready()

        assert await one_cluster(subject, OTHER)
        assert not client_of_loser.open, "clients of the loser are disconnected"
        assert (await dropped_keys(subject) or 0) > 0


async def test_a_whole_cluster_without_data_never_wins_against_one_with_data(
    kube: Kube, client: Client, namespace: str
) -> None:
    """Its config epochs are the higher ones: joined as they are, the engine would let it win."""
    async with Operator(kube, namespace):
        subject = await Subject.create(client, sample(namespace))
        await subject.until_ready()

        async with proving(12, subject=subject, gap_s=SETTLES_S) as ledgers:
            async with paused(subject):
                for pod, (first, last) in zip(OTHER, RANGES, strict=True):
                    await tell(subject, pod, ("CLUSTER", "RESET", "HARD"))
                    await tell(
                        subject,
                        pod,
                        ("CLUSTER", "SET-CONFIG-EPOCH", 50 + first % 7),
                        ("CLUSTER", "ADDSLOTSRANGE", first, last),
                    )
                ip = (await subject.pods())[OTHER[0]]["status"]["podIP"]
                for pod in OTHER[1:]:
                    await tell(subject, pod, ("CLUSTER", "MEET", ip, 6379))

                async def looks_whole() -> bool:
                    (reply,) = await tell(subject, OTHER[2], ("CLUSTER", "INFO"))
                    return isinstance(reply, bytes) and b"cluster_state:ok" in reply and b"known_nodes:3" in reply

                await eventually(looks_whole, "the other half looks whole")
            await subject.until_ready()

        assert await one_cluster(subject, ONE)
        # A proxy asks any node for its map, and may have asked the other half: what that took is what is dropped, but
        # for a write that came between the count and the reset.
        missing = await lost(subject, ledgers)
        dropped = await dropped_keys(subject)
        assert dropped is not None
        assert set(missing) <= {"proxy"}
        assert len(missing.get("proxy", ())) <= dropped + 10


@pytest.mark.needs(PROCESSES)
async def test_a_replica_that_was_made_primary_while_it_was_cut_off_does_not_win_when_it_is_back(
    kube: Kube, client: Client, namespace: str
) -> None:
    """Its claim is the newer one: the engine would take what the real primary acknowledged meanwhile for old.

    A proxy reaches it (Envoy's packets do not come from its pod's address, so that they are not cut off), and writes
    there what is lost, until the node has missed the others for a node timeout.
    """
    async with Operator(kube, namespace):
        subject = await Subject.create(client, sample(namespace))
        await subject.until_ready()
        others = sorted(await subject.pods())
        others.remove(SECOND)

        async with proving(15, subject=subject, gap_s=SETTLES_S) as ledgers:
            async with fault(kube, "cut", side(namespace, [SECOND]), side(namespace, others)):
                await tell(subject, SECOND, ("CLUSTER", "FAILOVER", "TAKEOVER"))
                await eventually(lambda: dropped_keys(subject), "it is reset, and what it had is counted")
                assert not (await view(subject, SECOND)).me.slots
            await subject.until_ready()

        assert await one_cluster(subject, ONE)
        assert set(await lost(subject, ledgers)) <= {"proxy"}


async def test_a_replica_that_is_made_primary_by_hand_is_the_primary_and_the_former_one_steps_down(
    kube: Kube, client: Client, namespace: str
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, sample(namespace))
        await subject.until_ready()

        async with proving(15, subject=subject, gap_s=SETTLES_S):
            await tell(subject, SECOND, ("CLUSTER", "FAILOVER", "TAKEOVER"))
            await eventually(lambda: is_replica(subject, FIRST), "the former primary steps down")
            await subject.until_ready()

        assert await one_cluster(subject, (SECOND, *ONE[1:]))
        assert await dropped_keys(subject) is None, "the engine settled it"


async def test_a_replica_that_was_reset_and_given_its_primary_s_slots_by_hand_is_joined_again(
    kube: Kube, client: Client, namespace: str
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, sample(namespace))
        await subject.until_ready()

        async with proving(15, subject=subject, gap_s=1.0, planned=True):
            async with paused(subject):
                await tell(subject, SECOND, ("CLUSTER", "RESET", "HARD"))
                await tell(
                    subject, SECOND, ("CLUSTER", "SET-CONFIG-EPOCH", 50), ("CLUSTER", "ADDSLOTSRANGE", *RANGES[0])
                )
            await subject.until_ready()

        assert await one_cluster(subject, ONE)
