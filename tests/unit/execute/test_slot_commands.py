"""What is sent to Redis to close, move and take slots, and to have a node begin anew."""

from __future__ import annotations

import pytest

from tdredis.planning.process import Process
from tdredis.planning.steps import AssignSlots, MoveKeys, ResetNode, TakeSlot
from tdredis.planning.steps.redis_step import DISCONNECT
from tdredis.redis.slots import NO_SLOTS, parse_slots

FIRST = Process(pod="rat-0-0", uid="uid-0", ip="10.0.0.1", id="a" * 40)
SECOND = Process(pod="rat-1-0", uid="uid-1", ip="10.0.0.2", id="b" * 40)


@pytest.mark.parametrize("is_replica", [False, True])
def test_a_node_is_emptied_and_reset_in_one_go_and_its_clients_are_sent_away_last(*, is_replica: bool) -> None:
    """A replica refuses FLUSHALL, and drops its copy by itself."""
    step = ResetNode(process=FIRST, keys=7, is_replica=is_replica, apart=frozenset(), why="it lost")

    words = step.words

    expected = (("CLUSTER", "RESET", "HARD"), *DISCONNECT)
    assert words == (expected if is_replica else (("FLUSHALL", "ASYNC"), *expected))


def test_a_node_that_is_to_lose_nothing_is_reset_by_the_engine_s_leave_alone() -> None:
    """Source: cluster.c, clusterCommand: a primary with keys is not reset."""
    step = ResetNode(process=FIRST, keys=0, is_replica=False, apart=frozenset(), flushes=False, why="it has no key")

    assert step.words == (("CLUSTER", "RESET", "HARD"), *DISCONNECT)


def test_a_slot_is_taken_by_a_newer_claim() -> None:
    step = TakeSlot(process=SECOND, slot=93, why="it has the keys")

    assert step.words == (("CLUSTER", "SETSLOT", 93, "NODE", "b" * 40), ("CLUSTER", "BUMPEPOCH"))


@pytest.mark.parametrize(("password", "secret"), [("vault", ("AUTH", "vault")), ("", ())])
def test_keys_are_moved_with_the_password_and_no_step_shows_it(password: str, secret: tuple[str, ...]) -> None:
    step = MoveKeys(process=FIRST, target=SECOND, slot=93, why="both have keys")

    assert step.migrate([b"k"], password) == (
        "MIGRATE",
        "10.0.0.2",
        6379,
        "",
        0,
        1000,
        "REPLACE",
        *secret,
        "KEYS",
        b"k",
    )
    assert "vault" not in f"{step} {step!r}"


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        ("", [("CLUSTER", "ADDSLOTS", 1, 2)]),
        ("2", [("CLUSTER", "DELSLOTS", 2), ("CLUSTER", "ADDSLOTS", 1, 2), ("CLUSTER", "BUMPEPOCH")]),
    ],
)
def test_slots_that_it_believes_to_be_another_s_are_given_up_first(taken: str, expected: list[object]) -> None:
    step = AssignSlots(
        process=FIRST,
        shard="rat-0",
        slots=parse_slots(["1-2"]),
        config_epoch=None,
        why="nobody owns them",
        taken=parse_slots([taken]) if taken else NO_SLOTS,
    )

    assert list(step.words) == expected
