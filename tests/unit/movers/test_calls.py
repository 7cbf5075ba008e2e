"""Which keys go in one write of MIGRATE calls, and what becomes of a call whose connection broke."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tdredis.movers.big_keys import Seen
from tdredis.movers.calls import WRITE_BYTES, Call, CallFailed, in_writes, send
from tdredis.movers.node import MIGRATE_MS, Node
from tdredis.redis.places import Place
from tdredis.redislink.errors import Refused
from tdredis.redislink.link import Link

BROKE = Refused("IOERR error or timeout reading to target instance")


def keys(slot: int, count: int, size_bytes: int = 100) -> list[Seen]:
    return [Seen(name=f"{slot}:{number}".encode(), size_bytes=size_bytes) for number in range(count)]


def shape(writes: list[list[Call]]) -> list[list[tuple[int, int]]]:
    """Slot and keys of every call, write by write."""
    return [[(call.slot, len(call.keys)) for call in calls] for calls in writes]


def test_slots_with_few_keys_go_together_as_many_as_the_pace_allows() -> None:
    found = {0: keys(0, 60), 1: keys(1, 40), **{slot: keys(slot, 5) for slot in range(2, 7)}}

    writes = list(in_writes(found, lambda: 100, 4))

    assert shape(writes) == [[(0, 60), (1, 40)], [(2, 5), (3, 5), (4, 5), (5, 5)], [(6, 5)]]
    assert [seen for calls in writes for call in calls for seen in call.keys] == [
        seen for slot in found.values() for seen in slot
    ]


def test_a_slot_with_many_keys_goes_in_several_writes_and_its_rest_with_no_other() -> None:
    writes = list(in_writes({1: keys(1, 30), 2: keys(2, 180), 3: keys(3, 5)}, lambda: 100, 4))

    assert shape(writes) == [[(1, 30), (2, 70)], [(2, 100)], [(2, 10), (3, 5)]]


def test_the_pace_is_asked_for_each_write() -> None:
    most = iter((50, 20, 20, 20))

    assert shape(list(in_writes({1: keys(1, 90)}, lambda: next(most), 4))) == [[(1, 50)], [(1, 20)], [(1, 20)]]


def test_a_write_has_no_more_bytes_than_it_may_unless_one_key_alone_has() -> None:
    third = WRITE_BYTES // 3
    found = {1: keys(1, 2, third), 2: keys(2, 2, third), 3: keys(3, 1, WRITE_BYTES + 1), 4: keys(4, 1)}

    assert shape(list(in_writes(found, lambda: 100, 4))) == [[(1, 2), (2, 1)], [(2, 1)], [(3, 1)], [(4, 1)]]


def test_no_key_no_write() -> None:
    assert list(in_writes({1: [], 2: []}, lambda: 100, 4)) == []


class Answers(Link):
    """A source that answers MIGRATE by the slot of the first key that is named, each time with the next reply."""

    def __init__(self, replies: dict[int, list[object]]) -> None:
        super().__init__()
        self._replies = replies
        self.sent: list[list[tuple[int, int]]] = []  # slot and timeout in ms of every call, write by write

    async def call_all(self, commands: Sequence[Sequence[str | bytes | int]], *, timeout_s: float) -> list[object]:
        written, replies = [], []
        for command in commands:
            words = list(command)
            assert words[0] == "MIGRATE"
            assert "REPLACE" in words
            slot = int(bytes(words[words.index("KEYS") + 1]).partition(b":")[0])  # type: ignore[arg-type]
            timeout_ms = int(words[5])
            assert timeout_ms / 1000 < timeout_s
            written.append((slot, timeout_ms))
            replies.append(self._replies[slot].pop(0))
        self.sent.append(written)
        return replies


class Empty(Link):
    """A target that has no key."""

    async def call_all(self, commands: Sequence[Sequence[str | bytes | int]], *, timeout_s: float) -> list[object]:
        assert timeout_s > 0
        return [{"EXISTS": 0}.get(str(command[0]), b"OK") for command in commands]


def ends(replies: dict[int, list[object]]) -> tuple[Answers, Node, Node]:
    link = Answers(replies)
    source, target = (
        Node(Place(name=name, id=name * 40, host="10.0.0.1", port=port), end, lambda: True)
        for name, port, end in (("a", 1, link), ("b", 2, Empty()))
    )
    return link, source, target


async def test_calls_of_one_write_share_the_time_that_the_source_may_be_silent() -> None:
    link, source, target = ends({slot: [b"OK"] for slot in (1, 2, 3)})

    await send(source, target, [Call(slot, keys(slot, 2)) for slot in (1, 2, 3)])

    assert link.sent == [[(slot, MIGRATE_MS // 3) for slot in (1, 2, 3)]]


async def test_a_call_that_broke_is_sent_again_alone_with_all_the_time_there_is_and_others_are_not() -> None:
    link, source, target = ends({1: [b"OK"], 2: [BROKE, BROKE, b"OK"], 3: [b"NOKEY"]})

    await send(source, target, [Call(slot, keys(slot, 2)) for slot in (1, 2, 3)])

    assert link.sent[1:] == [[(2, MIGRATE_MS)], [(2, MIGRATE_MS)]]


async def test_one_that_breaks_each_time_is_the_last_that_is_tried() -> None:
    link, source, target = ends({1: [b"OK"], 2: [BROKE] * 3, 3: [BROKE]})

    with pytest.raises(CallFailed, match="slot 2: IOERR"):
        await send(source, target, [Call(slot, keys(slot, 2)) for slot in (1, 2, 3)])

    assert link.sent[1:] == [[(2, MIGRATE_MS)]] * 2


async def test_what_broke_is_sent_again_also_beside_what_is_refused() -> None:
    link, source, target = ends({1: [Refused("ERR no")], 2: [BROKE, b"OK"]})

    with pytest.raises(CallFailed, match="slot 1: ERR no"):
        await send(source, target, [Call(slot, keys(slot, 2)) for slot in (1, 2)])

    assert link.sent[1:] == [[(2, MIGRATE_MS)]]


async def test_what_a_target_refuses_is_not_sent_again() -> None:
    link, source, target = ends({1: [Refused("ERR Target instance replied with error: OOM command not allowed")]})

    with pytest.raises(CallFailed) as failed:
        await send(source, target, [Call(1, keys(1, 2))])

    assert failed.value.is_of_memory
    assert len(link.sent) == 1
