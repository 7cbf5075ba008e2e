"""Decides whether a pod that is Ready has shown that it stays so.

A container without a readiness probe counts as ready from the moment it runs. One that ends at once, over and over,
makes its pod Ready for a second each time the kubelet starts it: whoever goes by that recreates the next pod, and the
next, until all are so.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tdredis.planning.snapshot import PodFacts

PROVEN_S: Final = 10.0  # so long a kubelet waits before it starts what ended for the first time


def find_unproven(pods: Iterable[PodFacts], now: float) -> dict[str, float]:
    """Pods that have not shown it yet, and in how many seconds they will have."""
    return {
        pod.name: pod.unproven_since + PROVEN_S - now
        for pod in pods
        if pod.unproven_since is not None and not pod.deleting and now < pod.unproven_since + PROVEN_S
    }
