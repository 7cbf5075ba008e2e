"""Decides what is wrong with the pods and processes of any kind, as sentences: none means that they are as they should
be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tdredis.manifests.claims import CLAIM
from tdredis.manifests.stop_scripts import STOP_WAITS_S
from tdredis.planning.sentences import list_names
from tdredis.planning.snapshot import PodFacts, Trouble
from tdredis.redis.facts import NodeFacts, Unknown

GOES_S = 30.0  # longer than its grace a kubelet that works does not take
NO_FINALIZERS = """'{"metadata":{"finalizers":null}}'"""
SYNC_TAKES_S = 30  # connecting, forking, loading
SYNC_BYTES_S = 10 * 2**20  # a copy that is slower than this does not come to an end


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that keeps the instance from being Ready. *serious*: clients cannot use part of their data.
    *part_of_start*: every instance has it on its way to Ready for the first time, and then it is no alarm.
    """

    reason: str
    message: str
    serious: bool
    part_of_start: bool = False


def last_copy_goes(primary: PodFacts, *, wanted: int) -> Iterator[Finding]:
    """No replica that stays is in sync with *primary*, which is told to go; *wanted* are asked for."""
    if primary.deleting and wanted:
        message = (
            f"{primary.name} is being deleted and has the only whole copy of the data: it waits up to {STOP_WAITS_S} s"
            " for a replica to be in sync, and then the data goes with it"
        )
        yield Finding(reason="LastCopyLeaves", message=message, serious=False)


def pods_that_fail(
    troubles: Iterable[tuple[str, Trouble]], missing: Sequence[str], creation_failures: Mapping[str, str]
) -> Iterator[Finding]:
    """Every pod that is wanted exists and nothing is wrong with it.

    *troubles*: what is, by pod. *creation_failures*: why none comes, by StatefulSet.
    """
    for pod, trouble in troubles:
        message = f"pod {pod}: {trouble.message or trouble.reason}"
        yield Finding(reason=trouble.reason, message=message, serious=False)
    if missing:
        why = (creation_failures.get(pod.rpartition("-")[0]) for pod in missing)
        words = "".join(f"; {each}" for each in list(dict.fromkeys(filter(None, why)))[:2])
        message = f"pods not created yet: {list_names(missing)}{words}"
        yield Finding(reason="PodsMissing", message=message, serious=False, part_of_start=True)


def pods_that_stay(pods: Mapping[str, PodFacts], now: float) -> Iterator[Finding]:
    """A pod that is deleted goes when its grace is over; one on a node that is dead stays until somebody says so."""
    for name, pod in sorted(pods.items()):
        if pod.gone_by is not None and now > pod.gone_by + GOES_S:
            message = (
                f"pod {name} is deleted and still there: the kubelet of node {pod.node} does not end it. If the node is"
                f" lost for good: kubectl delete node {pod.node}, or kubectl delete pod {name} --force --grace-period=0"
            )
            yield Finding(reason="PodStays", message=message, serious=False)


def claims_that_stay(kept: Mapping[str, tuple[str, ...]], missing: Sequence[str]) -> Iterator[Finding]:
    """No pod is made while its claim is being deleted. *kept*: finalizers of those, by name."""
    for name, finalizers in sorted(kept.items()):
        pod = name.removeprefix(f"{CLAIM}-")
        if pod in missing:
            message = (
                f"claim {name} is deleted and still there ({', '.join(finalizers) or 'no finalizer'}), and {pod} is not"
                f" created before it is gone: kubectl describe pvc {name} says who uses it. If nobody does: kubectl"
                f" patch pvc {name} --type=merge -p {NO_FINALIZERS}"
            )
            yield Finding(reason="ClaimStays", message=message, serious=False)


def unresponsive_processes(
    silent: Mapping[str, Unknown], wanted: Sequence[str], pods: Mapping[str, PodFacts]
) -> Iterator[Finding]:
    """Every process answers, but for those of pods that are not wanted and are being deleted."""
    for pod, unknown in silent.items():
        if pod not in wanted and pod in pods and pods[pod].deleting:
            continue
        if unknown.full:
            message = (
                f"Redis in pod {pod} has no free connection, maxclients is used up: neither clients nor the operator"
                " can connect; close connections that nobody uses"
            )
            yield Finding(reason="NoFreeConnections", message=message, serious=True)
            continue
        where = f" (node {pods[pod].node})" if pod in pods and pods[pod].node else ""
        message = f"the process in pod {pod} does not answer: {unknown.error}{where}"
        yield Finding(reason="NoAnswer", message=message, serious=False, part_of_start=True)


def unready_pods(wanted: Sequence[str], pods: Mapping[str, PodFacts]) -> Iterator[Finding]:
    waiting = [name for name in wanted if name in pods and not pods[name].ready]
    if waiting:
        message = f"{len(waiting)} of {len(wanted)} pods are not ready: {list_names(waiting)}"
        yield Finding(reason="PodsNotReady", message=message, serious=False, part_of_start=True)


def syncs_that_fail(replicas: Iterable[tuple[str, NodeFacts]], primary: str, facts: NodeFacts) -> Iterator[Finding]:
    """*replicas* follow *primary*, which answers. One that is not in sync for longer than a copy of all data takes
    does not wait for its copy: it begins one over and over.

    It is told by time alone. Whether a copy is under way at the moment changes with every attempt, and so would status.
    """
    takes_s = SYNC_TAKES_S + facts.used_memory_bytes // SYNC_BYTES_S
    failing = [name for name, replica in replicas if (replica.replication.link_down_s or 0) > takes_s]
    if failing:
        message = (
            f"{list_names(failing)} cannot finish copying the data of {primary}: not in sync for longer than that"
            " takes, though both answer; the log of either says why"
        )
        yield Finding(reason="SyncFails", message=message, serious=False)
