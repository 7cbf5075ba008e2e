"""Whatever is asked for, dies and is interrupted, in any order: nothing is lost, nothing is done that nobody asked for,
and what was asked for last is so in the end.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.planning.histories import EVENTS, Event, World, begin
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby

FEW, MANY = 12, 200  # histories of each kind of instance
KINDS = pytest.mark.parametrize(
    "make",
    [
        SimulatedCluster,
        partial(SimulatedCluster, storageclass="fast"),
        SimulatedStandby,
        partial(SimulatedStandby, replicas=2, storageclass="fast"),
        partial(SimulatedStandby, "RedisStandalone", storageclass="fast"),
    ],
    ids=["cluster", "cluster-volumes", "standby", "standby-volumes", "standalone"],
)
HISTORIES = st.lists(
    st.builds(
        Event,
        what=st.sampled_from(EVENTS),
        which=st.integers(0, 11),
        way=st.integers(0, 5),
        passes=st.integers(0, 6),
        dies_after=st.one_of(st.none(), st.integers(0, 4)),
    ),
    min_size=4,
    max_size=14,
)


def hold(make: Callable[[], World], events: list[Event]) -> None:
    history = begin(make())
    for event in events:
        history.tell(event)
    history.end()


@KINDS
@settings(max_examples=FEW, deadline=None)
@given(events=HISTORIES)
def test_a_few_histories_lose_nothing_and_come_to_what_was_asked_for_last(
    make: Callable[[], World], events: list[Event]
) -> None:
    hold(make, events)


def test_a_primary_that_has_just_been_handed_over_takes_no_write() -> None:
    """It does not know yet, and nobody else would have it: its clients' writes are stopped for that long."""
    image, lost = Event("image", 0, 1, 0, None), Event("pod", 1, 0, 6, None)
    written = Event("write", 0, 0, 0, None)

    hold(
        SimulatedStandby,
        [
            *(image, Event("capacity", 0, 0, 6, None), written, Event("process", 10, 0, 0, None)),
            *(lost, Event("pod", 1, 0, 6, 3), Event("image", 0, 3, 6, None), written),
        ],
    )


@KINDS
@pytest.mark.long
@pytest.mark.timeout(1800)
@settings(max_examples=MANY, deadline=None)
@given(events=HISTORIES)
def test_a_thousand_histories_lose_nothing_and_come_to_what_was_asked_for_last(
    make: Callable[[], World], events: list[Event]
) -> None:
    hold(make, events)
