"""What two primaries' own lines say of slots between them, whoever of either shard they name."""

from __future__ import annotations

import pytest

from tdredis.movers.marks import Marks, find_marks
from tdredis.redis.slots import NO_SLOTS, SlotSet, parse_slots
from tdredis.redis.views import ClusterView, KnownNode

SOURCE, FORMER_SOURCE, TARGET, FORMER_TARGET, OTHER = (letter * 40 for letter in "abcde")


def view(node_id: str, slots: str, *open_slots: str) -> ClusterView:
    me = KnownNode(
        id=node_id,
        ip="10.0.0.1",
        port=6379,
        flags=frozenset({"myself", "master"}),
        primary_id=None,
        config_epoch=1,
        link_connected=True,
        slots=parse_slots([slots]) if slots else NO_SLOTS,
        open_slots=open_slots,
    )
    return ClusterView(me=me)


def one(slot: int) -> SlotSet:
    return parse_slots([str(slot)])


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        (view(SOURCE, "0-9"), view(TARGET, ""), Marks()),
        (view(SOURCE, "0-9", f"[5->-{TARGET}]"), view(TARGET, "", f"[5-<-{SOURCE}]"), Marks(opened=one(5))),
        (view(SOURCE, "0-9", f"[5->-{TARGET}]"), view(TARGET, ""), Marks(opened=one(5))),
        (view(SOURCE, "0-9", f"[5->-{FORMER_TARGET}]"), view(TARGET, ""), Marks(opened=one(5))),
        (view(SOURCE, "0-9"), view(TARGET, "", f"[5-<-{SOURCE}]"), Marks(only_importing=one(5))),
        (view(SOURCE, "0-9"), view(TARGET, "", f"[5-<-{FORMER_SOURCE}]"), Marks(only_importing=one(5))),
        (view(SOURCE, "0-9", f"[5->-{TARGET}]"), view(TARGET, "5"), Marks(claimed=one(5))),
        (view(SOURCE, "6-9", f"[5->-{TARGET}]"), view(TARGET, "5"), Marks(claimed=one(5))),
        (view(SOURCE, "0-9"), view(TARGET, "5"), Marks(claimed=one(5))),
        # Between either of them and somebody else, and what neither owns: not of this pair.
        (view(SOURCE, "0-9", f"[5->-{OTHER}]"), view(TARGET, "", f"[6-<-{OTHER}]"), Marks()),
        (view(SOURCE, "0-4", f"[5->-{TARGET}]"), view(TARGET, "", f"[6-<-{SOURCE}]"), Marks()),
    ],
)
def test_what_is_left_of_a_move(source: ClusterView, target: ClusterView, expected: Marks) -> None:
    assert (
        find_marks(source, target, frozenset({SOURCE, FORMER_SOURCE}), frozenset({TARGET, FORMER_TARGET})) == expected
    )
