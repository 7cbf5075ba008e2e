"""Decides what is promised when Redis, its pods or its data break: rows 1 to 16."""

from __future__ import annotations

from tdredis.healing.catalogue import Guard, Row, Seen
from tdredis.planning import peers
from tdredis.planning.cluster import failover, free_slots, membership, proxies, slots_healing
from tdredis.planning.cluster import peers as cluster_peers
from tdredis.planning.cluster import rules as cluster
from tdredis.planning.replication import primary, rules, sentinels, write_policy
from tdredis.planning.steps import (
    AssignSlots,
    FailOver,
    FailOverShard,
    Follow,
    Forget,
    HandOver,
    Meet,
    Promote,
    Replicate,
    ResetNode,
    TakeOverShard,
)

KILL = "localkube fault kill -c redis NAMESPACE/POD"
CLUSTER = "unit/planning/test_cluster_plans.py"
STANDBY = "unit/planning/test_standby_plans.py"
NO_LOSS = "unit/planning/test_nothing_is_lost.py"
FAULTS = "e2e/test_faults.py"
RETAINED = "unit/planning/test_retained_volumes.py"
IN_CLUSTER = "e2e/test_faults_cluster.py"
IN_STANDBY = "e2e/test_faults_standby.py"
SPLIT = "e2e/test_faults_cluster_split.py"
POLICY = "e2e/test_write_policy.py"

DIED = Seen(reason=FailOverShard, words="have … take over shard …: the process in … ended; … has the most of its data")
PAIR_DIED = Seen(reason=FailOver, words="have … fail over …: … refuses connections, and … Sentinels have lost it too")
SILENT = Seen(reason="NoAnswer", words="the process in pod … does not answer: …")
NOT_PROVEN: tuple[Guard, ...] = (failover.primary_is_proven_dead, "every_process_answers")

# A node is pinged every half timeout, so the engine misses one after up to one and a half (0009-proof-of-death.md).
ENGINE_DECIDES = "gap: 1.5 node timeouts (of 5 s), or down-after (5 s), and 2 s"

REDIS_ROWS: tuple[Row, ...] = (
    Row(
        number=1,
        fault="a cluster primary's process is killed",
        must="the replica with the highest offset asks for the other primaries' votes at once; the old one returns as"
        " its replica",
        bound="gap 0.3 s",
        rules=(
            cluster.fail_over,
            failover.replace_dead_primaries,
            cluster.publish_endpoints,
            membership.attach_replicas,
        ),
        guards=failover.FAILOVER_GUARDS,
        seen=(DIED, Seen(reason="SlotsNotOwned", words="… of 16384 slots have no owner")),
        make=(KILL, "redis-cli -h POD_IP shutdown nosave now force"),
        tests=(
            f"{FAULTS}::test_a_killed_primary_is_replaced_and_what_replicas_had_stays",
            f"{CLUSTER}::test_a_replica_whose_primary_is_gone_asks_for_votes_at_once",
            f"{CLUSTER}::test_a_refused_connection_is_proof_when_the_other_nodes_have_lost_it_too",
        ),
    ),
    Row(
        number=2,
        fault="a standby primary's process is killed",
        must="the Sentinels' own failover, asked for at once; the Service leads to the new primary in the next pass",
        bound="gap 0.5 s",
        rules=(primary.have_a_primary, rules.publish_endpoints, primary.follow_the_primary, primary.vouch_for_replicas),
        guards=("primary_is_proven_dead", "no_failover_in_progress", "some_sentinel_is_not_in_tilt"),
        seen=(PAIR_DIED, Seen(reason="NoPrimary", words="no process is the primary")),
        make=(KILL,),
        tests=(
            f"{FAULTS}::test_a_killed_primary_is_replaced_and_what_replicas_had_stays",
            "e2e/test_standby.py::test_clients_by_service_and_by_sentinel_keep_working_through_a_failover",
            f"{STANDBY}::test_a_dead_primary_is_replaced_by_the_sentinels_own_failover",
            "unit/planning/test_tilt.py::test_a_failover_is_asked_of_a_sentinel_that_is_not_in_tilt",
            "unit/planning/test_tilt.py::test_where_all_are_in_tilt_it_is_said_and_looked_at_soon",
        ),
    ),
    Row(
        number=3,
        fault="a primary's pod is deleted or evicted, or its node drained",
        must="it hands over before it stops: its container waits (stop.sh) until it is no primary any more",
        bound="gap 1 s, planned: nothing is lost",
        rules=(cluster.fail_over, failover.hand_over_leaving, primary.hand_over_leaving, primary.hand_over),
        seen=(
            Seen(reason=HandOver, words="hand shard … over to …: … is being deleted; … has its data"),
            Seen(reason=FailOver, words="have … fail over …: … is being deleted; … has its data"),
        ),
        make=("kubectl delete pod POD", "kubectl drain NODE --ignore-daemonsets --delete-emptydir-data"),
        tests=(
            f"{FAULTS}::test_a_primary_whose_pod_is_deleted_hands_over_and_nothing_is_lost",
            "e2e/test_faults_spec.py::test_a_primary_whose_node_is_drained_hands_over_and_nothing_is_lost",
            f"{STANDBY}::test_a_running_primary_is_made_anew_after_it_has_handed_over",
        ),
    ),
    Row(
        number=4,
        fault="a node is lost: no packet comes from it any more",
        must="the engine's timeout decides; the operator finishes: endpoints, labels, replacement",
        bound=ENGINE_DECIDES,
        rules=(cluster.fail_over, primary.have_a_primary, cluster.publish_endpoints, rules.publish_endpoints),
        guards=NOT_PROVEN,
        seen=(SILENT,),
        make=("localkube fault fail-node NODE",),
        tests=(
            f"{IN_CLUSTER}::test_a_primary_whose_node_is_lost_is_replaced_within_the_node_timeout",
            f"{IN_STANDBY}::test_a_primary_whose_node_is_lost_is_replaced_and_comes_back_as_a_replica",
            f"{CLUSTER}::test_a_silent_primary_is_not_proven_dead_and_the_engine_decides",
            f"{STANDBY}::test_a_primary_that_is_silent_is_not_proven_dead",
        ),
    ),
    Row(
        number=5,
        fault="a primary is frozen (SIGSTOP), and thawed later",
        must="as 4; when it wakes it steps down, and takes no write that counts",
        bound=ENGINE_DECIDES,
        rules=(cluster.publish_endpoints, primary.follow_the_primary, membership.attach_replicas),
        guards=(*NOT_PROVEN, "no_failover_in_progress"),
        seen=(SILENT, Seen(reason="WritesGivenUp", words="… was a second primary and took … bytes of writes")),
        make=("localkube fault freeze -c redis --for 20s NAMESPACE/POD",),
        tests=(
            f"{IN_CLUSTER}::test_a_frozen_primary_is_replaced_and_what_it_takes_when_it_thaws_does_not_count",
            f"{IN_STANDBY}::test_a_primary_that_is_frozen_and_thawed_steps_down_and_its_clients_are_disconnected",
            f"{CLUSTER}::test_no_disruptive_step_rests_on_a_silent_process",
            f"{POLICY}::test_what_an_available_primary_took_alone_is_counted_when_it_returns",
        ),
    ),
    Row(
        number=6,
        fault="a primary is cut off with a minority",
        must="cluster: the majority rules. Standby: writePolicy. One primary afterwards, never two behind the Service",
        bound=ENGINE_DECIDES,
        rules=(write_policy.keep_write_policy, primary.follow_the_primary, rules.publish_endpoints, cluster.fail_over),
        guards=(failover.nobody_is_unresponsive, "replica_is_proven_dead"),
        seen=(
            Seen(reason="TwoPrimaries", words="… all report role:master"),
            Seen(reason="WritesRefused", words="… refuses writes until one is in sync or dead"),
        ),
        make=("localkube fault cut --for 20s NAMESPACE/POD others",),
        tests=(
            f"{POLICY}::test_a_consistent_primary_that_is_cut_off_stops_by_itself_before_another_is_chosen",
            f"{POLICY}::test_what_an_available_primary_took_alone_is_counted_when_it_returns",
            f"{IN_CLUSTER}::test_a_primary_that_is_cut_off_with_a_minority_is_replaced_and_steps_down_when_it_is_back",
            f"{IN_STANDBY}::test_a_primary_that_is_cut_off_with_a_minority_is_replaced_and_the_service_leads_to_one",
            f"{CLUSTER}::test_nobody_takes_over_without_a_vote_while_somebody_may_only_not_be_heard",
        ),
    ),
    Row(
        number=7,
        fault="a replica is killed or moved, or has a new address",
        must="it joins again by its node id; its old address is forgotten; nobody who writes notices."
        " Where an earlier address is another instance's by now, nobody of that one is followed",
        bound="gap 0: no write fails",
        rules=(
            membership.introduce,
            membership.attach_replicas,
            peers.log_in_to_peers,
            cluster_peers.log_in_to_peers,
            primary.follow_the_primary,
            sentinels.reset_stale_watches,
        ),
        guards=("other_sentinels_are_ready", "replica_is_proven_dead"),
        seen=(
            Seen(reason="ReplicasNotInSync", words="… replicas in sync"),
            Seen(reason=Meet, words="… does not know them under their present address"),
        ),
        make=("kubectl delete pod REPLICA",),
        tests=(
            f"{FAULTS}::test_a_replica_that_is_killed_or_moved_is_not_noticed_by_clients",
            f"{POLICY}::test_a_consistent_primary_waits_a_moment_only_when_its_replica_is_killed",
            "e2e/test_lost_pods.py::test_a_pod_that_is_made_anew_rejoins_under_its_new_address_and_nobody_remembers_the_old_one",
            "unit/start_script/test_peers.py::test_a_replica_at_an_address_that_is_another_instance_s_by_now_copies_nothing",
        ),
    ),
    Row(
        number=8,
        fault="all pods of a shard are lost, their data is on volumes",
        must="the shard returns with its data and its slots; the other shards go on",
        bound="as long as its pods take to start",
        rules=(cluster.keep_children, membership.introduce, free_slots.assign_free_slots),
        guards=("every_process_answers", "pods_have_started", "every_shard_has_a_process"),
        seen=(Seen(reason="SlotsNotOwned", words="… of 16384 slots have no owner"),),
        make=("kubectl delete pod --grace-period=0 --force POD POD",),
        tests=(
            f"{FAULTS}::test_a_shard_that_is_lost_altogether_comes_back_with_its_data_and_slots",
            f"{CLUSTER}::test_slots_of_a_crashed_primary_stay_its_own",
        ),
    ),
    Row(
        number=9,
        fault="all pods of everything are lost at once, on volumes or emptyDirs",
        must="the same slot map; with the data, or, where all pods went with their emptyDirs, empty: never a mix."
        " Volumes that come back empty make no new instance: a condition says what was there, and what to type",
        bound="Ready again in 20 s",
        rules=(
            free_slots.assign_free_slots,
            proxies.replace_stuck_proxies,
            primary.have_a_primary,
            sentinels.set_watches,
        ),
        guards=(
            "every_process_answers",
            "pods_have_started",
            "everybody_has_loaded",
            "some_process_runs",
            "a_primary_is_there",
            "data_is_not_lost",
        ),
        seen=(
            Seen(reason=AssignSlots, words="assign slots … to …: … slots of shard … have no owner"),
            Seen(reason=Promote, words="make … the primary: there is no primary; …"),
            Seen(reason="ProxyNotReady", words="no pod of proxy … is ready"),
            Seen(reason="DataLost", words="… and no process has any of it…: the instance is not started empty"),
            Seen(reason="DataLost", words="nodes remember … that owned slots … and are in no pod: …"),
            Seen(reason="Emptied", words="… has no keys, where it had about …"),
        ),
        make=("kubectl delete pod --grace-period=0 --force -l app.kubernetes.io/instance=NAME",),
        tests=(
            f"{FAULTS}::test_everything_lost_at_once_comes_back_whole",
            f"{RETAINED}::test_shards_beyond_size_come_with_their_volumes_and_are_scaled_in",
            f"{RETAINED}::test_slots_of_an_owner_that_others_remember_are_not_given_away",
            f"{CLUSTER}::test_everything_lost_at_once_is_rebuilt_with_the_same_slot_map",
            f"{STANDBY}::test_whatever_dies_at_once_an_interrupted_operator_brings_back",
            f"{CLUSTER}::test_a_proxy_that_answers_for_itself_though_the_cluster_works_is_made_anew",
        ),
    ),
    Row(
        number=10,
        fault="most primaries of a cluster are lost at once",
        must="replicas take over without a vote, if all who do not answer are proven dead; the event names the risk",
        bound="Ready again in 15 s",
        rules=(cluster.fail_over, failover.replace_dead_primaries),
        guards=failover.TAKEOVER_GUARDS,
        seen=(
            Seen(
                reason=TakeOverShard,
                words="have … take shard … without a vote: …, and too few primaries are left to vote; … has the most of"
                " its data, without what was written in the last moment",
            ),
        ),
        make=("kubectl delete pod --grace-period=0 --force PRIMARY PRIMARY",),
        tests=(
            f"{FAULTS}::test_most_primaries_of_a_cluster_killed_at_once_are_replaced_without_a_vote",
            f"{CLUSTER}::test_where_no_majority_is_left_to_vote_replicas_take_over_by_the_operators_word",
        ),
    ),
    Row(
        number=11,
        fault="nodes.conf of one node is lost or corrupt",
        must="it starts as a new node and joins as a replica; its slots are never without owner while a copy lives",
        bound="gap as 1",
        rules=(cluster.fail_over, membership.forget_ghosts, membership.introduce, membership.attach_replicas),
        guards=("no_replica_holds_the_data", "no_replica_of_the_lost_node"),
        seen=(
            Seen(reason=FailOverShard, words="… was restarted, with another node id; … has the most of its data"),
            Seen(reason=Replicate, words="it owns no slots and replicates nobody, and shard … has its primary"),
        ),
        make=("kubectl exec POD -c redis -- sh -c 'echo nonsense > /data/nodes.conf'",),
        tests=(
            f"{FAULTS}::test_a_node_that_lost_its_memory_of_itself_is_joined_again",
            "unit/start_script/test_start_scripts.py::test_a_node_whose_memory_of_itself_is_corrupt_starts_as_a_new_one",
        ),
    ),
    Row(
        number=12,
        fault="a cluster is split into two that each look whole",
        must="the larger epoch and the data win by a stated rule, the rest is reset and joined; never a silent merge",
        bound="bounded",
        rules=(membership.settle_disputes, membership.introduce),
        guards=("no_slot_has_two_owners", "every_process_answers"),
        seen=(
            Seen(reason="SlotsOwnedTwice", words="slots … have two owners"),
            Seen(reason=ResetNode, words="… own the same slots, with … keys against …"),
            Seen(reason=ResetNode, words="shard … has two owners, and … has no key in its … slots"),
        ),
        make=("redis-cli -h POD_IP cluster reset hard; redis-cli -h POD_IP cluster addslotsrange 0 16383",),
        tests=(
            f"{SPLIT}::test_of_two_whole_clusters_with_data_the_one_with_the_newer_claims_wins_and_the_loss_is_counted",
            f"{SPLIT}::test_a_whole_cluster_without_data_never_wins_against_one_with_data",
            "unit/planning/test_disputes.py::test_of_two_whole_clusters_one_wins_and_the_other_is_reset_and_joined",
            "unit/planning/test_disputes.py::test_where_one_shard_s_data_is_here_and_another_s_there_nobody_decides",
            "e2e/test_faults_cluster_slots.py"
            "::test_of_two_owners_in_a_shard_one_without_a_key_begins_anew_and_the_other_gets_its_slots",
        ),
    ),
    Row(
        number=13,
        fault="slots are left open (migrating, importing), or owned by nobody",
        must="closed in the direction that keeps the keys; slots without owner go to the recorded one",
        bound="gap 0",
        rules=(slots_healing.tell_new_owners, slots_healing.close_open_slots, free_slots.assign_free_slots),
        guards=("every_process_answers", "no_replica_holds_the_data", "a_primary_is_there"),
        seen=(
            Seen(reason="SlotsOpen", words="moving slot … is not finished on …"),
            Seen(reason=AssignSlots, words="… slots of shard … have no owner … and status.slots records them here"),
        ),
        make=("redis-cli -h POD_IP cluster setslot 1 migrating NODE_ID", "redis-cli -h POD_IP cluster delslots 1"),
        tests=(
            "e2e/test_faults_cluster_slots.py::test_a_slot_that_is_left_open_is_closed_where_its_keys_are",
            "e2e/test_faults_cluster_slots.py::test_slots_that_nobody_owns_go_to_the_recorded_owner_with_their_keys",
            "unit/planning/test_open_slots.py::test_whatever_was_left_open_no_write_is_lost",
            "unit/planning/test_open_slots.py::test_who_imports_a_slot_is_told_who_took_over_for_its_owner",
        ),
    ),
    Row(
        number=14,
        fault="a ghost node is known in gossip",
        must="forgotten on every node within its ban time, never a live one",
        bound="gap 0",
        rules=(membership.forget_ghosts, membership.introduce),
        guards=("every_process_answers", "no_replica_of_the_lost_node", "no_slot_is_open"),
        seen=(
            Seen(reason="GhostNodes", words="… nodes that are gone are still known"),
            Seen(reason=Forget, words="have … forget node …: no pod has the node id …"),
            Seen(reason="NodesNotMet", words="… do not know all other nodes yet"),
        ),
        make=("redis-cli -h POD_IP cluster meet IP_OF_A_NODE_THAT_ENDS_THEN 6379",),
        tests=(
            f"{IN_CLUSTER}::test_a_ghost_is_forgotten_by_every_node_and_a_living_node_never",
            f"{CLUSTER}::test_a_container_that_restarts_is_no_ghost",
            f"{CLUSTER}::test_one_that_was_forgotten_by_a_single_node_is_introduced_to_it_again",
        ),
    ),
    Row(
        number=15,
        fault="there are two primaries in one shard or standby",
        must="the one with the data stays, by a stated rule; the other is demoted and its clients are disconnected",
        bound="bounded",
        rules=(primary.have_a_primary, primary.follow_the_primary, membership.settle_disputes),
        guards=("every_process_answers", "no_failover_in_progress", "no_slot_has_two_owners"),
        seen=(
            Seen(reason="TwoPrimaries", words="… all report role:master"),
            Seen(reason=Follow, words="attach … to …: … is the primary, and there is only one"),
            Seen(reason="WritesGivenUp", words="… was a second primary and took …"),
        ),
        make=("redis-cli -h POD_IP replicaof no one",),
        tests=(
            f"{STANDBY}::test_of_two_primaries_the_one_that_the_sentinels_chose_stays_and_the_others_clients_are_disconnected",
            f"{STANDBY}::test_of_two_primaries_that_nobody_watches_the_one_with_data_stays",
            f"{IN_STANDBY}::test_of_two_primaries_the_one_that_the_sentinels_chose_stays",
            f"{IN_STANDBY}::test_of_two_primaries_that_no_sentinel_watches_the_last_one_stays",
            f"{SPLIT}::test_a_replica_that_was_made_primary_while_it_was_cut_off_does_not_win_when_it_is_back",
            f"{SPLIT}::test_a_replica_that_is_made_primary_by_hand_is_the_primary_and_the_former_one_steps_down",
        ),
    ),
    Row(
        number=16,
        fault="a primary comes back with an empty data set",
        must="it is never replicated over the data of its replica: it waits to be told whom to follow, or starts"
        " as a new node",
        bound="gap as 1 and 2",
        rules=(cluster.fail_over, primary.have_a_primary, primary.vouch_for_replicas),
        guards=(failover.some_replica_has_the_data, "everybody_has_loaded", "data_is_not_lost"),
        seen=(DIED, Seen(reason=FailOver, words="… was restarted, and is a replica of nobody")),
        make=("kubectl exec POD -c redis -- sh -c 'rm -rf /data/appendonlydir /data/*.rdb'", KILL),
        tests=(
            f"{FAULTS}::test_a_primary_that_comes_back_without_its_data_never_empties_its_replica",
            "e2e/test_data_lost.py::test_broken_data_of_a_primary_costs_no_key_while_the_operator_is_away",
            "e2e/test_data_lost.py::test_all_copies_are_broken_and_nobody_begins_anew_before_a_person_says_so",
            f"{STANDBY}::test_a_primary_that_came_back_empty_never_empties_its_standby",
            f"{NO_LOSS}::test_a_standby_with_old_data_does_not_take_over_from_a_primary_that_was_started_anew",
        ),
    ),
)
