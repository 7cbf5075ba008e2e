"""Every step has one name, by which its events and the metric of steps are found."""

from __future__ import annotations

import re
from typing import get_args

from tdredis.planning.steps import NAMES, MoveKeys, MoveSlots, ObjectStep, RedisStep

CLASSES = {step.__name__ for step in (*RedisStep.__subclasses__(), *get_args(ObjectStep), MoveSlots)}


def test_every_step_has_a_name_of_its_own_that_is_no_class_name() -> None:
    assert {step.__name__ for step in NAMES} == CLASSES
    assert len(set(NAMES.values())) == len(NAMES)
    assert not CLASSES & set(NAMES.values())
    assert all(re.fullmatch(r"([A-Z][a-z]+)+", name) for name in NAMES.values())


def test_every_step_to_a_process_says_what_is_sent() -> None:
    says = {"words", "commands"}
    silent = [step for step in NAMES if issubclass(step, RedisStep) and not says & set(vars(step))]

    assert silent == [MoveKeys], "its keys are asked for as it goes"
