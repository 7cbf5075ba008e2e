"""Whether a Job needs another pod, is complete, or has failed too often."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from localkube.controllers.events import Recorder
from localkube.controllers.indexes import done_indexes, free_indexes, index_of, indexes_text, is_indexed, with_index
from localkube.controllers.ownership import claim_children
from localkube.controllers.pod_template import build_pod
from localkube.controllers.pods import (
    condition,
    controller_ref,
    is_active,
    is_ready,
    is_terminating,
    now_text,
    phase,
    seconds_since,
)
from localkube.controllers.settings import Settings
from localkube.controllers.workqueue import KeyedQueue
from localkube.registry import Event, Obj, Registry

NAME = "job-controller"
JOBS = "jobs.batch"
PREFIX = "batch.kubernetes.io/"
# A pod that failed is followed by the next one after so long, doubled for each failure.
FIRST_RETRY_S = 10.0
LONGEST_RETRY_S = 360.0
# What a Job may ask for and this controller cannot do: such a Job gets no pod, and an event that says why.
UNSUPPORTED = ("podFailurePolicy", "successPolicy", "backoffLimitPerIndex", "maxFailedIndexes", "managedBy")

Key = tuple[str, str]


class Verdict(NamedTuple):
    """The condition that ends a Job."""

    kind: str  # Complete or Failed
    reason: str
    message: str


class JobController:
    """Also gives a new Job the selector and the labels by which it knows its pods."""

    def __init__(self, registry: Registry, settings: Settings) -> None:  # noqa: ARG002 - all controllers are made alike
        self._registry = registry
        self._recorder = Recorder(registry, NAME)
        self._queue: KeyedQueue[Key] = KeyedQueue("jobs", self._reconcile)
        self._ends: list[Callable[[], None]] = []
        self._told: set[str] = set()  # uids of Jobs that were told what is missing

    def start(self) -> None:
        self._registry.admit(JOBS, _with_selector)
        self._ends = [
            self._registry.subscribe(JOBS, self._on_job),
            self._registry.subscribe("pods", self._on_pod, replay=False),
        ]

    async def stop(self) -> None:
        for end in self._ends:
            end()
        self._queue.stop()

    def _on_job(self, event: Event) -> None:
        metadata = event.object["metadata"]
        self._queue.mark((metadata["namespace"], metadata["name"]))

    def _on_pod(self, event: Event) -> None:
        ref = controller_ref(event.object)
        if ref is not None and ref["kind"] == "Job":
            self._queue.mark((event.object["metadata"]["namespace"], ref["name"]))

    def _reconcile(self, key: Key) -> float | None:
        job = self._registry.find(JOBS, *key)
        if job is None or is_terminating(job):
            return None
        if missing := _missing(job):
            if job["metadata"]["uid"] not in self._told:
                self._told.add(job["metadata"]["uid"])
                self._recorder.warning(job, "NotImplemented", f"localkube does not implement {missing} of a Job")
            return None
        if _is_finished(job):
            return self._clean_up(job)
        pods = claim_children(self._registry, job, "pods", NAME)
        status = dict(job.get("status") or {})
        suspended = bool(job["spec"].get("suspend"))
        active: list[Obj] = []
        again_s: float | None = None
        if suspended:
            status.pop("startTime", None)
            self._delete(job, [pod for pod in pods if is_active(pod)])
        else:
            status.setdefault("startTime", now_text())
            active, again_s = self._advance(job, pods, status)
        _set_suspended(status, suspended=suspended)
        self._write(job, pods, active, status)
        return again_s

    def _advance(self, job: Obj, pods: list[Obj], status: Obj) -> tuple[list[Obj], float | None]:
        """Creates or deletes pods, or ends the Job in *status*. Returns its active pods, and when to look again."""
        spec = job["spec"]
        active = [pod for pod in pods if is_active(pod)]
        deadline_s: float | None = None
        if spec.get("activeDeadlineSeconds") is not None:
            deadline_s = spec["activeDeadlineSeconds"] - seconds_since(status["startTime"])
        verdict = _judge(job, pods, active, deadline_s)
        if verdict is not None:
            self._delete(job, active)
            self._end(job, status, verdict)
            return [], None
        retry_s = self._fill(job, pods, active)
        waits = [one for one in (deadline_s, retry_s) if one is not None]
        return active, min(waits, default=None)

    def _fill(self, job: Obj, pods: list[Obj], active: list[Obj]) -> float | None:
        """Brings the number of active pods to what is wanted. Returns the seconds until it may create one."""
        spec = job["spec"]
        succeeded = _count_succeeded(job, pods)
        self._thin_out(job, active)
        wanted: int = spec["parallelism"]
        if spec.get("completions") is not None:
            wanted = min(wanted, spec["completions"] - succeeded)
        elif succeeded:
            wanted = len(active)  # a work queue that one pod has found empty: the others end by themselves
        if len(active) > wanted:
            surplus = sorted(active, key=lambda pod: (is_ready(pod), pod["metadata"]["name"]))[: len(active) - wanted]
            self._delete(job, surplus)
            for pod in surplus:
                active.remove(pod)
            return None
        if len(active) == wanted:
            return None
        wait_s = _back_off_s(pods)
        if wait_s > 0:
            return wait_s
        free = free_indexes(spec["completions"], pods) if is_indexed(job) else [None] * wanted
        for index in free[: wanted - len(active)]:
            made = build_pod(spec["template"], job)
            pod = self._registry.create("pods", made if index is None else with_index(made, job, index), manager=NAME)
            self._recorder.normal(job, "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}")
            active.append(pod)
        return None

    def _thin_out(self, job: Obj, active: list[Obj]) -> None:
        """Of two pods of one index one is enough."""
        if not is_indexed(job):
            return
        seen: set[int | None] = set()
        for pod in sorted(active, key=lambda pod: (not is_ready(pod), pod["metadata"]["name"])):
            if index_of(pod) in seen:
                self._delete(job, [pod])
                active.remove(pod)
            seen.add(index_of(pod))

    def _delete(self, job: Obj, pods: list[Obj]) -> None:
        for pod in pods:
            metadata = pod["metadata"]
            self._registry.delete("pods", metadata["namespace"], metadata["name"], uid=metadata["uid"])
            self._recorder.normal(job, "SuccessfulDelete", f"Deleted pod: {metadata['name']}")

    def _end(self, job: Obj, status: Obj, verdict: Verdict) -> None:
        now = now_text()
        said = {"type": verdict.kind, "status": "True", "lastProbeTime": now, "lastTransitionTime": now}
        if verdict.kind == "Failed":
            said |= {"reason": verdict.reason, "message": verdict.message}
            self._recorder.warning(job, verdict.reason, verdict.message)
        else:
            status["completionTime"] = now
            self._recorder.normal(job, verdict.reason, verdict.message)
        status["conditions"] = [*(status.get("conditions") or ()), said]

    def _write(self, job: Obj, pods: list[Obj], active: list[Obj], status: Obj) -> None:
        failed = sum(1 for pod in pods if phase(pod) == "Failed")
        if any(one["type"] == "Failed" for one in status.get("conditions") or ()):
            failed += sum(1 for pod in pods if is_active(pod))  # those that were cut short count as failed
        counts = {
            "active": len(active),
            "ready": sum(1 for pod in active if is_ready(pod)),
            "succeeded": _count_succeeded(job, pods),
            "failed": failed,
            "terminating": sum(1 for pod in pods if is_terminating(pod)),
        }
        for name, count in counts.items():
            status.pop(name, None)
            if count:
                status[name] = count
        status.pop("completedIndexes", None)
        if is_indexed(job) and (completed := done_indexes(pods)):
            status["completedIndexes"] = indexes_text(completed)
        if status != (job.get("status") or {}):
            self._registry.update(JOBS, {**job, "status": status}, subresource="status", manager=NAME)

    def _clean_up(self, job: Obj) -> float | None:
        """A finished Job may ask to be forgotten after a while."""
        after_s = job["spec"].get("ttlSecondsAfterFinished")
        if after_s is None:
            return None
        ended = next(one["lastTransitionTime"] for one in job["status"]["conditions"] if _ends(one))
        left_s: float = after_s - seconds_since(ended)
        if left_s > 0:
            return left_s
        metadata = job["metadata"]
        self._registry.delete(
            JOBS, metadata["namespace"], metadata["name"], propagation="Foreground", uid=metadata["uid"]
        )
        return None


def _with_selector(new: Obj, old: Obj | None) -> Obj:
    spec = new.get("spec") or {}
    if old is not None or spec.get("manualSelector") or not isinstance(spec.get("template"), dict):
        return new
    metadata = new["metadata"]
    labels = spec["template"].setdefault("metadata", {}).setdefault("labels", {})
    for prefix in ("", PREFIX):
        labels[f"{prefix}controller-uid"] = metadata["uid"]
        labels[f"{prefix}job-name"] = metadata["name"]
    spec["selector"] = {"matchLabels": {f"{PREFIX}controller-uid": metadata["uid"]}}
    return new


def _missing(job: Obj) -> str | None:
    return next((name for name in UNSUPPORTED if job["spec"].get(name) is not None), None)


def _ends(said: Obj) -> bool:
    return said["type"] in ("Complete", "Failed") and said["status"] == "True"


def _is_finished(job: Obj) -> bool:
    return any(_ends(one) for one in (job.get("status") or {}).get("conditions") or ())


def _judge(job: Obj, pods: list[Obj], active: list[Obj], deadline_s: float | None) -> Verdict | None:
    """Nothing while the Job has still to go on."""
    spec = job["spec"]
    succeeded = _count_succeeded(job, pods)
    failed = sum(1 for pod in pods if phase(pod) == "Failed")
    if failed > spec["backoffLimit"] or _restarts(active) > spec["backoffLimit"]:
        return Verdict("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    if deadline_s is not None and deadline_s <= 0:
        return Verdict("Failed", "DeadlineExceeded", "Job was active longer than specified deadline")
    asked: int | None = spec.get("completions")
    done = succeeded >= asked if asked is not None else bool(succeeded and not active)
    return Verdict("Complete", "Completed", "Job completed") if done else None


def _count_succeeded(job: Obj, pods: list[Obj]) -> int:
    if is_indexed(job):
        return len(done_indexes(pods))
    return sum(1 for pod in pods if phase(pod) == "Succeeded")


def _restarts(pods: list[Obj]) -> int:
    """Containers started again in their pod (restartPolicy OnFailure) are failed attempts as well."""
    if not pods or pods[0]["spec"].get("restartPolicy") != "OnFailure":
        return 0
    return sum(
        one.get("restartCount", 0) for pod in pods for one in (pod.get("status") or {}).get("containerStatuses") or ()
    )


def _back_off_s(pods: list[Obj]) -> float:
    """How long the next pod has to wait because of those that failed since one succeeded."""
    ended = sorted((_ended_at(pod), phase(pod)) for pod in pods if phase(pod) in ("Succeeded", "Failed"))
    failures = 0
    for _, how in reversed(ended):
        if how != "Failed":
            break
        failures += 1
    if not failures:
        return 0.0
    pause_s: float = min(FIRST_RETRY_S * 2 ** (failures - 1), LONGEST_RETRY_S)
    return pause_s - seconds_since(ended[-1][0])


def _ended_at(pod: Obj) -> str:
    times = [
        one["state"]["terminated"]["finishedAt"]
        for one in (pod.get("status") or {}).get("containerStatuses") or ()
        if (one.get("state") or {}).get("terminated", {}).get("finishedAt")
    ]
    latest: str = max(times, default=pod["metadata"]["creationTimestamp"])
    return latest


def _set_suspended(status: Obj, *, suspended: bool) -> None:
    known = condition({"status": status}, "Suspended")
    if known is None and not suspended:
        return
    wanted = "True" if suspended else "False"
    if known is not None and known["status"] == wanted:
        return
    now = now_text()
    said = {
        "type": "Suspended",
        "status": wanted,
        "lastProbeTime": now,
        "lastTransitionTime": now,
        "reason": "JobSuspended" if suspended else "JobResumed",
        "message": "Job suspended" if suspended else "Job resumed",
    }
    others = [one for one in status.get("conditions") or () if one["type"] != "Suspended"]
    status["conditions"] = [*others, said]
