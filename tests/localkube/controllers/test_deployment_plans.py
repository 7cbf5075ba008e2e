"""Claims about the steps of a rollout, whatever the limits and in whatever order pods become available."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localkube.controllers.rollout import Limits, limits_of, plan_new, plan_old, plan_resize, replicas_of
from localkube.registry import Obj


def replica_set(name: str, replicas: int, available: int | None = None, most: int | None = None) -> Obj:
    annotations = {"deployment.kubernetes.io/max-replicas": str(most)} if most is not None else {}
    return {
        "metadata": {"name": name, "creationTimestamp": f"2026-01-01T00:00:0{name}Z", "annotations": annotations},
        "spec": {"replicas": replicas},
        "status": {"availableReplicas": replicas if available is None else available},
    }


def deployment(replicas: int, surge: int | str, unavailable: int | str) -> Obj:
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    return {"spec": {"replicas": replicas, "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling}}}


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "most", "fewest"),
    [
        (4, "25%", "25%", 5, 3),
        (2, "25%", "25%", 3, 2),  # surge rounds up, unavailable down
        (3, 1, 0, 4, 3),
        (3, 0, 1, 3, 2),
        (3, 0, 0, 3, 2),  # neither would mean no step at all
        (1, "25%", "25%", 2, 1),
        (0, 1, 1, 1, 0),
    ],
)
def test_limits_are_counted_as_documented(
    replicas: int, surge: int | str, unavailable: int | str, most: int, fewest: int
) -> None:
    limits = limits_of(deployment(replicas, surge, unavailable))

    assert (limits.most, limits.fewest_available) == (most, fewest)


@given(st.data())
def test_a_rollout_ends_and_no_step_leaves_the_limits(data: st.DataObject) -> None:
    replicas = data.draw(st.integers(1, 12), "replicas")
    surge = data.draw(st.integers(0, 6), "surge")
    unavailable = data.draw(st.integers(0 if surge else 1, 6), "unavailable")
    limits = Limits(replicas, surge, min(unavailable, replicas))
    new, old = replica_set("2", 0), [replica_set("1", replicas)]

    for _ in range(300):
        scales = plan_new(new, old, limits) or plan_old(new, old, limits)
        for one in (new, *old):
            one["spec"]["replicas"] = scales.get(one["metadata"]["name"], replicas_of(one))
            # What is removed is gone at once, the worst case; what is added is not yet available.
            one["status"]["availableReplicas"] = min(one["status"]["availableReplicas"], replicas_of(one))
        assert replicas_of(new) + replicas_of(old[0]) <= limits.most
        available = new["status"]["availableReplicas"] + old[0]["status"]["availableReplicas"]
        assert available >= limits.fewest_available
        if (replicas_of(new), replicas_of(old[0])) == (replicas, 0):
            return
        more = data.draw(st.integers(0, replicas_of(new) - new["status"]["availableReplicas"]), "more")
        new["status"]["availableReplicas"] += more if scales else replicas_of(new) - new["status"]["availableReplicas"]
    pytest.fail(f"no end: {replicas_of(new)} new, {replicas_of(old[0])} old")


def test_pods_that_do_not_work_go_before_those_that_do() -> None:
    old = [replica_set("1", 3, available=3), replica_set("2", 2, available=0)]
    new = replica_set("3", 1, available=0)

    scales = plan_old(new, old, Limits(5, 1, 2))

    assert scales == {"2": 0}


def test_nothing_changes_when_the_new_size_is_already_there() -> None:
    sets = [replica_set("1", 3, most=5), replica_set("2", 2, most=5)]

    assert plan_resize(sets, sets[1], Limits(4, 1, 1), rolling=True) == {}


@pytest.mark.parametrize(
    ("replicas", "expected"),
    [
        (15, {"1": 11, "2": 7}),  # the documented example: 10 -> 15 with a surge of 3, in the midst of 8 + 5
        (0, {"1": 0, "2": 0}),
        (5, {"1": 5, "2": 3}),
    ],
)
def test_a_change_of_size_in_a_rollout_is_shared_by_size(replicas: int, expected: dict[str, int]) -> None:
    sets = [replica_set("1", 8, most=13), replica_set("2", 5, most=13)]
    limits = Limits(replicas, 3, 2)

    scales = plan_resize(sets, sets[1], limits, rolling=True)

    assert scales == expected
