"""Events of steps: a reason that stays, and to each step its own why."""

from __future__ import annotations

import re
from typing import get_args

from tdredis.controllers.telling import told_together
from tdredis.planning.snapshot import Ref
from tdredis.planning.steps import Apply, Remove, Step


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


def test_every_step_has_a_reason_of_its_own_that_is_no_class_name() -> None:
    kinds = get_args(Step)
    reasons = [kind.reason for kind in kinds]

    assert len(set(reasons)) == len(reasons) == len(kinds) > 20
    assert {Apply, Remove} <= set(kinds)
    assert all(re.fullmatch(r"([A-Z][a-z]+)+", reason) for reason in reasons)
    assert not {kind.__name__ for kind in kinds} & set(reasons)
