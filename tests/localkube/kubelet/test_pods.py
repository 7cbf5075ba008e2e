"""Claims about pods as real processes: how they begin, what they say of themselves, how they end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from localkube.errors import ApiError

from .conftest import House, shell


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def command_lines(pid: int) -> bytes:
    """Of the process and of the one that fences it in."""
    parent = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    return Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{parent}/cmdline").read_bytes()


async def test_a_pod_runs_and_completes(house: House) -> None:
    house.run(shell("echo hello; exit 0"), restartPolicy="Never")

    ended = await house.until_ended()

    assert (ended["exitCode"], ended["reason"]) == (0, "Completed")
    assert house.status()["phase"] == "Succeeded"
    assert await house.said() == "hello\n"


async def test_a_failed_pod_says_code_reason_and_last_words(house: House) -> None:
    house.run(shell("echo too bad > /dev/termination-log; exit 7"), restartPolicy="Never")

    ended = await house.until_ended()

    assert (ended["exitCode"], ended["reason"], ended["message"]) == (7, "Error", "too bad\n")
    assert house.status()["phase"] == "Failed"


async def test_the_log_stands_in_for_last_words_when_asked(house: House) -> None:
    house.run(
        shell("echo from the log; exit 1", terminationMessagePolicy="FallbackToLogsOnError"), restartPolicy="Never"
    )

    assert (await house.until_ended())["message"] == "from the log"


async def test_a_program_that_is_not_there_is_a_start_error(house: House) -> None:
    house.run({"name": "c", "image": "busybox", "command": ["no-such-program"]}, restartPolicy="Never")

    ended = await house.until_ended()

    assert (ended["exitCode"], ended["reason"]) == (128, "StartError")
    assert 'exec: "no-such-program": executable file not found in $PATH' in ended["message"]


async def test_redis_answers_on_the_pods_own_address(house: House) -> None:
    house.run({"name": "c", "image": "redis:7", "readinessProbe": {"tcpSocket": {"port": 6379}, "periodSeconds": 1}})

    await house.until_ready()

    address = house.status()["podIP"]
    assert address == f"127.{house.block}.1.2"
    reader, writer = await asyncio.open_connection(address, 6379)
    writer.write(b"PING\r\n")
    assert await reader.readline() == b"+PONG\r\n"
    writer.close()
    await writer.wait_closed()


async def test_two_stock_redis_pods_do_not_take_each_others_port(house: House) -> None:
    for name in ("one", "two"):
        probe = {"exec": {"command": ["sh", "-c", "redis-cli -h $(hostname) ping"]}, "periodSeconds": 1}
        house.run({"name": "c", "image": "docker.io/library/redis:7.0", "readinessProbe": probe}, name=name)

    await house.until_ready("one")
    await house.until_ready("two")


async def test_redis_with_config_and_password_from_files(house: House) -> None:
    house.create("configmaps", {"metadata": {"name": "conf"}, "data": {"redis.conf": "include /secret/auth.conf\n"}})
    house.create("secrets", {"metadata": {"name": "auth"}, "data": {"auth.conf": "cmVxdWlyZXBhc3Mgc2VzYW1lCg=="}})
    script = "exec redis-server /conf/redis.conf --bind $POD_IP --dir /data"
    house.run(
        {
            "name": "c", "image": "redis:7", "command": ["sh", "-c", script],
            "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
            "readinessProbe": {"tcpSocket": {"port": 6379}, "periodSeconds": 1},
            "volumeMounts": [
                {"name": "conf", "mountPath": "/conf"}, {"name": "auth", "mountPath": "/secret"},
                {"name": "data", "mountPath": "/data"},
            ],
        },
        volumes=[
            {"name": "conf", "configMap": {"name": "conf"}}, {"name": "auth", "secret": {"secretName": "auth"}},
            {"name": "data", "emptyDir": {}},
        ],
    )  # fmt: skip
    await house.until_ready()

    refused = await house.exec("sh", "-c", "redis-cli -h $POD_IP get x")
    answered = await house.exec("sh", "-c", "REDISCLI_AUTH=sesame redis-cli -h $POD_IP ping")

    assert "NOAUTH" in refused[1]
    assert answered == (0, "PONG\n")


async def test_init_containers_run_in_order_before_the_others(house: House) -> None:
    mount = [{"name": "shared", "mountPath": "/shared"}]
    house.run(
        shell("cat /shared/order; sleep 1000", volumeMounts=mount),
        initContainers=[
            shell("sleep 0.2; echo first >> /shared/order", volumeMounts=mount) | {"name": "i1"},
            shell("echo second >> /shared/order", volumeMounts=mount) | {"name": "i2"},
        ],
        volumes=[{"name": "shared", "emptyDir": {}}],
    )

    assert await house.until_said("second") == "first\nsecond\n"
    assert house.container("i1")["state"]["terminated"]["reason"] == "Completed"


async def test_containers_wait_for_init_as_pod_initializing(house: House) -> None:
    house.run(shell("true"), initContainers=[shell("sleep 1000") | {"name": "i"}])

    await house.until(lambda: "running" in house.container("i")["state"])

    assert house.container()["state"] == {"waiting": {"reason": "PodInitializing"}}
    assert house.status()["phase"] == "Pending"
    initialized = house.status()["conditions"][0]
    assert (initialized["type"], initialized["status"], initialized["message"]) == (
        "Initialized", "False", "containers with incomplete status: [i]",
    )  # fmt: skip


async def test_a_failing_init_container_fails_a_pod_that_never_restarts(house: House) -> None:
    house.run(shell("true"), initContainers=[shell("exit 3") | {"name": "i"}], restartPolicy="Never")

    await house.until(lambda: house.status().get("phase") == "Failed")

    assert house.container("i")["state"]["terminated"]["exitCode"] == 3
    assert "waiting" in house.container()["state"]


async def test_a_sidecar_outlives_init_and_ends_with_the_pod(house: House) -> None:
    house.run(
        shell("sleep 0.1; echo done"),
        initContainers=[shell("trap 'exit 0' TERM; sleep 1000 & wait", restartPolicy="Always") | {"name": "side"}],
        restartPolicy="Never",
    )

    await house.until(lambda: house.status().get("phase") == "Succeeded")

    assert "terminated" in house.container("side")["state"]


async def test_the_first_restart_is_free_and_later_ones_wait(house: House) -> None:
    house.run(shell("exit 1"))

    await house.until(lambda: house.container()["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff")

    container = house.container()
    assert container["restartCount"] == 1
    assert container["lastState"]["terminated"]["exitCode"] == 1
    assert "back-off 0.3s restarting failed container=c pod=p_default(" in container["state"]["waiting"]["message"]
    assert house.status()["phase"] == "Running"
    await house.until(lambda: house.container()["restartCount"] >= 3)
    assert house.events("BackOff")[0]["count"] >= 2


async def test_on_failure_restarts_only_failures(house: House) -> None:
    script = "if [ -e /data/once ]; then exit 0; fi; touch /data/once; exit 1"
    house.run(
        shell(script, volumeMounts=[{"name": "data", "mountPath": "/data"}]),
        restartPolicy="OnFailure",
        volumes=[{"name": "data", "emptyDir": {}}],
    )

    await house.until(lambda: house.status().get("phase") == "Succeeded")

    assert house.container()["restartCount"] == 1


async def test_a_killed_redis_comes_back_with_its_volume(house: House) -> None:
    house.run(
        {
            "name": "c", "image": "redis:7", "args": ["--appendonly", "yes", "--appendfsync", "always"],
            "readinessProbe": {"tcpSocket": {"port": 6379}, "periodSeconds": 1},
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        },
        volumes=[{"name": "data", "emptyDir": {}}],
    )  # fmt: skip
    await house.until_ready()
    await house.exec("sh", "-c", "redis-cli -h $(hostname) set k v")

    house.kubelet.signal("default", "p", "c", signal.SIGKILL)
    await house.until(lambda: house.container()["restartCount"] == 1 and house.is_ready())

    assert house.container()["lastState"]["terminated"]["exitCode"] == 137
    assert await house.exec("sh", "-c", "redis-cli -h $(hostname) get k") == (0, "v\n")


async def test_an_unknown_image_cannot_be_pulled(house: House) -> None:
    house.run({"name": "c", "image": "example.com/no/such:1"})

    await house.until(lambda: house.container()["state"].get("waiting", {}).get("reason") == "ErrImagePull")
    assert "no/such" in house.container()["state"]["waiting"]["message"]
    await house.until(lambda: house.container()["state"].get("waiting", {}).get("reason") == "ImagePullBackOff")
    assert house.status()["phase"] == "Pending"
    assert house.container()["state"]["waiting"]["message"] == 'Back-off pulling image "example.com/no/such:1"'


async def test_a_corrected_image_is_started_without_waiting(house: House) -> None:
    house.run(shell("sleep 1000", image="no/such"))
    await house.until(lambda: house.container()["state"].get("waiting", {}).get("reason") == "ImagePullBackOff")

    pod = house.pod()
    spec = {**pod["spec"], "containers": [{**pod["spec"]["containers"][0], "image": "busybox"}]}
    house.registry.update("pods", {**pod, "spec": spec})

    await house.until_ready()


async def test_a_changed_image_restarts_the_container(house: House) -> None:
    house.run(shell("sleep 1000", image="busybox:1"), terminationGracePeriodSeconds=0)
    await house.until_ready()

    pod = house.pod()
    spec = {**pod["spec"], "containers": [{**pod["spec"]["containers"][0], "image": "busybox:2"}]}
    house.registry.update("pods", {**pod, "spec": spec})

    await house.until(lambda: house.container()["restartCount"] == 1 and house.is_ready())
    assert house.container()["image"] == "busybox:2"


async def test_deletion_runs_the_hook_then_terms_and_removes_the_pod(house: House) -> None:
    house.run(
        shell(
            "trap 'echo term; exit 0' TERM; echo up; while :; do sleep 0.05; done",
            lifecycle={"preStop": {"exec": {"command": ["sh", "-c", "echo hook > /proc/1/fd/1; sleep 0.2"]}}},
        )
    )
    await house.until_said("up")
    log = house.kubelet.logs("default", "p", "c", follow=True)

    house.registry.delete("pods", "default", "p")

    assert b"".join([line async for line in log]) == b"up\nhook\nterm\n"
    await house.until_gone()


async def test_who_ignores_term_is_killed_after_the_grace_period(house: House) -> None:
    house.run(shell("trap '' TERM; echo up; while :; do sleep 0.05; done"), terminationGracePeriodSeconds=2)
    await house.until_said("up")
    pid = house.kubelet.pid("default", "p", "c")
    codes: list[int] = []

    def see(event: object) -> None:
        state = house.container()["state"] if house.registry.find("pods", "default", "p") else {}
        if "terminated" in state:
            codes.append(state["terminated"]["exitCode"])

    house.registry.subscribe("pods", see)
    began = asyncio.get_running_loop().time()
    house.registry.delete("pods", "default", "p")
    await house.until_gone()

    assert asyncio.get_running_loop().time() - began >= 2
    assert codes[-1:] == [137]
    assert not is_alive(pid)


async def test_a_shorter_second_deletion_cuts_the_wait(house: House) -> None:
    house.run(shell("trap '' TERM; echo up; while :; do sleep 0.05; done"), terminationGracePeriodSeconds=600)
    await house.until_said("up")

    house.registry.delete("pods", "default", "p")
    await house.until(lambda: house.events("Killing"))
    house.registry.delete("pods", "default", "p", grace_s=1)

    await house.until_gone()


async def test_a_forced_deletion_ends_the_process_behind_it(house: House) -> None:
    house.run(shell("sleep 1000"))
    await house.until_ready()
    pid = house.kubelet.pid("default", "p", "c")
    ended = os.pidfd_open(pid)

    house.registry.delete("pods", "default", "p", grace_s=0)

    gone = asyncio.Event()
    asyncio.get_running_loop().add_reader(ended, gone.set)
    async with asyncio.timeout(10):
        await gone.wait()
    asyncio.get_running_loop().remove_reader(ended)
    os.close(ended)


async def test_a_pod_deleted_while_it_waits_is_gone_at_once(house: House) -> None:
    house.run(
        shell("true", volumeMounts=[{"name": "v", "mountPath": "/v"}]),
        volumes=[{"name": "v", "configMap": {"name": "missing"}}],
    )
    await house.until(lambda: house.events("FailedMount"))

    house.registry.delete("pods", "default", "p")

    await house.until_gone()


async def test_a_pod_deleted_the_moment_it_is_created_leaves_nothing(house: House) -> None:
    for turn in range(5):
        house.run(shell("sleep 1000"), name=f"p{turn}")
        for _ in range(turn):
            await asyncio.sleep(0)
        house.registry.delete("pods", "default", f"p{turn}", grace_s=1)

    for turn in range(5):
        await house.until_gone(f"p{turn}")
    assert not list((house.folder / "pods").glob("*"))


async def test_names_resolve_inside_the_pod(house: House) -> None:
    house.run(
        shell(
            "hostname; cat /etc/hostname; getent hosts web-0.web.default.svc.cluster.local other localhost; sleep 1000"
        ),
        hostname="web-0",
        subdomain="web",
        hostAliases=[{"ip": "127.9.9.9", "hostnames": ["other"]}],
    )

    said = (await house.until_said("localhost")).split()

    address = house.status()["podIP"]
    assert said[:2] == ["web-0", "web-0"]
    assert said.count(address) == 2  # its own name, and localhost, which in a pod is the pod
    assert "127.9.9.9" in said


@pytest.mark.parametrize(
    "user", [0, pytest.param(999, marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root"))]
)
async def test_process_one_is_the_command_itself_which_nobody_inside_can_kill(house: House, user: int) -> None:
    security = {"runAsUser": user, "runAsGroup": user}
    house.run({"name": "c", "image": "busybox", "command": ["sleep", "1000"], "securityContext": security})
    await house.until_ready()
    pid = house.kubelet.pid("default", "p", "c")

    assert await house.exec("cat", "/proc/1/comm") == (0, "sleep\n")
    assert await house.exec("kill", "-KILL", "1") == (0, "")
    assert await house.exec("id", "-u") == (0, f"{user}\n")  # the kernel has dropped the signal: pid_namespaces(7)
    house.kubelet.signal("default", "p", "c", signal.SIGKILL)
    await house.until(lambda: house.container()["restartCount"] == 1)
    assert house.container()["lastState"]["terminated"]["exitCode"] == 137
    assert not is_alive(pid)


async def test_the_machine_is_read_only_and_out_of_sight(house: House) -> None:
    house.run(shell("sleep 1000"))
    await house.until_ready()

    code, said = await house.exec("sh", "-c", f"ls {house.folder}; ls /home; touch /usr/x; touch /tmp/mine && echo ok")

    assert "No such file" in said or code == 0
    assert "Read-only file system" in said
    assert said.endswith("ok\n")


async def test_a_read_only_root_leaves_only_the_volumes(house: House) -> None:
    mounts = [{"name": "data", "mountPath": "/data"}]
    house.run(
        shell("sleep 1000", securityContext={"readOnlyRootFilesystem": True}, volumeMounts=mounts),
        volumes=[{"name": "data", "emptyDir": {}}],
    )
    await house.until_ready()

    refused = await house.exec("sh", "-c", "touch /tmp/x")
    allowed = await house.exec("sh", "-c", "touch /data/x && echo ok")

    assert "Read-only file system" in refused[1]
    assert allowed == (0, "ok\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_a_pod_runs_as_the_user_it_names(house: House) -> None:
    house.run(shell("id -u; id -g; sleep 1000", securityContext={"runAsUser": 999, "runAsGroup": 998}))
    await house.until_said("998")

    assert await house.exec("id", "-u") == (0, "999\n")


async def test_env_comes_from_everywhere(house: House) -> None:
    house.create("configmaps", {"metadata": {"name": "conf"}, "data": {"COLOR": "red", "key": "value"}})
    house.create("secrets", {"metadata": {"name": "sec"}, "data": {"word": "c2VzYW1l"}})
    env = [
        {"name": "A", "value": "a"},
        {"name": "B", "value": "$(A)-$(NOPE)-$$(A)"},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        {"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "conf", "key": "key"}}},
        {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "sec", "key": "word"}}},
        {"name": "NONE", "valueFrom": {"secretKeyRef": {"name": "no", "key": "no", "optional": True}}},
        {"name": "MIB", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
    ]
    house.run(
        {
            "name": "c", "image": "busybox", "command": ["sh", "-c", "echo $0 $@; env | sort"],
            "args": ["$(A)", "$(B)"], "env": env, "envFrom": [{"prefix": "X_", "configMapRef": {"name": "conf"}}],
            "resources": {"limits": {"memory": "1Gi"}},
        },
        metadata={"labels": {"app": "rat"}},
        restartPolicy="Never",
    )  # fmt: skip
    await house.until_ended()

    said = (await house.said()).splitlines()

    assert said[0] == "a a-$(NOPE)-$(A)"
    wanted = {"A=a", "NODE=node-1", "LABEL=rat", "KEY=value", "WORD=sesame", "MIB=1024", "X_COLOR=red", "HOSTNAME=p"}
    assert wanted <= set(said)
    assert not [line for line in said if line.startswith("NONE=")]


async def test_secrets_are_not_in_the_argument_list(house: House) -> None:
    house.create("secrets", {"metadata": {"name": "sec"}, "data": {"word": "c2VzYW1l"}})
    env = [{"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "sec", "key": "word"}}}]
    house.run(shell("sleep 1000", env=env))
    await house.until_ready()

    assert b"sesame" not in command_lines(house.kubelet.pid("default", "p", "c"))


async def test_a_missing_key_is_a_config_error_until_it_appears(house: House) -> None:
    env = [{"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "conf", "key": "key"}}}]
    house.run(shell("echo $KEY; sleep 1000", env=env))
    await house.until(lambda: "CreateContainerConfigError" in str(house.container()["state"]))
    assert house.container()["state"]["waiting"]["message"] == 'configmap "conf" not found'

    house.create("configmaps", {"metadata": {"name": "conf"}, "data": {"key": "value"}})

    await house.until_said("value")


async def test_what_is_not_provided_stays_pending_and_says_so(house: House) -> None:
    house.run(shell("true"), hostPID=True)

    await house.until(lambda: house.status().get("reason") == "NotSupported")

    assert house.status()["phase"] == "Pending"
    assert house.status()["message"] == "localkube does not provide hostPID"


async def test_logs_have_times_a_tail_and_what_came_before(house: House) -> None:
    script = "if [ -e /d/once ]; then echo second life; sleep 1000; fi; touch /d/once; echo a; echo b; echo c; exit 1"
    house.run(shell(script, volumeMounts=[{"name": "d", "mountPath": "/d"}]), volumes=[{"name": "d", "emptyDir": {}}])
    await house.until(lambda: house.container()["restartCount"] == 1 and house.is_ready())
    await house.until_said("second life")

    assert await house.said(previous=True, tail_lines=2) == "b\nc\n"
    assert await house.said(previous=True, limit_bytes=3) == "a\nb"
    stamped = (await house.said(timestamps=True)).split(" ", 1)
    assert stamped[0].endswith("Z")
    assert stamped[1] == "second life\n"
    assert await house.said(since_time=stamped[0]) == "second life\n"
    assert await house.said(since_time="2999-01-01T00:00:00Z") == ""


async def test_logs_of_what_never_ran_are_refused(house: House) -> None:
    house.run({"name": "c", "image": "no/such"})
    await house.until(lambda: house.container()["state"].get("waiting", {}).get("reason") == "ErrImagePull")

    with pytest.raises(ApiError, match='container "c" in pod "p" is waiting to start'):
        house.kubelet.logs("default", "p", "c")


async def test_exec_talks_both_ways_and_returns_the_code(house: House) -> None:
    house.run(shell("sleep 1000"))
    await house.until_ready()

    running = house.kubelet.exec("default", "p", None, ["sh", "-c", "cat; echo err >&2; exit 5"], stdin=True)
    await running.write(b"x" * 300_000)
    running.close_stdin()
    said = [item async for item in running.output()]

    assert len(b"".join(data for stream, data in said if stream == "stdout")) == 300_000
    assert b"".join(data for stream, data in said if stream == "stderr") == b"err\n"
    assert await running.wait() == 5


async def test_exec_on_a_terminal(house: House) -> None:
    house.run(shell("sleep 1000"))
    await house.until_ready()

    running = house.kubelet.exec("default", "p", None, ["sh", "-c", "read go; stty size"], tty=True)
    running.resize(120, 40)
    await running.write(b"go\r")
    said = b"".join([data async for _, data in running.output()])

    assert said == b"go\r\n40 120\r\n"
    assert await running.wait() == 0


async def test_the_node_is_there_and_ready(house: House) -> None:
    node = house.registry.get("nodes", None, "node-1")

    assert node["status"]["conditions"][-1]["type"] == "Ready"
    assert node["status"]["allocatable"]["cpu"] == "16"
    assert node["metadata"]["labels"]["kubernetes.io/hostname"] == "node-1"
    await house.until(lambda: house.registry.find("leases.coordination.k8s.io", "kube-node-lease", "node-1"))


async def test_an_unchanged_pod_is_not_written_again(house: House) -> None:
    probe = {"exec": {"command": ["sh", "-c", "echo probed > /proc/1/fd/1"]}, "periodSeconds": 1}
    house.run(shell("sleep 1000", livenessProbe=probe))
    await house.until_ready()
    version = house.pod()["metadata"]["resourceVersion"]

    await house.until_said("probed\nprobed\n")

    assert house.pod()["metadata"]["resourceVersion"] == version


async def test_the_free_port_of_an_ended_pod_can_be_taken_again(house: House) -> None:
    house.run({"name": "c", "image": "redis:7", "readinessProbe": {"tcpSocket": {"port": 6379}, "periodSeconds": 1}})
    await house.until_ready()
    address = house.status()["podIP"]

    house.registry.delete("pods", "default", "p")
    await house.until_gone()

    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, 6379))
