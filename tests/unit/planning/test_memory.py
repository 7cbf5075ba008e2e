"""When memory is short, by rows: what processes use, what was said before, and what is said now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import msgspec
import pytest

from tdredis.api.instance import Condition, InstanceStatus
from tdredis.planning.memory import KILL_IS_NEWS_S, memory_pressure, memory_uses
from tdredis.planning.news import transitions
from tdredis.planning.snapshot import ReplicationSnapshot
from tdredis.redis.facts import NodeFacts, Unknown
from tests.unit.planning.test_objects import MIB, node, pod, snapshot

FIRST, SECOND = "redis-standby-tom-0", "redis-standby-tom-1"
SILENT = Unknown(since=0.0, error="silent")


def condition(*, full: bool) -> Condition:
    return Condition(
        type="MemoryPressure",
        status="True" if full else "False",
        reason="MemoryNearlyFull" if full else "AsSpecified",
        message=f"{FIRST}: as before",
        last_transition_time="2026-01-02T03:04:05Z",
    )


def seen(nodes: Mapping[str, NodeFacts | Unknown], *, was_full: bool = False) -> ReplicationSnapshot:
    found = snapshot(pod(FIRST), pod(SECOND), nodes=nodes)
    status = msgspec.structs.replace(found.instance.status, conditions=(condition(full=was_full),))
    return replace(found, instance=msgspec.structs.replace(found.instance, status=status))


@pytest.mark.parametrize(
    ("used_mib", "was_full", "is_full"),
    [(89, False, False), (90, False, True), (89, True, True), (85, True, True), (84, True, False), (120, False, True)],
)
def test_it_begins_at_90_percent_and_ends_under_85(used_mib: int, was_full: bool, is_full: bool) -> None:
    world = seen({FIRST: node(maxmemory_mib=100, used_mib=used_mib)}, was_full=was_full)

    assert (memory_pressure(world) is not None) is is_full


def test_its_sentence_does_not_change_with_every_key() -> None:
    one = seen({FIRST: node(maxmemory_mib=100, used_mib=96), SECOND: node(maxmemory_mib=100, used_mib=94)})
    two = seen({FIRST: node(maxmemory_mib=100, used_mib=93), SECOND: node(maxmemory_mib=100, used_mib=98)})

    said = memory_pressure(one)

    assert said == memory_pressure(two)
    assert said is not None
    assert f"{FIRST}, {SECOND}: 95 % or more of 100 MiB are used" in said.message


@pytest.mark.parametrize("was_full", [True, False])
def test_while_nobody_answers_it_stays_as_it_was(was_full: bool) -> None:
    said = memory_pressure(seen({FIRST: SILENT}, was_full=was_full))

    assert (said.message if said else None) == (f"{FIRST}: as before" if was_full else None)


@pytest.mark.parametrize("silent", [FIRST, SECOND])
def test_while_one_that_was_full_is_silent_nobody_says_that_there_is_room(silent: str) -> None:
    """A process that is killed for want of memory, or swaps, is silent first."""
    (other,) = {FIRST, SECOND} - {silent}

    said = memory_pressure(seen({silent: SILENT, other: node(maxmemory_mib=100, used_mib=1)}, was_full=True))

    assert (said.message if said else None) == (f"{FIRST}: as before" if silent == FIRST else None)


def test_without_a_limit_nothing_is_full_and_a_container_s_limit_counts_when_it_is_lower() -> None:
    unlimited = snapshot(pod(FIRST), nodes={FIRST: node(used_mib=5000)})
    small = snapshot(pod(FIRST, limits={"memory": "100Mi"}), nodes={FIRST: node(maxmemory_mib=200, used_mib=95)})

    assert memory_pressure(unlimited) is None
    assert memory_pressure(small) is not None
    assert [use.limit_bytes for use in (*memory_uses(unlimited), *memory_uses(small))] == [0, 100 * MIB]


def test_the_fullest_process_is_first() -> None:
    world = seen({FIRST: node(maxmemory_mib=100, used_mib=50), SECOND: node(maxmemory_mib=60, used_mib=40)})

    assert [use.pod for use in memory_uses(world)] == [SECOND, FIRST]


@pytest.mark.parametrize(("ago_s", "is_news"), [(0.0, True), (KILL_IS_NEWS_S - 1, True), (KILL_IS_NEWS_S, False)])
def test_a_process_that_the_kernel_ended_is_told_of_for_ten_minutes(ago_s: float, is_news: bool) -> None:
    world = snapshot(pod(FIRST, oom_killed=-ago_s), nodes={FIRST: node(maxmemory_mib=100)})

    said = memory_pressure(world)

    assert (said.reason if said else None) == ("OOMKilled" if is_news else None)


def test_it_is_told_when_it_begins_and_not_again() -> None:
    before, after = (InstanceStatus(conditions=(condition(full=full),)) for full in (False, True))

    assert [(turn.warning, turn.reason) for turn in transitions(before, after)] == [(True, "MemoryNearlyFull")]
    assert transitions(after, after) == transitions(after, before) == ()


@pytest.mark.parametrize(
    ("used_mib", "was_full", "percent"), [(90, False, 90), (99, False, 95), (100, False, 95), (86, True, 85)]
)
def test_how_full_it_is_is_said_as_it_is(used_mib: int, was_full: bool, percent: int) -> None:
    said = memory_pressure(seen({FIRST: node(maxmemory_mib=100, used_mib=used_mib)}, was_full=was_full))

    assert said is not None
    assert f"{percent} % or more of 100 MiB" in said.message


@pytest.mark.parametrize(
    ("policy", "evicts", "refuses", "by_hand"),
    [
        ("allkeys-lru", True, False, False),
        ("allkeys-lfu", True, False, True),
        ("noeviction", False, True, True),
        ("volatile-ttl", True, True, True),
        ("", True, False, False),
    ],
)
def test_what_happens_at_maxmemory_is_what_its_policy_says(
    policy: str, evicts: bool, refuses: bool, by_hand: bool
) -> None:
    full = msgspec.structs.replace(node(maxmemory_mib=100, used_mib=95), maxmemory_policy=policy)

    said = memory_pressure(seen({FIRST: full}))

    assert said is not None
    assert ("evicts" in said.message, "refuses writes" in said.message) == (evicts, refuses)
    assert policy in said.message
    assert ("set by hand" in said.message) is by_hand
    assert "kernel" not in said.message


@pytest.mark.parametrize("maxmemory_mib", [0, 200])
def test_at_the_container_s_limit_it_is_the_kernel_that_acts(maxmemory_mib: int) -> None:
    full = msgspec.structs.replace(node(maxmemory_mib=maxmemory_mib, used_mib=95), maxmemory_policy="allkeys-lru")

    said = memory_pressure(snapshot(pod(FIRST, limits={"memory": "100Mi"}), nodes={FIRST: full}))

    assert said is not None
    assert "the kernel ends the process" in said.message
    assert "evicts" not in said.message
