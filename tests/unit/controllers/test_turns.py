"""So many resources have their pods recreated at once, first come, first served."""

from __future__ import annotations

import random

import pytest

from tdredis.controllers.turns import Turns
from tdredis.planning.snapshot import Key

A, B, C, D = (Key("RedisStandby", "ns", name) for name in "abcd")


class Wishes:
    def __init__(self, limit: int, *keys: Key) -> None:
        self.granted: list[Key] = []
        self.now = 0.0
        self.turns = Turns(limit, self.granted.append, lambda: self.now)
        self.turns.begin(keys)

    def note(self, key: Key, *, wants: bool = True, is_healthy: bool = True, has_begun: bool = False) -> None:
        self.turns.note(key, wants=wants, is_healthy=is_healthy, has_begun=has_begun)


def test_first_come_first_served() -> None:
    wishes = Wishes(1)

    for key in (B, A, C):
        wishes.note(key)
    assert wishes.granted == [B]
    assert (wishes.turns.of(B).ours, wishes.turns.of(A).ours, wishes.turns.of(A).others) == (True, False, 1)

    wishes.note(B, is_healthy=False, has_begun=True)  # a pod of it is new, and starts
    wishes.note(B, wants=False, is_healthy=False, has_begun=True)  # the last of its pods starts
    assert wishes.granted == [B]
    wishes.note(B, wants=False)
    assert wishes.granted == [B, A]


def test_who_is_stopped_by_a_person_keeps_no_turn_however_ill_it_is() -> None:
    wishes = Wishes(1)
    for key in (A, B):
        wishes.note(key)

    wishes.note(A, is_healthy=False, has_begun=True)  # a pod of it is new, and starts
    wishes.turns.note(A, wants=False, is_healthy=False, has_begun=False, is_stopped=True)

    assert wishes.granted == [A, B]
    wishes.note(A, is_healthy=False, has_begun=True)
    wishes.note(B, wants=False)
    assert wishes.granted == [A, B], "what it lacks is mended without a turn"
    wishes.note(A, has_begun=True)
    assert wishes.granted == [A, B, A]


def test_nothing_is_granted_before_all_were_seen_and_what_had_begun_is_first() -> None:
    wishes = Wishes(2, A, B, C, D)

    wishes.note(A)
    wishes.note(B)
    wishes.note(C, is_healthy=False, has_begun=True)
    assert wishes.granted == []
    wishes.turns.saw(D)  # it could not be read

    assert wishes.granted == [C, A]


def test_one_that_is_never_seen_keeps_nobody_waiting_for_longer_than_a_minute() -> None:
    wishes = Wishes(1, A, B)
    wishes.note(A)
    wishes.now = 59.0
    wishes.note(A)
    assert wishes.granted == []

    wishes.now = 60.0
    wishes.note(A)

    assert wishes.granted == [A]


def test_who_is_not_healthy_waits_for_no_turn_and_keeps_nobody_waiting() -> None:
    wishes = Wishes(1)

    wishes.note(A, is_healthy=False)
    wishes.note(B)

    assert wishes.granted == [B]


@pytest.mark.parametrize("key", [A, B])
def test_who_is_gone_waits_no_more(key: Key) -> None:
    wishes = Wishes(1)
    for each in (A, B, C):
        wishes.note(each)

    wishes.turns.forget(key)
    wishes.note(A if key is B else B, wants=False)

    assert wishes.granted[-1] == C
    assert (wishes.turns.active, wishes.turns.waiting) == (1, 0)


def test_who_leads_anew_knows_nothing_of_before() -> None:
    wishes = Wishes(1)
    wishes.note(A)
    wishes.note(B)

    wishes.turns.begin([A, B])
    wishes.note(B)
    wishes.note(A, wants=False)

    assert wishes.granted == [A, B]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_no_more_than_so_many_and_none_for_ever(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 a simulation
    keys = [Key("RedisStandby", "ns", str(number)) for number in range(12)]
    wishes = Wishes(3, *keys)
    left = {key: chance.randint(0, 3) for key in keys}  # pods that are to be recreated

    for _ in range(1000):
        key = chance.choice(keys)
        if wishes.turns.of(key).ours and left[key]:
            left[key] -= 1
        wishes.note(key, wants=left[key] > 0, is_healthy=chance.random() < 0.7, has_begun=chance.random() < 0.5)
        assert wishes.turns.active <= 3

    assert not any(left.values())
