"""Instances do not wait for each other: twenty are Ready soon after one is, and one that cannot start delays none."""

from __future__ import annotations

import pytest

from tdredis.kube.client import Client
from tests.e2e.crowd import ONE_OF_EACH, TWENTY, slowest
from tests.e2e.needs import SIX_NODES
from tests.e2e.world import Kube, standalone

MOST_TIMES = 3.0
MOST_TIMES_THE_PODS = 2.0  # of the very same pods with no operator: then it is the machine that is slow
ATTEMPTS = 3  # whatever else the machine does in a run makes twenty slower than it makes one
DEADLINE_S = 300.0


@pytest.mark.needs(SIX_NODES)  # a hundred pods
@pytest.mark.alone
@pytest.mark.timeout(1800)  # it may have to wait until the slowest other test is through
async def test_twenty_created_at_once_are_ready_within_three_times_the_time_of_one_of_each(
    kube: Kube, client: Client
) -> None:
    broken = standalone("", image="no-such-redis:99")
    seen = []
    for _ in range(ATTEMPTS):
        one = await slowest(kube, client, ONE_OF_EACH, deadline_s=DEADLINE_S)
        twenty = await slowest(kube, client, TWENTY, deadline_s=DEADLINE_S, beside=broken)
        seen.append(f"{one.ready_s:.1f} s, {twenty.ready_s:.1f} s, {twenty.pods_alone_s:.1f} s")
        if twenty.ready_s <= max(MOST_TIMES * one.ready_s, MOST_TIMES_THE_PODS * twenty.pods_alone_s):
            return

    pytest.fail(f"one of each, twenty, their pods with no operator: {'; '.join(seen)}")
