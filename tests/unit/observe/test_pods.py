"""What a pod's status means for us."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tdredis.kube.objects import parse_pod, parse_time
from tdredis.observe.pods import last_start, read_pod
from tdredis.planning.snapshot import PodFacts, Trouble

WHEN = "2026-01-02T03:04:05Z"
NOT_SCHEDULED = {"type": "PodScheduled", "status": "False"}
UNSCHEDULABLE = "0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules."


def pod(*, deleted: bool = False, **status: Any) -> PodFacts:
    meta = {"name": "rat-0-0", "uid": "u", "creationTimestamp": "2026-01-02T03:04:05Z"}
    meta |= {"deletionTimestamp": WHEN} if deleted else {}
    return read_pod(parse_pod(msgspec.json.encode({"metadata": meta, "status": status})), container="redis")


def container(**fields: Any) -> list[Any]:
    return [{"name": "redis", "ready": False, "restartCount": 0, "image": "", "imageID": "", **fields}]


def test_a_running_container_runs_and_ran() -> None:
    facts = pod(podIP="10.0.0.1", containerStatuses=container(state={"running": {}}))

    assert (facts.running, facts.ever_ran, facts.trouble, facts.ip) == (True, True, None, "10.0.0.1")


def test_a_container_that_was_never_started_never_ran() -> None:
    facts = pod(containerStatuses=container(state={"waiting": {"reason": "ContainerCreating"}}))

    assert (facts.running, facts.ever_ran, facts.trouble) == (False, False, None)


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        (
            {
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": UNSCHEDULABLE}
                ]
            },
            Trouble(reason="Unschedulable", message=UNSCHEDULABLE),
        ),
        (
            {"containerStatuses": container(state={"waiting": {"reason": "ErrImagePull", "message": "not found"}})},
            Trouble(reason="ErrImagePull", message="container redis: not found"),
        ),
        (
            {
                "containerStatuses": container(
                    state={"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
                    lastState={"terminated": {"exitCode": 1, "reason": "Error"}},
                )
            },
            Trouble(
                reason="CrashLoopBackOff",
                message="container redis: back-off 10s (last ended with exit code 1, Error)",
            ),
        ),
        (
            {
                "containerStatuses": container(
                    state={"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
                    lastState={"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
                )
            },
            Trouble(
                reason="OOMKilled",
                message="container redis: back-off 10s (last ended with exit code 137, OOMKilled): the kernel ended it,"
                " it needs more memory than its limit",
            ),
        ),
        (
            {"phase": "Failed", "reason": "Evicted", "message": "low on memory"},
            Trouble(reason="Evicted", message="low on memory"),
        ),
    ],
)
def test_trouble_has_the_reason_and_the_words_of_whoever_saw_it(status: dict[str, Any], trouble: Trouble) -> None:
    assert pod(**status).trouble == trouble


@pytest.mark.parametrize("reason", ["", "Terminated"])
def test_how_a_pod_ends_that_is_deleted_is_no_trouble(reason: str) -> None:
    """A kubelet writes the last phase before the pod is gone: Failed, if its process did not end with exit code 0."""
    ended = container(state={"terminated": {"exitCode": 143}})
    facts = pod(deleted=True, phase="Failed", reason=reason, containerStatuses=ended)

    assert (facts.deleting, facts.finished, facts.trouble, facts.main_trouble) == (True, True, None, None)


@pytest.mark.parametrize(
    ("states", "killed"),
    [
        ({"state": {"running": {}}, "lastState": {"terminated": {"reason": "OOMKilled", "finishedAt": WHEN}}}, True),
        ({"state": {"terminated": {"reason": "OOMKilled", "finishedAt": WHEN}}}, True),
        ({"state": {"running": {}}, "lastState": {"terminated": {"reason": "Error", "finishedAt": WHEN}}}, False),
        ({"state": {"running": {}}}, False),
    ],
)
def test_a_process_that_the_kernel_ended_for_want_of_memory_is_no_trouble_when_it_runs_again_and_still_seen(
    states: dict[str, Any], killed: bool
) -> None:
    facts = pod(containerStatuses=container(**states))

    assert (facts.trouble, facts.oom_killed) == (None, parse_time(WHEN) if killed else None)


def test_a_pod_that_is_going_is_not_ready() -> None:
    meta = {"name": "rat-0-0", "uid": "u", "deletionTimestamp": "2026-01-02T03:04:05Z"}
    status = {"conditions": [{"type": "Ready", "status": "True"}]}
    facts = read_pod(parse_pod(msgspec.json.encode({"metadata": meta, "status": status})), container="redis")

    assert (facts.ready, facts.deleting) == (False, True)


WAITING = {"waiting": {"reason": "ImagePullBackOff", "message": "back-off"}}


@pytest.mark.parametrize(
    ("status", "is_in_the_way"),
    [
        ({"containerStatuses": [*container(state={"running": {}}), {"name": "exporter", "state": WAITING}]}, False),
        (
            {"containerStatuses": [*container(restartCount=1, state={"waiting": {}}), {"name": "x", "state": WAITING}]},
            False,
        ),
        ({"containerStatuses": container(state=WAITING)}, True),
        ({"containerStatuses": container(), "initContainerStatuses": [{"name": "init", "state": WAITING}]}, True),
        (
            {
                "containerStatuses": container(restartCount=1, state={"waiting": {}}),
                "initContainerStatuses": [{"name": "sidecar", "state": WAITING}],
            },
            False,
        ),
        ({"conditions": [NOT_SCHEDULED]}, True),
        ({"phase": "Failed", "reason": "Evicted"}, True),
    ],
)
def test_what_another_container_has_is_not_in_the_way_of_redis(status: dict[str, Any], is_in_the_way: bool) -> None:
    facts = pod(**status)

    assert facts.trouble is not None
    assert (facts.main_trouble is not None) is is_in_the_way


@pytest.mark.parametrize(
    ("conditions", "trouble"),
    [
        ([], None),
        ([{"type": "PodResizePending", "status": "True", "reason": "Deferred", "message": "no room"}], "Deferred"),
        ([{"type": "PodResizePending", "status": "True", "reason": "Infeasible", "message": "never"}], "Infeasible"),
        ([{"type": "PodResizeInProgress", "status": "True"}], None),
        ([{"type": "PodResizeInProgress", "status": "True", "reason": "Error", "message": "cgroup"}], "Error"),
        ([{"type": "PodResizePending", "status": "False", "reason": "Deferred"}], None),
    ],
)
def test_what_a_container_has_comes_after_what_it_is_to_have(conditions: list[Any], trouble: str | None) -> None:
    meta = {"name": "rat-0-0", "uid": "u", "creationTimestamp": "2026-01-02T03:04:05Z"}
    spec = {"containers": [{"name": "redis", "resources": {"limits": {"memory": "2Gi"}}}]}
    has = {"resources": {"limits": {"memory": "1Gi"}}, "state": {"running": {}}}
    made = {"metadata": meta, "spec": spec}

    given, unsaid = (
        read_pod(parse_pod(msgspec.json.encode({**made, "status": status})), container="redis")
        for status in ({"containerStatuses": container(**has), "conditions": conditions}, {})
    )

    assert (given.limits, given.given_limits) == ({"memory": "2Gi"}, {"memory": "1Gi"})
    assert (given.resize_trouble.reason if given.resize_trouble else None) == trouble
    assert unsaid.given_limits == {"memory": "2Gi"}, "a kubelet that does not say it"


LATER = "2026-01-02T03:04:09Z"


@pytest.mark.parametrize(
    ("containers", "init_containers", "said"),
    [
        ({"redis": WHEN}, {}, ""),
        ({"redis": LATER, "beside": WHEN}, {}, WHEN),
        ({"beside": WHEN, "another": LATER}, {}, LATER),
        ({"beside": None, "redis": LATER}, {}, ""),
        ({"redis": WHEN, "exporter": LATER}, {}, ""),
        ({"redis": WHEN}, {"sidecar": LATER}, LATER),
        ({"redis": WHEN}, {"redis-init": LATER}, ""),
    ],
)
def test_of_a_container_without_a_readiness_probe_is_known_when_it_began(
    containers: dict[str, str | None], init_containers: dict[str, str | None], said: str
) -> None:
    def specs(named: dict[str, str | None]) -> list[Any]:
        probe = {"readinessProbe": {"tcpSocket": {"port": 6379}}}
        return [{"name": name, **(probe if name.startswith("redis") else {})} for name in named]

    def statuses(named: dict[str, str | None]) -> list[Any]:
        states: dict[str, Any] = {
            name: {"running": {"startedAt": at}} if at else {"terminated": {}} for name, at in named.items()
        }
        return [{"name": name, "state": state} for name, state in states.items()]

    made = {
        "metadata": {"name": "rat-0-0", "uid": "u"},
        "spec": {"containers": specs(containers), "initContainers": specs(init_containers)},
        "status": {"containerStatuses": statuses(containers), "initContainerStatuses": statuses(init_containers)},
    }

    assert last_start(parse_pod(msgspec.json.encode(made))) == said
