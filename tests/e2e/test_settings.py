"""Parameters of Redis while it runs: the page about settings, typed block by block, and what stays over a restart."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tdredis.kube.client import Client
from tdredis.redislink.errors import LinkError
from tests.e2e.reach import linked
from tests.e2e.world import Kube, Obj, Operator, Subject, condition, eventually, sample, standalone, standby

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/howto/settings.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
Manifest = Callable[..., Obj]
KINDS = pytest.mark.parametrize("manifest", [sample, standby, standalone], ids=["cluster", "standby", "standalone"])
# As an operator's page of before offered them, with another value than the default.
OF_THE_EDITOR = {
    "activerehashing": "no",
    "appendfsync": "always",
    "appendonly": "no",
    "hash-max-ziplist-entries": 64,
    "hash-max-ziplist-value": 32,
    "hll-sparse-max-bytes": 1000,
    "list-compress-depth": 1,
    "maxmemory-policy": "volatile-ttl",
    "maxmemory-samples": 7,
    "no-appendfsync-on-rewrite": "yes",
    "set-max-intset-entries": 64,
    "slowlog-log-slower-than": 5000,
    "slowlog-max-len": 256,
    "stop-writes-on-bgsave-error": "no",
    "tcp-keepalive": 100,
    "timeout": 600,
    "zset-max-ziplist-entries": 64,
    "zset-max-ziplist-value": 32,
}
OTHERS = {
    "notify-keyspace-events": ("KEA", "AKE"),
    "maxclients": (500, "500"),
    "client-output-buffer-limit": (
        "replica 64mb 32mb 30",
        "normal 0 0 0 slave 67108864 33554432 30 pubsub 33554432 8388608 60",
    ),
    "save": ("900 1 300 10", "900 1 300 10"),
}


async def values_of(subject: Subject, parameter: str) -> set[str]:
    """CONFIG GET of every Redis pod."""
    password = (await subject.get())["spec"]["secret"]
    found = set()
    for pod in (await subject.pods()).values():
        async with linked(f"{pod['status'].get('podIP', '')}:6379", password) as link:
            reply = await link.call("CONFIG", "GET", parameter, timeout_s=5)
        assert isinstance(reply, list)
        found.add(bytes(reply[1]).decode())
    return found


async def until_all_have(subject: Subject, parameter: str, value: str) -> None:
    async def have() -> bool:
        try:
            return await values_of(subject, parameter) == {value}
        except LinkError:
            return False  # one of them is being restarted

    await eventually(have, f"every process has {parameter} {value}")


@KINDS
async def test_parameters_are_set_while_redis_runs_and_are_there_after_a_restart(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, manifest(namespace))
        await subject.until_ready()
        before = {name: pod["metadata"]["uid"] for name, pod in (await subject.pods()).items()}
        config = {**OF_THE_EDITOR, **{name: wanted for name, (wanted, _) in OTHERS.items()}}

        await subject.change(config=config)

        for name, value in OF_THE_EDITOR.items():
            await until_all_have(subject, name, str(value))
        for name, (_, value) in OTHERS.items():
            await until_all_have(subject, name, value)
        assert {name: pod["metadata"]["uid"] for name, pod in (await subject.pods()).items()} == before
        await subject.until_ready()

        pod = max(before)
        await kube.kubectl("delete", "pod", "-n", namespace, pod)
        await subject.until_ready()
        for name, (_, value) in OTHERS.items():
            await until_all_have(subject, name, value)
        await until_all_have(subject, "appendonly", "no")

        await subject.change(config=None)  # a patch with {} would change nothing
        await until_all_have(subject, "appendonly", "yes")
        await until_all_have(subject, "maxclients", "10000")
        await until_all_have(subject, "maxmemory-policy", "allkeys-lru")


async def test_the_page_about_settings_does_what_it_says(kube: Kube, client: Client, namespace: str) -> None:
    """Each block is typed as it stands; what follows it in the page is what is looked for."""
    async with Operator(kube, namespace):
        manifest = standby(namespace)
        manifest["metadata"]["name"] = "redis-tom"
        subject = await Subject.create(client, manifest)
        await subject.until_ready()

        set_some, refuse, restart, put_back = BLOCKS
        await typed(kube, set_some, namespace)
        await until_all_have(subject, "maxmemory-policy", "noeviction")
        await until_all_have(subject, "timeout", "300")

        await typed(kube, refuse, namespace)
        await accepted(subject, "False", "argument(s) must be one of the following")
        assert await values_of(subject, "maxmemory-policy") == {"noeviction"}
        assert (await subject.get())["status"]["phase"] == "Ready"

        await typed(kube, restart, namespace)
        await until_all_have(subject, "tcp-backlog", "1024")
        await accepted(subject, "True", "")

        await typed(kube, put_back, namespace)
        await until_all_have(subject, "timeout", "0")
        await until_all_have(subject, "maxmemory-policy", "allkeys-lru")
        await until_all_have(subject, "tcp-backlog", "511")
        await accepted(subject, "True", "spec is fully applied")


async def accepted(subject: Subject, status: str, words: str) -> None:
    async def is_said() -> bool:
        found = condition(await subject.get(), "Accepted")
        return found["status"] == status and words in found["message"]

    await eventually(is_said, f"Accepted is {status} and says: {words}")


async def typed(kube: Kube, block: str, namespace: str) -> None:
    """*block* of the page, with its own namespace."""
    for command in block.replace("\\\n", " ").splitlines():
        words = re.findall(r"'[^']*'|\S+", command)
        assert words[0] == "kubectl", command
        arguments = [word.strip("'") for word in words[1:]]
        arguments = [namespace if word == "redis" else word for word in arguments]
        code, _, error = await kube.kubectl(*arguments)
        assert code == 0, error
