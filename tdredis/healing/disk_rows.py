"""Decides what is promised when a disk takes nothing more: row 26."""

from __future__ import annotations

from tdredis.healing.catalogue import Row, Seen
from tdredis.planning import disks
from tdredis.planning.cluster import failover
from tdredis.planning.cluster import rules as cluster
from tdredis.planning.replication import primary
from tdredis.planning.steps import FailOver, HandOver

DISKS = "unit/planning/test_full_disks.py"

DISK_ROWS: tuple[Row, ...] = (
    Row(
        number=26,
        fault="the disk of a primary, or of every pod, is full or fails",
        must="named with its pod within seconds; handed over once to a replica in sync whose disk has had room for ten"
        " minutes; with room it heals by itself, and Sentinels are told no password for it",
        bound="named within 4 s; gap 5 s where a replica has room",
        rules=(
            cluster.fail_over,
            failover.hand_over_full,
            primary.hand_over_full,
            primary.vouch_for_replicas,
            disks.disks_that_fail,
        ),
        guards=("a_candidate_has_room",),
        seen=(
            Seen(reason="DiskFull", words="… cannot write to its disk (…"),
            Seen(reason=HandOver, words="hand shard … over to …: … cannot write to its disk (…"),
            Seen(reason=FailOver, words="have … fail over …: … cannot write to its disk (…"),
        ),
        make=("localkube fault fill-volume NAMESPACE/POD redis-data",),
        tests=(
            "e2e/test_full_disks.py::test_a_primary_whose_disk_is_full_hands_over_once_to_one_that_has_room",
            "e2e/test_full_disks.py::test_where_every_disk_is_full_nobody_changes_place_and_room_heals",
            "e2e/test_full_disks.py::test_a_standalone_s_full_disk_is_named_and_room_heals",
            f"{DISKS}::test_it_is_named_and_handed_over_once",
            f"{DISKS}::test_where_every_disk_is_full_nobody_hands_over_and_room_heals",
            f"{DISKS}::test_disks_that_fill_in_turns_do_not_hand_the_primary_to_and_fro",
            f"{DISKS}::test_sentinels_are_not_told_a_password_for_a_full_disk_and_watch_on_as_they_were",
        ),
    ),
)
