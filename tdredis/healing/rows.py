"""Decides which faults are promised to heal: all rows, and what of the planner is not about faults."""

from __future__ import annotations

from tdredis.healing.catalogue import Code, Guard, Row
from tdredis.healing.disk_rows import DISK_ROWS
from tdredis.healing.label_rows import LABEL_ROWS
from tdredis.healing.operator_rows import OPERATOR_ROWS
from tdredis.healing.redis_rows import REDIS_ROWS
from tdredis.planning.cluster import announcing, leaving, proxies, settings
from tdredis.planning.cluster import rules as cluster
from tdredis.planning.replication import passing, rules

ROWS: tuple[Row, ...] = (*REDIS_ROWS, *OPERATOR_ROWS, *DISK_ROWS, *LABEL_ROWS)

# Rules that keep what spec asks for, in a world in which nothing broke.
RULES_NOT_ABOUT_FAULTS: tuple[Code, ...] = (
    proxies.keep_proxy,
    cluster.remove_unwanted,
    announcing.announce_addresses,
    settings.set_node_timeout,
    settings.label_roles,
    leaving.reset_leaving,
    rules.keep_children,
    passing.send_clients_on,
    rules.label_roles,
)
GUARDS_NOT_ABOUT_FAULTS: tuple[Guard, ...] = (
    # Of pods that are recreated on purpose.
    "nothing_else_is_to_be_done",
    "copies_are_whole",
    "surplus_is_whole",
    "statefulset_is_seen",
    "copies_stay",
    "handover_is_recorded",
    "handover_ends",
    "primaries_go_on_request",
    "primaries_go_in_window",
    "others_roll_first",
    "handover_names_a_pod",
    "a_sentinel_knows_the_candidate",
    "announced_addresses_are_known",
    "sentinels_keep_a_majority",
    # Of shards that come and go on purpose.
    "resharding_is_recorded",
    "rolls_come_first",
    "shards_are_whole",
    "clients_are_sent_on",
    "new_shards_are_up",
    "memory_is_given_first",
    "slots_move",
    "cluster_works",
    "service_and_pods_share_a_family",
)
