"""Which pod of a shard goes next, as a table: what there is, and what comes of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tdredis.planning.plan import Hold
from tdredis.planning.rolling import (
    MOST_BEHIND_BYTES,
    Ask,
    Copy,
    Next,
    Replace,
    Shard,
    Surplus,
    Terms,
    Yield,
    next_in,
    next_watcher,
)


def primary(name: str = "s-0", *, old: bool = False, surplus: bool = False) -> Copy:
    return Copy(name=name, is_primary=True, is_outdated=old, is_surplus=surplus)


def replica(
    name: str, *, old: bool = False, behind: int | None = 0, surplus: bool = False, leaves: bool = False
) -> Copy:
    return Copy(name=name, is_outdated=old, behind_bytes=behind, is_surplus=surplus, is_leaving=leaves)


def shard(*copies: Copy, wanted: int = 3, keeps: bool = False, surplus: Surplus | None = None) -> Shard:
    return Shard(name="s", copies=copies, wanted=wanted, keeps_data=keeps, surplus=surplus)


def what(step: Next | None) -> str:
    match step:
        case None:
            return "nothing"
        case Replace(pod=pod):
            return f"replace {pod}"
        case Yield(candidates=candidates):
            return f"yield to {' '.join(candidates)}"
        case Ask(more=more):
            return "more" if more else "no more"
        case Hold(guard=guard):
            return guard


S2 = Surplus(pod="s-2")
TABLE: list[tuple[str, Shard, str]] = [
    ("all are new", shard(primary(), replica("s-1"), replica("s-2")), "nothing"),
    (
        "replicas first, the last of them",
        shard(primary(old=True), replica("s-1", old=True), replica("s-2", old=True)),
        "replace s-2",
    ),
    ("the next replica", shard(primary(old=True), replica("s-1", old=True), replica("s-2")), "replace s-1"),
    ("tenth before ninth", shard(primary(), replica("s-9", old=True), replica("s-10", old=True)), "replace s-10"),
    (
        "one is not linked",
        shard(primary(old=True), replica("s-1", old=True), replica("s-2", behind=None)),
        "copies_are_whole",
    ),
    (
        "one is far behind",
        shard(primary(old=True), replica("s-1", old=True), replica("s-2", behind=MOST_BEHIND_BYTES + 1)),
        "copies_are_whole",
    ),
    (
        "one is a little behind",
        shard(primary(old=True), replica("s-1", old=True), replica("s-2", behind=MOST_BEHIND_BYTES)),
        "replace s-1",
    ),
    (
        "the primary last, to the furthest",
        shard(primary(old=True), replica("s-1", behind=9), replica("s-2", behind=3)),
        "yield to s-2 s-1",
    ),
    ("of an emptyDir another copy first", shard(primary(old=True), replica("s-1", old=True), wanted=2), "more"),
    ("which is awaited", shard(primary(old=True), replica("s-1", old=True), wanted=2, surplus=S2), "surplus_is_whole"),
    (
        "and is no copy while it copies",
        shard(
            primary(old=True), replica("s-1", old=True), replica("s-2", behind=None, surplus=True), wanted=2, surplus=S2
        ),
        "surplus_is_whole",
    ),
    (
        "then a replica goes",
        shard(primary(old=True), replica("s-1", old=True), replica("s-2", surplus=True), wanted=2, surplus=S2),
        "replace s-1",
    ),
    (
        "the surplus one is the last candidate",
        shard(primary(old=True), replica("s-1", behind=5), replica("s-2", surplus=True), wanted=2, surplus=S2),
        "yield to s-1 s-2",
    ),
    (
        "it goes at the end",
        shard(primary(), replica("s-1"), replica("s-2", surplus=True), wanted=2, surplus=S2),
        "no more",
    ),
    (
        "after it has handed over",
        shard(replica("s-0"), replica("s-1"), primary("s-2", surplus=True), wanted=2, surplus=S2),
        "yield to s-0 s-1",
    ),
    (
        "when all others are whole",
        shard(replica("s-0"), replica("s-1", behind=None), primary("s-2", surplus=True), wanted=2, surplus=S2),
        "copies_are_whole",
    ),
    ("not without anybody else", shard(primary("s-2", surplus=True), wanted=2, surplus=S2), "copies_are_whole"),
    (
        "no room for it",
        shard(
            primary(old=True), replica("s-1", old=True), wanted=2, surplus=Surplus(pod="s-2", trouble="Unschedulable")
        ),
        "copies_stay",
    ),
    (
        "of a template that was corrected",
        shard(
            primary(old=True),
            replica("s-1", old=True),
            wanted=2,
            surplus=Surplus(pod="s-2", trouble="x", is_stuck=True),
        ),
        "replace s-2",
    ),
    (
        "on volumes none is needed",
        shard(primary(old=True), replica("s-1", old=True), wanted=2, keeps=True),
        "replace s-1",
    ),
    ("no replica, on a volume", shard(primary(old=True), wanted=1, keeps=True), "replace s-0"),
    ("no replica, on an emptyDir", shard(primary(old=True), wanted=1), "more"),
    (
        "then it hands over",
        shard(primary(old=True), replica("s-1", surplus=True), wanted=1, surplus=Surplus(pod="s-1")),
        "yield to s-1",
    ),
    (
        "not to one that somebody deleted",
        shard(primary(old=True), replica("s-1", surplus=True, leaves=True), wanted=1, surplus=Surplus(pod="s-1")),
        "copies_are_whole",
    ),
    (
        "one that somebody deleted is no copy",
        shard(
            primary(old=True),
            replica("s-1", old=True),
            replica("s-2", surplus=True, leaves=True),
            wanted=2,
            surplus=S2,
        ),
        "copies_are_whole",
    ),
    (
        "and goes",
        shard(replica("s-0", old=True), primary("s-1", surplus=True), wanted=1, surplus=Surplus(pod="s-1")),
        "replace s-0",
    ),
    (
        "and is the primary again",
        shard(replica("s-0"), primary("s-1", surplus=True), wanted=1, surplus=Surplus(pod="s-1")),
        "yield to s-0",
    ),
    (
        "an outdated surplus pod is no candidate",
        shard(
            primary(old=True),
            replica("s-1"),
            replica("s-2"),
            replica("s-3", surplus=True, old=True),
            surplus=Surplus(pod="s-3"),
        ),
        "yield to s-1 s-2",
    ),
]


@pytest.mark.parametrize(("found", "next_"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_what_comes_next(found: Shard, next_: str) -> None:
    assert what(next_in(found, Terms())) == next_


@pytest.mark.parametrize(
    ("found", "terms", "next_"),
    [
        (shard(primary(old=True), replica("s-1"), replica("s-2")), Terms(on_request=True), "primaries_go_on_request"),
        (shard(primary(old=True), replica("s-1", old=True), replica("s-2")), Terms(on_request=True), "replace s-1"),
        (
            shard(primary(old=True), replica("s-1"), replica("s-2", surplus=True), wanted=2, surplus=S2),
            Terms(on_request=True),
            "no more",
        ),
        (
            shard(primary(old=True), replica("s-1", surplus=True), wanted=1, surplus=Surplus(pod="s-1")),
            Terms(on_request=True),
            "primaries_go_on_request",
        ),
        (
            shard(primary(old=True), replica("s-1", old=True), wanted=2, surplus=Surplus(pod="s-2", trouble="x")),
            Terms(needs_surplus=False),
            "replace s-1",
        ),
        (
            shard(primary(old=True), wanted=1, surplus=Surplus(pod="s-1", trouble="x")),
            Terms(needs_surplus=False),
            "copies_stay",
        ),
    ],
    ids=[
        "on request",
        "replicas are not asked for",
        "no surplus pod waits",
        "the only candidate",
        "one copy is enough",
        "none is not",
    ],
)
def test_what_spec_says_of_it(found: Shard, terms: Terms, next_: str) -> None:
    assert what(next_in(found, terms)) == next_


def test_a_standalone_without_a_volume_is_held() -> None:
    alone = Shard(name="s", copies=(primary(old=True),), wanted=1, keeps_data=False, can_replicate=False)

    held = next_in(alone, Terms())

    assert isinstance(held, Hold)
    assert (held.guard, held.about) == ("copies_stay", "spec")


LOST = Copy(name="s-0", is_primary=True, is_outdated=True, is_claim_going=True)
GOING = Copy(name="s-1", is_outdated=True, behind_bytes=0, is_claim_going=True)


@pytest.mark.parametrize(
    ("found", "next_"),
    [
        (shard(LOST, wanted=1, keeps=True), "more"),
        (shard(primary(old=True), GOING, wanted=2, keeps=True), "more"),
        (shard(primary(), GOING, replica("s-2"), keeps=True), "replace s-1"),
        (shard(replace(LOST, is_outdated=False), replica("s-1", old=True), wanted=2, keeps=True), "replace s-1"),
    ],
    ids=["the only copy", "a replica", "two others have it", "another pod's"],
)
def test_a_volume_whose_claim_is_deleted_keeps_nothing(found: Shard, next_: str) -> None:
    assert what(next_in(found, Terms())) == next_


NOT_WRITTEN = Copy(name="s-0", is_primary=True, is_outdated=True, is_written=False)
BEING_WRITTEN = Copy(name="s-0", is_primary=True, is_outdated=True, is_being_written=True)


@pytest.mark.parametrize(
    ("found", "next_"),
    [
        (shard(NOT_WRITTEN, wanted=1, keeps=True), "more"),
        (shard(NOT_WRITTEN, replica("s-1"), wanted=2, keeps=True), "more"),
        (shard(NOT_WRITTEN, replica("s-1"), replica("s-2"), keeps=True), "yield to s-1 s-2"),
        (shard(BEING_WRITTEN, wanted=1, keeps=True), "copies_are_whole"),
        (shard(BEING_WRITTEN, replica("s-1"), replica("s-2"), keeps=True), "yield to s-1 s-2"),
    ],
    ids=["the only copy", "one of two", "one of three", "its file is not whole", "others have it"],
)
def test_a_volume_to_which_its_process_has_not_written_keeps_nothing(found: Shard, next_: str) -> None:
    """Told to end while its first append-only file is made, an engine goes on, until it is killed and all is lost."""
    assert what(next_in(found, Terms())) == next_


@pytest.mark.parametrize(
    ("copy", "keeps", "volume", "words"),
    [
        (LOST, True, True, "as its claim was deleted"),
        (primary(old=True), False, True, "as config lets nothing be written"),
        (NOT_WRITTEN, True, True, "as its process does not write all of it to its volume"),
        (primary(old=True), False, False, "on an emptyDir that goes with it"),
    ],
    ids=["claim", "config", "process", "emptyDir"],
)
def test_the_hold_of_the_only_copy_says_where_it_is(copy: Copy, keeps: bool, volume: bool, words: str) -> None:
    alone = Shard(name="s", copies=(copy,), wanted=1, keeps_data=keeps, has_volume=volume, can_replicate=False)

    held = next_in(alone, Terms())

    assert isinstance(held, Hold)
    assert (held.guard, held.about) == ("copies_stay", "spec")
    assert words in held.why


def test_sentinels_go_one_by_one_and_none_while_they_fail_over() -> None:
    assert what(next_watcher(["w-0", "w-10", "w-9"], in_failover=False)) == "replace w-10"
    assert what(next_watcher(["w-0"], in_failover=True)) == "no_failover_in_progress"
    assert next_watcher([], in_failover=True) is None


WINDOW = Terms(opens=1_800_000_000.0)  # 2027-01-15T08:00:00Z


@pytest.mark.parametrize(
    ("found", "next_"),
    [
        (shard(primary(old=True), replica("s-1"), replica("s-2")), "primaries_go_in_window"),
        (shard(primary(old=True), replica("s-1", old=True), replica("s-2")), "replace s-1"),
        (shard(primary(old=True), wanted=1, keeps=True), "primaries_go_in_window"),
        (shard(primary(old=True), wanted=1), "primaries_go_in_window"),
        (shard(primary(old=True), replica("s-1"), replica("s-2", surplus=True), wanted=2, surplus=S2), "no more"),
    ],
    ids=["it waits", "replicas do not", "one that is alone", "no surplus pod is asked for", "nor does one stay"],
)
def test_before_the_window_opens(found: Shard, next_: str) -> None:
    assert what(next_in(found, WINDOW)) == next_


def test_it_says_when_the_window_opens_and_who_need_not_wait() -> None:
    waits = next_in(shard(primary(old=True), replica("s-1"), replica("s-2")), WINDOW)

    assert isinstance(waits, Hold)
    assert waits.why == (
        "s-0 goes when the window opens at 2027-01-15T08:00:00Z (rollout.window), or when it is asked to hand over"
    )
