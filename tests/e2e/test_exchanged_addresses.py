"""Two instances with one password whose pods get each other's addresses while the operator is away: each keeps its own
data, and nobody of one follows anybody of the other.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

import pytest

from tdredis.kube.client import Client
from tdredis.redis.facts import parse_info
from tdredis.redislink.errors import LinkError
from tests.e2e.faults import strike, tags_of
from tests.e2e.needs import LOCALKUBE
from tests.e2e.test_data_lost import ask, primaries
from tests.e2e.test_faults import A_STANDBY
from tests.e2e.world import Kube, Obj, Operator, Subject, eventually

pytestmark = pytest.mark.needs(LOCALKUBE)
WATCHED_S = 30.0  # longer than any Sentinel takes to reconfigure a replica that it believes to be its own


def named(manifest: Obj, app: str, name: str) -> Obj:
    return {
        **manifest,
        "metadata": {**manifest["metadata"], "name": name},
        "spec": {**manifest["spec"], "app": app},
    }


async def pair(subject: Subject) -> tuple[str, str]:
    """The first shard's primary, and its replica."""
    primary = (await primaries(subject))[0]
    (replica,) = [
        pod for pod in await subject.pods() if pod.rpartition("-")[0] == primary.rpartition("-")[0] and pod != primary
    ]
    return primary, replica


async def follows(subject: Subject, pod: str) -> str:
    """Whose data it has copied by now: the address of its primary, if the link is up; "": nobody's."""
    try:
        reply = await ask(subject, pod, "INFO", "replication")
    except (LinkError, KeyError):
        return ""
    assert isinstance(reply, bytes)
    found = parse_info(reply.decode())
    return found["master_host"] if found.get("master_link_status") == "up" else ""


async def addresses(subject: Subject) -> set[str]:
    return {pod["status"].get("podIP", "") for pod in (await subject.pods()).values()}


async def owners(subject: Subject) -> set[object]:
    """What every process of the first shard has under the key that tells whose data it is."""
    primary = (await primaries(subject))[0]
    pods = [pod for pod in await subject.pods() if pod.rpartition("-")[0] == primary.rpartition("-")[0]]
    seen: set[object] = set()
    for pod in pods:
        text = await ask(subject, pod, "KEYS", "*")
        assert isinstance(text, list)
        seen |= set(text)
    return seen


@A_STANDBY
async def test_nobody_follows_a_process_of_another_instance_that_has_a_former_address(
    kube: Kube, client: Client, namespace: str, manifest: Callable[..., Obj]
) -> None:
    async with Operator(kube, namespace):
        subjects = []
        for app, name in (("one", "redis-one"), ("two", "redis-two")):
            subject = await Subject.create(client, named(manifest(namespace), app, name))
            subjects.append(subject)
        for subject in subjects:
            await subject.until_ready()
            primary, _ = await pair(subject)
            tag = await first_key(subject)
            await ask(subject, primary, "SET", f"{subject.name}:{{{tag}}}", subject.name)
        for subject in subjects:
            await eventually(partial(all_have, subject), f"{subject.name} has its key everywhere")
    one, two = subjects
    (first, _), (_, second) = await pair(one), await pair(two)

    await strike(kube, "exchange-addresses", f"{namespace}/{first}", f"{namespace}/{second}")

    until = time.monotonic() + WATCHED_S
    while time.monotonic() < until:
        for subject, other in ((one, two), (two, one)):
            theirs = await addresses(other)
            for pod in await subject.pods():
                assert await follows(subject, pod) not in theirs - {""}, f"{pod} copied from {other.name}"
        await asyncio.sleep(0.2)  # between two looks, for as long as is watched
    async with Operator(kube, namespace):
        for subject in subjects:
            await subject.until_ready()
            await eventually(partial(all_have, subject), f"{subject.name} has its own key")


async def first_key(subject: Subject) -> str:
    """A hash tag of the first shard's."""
    resource = await subject.get()
    return tags_of(resource)[0] if "slots" in resource["status"] else "x"


async def all_have(subject: Subject) -> bool:
    seen = await owners(subject)
    return {bytes(key).decode().split(":")[0] for key in seen if isinstance(key, bytes)} == {subject.name}
