"""What is held against a chaos run: writes that are lost without a crash, and edits that stop writes for too long."""

from __future__ import annotations

import pytest

from bench.chaos_edits import EDITS
from bench.chaos_judge import CRASHES, EVERYBODYS, OF_CONTROL, Happening, is_judged, too_long, unexplained
from bench.chaos_menu import MENU

CLUSTER, STANDBY, STANDALONE = "RedisCluster", "RedisStandby", "RedisStandalone"


def happening(what: str, kind: str = CLUSTER, *, began: float = 10, until: float = 20, gap_s: float = 0) -> Happening:
    return Happening(what, kind, what in EDITS, began, until, {f"{kind}/proxy": gap_s})


def lost_at(*times: float, kind: str = CLUSTER) -> dict[str, list[float]]:
    return {f"{kind}/proxy": list(times)}


def test_everything_that_is_named_is_on_the_menu() -> None:
    assert set(MENU) >= CRASHES | EVERYBODYS | OF_CONTROL


def test_a_write_that_is_lost_in_an_edit_is_told_with_what_was_under_way() -> None:
    assert list(unexplained(lost_at(15), [happening("edit_size")])) == [
        "RedisCluster/proxy lost a write beside edit_size, and nobody had crashed"
    ]


@pytest.mark.parametrize("planned", ["delete_pod", "open_slot", "kill_operator", "drain_after_drain", "stop_api"])
def test_what_is_planned_or_of_the_operator_explains_no_lost_write(planned: str) -> None:
    assert len(list(unexplained(lost_at(12, 15), [happening(planned)]))) == 2


@pytest.mark.parametrize(("at", "count"), [(8.9, 1), (9.1, 0), (20, 0), (20.1, 1)])
def test_a_crash_explains_the_second_before_it_until_all_is_well(at: float, count: int) -> None:
    assert len(list(unexplained(lost_at(at), [happening("kill_redis")]))) == count


def test_a_crash_of_another_resource_explains_nothing_but_that_of_a_node_does() -> None:
    assert list(unexplained(lost_at(15), [happening("kill_redis", STANDBY)]))
    assert not list(unexplained(lost_at(15), [happening("fail_node", STANDBY)]))


def test_an_edit_beside_no_fault_may_stop_writes_for_a_while_and_no_longer() -> None:
    assert not list(too_long([happening("edit_size", gap_s=4.9)]))
    assert list(too_long([happening("edit_size", gap_s=5.1)])) == [
        "edit_size stopped writes of RedisCluster/proxy for 5.1 s, beside no fault"
    ]


def test_a_standalone_may_be_away_while_its_pod_starts() -> None:
    assert not list(too_long([happening("edit_image", STANDALONE, gap_s=12)]))
    assert list(too_long([happening("edit_image", STANDALONE, gap_s=21)]))


@pytest.mark.parametrize(
    ("fault", "judged"),
    [
        (happening("kill_redis", began=0, until=10), False),
        (happening("kill_redis", began=0, until=8), True),
        (happening("kill_redis", STANDBY), True),
        (happening("partition_node", STANDBY), False),
        (happening("stop_api", STANDBY), False),
        (happening("edit_image"), True),
    ],
)
def test_an_edit_is_judged_by_its_gap_where_no_fault_concerns_it(fault: Happening, *, judged: bool) -> None:
    edit = happening("edit_size", gap_s=30)

    assert is_judged(edit, [edit, fault]) is judged
    assert bool(list(too_long([edit, fault]))) is judged


def test_a_fault_is_no_edit() -> None:
    assert not list(too_long([happening("kill_redis", gap_s=30)]))
