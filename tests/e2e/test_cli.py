"""The command line as kubectl's plugin, on a running instance: commands do what they say, and show no password."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import redis.asyncio

from localkube.kubelet.lifeline import tied_to
from tdredis.kube.client import Client
from tests.e2e.world import BIN, Kube, Operator, Subject, eventually, standby
from tests.kit.servers import HOST, free_port

PASSWORD = "right-horse-battery"
COMMAND_S = 60.0


class Plugin:
    """`kubectl tdredis ...`, as somebody types it."""

    def __init__(self, kube: Kube, namespace: str, folder: Path) -> None:
        self.namespace = namespace
        self.folder = folder
        self.environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "KUBECONFIG": str(kube.kubeconfig)}

    async def start(self, *words: str, **streams: Any) -> asyncio.subprocess.Process:
        command = 2 if words[0] == "config" else 1
        return await asyncio.create_subprocess_exec(
            "kubectl",
            *("tdredis", *words[:command], "-n", self.namespace, *words[command:]),
            cwd=self.folder,
            env=self.environment,
            preexec_fn=tied_to(os.getpid()),
            stdin=subprocess.DEVNULL,
            **streams,
        )

    async def type(self, *words: str, code: int = 0) -> str:
        """What it prints. Raises AssertionError where it ends otherwise than with *code*, or shows the password."""
        process = await self.start(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        async with asyncio.timeout(COMMAND_S):
            out, err = await process.communicate()
        assert process.returncode == code, (words, out, err)
        assert PASSWORD not in out.decode() + err.decode(), words
        return out.decode()

    async def data(self, *words: str) -> Any:
        return json.loads(await self.type(*words, "-o", "json"))


async def test_every_command_does_what_it_says(kube: Kube, client: Client, namespace: str, tmp_path: Path) -> None:
    async with Operator(kube, namespace):
        tom = await Subject.create(client, standby(namespace, secret=PASSWORD, secretRef=None))
        await tom.until_ready()
        plugin, name = Plugin(kube, namespace, tmp_path), tom.name

        await it_is_shown_as_it_is(plugin, name)
        await processes_are_asked(plugin, name)
        await a_port_is_forwarded(plugin, name)
        await a_bundle_has_all_but_passwords(plugin, tom)
        await wishes_are_carried_out(plugin, tom)


async def it_is_shown_as_it_is(plugin: Plugin, name: str) -> None:
    status = await plugin.data("status", name)
    assert (status["phase"], status["shards"][0]["primary"]) == ("Ready", f"{name}-0")
    assert {each["role"] for each in status["pods"]} == {"primary", "replica", "sentinel"}
    assert "nothing to do" in await plugin.type("explain", name)
    assert "nothing is wrong" in await plugin.type("diagnose", name)
    assert (await plugin.data("fix", "--dry-run", name))["steps"] == []
    assert f"redisstandby/{name}" in await completed(plugin, "status", "")


async def completed(plugin: Plugin, *words: str) -> str:
    """What kubectl itself offers for the plugin's words, by kubectl_complete-tdredis."""
    process = await asyncio.create_subprocess_exec(
        *("kubectl", "__complete", "tdredis", words[0], "-n", plugin.namespace, *words[1:]),
        env=plugin.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    async with asyncio.timeout(COMMAND_S):
        out, _ = await process.communicate()
    return out.decode()


async def processes_are_asked(plugin: Plugin, name: str) -> None:
    everything = ("slowlog-log-slower-than=0", "slowlog-max-len=2000")
    await plugin.type("config", "set", name, *everything, "maxmemory-policy=allkeys-lru")

    async def is_set() -> bool:
        found = await plugin.data("config", "get", name)
        return all(set(each["effective"].values()) == {each["spec"]} for each in found)

    await eventually(is_set, "every process has the parameters")
    hidden = await plugin.data("config", "get", name, "requirepass")
    assert set(hidden[0]["effective"].values()) == {"***"}
    assert (await plugin.type("cli", name, "SET", "fruit", "two words")).strip() == "OK"
    assert (await plugin.type("cli", name, "GET", "fruit")).strip() == "two words"
    top = await plugin.data("top", name)
    assert {each["role"] for each in top} == {"master", "slave"}
    assert {each["keys"] for each in top if each["role"] == "master"} == {1}
    slow = await plugin.data("slowlog", name, "--count", "2000")
    assert ["SET", "fruit", "two words"] in [each["command"] for each in slow["entries"]]
    assert re.search(rf"{name}-0", await plugin.type("logs", name, "--tail", "2"))


async def a_port_is_forwarded(plugin: Plugin, name: str) -> None:
    port = free_port()
    process = await plugin.start(
        "forward", name, "--port", str(port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        async with redis.asyncio.Redis(host=HOST, port=port, password=PASSWORD) as reached:

            async def answers() -> bool:
                try:
                    return await reached.get("fruit") == b"two words"
                except redis.exceptions.ConnectionError:
                    return False

            await eventually(answers, "Redis answers at the forwarded port")
    finally:
        process.terminate()
        await process.wait()


async def a_bundle_has_all_but_passwords(plugin: Plugin, tom: Subject) -> None:
    await plugin.type("report", tom.name, "--file", "bundle.zip")
    with zipfile.ZipFile(plugin.folder / "bundle.zip") as archive:
        found = {each: archive.read(each).decode() for each in archive.namelist()}

    assert [each for each, text in found.items() if PASSWORD in text] == []
    pod = f"{tom.name}-0"
    assert "redis_version" in found[f"redis/{pod}/info-everything.txt"]
    assert "requirepass ***" in found[f"redis/{pod}/config.txt"]
    assert found[f"logs/{pod}/redis.log"]
    assert "nothing is wrong" in found["explain.txt"]


async def wishes_are_carried_out(plugin: Plugin, tom: Subject) -> None:
    before = await tom.primary()
    await plugin.type("pause", tom.name)
    await eventually(lambda: is_in(tom, "Suspended"), "it is paused")
    await plugin.type("resume", tom.name)
    await tom.until_ready()
    await plugin.type("handover", tom.name)

    async def is_handed_over() -> bool:
        status = (await tom.get())["status"]
        return bool(status.get("handover", {}).get("done")) and await tom.primary() != before

    await eventually(is_handed_over, "another pod is the primary")
    uids = {name: pod["metadata"]["uid"] for name, pod in (await tom.pods("sentinel")).items()}
    await plugin.type("restart", tom.name, next(iter(uids)).rpartition("-")[0])

    async def are_new() -> bool:
        pods = await tom.pods("sentinel")
        return len(pods) == len(uids) and all(pod["metadata"]["uid"] != uids[name] for name, pod in pods.items())

    await eventually(are_new, "every Sentinel's pod is a new one")
    await tom.until_ready()


async def is_in(subject: Subject, phase: str) -> bool:
    return bool((await subject.get())["status"]["phase"] == phase)
