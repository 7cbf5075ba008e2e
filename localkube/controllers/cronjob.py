"""Whether a CronJob has to start a Job now, and which of its ended Jobs are kept."""

from __future__ import annotations

import datetime
from collections.abc import Callable

from localkube.controllers.events import Recorder
from localkube.controllers.ownership import Children
from localkube.controllers.pods import build_controller_ref, controller_ref, is_terminating
from localkube.controllers.schedules import BadSchedule, Schedule, parse_schedule
from localkube.controllers.settings import MANAGER, Settings
from localkube.controllers.workqueue import KeyedQueue
from localkube.errors import ApiError
from localkube.registry import Event, Obj, Registry, copy_of, time_text

NAME = "cronjob-controller"
CRON_JOBS = "cronjobs.batch"
JOBS = "jobs.batch"
SCHEDULED_AT = "batch.kubernetes.io/cronjob-scheduled-timestamp"
# So many missed starts point to a wrong clock or to a long absence: it is said, and only the latest is made up for.
MANY_MISSED = 100
# Timers of the loop and the clock on the wall drift apart: nobody sleeps longer than this without looking up.
LONGEST_WAIT_S = 600.0

Key = tuple[str, str]


class CronJobController:
    def __init__(self, registry: Registry, settings: Settings) -> None:  # noqa: ARG002 - all controllers are made alike
        self._registry = registry
        self._recorder = Recorder(registry, NAME)
        self._queue: KeyedQueue[Key] = KeyedQueue("cronjobs", self._reconcile)
        self._jobs: Children | None = None
        self._ends: list[Callable[[], None]] = []

    def start(self) -> None:
        self._jobs = Children(self._registry, JOBS, MANAGER)
        self._ends = [
            self._registry.subscribe(CRON_JOBS, self._on_cron_job),
            self._registry.subscribe(JOBS, self._on_job, replay=False),
        ]

    async def stop(self) -> None:
        for end in self._ends:
            end()
        self._queue.stop()

    def _on_cron_job(self, event: Event) -> None:
        metadata = event.object["metadata"]
        self._queue.mark((metadata["namespace"], metadata["name"]))

    def _on_job(self, event: Event) -> None:
        ref = controller_ref(event.object)
        if ref is not None and ref["kind"] == "CronJob":
            self._queue.mark((event.object["metadata"]["namespace"], ref["name"]))

    def _reconcile(self, key: Key) -> float | None:
        cron = self._registry.find(CRON_JOBS, *key)
        if cron is None or is_terminating(cron) or self._jobs is None:
            return None
        status = dict(cron.get("status") or {})
        jobs = sorted(self._jobs.of(cron), key=lambda job: (_started(job), job["metadata"]["name"]))
        active = self._settle(cron, jobs, status)
        self._forget(cron, jobs)
        wait_s: float | None = None
        try:
            schedule = parse_schedule(cron["spec"]["schedule"], cron["spec"].get("timeZone"))
        except BadSchedule as bad:
            self._recorder.warning(cron, "UnparseableSchedule", f"unparseable schedule: {bad}")
        else:
            if not cron["spec"].get("suspend"):
                active, wait_s = self._keep_time(cron, schedule, jobs, active, status)
        self._write(cron, active, status)
        return wait_s

    def _settle(self, cron: Obj, jobs: list[Obj], status: Obj) -> list[Obj]:
        """The Jobs that still run. Those that ended since the last look are told, and counted in *status*."""
        by_uid = {job["metadata"]["uid"]: job for job in jobs}
        for ref in status.get("active") or ():
            job = by_uid.get(ref["uid"])
            if job is None:
                self._recorder.normal(cron, "MissingJob", f"Active job went missing: {ref['name']}")
            elif (how := _ending(job)) is not None:
                self._recorder.normal(cron, "SawCompletedJob", f"Saw completed job: {ref['name']}, condition: {how}")
        succeeded = [job["status"]["completionTime"] for job in jobs if _ending(job) == "Complete"]
        if latest := max((*succeeded, status.get("lastSuccessfulTime") or ""), default=""):
            status["lastSuccessfulTime"] = latest
        return [job for job in jobs if _ending(job) is None]

    def _forget(self, cron: Obj, jobs: list[Obj]) -> None:
        for how, field in (("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")):
            limit = cron["spec"].get(field)
            ended = [job for job in jobs if _ending(job) == how and not is_terminating(job)]
            if limit is not None:
                for job in ended[: max(0, len(ended) - limit)]:
                    self._delete(cron, job)

    def _keep_time(
        self, cron: Obj, schedule: Schedule, jobs: list[Obj], active: list[Obj], status: Obj
    ) -> tuple[list[Obj], float | None]:
        """Starts what is due. Returns the Jobs that then run, and the seconds until the next one is due."""
        now = self._registry.now()
        due, following = self._find_due(cron, schedule, status, now)
        wait_s = None if following is None else min((following - now).total_seconds(), LONGEST_WAIT_S)
        if due is None:
            return active, wait_s
        name = _name_at(cron, due)
        policy = cron["spec"]["concurrencyPolicy"]
        if any(job["metadata"]["name"] == name for job in jobs):
            # Started before, but the status with its time was not written.
            status["lastScheduleTime"] = time_text(due)
            return active, wait_s
        if policy == "Forbid" and active:
            message = "Not starting job because prior execution is running and concurrency policy is Forbid"
            self._recorder.normal(cron, "JobAlreadyActive", message)
            return active, wait_s
        if policy == "Replace":
            for job in active:
                self._delete(cron, job)
            active = []
        try:
            job = self._registry.create(JOBS, _build_job(cron, name, due), manager=MANAGER)
        except ApiError as refused:
            if refused.reason != "AlreadyExists":
                self._recorder.warning(cron, "FailedCreate", f"Error creating job: {refused.message}")
            raise
        self._recorder.normal(cron, "SuccessfulCreate", f"Created job {name}")
        status["lastScheduleTime"] = time_text(due)
        return [*active, job], wait_s

    def _find_due(
        self, cron: Obj, schedule: Schedule, status: Obj, now: datetime.datetime
    ) -> tuple[datetime.datetime | None, datetime.datetime | None]:
        """The latest start that is due and not yet made, and the first one of the future."""
        since = datetime.datetime.fromisoformat(status.get("lastScheduleTime") or cron["metadata"]["creationTimestamp"])
        patience_s: int | None = cron["spec"].get("startingDeadlineSeconds")
        if patience_s is not None:
            since = max(since, now - datetime.timedelta(seconds=patience_s))
        due = schedule.last_between(since, now)
        if due is not None and _missed_many(schedule, since, now):
            message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
            self._recorder.warning(cron, "TooManyMissedTimes", message)
        return due, schedule.next_after(now)

    def _delete(self, cron: Obj, job: Obj) -> None:
        metadata = job["metadata"]
        self._registry.delete(
            JOBS, metadata["namespace"], metadata["name"], propagation="Background", uid=metadata["uid"]
        )
        self._recorder.normal(cron, "SuccessfulDelete", f"Deleted job {metadata['name']}")

    def _write(self, cron: Obj, active: list[Obj], status: Obj) -> None:
        status.pop("active", None)
        if active:
            status["active"] = [_reference(job) for job in active]
        if status != (cron.get("status") or {}):
            self._registry.update(CRON_JOBS, {**cron, "status": status}, subresource="status", manager=MANAGER)


def _missed_many(schedule: Schedule, since: datetime.datetime, now: datetime.datetime) -> bool:
    moment: datetime.datetime | None = since
    for _ in range(MANY_MISSED):
        moment = schedule.next_after(moment) if moment is not None else None
        if moment is None or moment > now:
            return False
    return True


def _ending(job: Obj) -> str | None:
    """Complete or Failed; None while it goes on."""
    for said in (job.get("status") or {}).get("conditions") or ():
        if said["type"] in ("Complete", "Failed") and said["status"] == "True":
            return str(said["type"])
    return None


def _started(job: Obj) -> str:
    status = job.get("status") or {}
    return str(status.get("startTime") or job["metadata"]["creationTimestamp"])


def _name_at(cron: Obj, due: datetime.datetime) -> str:
    """One name for one start: whoever tries it twice finds it there."""
    return f"{cron['metadata']['name']}-{int(due.timestamp()) // 60}"


def _build_job(cron: Obj, name: str, due: datetime.datetime) -> Obj:
    template = copy_of(cron["spec"]["jobTemplate"])
    metadata = template.get("metadata") or {}
    return {
        "metadata": {
            "name": name,
            "namespace": cron["metadata"]["namespace"],
            "labels": metadata.get("labels") or {},
            "annotations": {**(metadata.get("annotations") or {}), SCHEDULED_AT: time_text(due)},
            "ownerReferences": [build_controller_ref(cron)],
        },
        "spec": template["spec"],
    }


def _reference(job: Obj) -> Obj:
    metadata = job["metadata"]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
    }
