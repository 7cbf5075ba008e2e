"""What a chaos run meets: the same seed the same, and what once found something can be met again."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bench.chaos_edits import EDITS
from bench.chaos_menu import MENU, takes_a_copy
from bench.chaos_schedule import AT_ONCE, Schedule, draw_schedule, read_schedule, write_schedule

SEEDS = Path(__file__).parent / "seeds"


def test_the_same_seed_draws_the_same_faults() -> None:
    assert draw_schedule(7, MENU) == draw_schedule(7, MENU)
    assert draw_schedule(7, MENU) != draw_schedule(8, MENU)


def test_a_seed_meets_the_same_faults_with_edits_and_without() -> None:
    alone, edited = draw_schedule(7, MENU), draw_schedule(7, MENU, EDITS)

    assert edited.lanes[:AT_ONCE] == alone.lanes
    assert (edited.claims, edited.reuse) == (alone.claims, alone.reuse)
    assert {draw.fault for draw in edited.lanes[AT_ONCE]} == set(EDITS)


def test_every_fault_and_every_kind_of_place_is_drawn() -> None:
    drawn = [draw_schedule(seed, MENU) for seed in range(16)]

    assert {draw.fault for one in drawn for lane in one.lanes for draw in lane} == set(MENU)
    assert {(one.claims, one.reuse) for one in drawn} == {(a, b) for a in (True, False) for b in (True, False)}


def test_what_was_begun_is_kept_and_read_again(tmp_path: Path) -> None:
    schedule = draw_schedule(7, MENU)

    write_schedule(tmp_path / "kept.json", schedule, (3, 1))
    kept = read_schedule(tmp_path / "kept.json")

    assert [len(lane) for lane in kept.lanes] == [3, 1]
    assert kept.lanes[0] == schedule.lanes[0][:3]
    assert (kept.seed, kept.claims, kept.reuse) == (schedule.seed, schedule.claims, schedule.reuse)


def test_what_once_found_something_can_be_met_again() -> None:
    for kept in sorted(SEEDS.glob("*.json")):
        schedule = read_schedule(kept)

        assert schedule.found, kept
        assert len(schedule.lanes) in (AT_ONCE, AT_ONCE + 1), kept
        assert {draw.fault for lane in schedule.lanes for draw in lane} <= {*MENU, *EDITS}, kept


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": 1, "claims": True, "reuse": True},
        {"seed": 1, "claims": True, "reuse": True, "lanes": [[{"fault": "kill_redis"}]]},
        {"seed": 1, "claims": True, "reuse": True, "lanes": [], "other": 1},
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, wrong: dict[str, object]) -> None:
    (tmp_path / "kept.json").write_bytes(msgspec.json.encode(wrong))

    with pytest.raises(msgspec.ValidationError):
        read_schedule(tmp_path / "kept.json")


def test_a_pods_deletion_takes_a_copy_only_where_its_data_goes_with_it() -> None:
    assert takes_a_copy("delete_pod", claims=False)
    assert not takes_a_copy("delete_pod", claims=True)
    assert takes_a_copy("break_append_only_file", claims=True)
    assert not takes_a_copy("kill_redis", claims=False)


def test_a_schedule_says_what_it_found_or_nothing() -> None:
    assert Schedule(seed=1, claims=False, reuse=False, lanes=()).found == ""
