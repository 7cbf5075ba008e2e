"""Claims: how a pod starts, what its containers see, how they end, and what its status says meanwhile."""

from __future__ import annotations

import json
import re

import pytest

from tests.conformance.client import Obj
from tests.conformance.namespace import (
    IMAGE,
    Namespace,
    build_configmap,
    build_container,
    build_pod,
    condition,
    container_status,
    is_ready,
)


def field(path: str) -> Obj:
    return {"valueFrom": {"fieldRef": {"fieldPath": path}}}


def ended(pod: Obj, name: str = "main") -> Obj:
    """How a container ended; empty while it has not."""
    state: Obj = container_status(pod, name).get("state", {}).get("terminated", {})
    return state


async def until_phase(ns: Namespace, name: str, phase: str) -> Obj:
    return await ns.until("pods", name, lambda p: p["status"]["phase"] == phase)


async def test_a_running_pod_has_an_address_a_node_and_four_conditions(ns: Namespace) -> None:
    await ns.run("p")

    pod = await ns.until("pods", "p", is_ready)

    status = pod["status"]
    assert (status["phase"], status["podIPs"][0]["ip"]) == ("Running", status["podIP"])
    assert status["hostIP"]
    assert (await ns.api.get(f"/api/v1/nodes/{pod['spec']['nodeName']}")).status == 200
    kinds = {"Initialized", "Ready", "ContainersReady", "PodScheduled"}
    assert kinds <= {c["type"] for c in status["conditions"] if c["status"] == "True"}
    main = container_status(pod)
    assert (main["ready"], main["started"], main["restartCount"], list(main["state"])) == (True, True, 0, ["running"])


async def test_environment_comes_from_values_fields_maps_and_secrets(ns: Namespace) -> None:
    await ns.create("configmaps", build_configmap("settings", color="red", shape="round"))
    await ns.create(
        "secrets", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"word": "abc"}}
    )
    container = build_container(
        "env",
        env=[
            {"name": "PLAIN", "value": "1"},
            {"name": "TWICE", "value": "$(PLAIN)$(PLAIN)"},
            {"name": "LATER", "value": "$(AFTER)"},
            {"name": "AFTER", "value": "x"},
            {"name": "ESCAPED", "value": "$$(PLAIN)"},
            {"name": "POD", **field("metadata.name")},
            {"name": "SPACE", **field("metadata.namespace")},
            {"name": "IP", **field("status.podIP")},
            {"name": "TIER", **field("metadata.labels['tier']")},
            {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "word"}}},
            {"name": "COLOR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "color"}}},
            {"name": "NONE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "none", "optional": True}}},
        ],
        envFrom=[{"prefix": "C_", "configMapRef": {"name": "settings"}}],
    )
    await ns.run("p", labels={"tier": "gold"}, containers=[container], restartPolicy="Never")
    pod = await until_phase(ns, "p", "Succeeded")

    seen = dict(line.split("=", 1) for line in (await ns.log("p")).splitlines() if "=" in line)

    expected = {
        "PLAIN": "1",
        "TWICE": "11",
        "LATER": "$(AFTER)",
        "AFTER": "x",
        "ESCAPED": "$(PLAIN)",
        "POD": "p",
        "SPACE": ns.name,
        "IP": pod["status"]["podIP"],
        "TIER": "gold",
        "WORD": "abc",
        "COLOR": "red",
        "C_color": "red",
        "C_shape": "round",
        "HOSTNAME": "p",
    }
    assert {name: seen.get(name) for name in expected} == expected
    assert "NONE" not in seen


async def test_arguments_are_expanded_and_arrive_as_they_are(ns: Namespace) -> None:
    container = {
        "name": "main",
        "image": IMAGE,
        "command": ["sh", "-c", 'for a in "$@"; do echo "<$a>"; done', "$(WHO)"],
        "args": ["$(WHO)", "$(NOBODY)", "$$(WHO)", "a b", "", "$HOME"],
        "env": [{"name": "WHO", "value": "me"}],
    }
    await ns.run("p", containers=[container], restartPolicy="Never")
    await until_phase(ns, "p", "Succeeded")

    assert (await ns.log("p")).splitlines() == ["<me>", "<$(NOBODY)>", "<$(WHO)>", "<a b>", "<>", "<$HOME>"]


async def test_a_missing_key_keeps_the_container_waiting_until_it_is_there(ns: Namespace) -> None:
    reference = {"name": "late", "key": "color"}
    await ns.run("p", containers=[build_container(env=[{"name": "C", "valueFrom": {"configMapKeyRef": reference}}])])

    waiting = await ns.until(
        "pods", "p", lambda p: container_status(p).get("state", {}).get("waiting", {}).get("message")
    )
    state = container_status(waiting)["state"]["waiting"]
    await ns.create("configmaps", build_configmap("late", color="red"))
    await ns.until("pods", "p", is_ready, 60)

    assert (state["reason"], state["message"]) == ("CreateContainerConfigError", 'configmap "late" not found')


@pytest.mark.parametrize(
    ("script", "code", "reason", "phase"), [("exit 0", 0, "Completed", "Succeeded"), ("exit 7", 7, "Error", "Failed")]
)
async def test_the_end_of_a_container_has_code_and_reason(
    ns: Namespace, script: str, code: int, reason: str, phase: str
) -> None:
    await ns.run("p", script, restartPolicy="Never")

    end = ended(await until_phase(ns, "p", phase))

    assert (end["exitCode"], end["reason"]) == (code, reason)
    assert end["startedAt"] <= end["finishedAt"]


async def test_a_termination_message_is_what_the_container_wrote(ns: Namespace) -> None:
    await ns.run("p", "echo because > /dev/termination-log; exit 1", restartPolicy="Never")

    assert ended(await until_phase(ns, "p", "Failed"))["message"] == "because\n"


async def test_a_container_that_keeps_dying_is_counted_and_held_back(ns: Namespace) -> None:
    await ns.run("p", "echo one more; exit 3")

    pod = await ns.until(
        "pods",
        "p",
        lambda p: container_status(p).get("state", {}).get("waiting", {}).get("reason") == "CrashLoopBackOff",
        60,
    )
    main = container_status(pod)

    assert main["restartCount"] >= 1
    assert re.fullmatch(
        rf"back-off \d+s restarting failed container=main pod=p_{ns.name}\(.*\)", main["state"]["waiting"]["message"]
    )
    assert (main["lastState"]["terminated"]["exitCode"], main["ready"], pod["status"]["phase"]) == (3, False, "Running")
    assert await ns.log("p", previous="true") == "one more\n"


async def test_on_failure_restarts_what_failed_only(ns: Namespace) -> None:
    failing = "test -e /scratch/again && exit 0; touch /scratch/again; exit 1"
    containers = [
        build_container(failing, volumeMounts=[{"name": "scratch", "mountPath": "/scratch"}]),
        build_container("exit 0", name="fine"),
    ]
    volumes = [{"name": "scratch", "emptyDir": {}}]
    await ns.run("p", containers=containers, volumes=volumes, restartPolicy="OnFailure")

    pod = await ns.until("pods", "p", lambda p: p["status"]["phase"] == "Succeeded", 60)

    assert [container_status(pod, n)["restartCount"] for n in ("main", "fine")] == [1, 0]


async def test_init_containers_run_one_after_the_other_before_the_rest(ns: Namespace) -> None:
    mounts = [{"name": "scratch", "mountPath": "/scratch"}]
    inits = [
        build_container(f"echo {word} >> /scratch/order", name=word, volumeMounts=mounts)
        for word in ("first", "second")
    ]
    main = build_container("cat /scratch/order", volumeMounts=mounts)
    await ns.run(
        "p",
        initContainers=inits,
        containers=[main],
        volumes=[{"name": "scratch", "emptyDir": {}}],
        restartPolicy="Never",
    )
    pod = await until_phase(ns, "p", "Succeeded")

    assert (await ns.log("p")).split() == ["first", "second"]
    assert [s["state"]["terminated"]["exitCode"] for s in pod["status"]["initContainerStatuses"]] == [0, 0]


async def test_a_failed_init_container_fails_a_pod_that_is_not_restarted(ns: Namespace) -> None:
    inits = [build_container("exit 4", name="first")]
    await ns.run("p", initContainers=inits, restartPolicy="Never")

    pod = await until_phase(ns, "p", "Failed")

    assert pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 4
    assert container_status(pod)["state"]["waiting"]["reason"] == "PodInitializing"
    assert condition(pod, "Initialized")["reason"] == "ContainersNotInitialized"


async def test_an_unknown_image_is_an_error_that_names_it_and_a_good_one_heals_it(ns: Namespace) -> None:
    image = "conformance/no-such-image:1"
    await ns.run("p", containers=[build_container(image=image)])

    def reason(pod: Obj) -> str:
        return str(container_status(pod).get("state", {}).get("waiting", {}).get("reason", ""))

    first = await ns.until("pods", "p", lambda p: reason(p) in {"ErrImagePull", "ImagePullBackOff"}, 60)
    later = await ns.until("pods", "p", lambda p: reason(p) == "ImagePullBackOff", 60)
    good = {"spec": {"containers": [{"name": "main", "image": IMAGE}]}}
    (await ns.api.patch(ns.path("pods", "p"), good, "application/strategic-merge-patch+json")).accepted()
    healed = await ns.until("pods", "p", is_ready, 90)

    assert image in container_status(first)["state"]["waiting"]["message"]
    assert f'Back-off pulling image "{image}"' in container_status(later)["state"]["waiting"]["message"]
    assert (later["status"]["phase"], container_status(healed)["restartCount"]) == ("Pending", 0)


async def test_a_deleted_pod_is_asked_first_then_killed(ns: Namespace) -> None:
    """A container that ignores SIGTERM is there until its grace ends, and the object until the container has."""
    await ns.run("p", "trap '' TERM; echo up; while :; do sleep 0.2; done", terminationGracePeriodSeconds=2)
    await ns.until_log("p", "up")

    answered = (await ns.api.delete(ns.path("pods", "p"))).accepted()
    going = await ns.api.get(ns.path("pods", "p"))
    await ns.api.until_gone(ns.path("pods", "p"))

    assert answered["metadata"]["deletionGracePeriodSeconds"] == 2
    assert "deletionTimestamp" in going.body["metadata"]


async def test_before_a_container_stops_its_hook_runs(ns: Namespace) -> None:
    hook = {"preStop": {"exec": {"command": ["touch", "/tmp/hooked"]}}}
    script = "trap 'test -e /tmp/hooked && echo after-hook; exit 0' TERM; echo up; while :; do sleep 0.1; done"
    container = build_container(script, lifecycle=hook)
    await ns.run("p", containers=[container], terminationGracePeriodSeconds=20)
    await ns.until_log("p", "up")

    async with ns.api.stream(ns.path("pods", "p") + "/log", follow="true") as log:
        (await ns.api.delete(ns.path("pods", "p"))).accepted()
        text = (await log.read()).decode()

    assert "after-hook" in text.split()


async def test_force_takes_the_object_at_once(ns: Namespace) -> None:
    await ns.run("p", "trap '' TERM; while :; do sleep 0.2; done", terminationGracePeriodSeconds=30)
    await ns.until("pods", "p", is_ready)

    (await ns.api.delete(ns.path("pods", "p"), {"gracePeriodSeconds": 0})).accepted()

    await ns.api.until_gone(ns.path("pods", "p"), 5)


async def test_a_pod_cannot_change_what_it_is_made_of(ns: Namespace) -> None:
    await ns.run("p")

    patch = {"spec": {"terminationGracePeriodSeconds": 77}}
    answer = await ns.api.patch(ns.path("pods", "p"), patch)

    assert answer.refused() == (422, "Invalid")
    assert "pod updates may not change fields other than" in answer.message


async def test_a_pod_needs_a_container_and_known_volumes(ns: Namespace) -> None:
    await ns.takes_pods()
    none = await ns.api.post(ns.path("pods"), build_pod("p", containers=[]))
    unknown = build_container(volumeMounts=[{"name": "ghost", "mountPath": "/x"}])
    ghost = await ns.api.post(ns.path("pods"), build_pod("p", containers=[unknown]))

    assert (none.refused(), ghost.refused()) == ((422, "Invalid"), (422, "Invalid"))
    assert "spec.containers: Required value" in none.message
    assert 'spec.containers[0].volumeMounts[0].name: Not found: "ghost"' in ghost.message


async def test_logs_can_be_followed_and_cut(ns: Namespace) -> None:
    await ns.run("p", "for n in 1 2 3 4 5; do echo line $n; done; sleep 1; echo last", restartPolicy="Never")
    await ns.until_log("p", "line 5")

    tail = await ns.log("p", tailLines=2)
    async with ns.api.stream(ns.path("pods", "p") + "/log", follow="true") as log:
        followed = (await log.read()).decode().splitlines()
    stamped = (await ns.log("p", timestamps="true", tailLines=1)).split(" ", 1)

    assert tail.splitlines()[-1] in {"line 5", "last"}
    assert len(tail.splitlines()) == 2
    assert followed == [*(f"line {n}" for n in range(1, 6)), "last"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", stamped[0])


async def test_a_pod_of_two_containers_needs_the_name_of_one_for_its_log(ns: Namespace) -> None:
    await ns.run(
        "p", containers=[build_container("echo a; sleep 60"), build_container("echo b; sleep 60", name="other")]
    )
    await ns.until_log("p", "b", container="other")

    answer = await ns.api.request("GET", ns.path("pods", "p") + "/log", accept="*/*")

    assert answer.status == 400
    assert "a container name must be specified for pod p" in answer.text


async def test_two_pods_listen_on_one_port_and_each_sees_localhost_as_itself(ns: Namespace) -> None:
    """What containers of a pod share and pods do not: the address."""
    script = "redis-server --bind $POD_IP --port 6379 --save '' --dir /tmp"
    container = build_container(script, env=[{"name": "POD_IP", **field("status.podIP")}])
    asking = build_container(
        "until redis-cli -h $POD_IP ping; do sleep 0.1; done; sleep 60",
        name="other",
        env=[{"name": "POD_IP", **field("status.podIP")}],
    )
    await ns.run("one", containers=[container, asking])
    await ns.run("two", containers=[container, asking])

    for name in ("one", "two"):
        await ns.until_log(name, "PONG", container="other")
    ips = {(await ns.until("pods", name, is_ready))["status"]["podIP"] for name in ("one", "two")}

    assert len(ips) == 2


async def test_a_container_runs_in_its_working_directory(ns: Namespace) -> None:
    await ns.run("p", containers=[build_container("pwd", workingDir="/tmp")], restartPolicy="Never")
    await until_phase(ns, "p", "Succeeded")

    assert await ns.log("p") == "/tmp\n"


async def test_a_command_that_is_not_there_is_a_start_error(ns: Namespace) -> None:
    container = {"name": "main", "image": IMAGE, "command": ["/no/such/program"]}
    await ns.run("p", containers=[container], restartPolicy="Never")

    end = ended(await until_phase(ns, "p", "Failed"))

    assert end["exitCode"] in {127, 128}
    assert end["reason"] in {"ContainerCannotRun", "StartError"}
    assert "/no/such/program" in json.dumps(end)


async def test_a_pod_past_its_deadline_fails(ns: Namespace) -> None:
    await ns.run("p", activeDeadlineSeconds=1, restartPolicy="Never")

    pod = await until_phase(ns, "p", "Failed")

    assert pod["status"]["reason"] == "DeadlineExceeded"


@pytest.mark.needs_version("1.27")
async def test_a_pod_that_is_deleted_says_how_it_ended_before_it_goes(ns: Namespace) -> None:
    await ns.run("p")
    pod = await ns.until("pods", "p", is_ready)

    async with ns.api.watch(ns.path("pods"), resourceVersion=pod["metadata"]["resourceVersion"]) as watch:
        await ns.api.delete(ns.path("pods", "p"))
        events = await watch.until(lambda event: event.type == "DELETED", timeout_s=30)

    assert events[-2].object["status"]["phase"] in {"Succeeded", "Failed"}
    assert "terminated" in container_status(events[-2].object)["state"]


@pytest.mark.needs_version("1.27")
async def test_a_pull_secret_that_is_not_there_is_told_and_hinders_nothing(ns: Namespace) -> None:
    await ns.run("p", imagePullSecrets=[{"name": "nobody-made-me"}])

    await ns.until("pods", "p", is_ready)
    [event, *_] = await ns.until_list(
        "events", lambda found: found, fieldSelector="reason=FailedToRetrieveImagePullSecret"
    )

    assert event["type"] == "Warning"
    assert event["message"] == (
        "Unable to retrieve some image pull secrets (nobody-made-me); attempting to pull the image may not succeed."
    )
