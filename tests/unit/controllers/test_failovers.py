"""Claims about what is counted when a shard's primary dies, hands over, restarts, or only loses its connection."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from tdredis.api.instance import InstanceStatus, ShardStatus
from tdredis.controllers.failovers import Counted, Failovers

STANDBY, CLUSTER = "redis-standby-tom", "redis-cluster-rat-0"


def status(*lines: ShardStatus) -> InstanceStatus:
    return InstanceStatus(shards=lines)


def led_by(pod: str, shard: str = CLUSTER) -> ShardStatus:
    return ShardStatus(name=shard, primary=pod, phase="Ready")


def without(pod: str = "", shard: str = CLUSTER) -> ShardStatus:
    """In a standby the last one's name stays."""
    return ShardStatus(name=shard, primary=pod, phase="NoPrimary")


@dataclass
class Watched:
    """Passes at moments."""

    at: float = 100.0
    gaps: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.failovers = Failovers(lambda: self.at)

    def lost(self, at: float, pod: str) -> None:
        self.at = at
        self.failovers.lost(pod)

    def saw(self, at: float, *lines: ShardStatus, recorded: InstanceStatus | None = None) -> None:
        self.at = at
        self.gaps += self.failovers.saw(recorded or status(), status(*lines))

    @property
    def counted(self) -> Counted:
        return self.failovers.counted


@pytest.fixture
def watched() -> Watched:
    found = Watched()
    found.saw(100.0, led_by("a-0"))
    return found


def test_the_first_look_counts_nothing(watched: Watched) -> None:
    assert watched.counted == Counted()
    assert watched.gaps == []


def test_a_gap_is_from_the_lost_connection_to_the_next_primary(watched: Watched) -> None:
    watched.lost(110.0, "a-0")
    watched.saw(110.1, without())
    watched.saw(110.3, led_by("a-1"))

    assert watched.gaps == pytest.approx([0.3])
    assert watched.counted.failovers == 1
    assert (watched.counted.gap_s, watched.counted.last_gap_s) == pytest.approx((0.3, 0.3))


def test_a_failover_that_no_pass_saw_half_done_is_one_all_the_same(watched: Watched) -> None:
    watched.lost(110.0, "a-0")
    watched.saw(110.2, led_by("a-1"))

    assert watched.counted.failovers == 1
    assert watched.gaps == pytest.approx([0.2])


def test_a_frozen_primary_breaks_no_connection(watched: Watched) -> None:
    watched.saw(120.0, without())
    watched.saw(125.0, without())
    watched.saw(131.0, led_by("a-1"))

    assert watched.counted.failovers == 1
    assert watched.gaps == pytest.approx([11.0])


def test_a_primary_that_hands_over_leaves_no_gap(watched: Watched) -> None:
    watched.saw(110.0, led_by("a-1"))
    watched.lost(110.5, "a-0")  # its pod goes now
    watched.saw(111.0, led_by("a-1"))

    assert watched.counted == Counted(handovers=1)
    assert watched.gaps == []


def test_a_primary_that_comes_back_itself_is_a_gap_and_no_failover() -> None:
    watched = Watched()
    watched.saw(100.0, led_by("tom-0", STANDBY))
    watched.lost(110.0, "tom-0")
    watched.saw(110.0, without("tom-0", STANDBY))
    watched.saw(114.0, led_by("tom-0", STANDBY))

    assert watched.counted == Counted(gap_s=4.0, last_gap_s=4.0)
    assert watched.gaps == [4.0]


def test_a_connection_alone_that_is_lost_is_neither(watched: Watched) -> None:
    watched.lost(110.0, "a-0")
    watched.saw(110.1, led_by("a-0"))
    watched.saw(150.0, led_by("a-1"))

    assert watched.counted == Counted(handovers=1)
    assert watched.gaps == []


def test_a_replica_that_dies_is_neither(watched: Watched) -> None:
    watched.lost(110.0, "a-1")
    watched.saw(110.1, led_by("a-0"))

    assert (watched.counted, watched.gaps) == (Counted(), [])


def test_shards_are_counted_each_for_itself(watched: Watched) -> None:
    watched.saw(101.0, led_by("a-0"), led_by("b-0", "b"))
    watched.lost(110.0, "a-0")
    watched.lost(111.0, "b-0")
    watched.saw(112.0, led_by("a-1"), without(shard="b"))
    watched.saw(114.0, led_by("a-1"), led_by("b-1", "b"))

    assert watched.counted == Counted(failovers=2, gap_s=5.0, last_gap_s=3.0)
    assert watched.gaps == [2.0, 3.0]


def test_who_begins_to_lead_counts_from_what_was_recorded() -> None:
    watched = Watched()
    watched.saw(100.0, led_by("a-1"), recorded=status(led_by("a-0")))

    assert watched.counted.handovers == 1, "nobody saw how long it took"
    assert watched.gaps == []


def test_who_begins_to_lead_in_the_middle_of_it_sees_the_rest_of_the_gap() -> None:
    watched = Watched()
    watched.saw(100.0, without(), recorded=status(led_by("a-0")))
    watched.saw(102.5, led_by("a-1"))

    assert (watched.counted.failovers, watched.gaps) == (1, [2.5])


def test_what_was_never_whole_has_no_gap() -> None:
    watched = Watched()
    watched.saw(100.0, without())
    watched.saw(160.0, led_by("a-0"))

    assert (watched.counted, watched.gaps) == (Counted(), [])


def test_a_shard_that_left_is_forgotten(watched: Watched) -> None:
    watched.saw(101.0, led_by("a-0"), led_by("b-0", "b"))
    watched.saw(102.0, led_by("a-0"))
    watched.saw(103.0, led_by("a-0"), led_by("b-7", "b"))

    assert watched.counted == Counted()
