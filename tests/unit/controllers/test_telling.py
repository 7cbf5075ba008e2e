"""Events of steps: a reason that stays, and to each step its own why."""

from __future__ import annotations

from tdredis.controllers.telling import told_together
from tdredis.planning.snapshot import Ref
from tdredis.planning.steps import Apply


def apply(name: str, why: str) -> Apply:
    return Apply(ref=Ref("ConfigMap", name), manifest={}, why=why)


def test_steps_in_a_row_for_the_same_reason_are_one_event() -> None:
    steps = [apply(name, "it does not exist") for name in "abcdef"]

    assert list(told_together(steps)) == [
        (
            "ObjectApplied",
            "apply ConfigMap a; apply ConfigMap b; apply ConfigMap c; apply ConfigMap d and 2 more: it does not exist",
        )
    ]


def test_no_step_is_told_for_the_reason_of_another() -> None:
    steps = [apply("a", "data.redis.conf differs"), apply("b", "it does not exist")]

    assert list(told_together(steps)) == [
        ("ObjectApplied", "apply ConfigMap a: data.redis.conf differs"),
        ("ObjectApplied", "apply ConfigMap b: it does not exist"),
    ]
