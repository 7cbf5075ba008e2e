"""Decides what is promised when what is around Redis breaks: Sentinels, the operator, the API server, the spec."""

from __future__ import annotations

from tdredis.api.validation import problems
from tdredis.controllers.loop import Loop
from tdredis.execute.run import Executor
from tdredis.healing.catalogue import Row, Seen
from tdredis.kube.cache import Cache
from tdredis.kube.lease import LeaderElector
from tdredis.observe.ages import Ages
from tdredis.observe.gather import Observer
from tdredis.observe.pods import read_pod
from tdredis.planning import decide, limits, memory, objects, settings
from tdredis.planning.cluster import membership
from tdredis.planning.cluster import rules as cluster
from tdredis.planning.cluster import stuck_pods as cluster_pods
from tdredis.planning.replication import primary, rules, sentinels, stuck_pods
from tdredis.planning.steps import (
    Monitor,
    Promote,
    ReplacePod,
)
from tdredis.runtime.queue import KeyedQueue

KILL = "localkube fault kill -c redis NAMESPACE/POD"
CLUSTER = "unit/planning/test_cluster_plans.py"
SENTINELS = "e2e/test_faults_sentinels.py"
DYING = "e2e/test_dying_standby.py"
STANDBY = "unit/planning/test_standby_plans.py"
FAULTS = "e2e/test_faults.py"


OPERATOR_ROWS: tuple[Row, ...] = (
    Row(
        number=17,
        fault="Sentinels are lost, one or all, know stale addresses, watch a foreign primary, or have forgotten all"
        " (SENTINEL RESET) when the primary dies",
        must="replaced and told one at a time; while there is no quorum, or none knows a replica, the operator chooses",
        bound="gap 0",
        rules=(
            sentinels.set_watches,
            sentinels.tell_of_sentinels,
            sentinels.reset_stale_watches,
            primary.have_a_primary,
            rules.announce_addresses,
        ),
        guards=("other_sentinels_are_ready", "no_failover_in_progress"),
        seen=(
            Seen(reason="SentinelsNotReady", words="… Sentinels watch the primary"),
            Seen(reason="SentinelsDisagree", words="… does not know … yet"),
            Seen(reason=Monitor, words="it still knows …, where none of our processes is"),
            Seen(reason=Promote, words="make … the primary: …, and no Sentinel knows a replica to choose"),
        ),
        make=("kubectl delete pod -l app.kubernetes.io/component=sentinel",),
        tests=(
            f"{SENTINELS}::test_lost_sentinels_are_replaced_and_clients_notice_nothing",
            f"{SENTINELS}::test_a_sentinel_that_never_was_is_forgotten",
            f"{SENTINELS}::test_a_sentinel_that_watches_foreign_primaries_watches_ours_alone",
            f"{SENTINELS}::test_a_primary_that_dies_with_most_sentinels_is_replaced_by_the_operator_s_word",
            "e2e/test_standby.py::test_sentinels_survive_restarts_and_new_addresses",
            f"{SENTINELS}::test_sentinels_that_are_reset_as_the_primary_dies_are_told_who_is_left_and_nothing_is_lost",
            f"{SENTINELS}::test_a_silent_primary_whose_sentinels_were_reset_is_replaced_and_what_is_written_then_stays",
            "unit/planning/test_sentinels_reset.py"
            "::test_a_primary_that_is_proven_dead_is_replaced_though_no_sentinel_knows_a_replica",
            "unit/planning/test_sentinels_reset.py"
            "::test_a_silent_primary_is_replaced_when_most_sentinels_find_it_down_and_only_then",
            f"{STANDBY}::test_all_sentinels_replaced_at_once_watch_again",
            f"{STANDBY}::test_a_sentinel_that_watches_a_foreign_primary_is_corrected",
            f"{STANDBY}::test_stale_addresses_are_forgotten_by_one_sentinel_at_a_time",
        ),
    ),
    Row(
        number=18,
        fault="a replica's full copy fails over and over (buffer limits, a full disk)",
        must="a condition says so; nothing else is disturbed",
        bound="gap 0",
        rules=(membership.attach_replicas, primary.follow_the_primary),
        seen=(
            Seen(reason="SyncFails", words="… cannot finish copying the data of …: not in sync for longer than that"),
        ),
        make=("redis-cli -h POD_IP config set client-output-buffer-limit 'replica 1 1 1'",),
        tests=(
            "e2e/test_faults_cluster.py::test_a_replica_whose_copy_never_ends_is_named_and_nothing_else_is_disturbed",
            "e2e/test_faults_standby.py::test_a_replica_whose_copy_never_ends_is_named_and_nothing_else_is_disturbed",
            "unit/planning/test_syncs_that_fail.py::test_a_copy_may_take_as_long_as_its_data_needs",
        ),
    ),
    Row(
        number=19,
        fault="the operator is killed at any step of anything",
        must="the next one finishes: nothing important is in its memory only, every prefix of every plan is tried",
        bound="as the fault",
        rules=(decide.plan, Executor.run, LeaderElector.run),
        guards=("leftover_pods_are_gone",),
        seen=(Seen(reason="StepFailed", words="apply …: …"),),
        make=("kubectl delete pod -l app.kubernetes.io/name=td-redis-operator --grace-period=0 --force",),
        tests=(
            "e2e/test_faults_operator.py::test_an_operator_killed_in_a_failover_is_succeeded_by_one_that_finishes",
            f"{DYING}::test_an_operator_killed_after_any_step_of_a_standby_s_creation_is_succeeded_by_one_that_finishes",
            f"{DYING}::test_an_operator_killed_after_any_step_of_a_failover_is_succeeded_by_one_that_finishes",
            "e2e/test_cluster.py::test_an_operator_killed_after_any_step_of_creation_is_succeeded_by_one_that_finishes",
            f"{CLUSTER}::test_an_operator_that_dies_after_any_step_is_succeeded_by_one_that_finishes",
            f"{STANDBY}::test_an_operator_that_dies_after_any_step_is_succeeded_by_one_that_finishes",
            "unit/planning/test_cluster_day_two.py::test_an_operator_that_dies_while_addresses_change_is_succeeded_by_one_that_finishes",
        ),
    ),
    Row(
        number=20,
        fault="the API server is gone, slow, refusing, or replays old watch events",
        must="Redis goes on; failovers of rows 1 and 2 still work from what is known; nothing is done twice",
        bound="gap as 1 and 2, for clients that know Redis' own protocols",
        rules=(cluster.fail_over, primary.have_a_primary, Executor.run, Cache.run, KeyedQueue.retry),
        seen=(Seen(reason="StepFailed", words="apply …: …"),),
        make=(
            "localkube fault stop-api --for 60s",
            "localkube fault refuse --percent 50 --after",
            "localkube fault delay-watch --by 3s",
            "localkube fault drop-watch --percent 100",
            "localkube fault forget-history",
        ),
        tests=(
            f"{FAULTS}::test_a_primary_that_dies_while_the_api_server_is_gone_is_replaced_all_the_same",
            "e2e/test_faults_api.py::test_a_primary_that_dies_while_the_api_server_is_no_help_is_replaced_once_and_as_quickly",
            "e2e/test_restart.py::test_an_operator_outlives_its_api_server_and_heals_what_died_with_it",
            "unit/execute/test_run.py::test_without_an_api_server_redis_is_still_cared_for",
        ),
    ),
    Row(
        number=21,
        fault="two operators believe that they lead",
        must="the stale one does nothing: the lease's own deadline is asked directly before every effect",
        bound="gap 0: no write fails, none is lost",
        rules=(LeaderElector.may_act, Executor.require_lead, LeaderElector.run),
        make=("kill -STOP PID; sleep 30; kill -CONT PID",),
        tests=(
            "e2e/test_faults_operator.py::"
            "test_an_operator_that_was_stopped_in_a_failover_and_goes_on_when_another_leads_does_nothing",
            "unit/execute/test_run.py::test_who_may_not_act_any_more_does_nothing_at_any_instant_of_a_step",
            "unit/kube/test_lease.py::test_who_was_stopped_past_its_lease_may_not_act_from_its_first_instruction_on",
            "unit/kube/test_lease.py::test_many_candidates_never_work_at_the_same_time",
        ),
    ),
    Row(
        number=22,
        fault="a bad spec: an image that does not start, an impossible setting, too little room",
        must="nothing healthy is torn down; the condition says why; taking it back returns to Ready by itself, and so"
        " does time, where new pods do not come up (rollout.rollback)",
        bound="gap 0: no write fails",
        rules=(
            problems,
            cluster_pods.replace_stuck_pods,
            stuck_pods.replace_stuck_pods,
            limits.limit_memory,
            settings.keep_settings,
        ),
        guards=(
            "spec_is_valid",
            "engine_takes_the_value",
            "parameter_is_known",
            "engine_starts_with_the_value",
            "databases_fit_the_memory",
            "databases_have_the_keys",
            "used_memory_fits",
            limits.memory_limit_follows,
            "resize_is_accepted",
            "objects_are_valid",
            "slots_are_owned_first",
            "shards_have_room",
            "new_shards_can_start",
            "keys_can_be_moved",
            "no_key_is_left",
            "password_is_unchanged",
            "volumes_are_unchanged",
            "volumes_can_grow",
            "volumes_do_not_shrink",
            "engine_reads_the_data",
            "new_pods_come_up",
            "new_proxies_come_up",
            "restarted_pods_come_up",
            "app_is_unchanged",
            "no_primary_is_removed",
            "secrets_can_be_read",
            "no_foreign_objects",
            "names_are_free",
            objects.pod_monitors_are_served,
            "vip_is_an_ip",
            "balancer_has_an_ip",
            "announced_addresses_are_reached",
            "announced_addresses_lead_to_pods",
            "announced_addresses_can_be_tried",
            "another_copy_exists",
        ),
        seen=(
            Seen(reason="Unschedulable", words="pod …: …"),
            Seen(reason="ImagePullBackOff", words="pod …: …"),
            Seen(reason=ReplacePod, words="replace pod …: it never ran, …, and its template has changed since"),
        ),
        make=('kubectl patch redis… --type merge -p \'{"spec": {"image": "no-such-redis:99"}}\'',),
        tests=(
            "unit/planning/test_settings.py::test_what_an_engine_refuses_is_said_in_its_words_and_changes_nothing",
            "unit/planning/test_settings.py::test_a_value_that_the_first_pod_refuses_at_its_start_gets_to_no_other",
            "unit/start_script/test_settings.py::test_a_line_that_the_engine_does_not_take_is_passed_over",
            "e2e/test_faults_spec.py::test_a_bad_spec_hurts_nothing_that_works_says_why_and_is_healed_by_taking_it_back",
            "e2e/test_cluster.py::test_an_image_that_does_not_exist_is_named_and_correcting_it_heals",
            "e2e/test_day_two.py::test_capacity_below_what_is_used_is_refused_with_what_to_write",
            f"{CLUSTER}::test_a_bad_image_given_to_a_running_cluster_stops_nothing",
        ),
    ),
    Row(
        number=23,
        fault="a resource is deleted while it is half built or half broken",
        must="the deletion finishes, within a pod's time to end; nothing is left but volumes that storage.retain keeps",
        bound="nothing left after 60 s; a kubelet of 1.20 may take a minute more",
        rules=(objects.keep_claims, Observer.drop),
        guards=(objects.leftover_pods_are_gone, "leftover_objects_are_gone"),
        make=("kubectl delete rediscluster NAME",),
        tests=(
            f"{FAULTS}::test_a_resource_deleted_while_it_is_half_built_leaves_nothing",
            "e2e/test_faults_spec.py::test_a_resource_deleted_while_its_primary_is_frozen_is_gone_within_the_deadline",
            "e2e/test_day_two.py::test_volumes_stay_or_go_with_the_resource_as_storage_says",
        ),
    ),
    Row(
        number=24,
        fault="the clock jumps",
        must="no lease is lost wrongly, no storm of timers; nobody is older or silent longer because of it",
        bound="gap 0: no write fails",
        rules=(Ages.look, LeaderElector.may_act, KeyedQueue.add_after),
        make=("date -s '+1 hour'",),
        tests=(
            "e2e/test_faults_operator.py::"
            "test_an_hour_forth_and_two_back_cost_no_lease_make_no_storm_and_prove_nobody_dead",
            "unit/observe/test_ages.py::test_a_clock_that_is_set_makes_nobody_older_or_younger",
            "unit/observe/test_ages.py::test_a_pod_that_comes_while_we_look_on_is_new_whatever_the_clock_says",
        ),
    ),
    Row(
        number=25,
        fault="memory is at its limit, or the kernel ends a process for it",
        must="a condition and a metric before it happens, at 90 %; a primary that is ended is replaced as in 1 and 2",
        bound="gap as 1 and 2",
        rules=(
            memory.memory_pressure,
            memory.memory_uses,
            read_pod,
            Loop.run,
            limits.resize_containers,
        ),
        guards=(limits.memory_limit_follows,),
        seen=(
            Seen(reason="MemoryNearlyFull", words="…: … % or more of … MiB are used; at maxmemory Redis evicts keys"),
            Seen(
                reason="OOMKilled", words="… was ended by the kernel, which found it over its memory limit (OOMKilled)"
            ),
        ),
        make=("redis-cli -h POD_IP debug populate 100000 key 1000", KILL),
        tests=(
            "e2e/test_memory.py::test_memory_that_is_nearly_full_is_told_before_anything_is_evicted_and_room_ends_it",
            "e2e/test_memory.py::test_a_primary_that_the_kernel_ends_is_replaced_as_any_that_dies",
            "unit/planning/test_memory.py::test_it_begins_at_90_percent_and_ends_under_85",
            "unit/observe/test_pods.py::"
            "test_a_process_that_the_kernel_ended_for_want_of_memory_is_no_trouble_when_it_runs_again_and_still_seen",
        ),
    ),
)
