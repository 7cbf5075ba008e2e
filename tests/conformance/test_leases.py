"""Claims: what leader election stands on: a Lease that two cannot both take."""

from __future__ import annotations

import asyncio

from tests.conformance.client import Obj
from tests.conformance.namespace import Namespace


def build_lease(holder: str) -> Obj:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "leader"},
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": 15,
            "acquireTime": "2026-01-02T03:04:05.123456Z",
            "renewTime": "2026-01-02T03:04:05.123456Z",
            "leaseTransitions": 0,
        },
    }


async def test_a_lease_keeps_microseconds(ns: Namespace) -> None:
    made = await ns.create("leases", build_lease("one"))

    assert made["spec"]["renewTime"] == "2026-01-02T03:04:05.123456Z"


async def test_of_many_creators_one_wins(ns: Namespace) -> None:
    answers = await asyncio.gather(*(ns.api.post(ns.path("leases"), build_lease(f"n{n}")) for n in range(8)))

    winners = [a.body["spec"]["holderIdentity"] for a in answers if a.status == 201]
    assert sorted(a.status for a in answers) == [201] + [409] * 7
    assert [(await ns.read("leases", "leader"))["spec"]["holderIdentity"]] == winners


async def test_of_many_takers_of_one_version_one_wins(ns: Namespace) -> None:
    seen = await ns.create("leases", build_lease("old"))

    def take(holder: str) -> Obj:
        return seen | {"spec": seen["spec"] | {"holderIdentity": holder}}

    answers = await asyncio.gather(*(ns.api.put(ns.path("leases", "leader"), take(f"n{n}")) for n in range(8)))

    winners = [a.body["spec"]["holderIdentity"] for a in answers if a.status == 200]
    assert sorted(a.status for a in answers) == [200] + [409] * 7
    assert [(await ns.read("leases", "leader"))["spec"]["holderIdentity"]] == winners


async def test_a_time_that_is_none_is_refused(ns: Namespace) -> None:
    body = build_lease("one")
    body["spec"]["renewTime"] = "yesterday"

    answer = await ns.api.post(ns.path("leases"), body)

    assert answer.status in {400, 422}


async def test_a_released_lease_has_no_holder(ns: Namespace) -> None:
    seen = await ns.create("leases", build_lease("one"))
    del seen["spec"]["holderIdentity"]

    released = (await ns.api.put(ns.path("leases", "leader"), seen)).accepted()

    assert "holderIdentity" not in released["spec"]
