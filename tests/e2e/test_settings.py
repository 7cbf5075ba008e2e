"""Parameters of Redis while it runs: set on every process, and there after a restart."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tdredis.kube.client import Client
from tdredis.redislink.errors import LinkError
from tests.e2e.reach import linked
from tests.e2e.world import Kube, Obj, Operator, Subject, eventually, sample, standalone, standby

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


async def set_by_hand(subject: Subject, pod: str, *words: str) -> None:
    spec, there = (await subject.get())["spec"], await subject.pods()
    async with linked(f"{there[pod]['status']['podIP']}:6379", spec["secret"]) as link:
        await link.call("CONFIG", "SET", *words, timeout_s=5)


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
        await set_by_hand(subject, pod, "timeout", "599", "hz", "50")
        await subject.touch()
        await until_all_have(subject, "timeout", "600")  # spec names it
        assert "50" in await values_of(subject, "hz"), "and of this it says nothing"
        await kube.kubectl("delete", "pod", "-n", namespace, pod)
        await subject.until_ready()
        for name, (_, value) in OTHERS.items():
            await until_all_have(subject, name, value)
        await until_all_have(subject, "appendonly", "no")
        await until_all_have(subject, "hz", "10")

        await subject.change(config=None)  # a patch with {} would change nothing
        await until_all_have(subject, "appendonly", "yes")
        await until_all_have(subject, "maxclients", "10000")
        await until_all_have(subject, "maxmemory-policy", "allkeys-lru")
