"""Decides what is promised when somebody removes labels or owners from what is ours: row 27."""

from __future__ import annotations

from tdredis.healing.catalogue import Row, Seen
from tdredis.observe.belongings import Finder
from tdredis.observe.strays import Strays
from tdredis.planning import identity
from tdredis.planning.cluster import rules as cluster
from tdredis.planning.replication import rules
from tdredis.planning.steps import Apply, RestoreLabels

REMOVED = "unit/observe/test_removed_labels.py"

LABEL_ROWS: tuple[Row, ...] = (
    Row(
        number=27,
        fault="somebody removes or changes our labels, or the owner, on a pod, StatefulSet, Secret, Service or claim",
        must="nobody is taken for gone: what vanishes from the watch is asked for by name; the labels are put back, and"
        " an event says which",
        bound="gap 0",
        rules=(
            cluster.keep_labels,
            rules.keep_labels,
            Finder.find,
            Strays.pods,
            Strays.statefulsets,
            identity.find_pod,
        ),
        seen=(
            Seen(reason=RestoreLabels, words="put labels back onto pod …: somebody removed or changed …"),
            Seen(reason=Apply, words="apply …: … is not as the spec wants it"),
        ),
        make=("kubectl label pod POD app.kubernetes.io/managed-by-",),
        tests=(
            f"{REMOVED}::test_a_pod_from_which_somebody_removed_a_label_or_its_owner_is_there_as_before",
            f"{REMOVED}::test_its_labels_are_put_back",
            f"{REMOVED}::test_an_operator_that_has_just_begun_sees_such_a_pod_as_well",
            f"{REMOVED}::test_while_nobody_knows_whether_a_pod_is_there_its_process_is_taken_for_silent",
            f"{REMOVED}::test_a_statefulset_without_label_or_owner_keeps_its_pods_and_is_made_ours_again",
            f"{REMOVED}::test_a_secret_without_our_label_has_the_password_as_before",
            f"{REMOVED}::test_a_claim_without_our_label_is_there_as_before_and_is_labelled_again",
            "unit/planning/test_living_primaries.py::"
            "test_labels_that_somebody_removed_are_put_back_and_nothing_else_is_done",
            "unit/execute/test_run.py::test_labels_are_put_back_onto_the_very_pod_that_lost_them",
        ),
    ),
)
