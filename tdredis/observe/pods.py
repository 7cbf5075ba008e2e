"""Decides what a pod's status means for us: whether its process runs, ever ran, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tdredis.kube.objects import Container, ContainerStatus, Pod, parse_time
from tdredis.manifests.asked import parse_asked
from tdredis.manifests.made_of import parse_made_of
from tdredis.manifests.names import EXPORTER_CONTAINER, ROLE_LABEL
from tdredis.planning.live import RESTARTED_AT
from tdredis.planning.snapshot import EARLIER, PodFacts, Trouble

# Reasons of a waiting container that are part of every start.
USUAL = frozenset(("", "ContainerCreating", "PodInitializing"))
OOM_KILLED = "OOMKilled"
OF_REPLICASET = "pod-template-hash"  # label of a Deployment's pods


@dataclass(frozen=True, slots=True)
class Times:
    """Of a pod, as PodFacts has them; *created* None: as the pod says."""

    created: float | None = None
    unproven_since: float | None = None


NO_TIMES = Times()


def read_pod(
    pod: Pod, *, container: str, times: Times = NO_TIMES, lost_labels: Mapping[str, str] | None = None
) -> PodFacts:
    """*container*: whose process counts (Redis, the proxy). *lost_labels*: those that it is to have and has not."""
    main = next((each for each in pod.status.container_statuses if each.name == container), None)
    spec = next((each for each in pod.spec.containers if each.name == container), Container(name=container))
    date = pod.metadata.creation_timestamp
    given = main.resources if main is not None and main.resources is not None else spec.resources
    return PodFacts(
        name=pod.metadata.name,
        uid=pod.metadata.uid,
        created=times.created if times.created is not None else parse_time(date) if date else 0.0,
        ip=pod.status.pod_ip or None,
        node=pod.spec.node_name or None,
        ready=pod.is_ready and pod.metadata.deletion_timestamp is None,
        unproven_since=times.unproven_since,
        running=main is not None and main.state.running is not None,
        ever_ran=main is not None and _ever_ran(main),
        deleting=pod.metadata.deletion_timestamp is not None,
        gone_by=parse_time(deleted) if (deleted := pod.metadata.deletion_timestamp) else None,
        finished=pod.status.phase in ("Failed", "Succeeded"),
        revision=pod.metadata.labels.get("controller-revision-hash") or pod.metadata.labels.get(OF_REPLICASET, ""),
        made_of=parse_made_of(pod.metadata.annotations),
        asked=parse_asked(pod.metadata.annotations),
        earlier=pod.metadata.annotations.get(EARLIER, ""),
        restarted_at=pod.metadata.annotations.get(RESTARTED_AT, ""),
        images={each.name: each.image for each in pod.spec.containers},
        host_ip=pod.status.host_ip or None,
        role=pod.metadata.labels.get(ROLE_LABEL, ""),
        lost_labels=lost_labels or {},
        requests={name: str(value) for name, value in spec.resources.requests.items()},
        limits={name: str(value) for name, value in spec.resources.limits.items()},
        given_requests={name: str(value) for name, value in given.requests.items()},
        given_limits={name: str(value) for name, value in given.limits.items()},
        resize_trouble=_resize_trouble(pod),
        trouble=_find_trouble(pod, (*pod.status.init_container_statuses, *pod.status.container_statuses)),
        main_trouble=_find_trouble(pod, _in_the_way(pod, main)),
        oom_killed=_oom_killed(main) if main else None,
    )


def last_start(pod: Pod) -> str:
    """When the youngest process of a container without a readiness probe began, as the kubelet wrote it: of that
    container Ready says only that it runs. "": there is none. The exporter has no probe either, so that Redis serves
    without it: nobody waits for it here.
    """
    containers = (*pod.spec.init_containers, *pod.spec.containers)
    waited_for = {each.name for each in containers if each.readiness_probe is None} - {EXPORTER_CONTAINER}
    return max(
        (
            status.state.running.started_at or ""
            for status in (*pod.status.init_container_statuses, *pod.status.container_statuses)
            if status.name in waited_for and status.state.running is not None
        ),
        default="",
    )


def _oom_killed(status: ContainerStatus) -> float | None:
    """When the kernel last ended it for want of memory, if that is how it last ended."""
    ended = status.state.terminated or status.last_state.terminated
    if ended is None or ended.reason != OOM_KILLED:
        return None
    return parse_time(ended.finished_at) if ended.finished_at else 0.0


def _ever_ran(status: ContainerStatus) -> bool:
    return bool(
        status.restart_count
        or status.state.running
        or status.state.terminated
        or status.last_state.terminated
        or status.last_state.running
    )


def _resize_trouble(pod: Pod) -> Trouble | None:
    """Why a resize in place does not come to its end. Source: kubernetes.io, "Resize CPU and Memory Resources assigned
    to Containers" (pod resize status).
    """
    pending, working = pod.condition("PodResizePending"), pod.condition("PodResizeInProgress")
    if pending is not None and pending.status == "True":
        return Trouble(reason=pending.reason or "Pending", message=pending.message)
    if working is not None and working.status == "True" and working.reason == "Error":
        return Trouble(reason=working.reason, message=working.message)
    return None


def _in_the_way(pod: Pod, main: ContainerStatus | None) -> tuple[ContainerStatus, ...]:
    """What *main* runs after or in itself; what stands beside it does not matter to it. Init containers run once: one
    that goes on beside (a sidecar) is in the way of the first start only.
    """
    if main is None:
        return tuple(pod.status.init_container_statuses)
    return (main,) if _ever_ran(main) else (*pod.status.init_container_statuses, main)


def _find_trouble(pod: Pod, containers: Iterable[ContainerStatus]) -> Trouble | None:
    if pod.status.phase == "Failed":
        if pod.metadata.deletion_timestamp is not None:
            return None  # a kubelet writes the last phase before the pod is gone: that is how it went as it was told
        return Trouble(reason=pod.status.reason or "PodFailed", message=pod.status.message)
    scheduled = pod.condition("PodScheduled")
    if scheduled is not None and scheduled.status == "False":
        return Trouble(reason=scheduled.reason or "Unschedulable", message=scheduled.message)
    for status in containers:
        waiting = status.state.waiting
        if waiting is not None and waiting.reason not in USUAL:
            message = f"container {status.name}: {waiting.message or waiting.reason}"
            ended = status.last_state.terminated
            if ended is not None:
                message += f" (last ended with exit code {ended.exit_code}, {ended.reason or 'no reason given'})"
                message += f": {ended.message}" if ended.message else ""
            if ended is not None and ended.reason == OOM_KILLED:
                message += ": the kernel ended it, it needs more memory than its limit"
                return Trouble(reason=OOM_KILLED, message=message)
            return Trouble(reason=waiting.reason, message=message)
    return None
