"""Decides how many replicas each ReplicaSet of a Deployment should have next; pure, so that every step can be tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from localkube.controllers.pods import Obj
from localkube.controllers.quantities import scale_int_or_percent

DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"

Scales = dict[str, int]  # name of a ReplicaSet -> the replicas it should have; only those that change


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a rollout may leave the wished number of pods, above and below."""

    replicas: int
    surge: int
    unavailable: int

    @property
    def most(self) -> int:
        return self.replicas + self.surge

    @property
    def fewest_available(self) -> int:
        return max(0, self.replicas - self.unavailable)


def limits_of(deployment: Obj) -> Limits:
    spec = deployment["spec"]
    replicas: int = spec["replicas"]
    strategy = spec.get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return Limits(replicas, 0, replicas)
    rolling = strategy.get("rollingUpdate") or {}
    surge = scale_int_or_percent(rolling.get("maxSurge", "25%"), replicas, round_up=True)
    unavailable = scale_int_or_percent(rolling.get("maxUnavailable", "25%"), replicas, round_up=False)
    if surge == 0 and unavailable == 0:
        # Neither more nor fewer would mean no step at all.
        unavailable = 1
    return Limits(replicas, surge, min(unavailable, replicas))


def replicas_of(replica_set: Obj) -> int:
    wanted: int = replica_set["spec"]["replicas"]
    return wanted


def _available(replica_set: Obj) -> int:
    found: int = (replica_set.get("status") or {}).get("availableReplicas") or 0
    return found


def name_of(replica_set: Obj) -> str:
    name: str = replica_set["metadata"]["name"]
    return name


def oldest_first(sets: Sequence[Obj]) -> list[Obj]:
    return sorted(sets, key=lambda one: (one["metadata"]["creationTimestamp"], name_of(one)))


def plan_new(new: Obj, old: Sequence[Obj], limits: Limits) -> Scales:
    """Up as far as the surge allows, down to what is wished."""
    now = replicas_of(new)
    if now >= limits.replicas:
        return {} if now == limits.replicas else {name_of(new): limits.replicas}
    total = now + sum(map(replicas_of, old))
    grow = min(limits.most - total, limits.replicas - now)
    return {name_of(new): now + grow} if grow > 0 else {}


def plan_old(new: Obj, old: Sequence[Obj], limits: Limits) -> Scales:
    """Down as far as enough pods stay available: first pods that do not work anyway, then the oldest set's."""
    total = replicas_of(new) + sum(map(replicas_of, old))
    unavailable_new = replicas_of(new) - _available(new)
    room = total - limits.fewest_available - unavailable_new
    if room <= 0:
        return {}
    scales: Scales = {}
    for one in oldest_first(old):
        broken = replicas_of(one) - _available(one)
        drop = min(room, broken)
        if drop > 0:
            scales[name_of(one)] = replicas_of(one) - drop
            room -= drop
    spare = _available(new) + sum(map(_available, old)) - limits.fewest_available
    for one in oldest_first(old):
        now = scales.get(name_of(one), replicas_of(one))
        drop = min(spare, now)
        if drop > 0:
            scales[name_of(one)] = now - drop
            spare -= drop
    return scales


def plan_resize(sets: Sequence[Obj], newest: Obj, limits: Limits, *, rolling: bool) -> Scales:
    """The wish itself changed: one active set takes it all; in the midst of a rollout each takes its share."""
    active = [one for one in sets if replicas_of(one) > 0]
    if len(active) <= 1:
        only = active[0] if active else newest
        return {} if replicas_of(only) == limits.replicas else {name_of(only): limits.replicas}
    if not rolling:
        return {}
    total = sum(map(replicas_of, active))
    allowed = limits.most if limits.replicas > 0 else 0
    to_add = allowed - total
    if to_add == 0:
        return {}
    # Growing, the newest of equals takes first; shrinking, the oldest gives first.
    by_age = oldest_first(active)
    ordered = sorted(by_age[::-1] if to_add > 0 else by_age, key=replicas_of, reverse=True)
    scales = {name_of(one): replicas_of(one) for one in ordered}
    left = to_add
    for one in ordered:
        share = _share(one, limits, to_add)
        share = min(share, left) if to_add > 0 else max(share, left)
        scales[name_of(one)] += share
        left -= share
    largest = name_of(ordered[0])
    scales[largest] = max(0, scales[largest] + left)
    return {name_of(one): scales[name_of(one)] for one in active if scales[name_of(one)] != replicas_of(one)}


def _share(replica_set: Obj, limits: Limits, to_add: int) -> int:
    if limits.replicas == 0:
        return -replicas_of(replica_set)
    before = int((replica_set["metadata"].get("annotations") or {}).get(MAXIMUM) or limits.replicas) or 1
    share = round(replicas_of(replica_set) * limits.most / before) - replicas_of(replica_set)
    return max(0, min(share, to_add)) if to_add > 0 else min(0, max(share, to_add))
