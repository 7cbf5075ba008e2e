"""Files that are lost or broken on running instances: no key is lost that a copy, a file or a refusal could keep,
whether the operator is there or not.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence

import pytest

from tdredis.kube.client import Client
from tdredis.kube.resources import PODS
from tdredis.manifests.claims import CLAIM
from tdredis.redis.facts import parse_info
from tdredis.redis.slots import parse_slots
from tdredis.redislink.errors import LinkError
from tests.e2e.faults import crash, in_container, tags_of
from tests.e2e.needs import PROCESSES
from tests.e2e.reach import linked
from tests.e2e.test_faults import A_CLUSTER, A_STANDBY, VOLUMES
from tests.e2e.world import Kube, Obj, Operator, Subject, condition, eventually, never, sample, standalone, standby

Manifest = Callable[..., Obj]
KEYS = 300
ALL = {"cluster": sample, "standby": standby, "standalone": standalone}


def mostly_long(kind: str) -> pytest.MarkDecorator:
    """What a start script does about broken files is the same for every kind, and tests/unit/start_script has all of
    it: `make test` tries the one that is named with pods, an operator and a status.
    """
    found = [pytest.param(make, id=name, marks=() if name == kind else pytest.mark.long) for name, make in ALL.items()]
    return pytest.mark.parametrize("manifest", found)


pytestmark = pytest.mark.needs(PROCESSES)

MANIFEST = "/data/appendonlydir/appendonly.aof.manifest"
NULS = "dd if=/dev/zero bs=300 count=1 >>$(ls /data/appendonlydir/*.incr.aof) 2>/dev/null"
OVER = "of=$f bs=1 conv=notrunc 2>/dev/null; done"
GARBAGE = f"for f in /data/appendonlydir/*.incr.aof; do printf '%0300d' 0 | dd seek=60 {OVER}"
FOREIGN = f"for f in /data/appendonlydir/*.base.rdb; do printf %s REDIS0099 | dd {OVER}"
OURS = FOREIGN.replace("REDIS0099", "REDIS0010")


async def ask(subject: Subject, pod: str, *words: str | int) -> object:
    ip = (await subject.pods())[pod]["status"]["podIP"]
    async with linked(f"{ip}:6379", (await subject.get())["spec"]["secret"]) as link:
        return await link.call(*words, timeout_s=5)


async def role(subject: Subject, pod: str) -> str:
    reply = await ask(subject, pod, "INFO", "replication")
    assert isinstance(reply, bytes)
    return parse_info(reply.decode())["role"]


async def primaries(subject: Subject) -> list[str]:
    return [line["primary"] for line in (await subject.get())["status"]["shards"]]


async def filled(client: Client, manifest: Obj) -> Subject:
    """KEYS keys in every shard, on every disk, and in the record."""
    subject = await Subject.create(client, manifest)
    resource = await subject.until_ready()
    tags = tags_of(resource) if "slots" in resource["status"] else ("",)
    for pod, tag in zip(await primaries(subject), tags, strict=True):
        ip = (await subject.pods())[pod]["status"]["podIP"]
        async with linked(f"{ip}:6379", resource["spec"]["secret"]) as link:
            keys = [("SET", f"{{{tag or 'x'}}}:{number}", "v" * 40) for number in range(KEYS)]
            assert set(await link.call_all(keys, timeout_s=10)) == {b"OK"}

    async def everywhere() -> bool:
        for pod in await subject.pods():
            size = await ask(subject, pod, "DBSIZE")
            info = await ask(subject, pod, "INFO", "persistence")
            if size != KEYS or not isinstance(info, bytes) or b"aof_last_bgrewrite_status:ok" not in info:
                return False
        return True

    async def recorded() -> bool:
        return all(line.get("keys") == KEYS for line in (await subject.get())["status"]["shards"])

    await eventually(everywhere, "every copy has the keys")
    await subject.touch()
    await eventually(recorded, "the record has the keys")
    for pod in await subject.pods():
        await ask(subject, pod, "CONFIG", "SET", "appendfsync", "always")
    return subject


async def break_and_kill(kube: Kube, subject: Subject, pods: Sequence[str], script: str) -> None:
    """*script* beside each process; then all end at once. As process 1 none can be killed by who is in its pod."""

    await asyncio.gather(*(in_container(kube, subject, pod, script) for pod in pods))
    await asyncio.gather(*(crash(subject, pod) for pod in pods))


async def keys_are_back(subject: Subject, pods: Iterable[str]) -> None:
    async def there() -> bool:
        for pod in pods:
            try:
                if await ask(subject, pod, "DBSIZE") != KEYS:
                    return False
            except (LinkError, KeyError):
                return False
        return True

    await eventually(there, f"{list(pods)} have {KEYS} keys", deadline_s=60)


async def told(subject: Subject, reason: str) -> str:
    """The message of its event *reason*."""

    async def heard() -> str:
        return next((str(event["message"]) for event in await subject.events() if event["reason"] == reason), "")

    await eventually(heard, f"the event {reason}")
    return await heard()


async def because(subject: Subject, reason: str) -> str:
    """The sentence of the condition Ready, once its reason is *reason*."""
    seen: Obj = {}

    async def said() -> bool:
        nonlocal seen
        seen = condition(await subject.get(), "Ready")
        return seen.get("reason") == reason

    try:
        await eventually(said, f"Ready is False because of {reason}", deadline_s=60)
    except AssertionError as error:
        raise AssertionError(f"{error}: {seen}") from None
    return str(seen["message"])


async def stays_lost(subject: Subject) -> None:
    """Also when replicas find somebody at their primary's address again, which takes them a second."""

    async def otherwise() -> Obj | None:
        seen = condition(await subject.get(), "Ready")
        return None if seen.get("reason") == "DataLost" else seen

    await never(otherwise, "nobody has said yet that it may begin anew", for_s=3, pause_s=0.1)


@mostly_long("standalone")
async def test_the_list_of_files_of_a_primary_is_lost_while_the_operator_is_away(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    async with Operator(kube, namespace):
        subject = await filled(client, manifest(namespace))
    primary = (await primaries(subject))[0]
    pods = [pod for pod in await subject.pods() if pod.rpartition("-")[0] == primary.rpartition("-")[0]]

    await break_and_kill(kube, subject, [primary], f"rm {MANIFEST}")

    await keys_are_back(subject, pods)
    async with Operator(kube, namespace):
        assert "written again from the only two files" in await told(subject, "FilesRepaired")
        await subject.until_ready()
        await keys_are_back(subject, await subject.pods())


@A_CLUSTER
async def test_broken_data_of_a_primary_costs_no_key_while_the_operator_is_away(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    async with Operator(kube, namespace):
        subject = await filled(client, manifest(namespace))
    primary = (await primaries(subject))[0]
    (replica,) = [
        pod for pod in await subject.pods() if pod.rpartition("-")[0] == primary.rpartition("-")[0] and pod != primary
    ]

    await break_and_kill(kube, subject, [primary], GARBAGE)

    async def led_by_the_other() -> bool:
        return await role(subject, replica) == "master"

    await eventually(led_by_the_other, "the replica took over", deadline_s=60)
    async with Operator(kube, namespace):
        assert "it is kept in /data/unusable-" in await told(subject, "DataUnusable")
        await subject.until_ready()
        await keys_are_back(subject, await subject.pods())
        assert (await primaries(subject))[0] == replica


@A_STANDBY
async def test_a_broken_copy_beside_a_whole_primary_is_made_anew(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    async with Operator(kube, namespace):
        subject = await filled(client, manifest(namespace))
        primary = (await primaries(subject))[0]
        (replica,) = [
            pod
            for pod in await subject.pods()
            if pod.rpartition("-")[0] == primary.rpartition("-")[0] and pod != primary
        ]

        await break_and_kill(kube, subject, [replica], NULS)

        assert f"pod {replica}: the engine cannot load the data" in await told(subject, "DataUnusable")
        await subject.until_ready()
        await keys_are_back(subject, await subject.pods())
        assert (await primaries(subject))[0] == primary


@pytest.mark.parametrize("replicas", [pytest.param(0, marks=pytest.mark.long), 1])
@pytest.mark.parametrize(
    "script",
    [
        pytest.param("printf 'no such thing' >>/data/nodes.conf", id="rubbish"),
        pytest.param("sed -i 's/-5460/-99999/' /data/nodes.conf", id="99999", marks=pytest.mark.long),
        pytest.param("rm /data/nodes.conf", id="gone", marks=pytest.mark.long),
    ],
)
async def test_every_nodes_conf_is_torn_at_once(
    kube: Kube, client: Client, namespace: str, script: str, replicas: int
) -> None:
    async with Operator(kube, namespace):
        subject = await filled(client, sample(namespace, replicas=replicas))
        before = (await subject.get())["status"]["slots"]

        await break_and_kill(kube, subject, list(await subject.pods()), script)

        if "rm" not in script:
            assert "nodes.conf" in await told(subject, "FilesRepaired")
        await keys_are_back(subject, list(await subject.pods()))
        await subject.until_ready()
        await keys_are_back(subject, list(await subject.pods()))
        after = (await subject.get())["status"]["slots"]
        assert {name: parse_slots(each).bits for name, each in after.items()} == {
            name: parse_slots(each).bits for name, each in before.items()
        }


@mostly_long("cluster")
async def test_all_copies_are_broken_and_nobody_begins_anew_before_a_person_says_so(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    async with Operator(kube, namespace):
        subject = await filled(client, manifest(namespace))
        before = (await subject.get())["status"].get("slots")

        await break_and_kill(kube, subject, list(await subject.pods()), GARBAGE)

        sentence = await because(subject, "DataLost")
        assert f"about {KEYS} keys" in sentence
        assert "/data/unusable-" in sentence
        await stays_lost(subject)
        command = sentence[sentence.index("kubectl ") + len("kubectl ") :].split("; ")[0]
        code, _, err = await kube.kubectl(*command.split())
        assert code == 0, err
        resource = await subject.until_ready()
        assert resource["status"].get("slots") == before
        assert {await ask(subject, pod, "DBSIZE") for pod in await subject.pods()} == {0}


@mostly_long("standby")
async def test_an_engine_that_cannot_read_the_data_empties_nobody_and_the_way_back_works(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    """As after an image of an older version: every copy is of a format that the engine does not know."""
    async with Operator(kube, namespace):
        subject = await filled(client, manifest(namespace, **VOLUMES))
        pods = list(await subject.pods())

        for pod in pods:
            await ask(subject, pod, "BGREWRITEAOF")

        async def rewritten() -> bool:
            found = [await ask(subject, pod, "INFO", "persistence") for pod in pods]
            ended = (b"aof_rewrite_in_progress:0", b"aof_rewrite_scheduled:0")
            return all(word in info for info in found for word in ended)  # type: ignore[operator] # INFO is bytes

        await eventually(rewritten, "everything is in the files that begin with a version")
        await break_and_kill(kube, subject, pods, FOREIGN)

        sentence = await because(subject, "CrashLoopBackOff")
        assert "was written by an engine that writes REDIS0099" in sentence
        for pod in pods:
            await beside_the_volume(kube, subject, pod, OURS)  # what the former image does: it can read the data
        for pod in pods:
            await kube.kubectl("delete", "pod", "-n", namespace, pod, "--wait=false")
        await subject.until_ready()
        await keys_are_back(subject, list(await subject.pods()))


async def beside_the_volume(kube: Kube, subject: Subject, pod: str, script: str) -> None:
    """Runs *script* in another pod that has *pod*'s volume at /data."""
    name = f"beside-{pod}"
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": subject.namespace},
        "spec": {
            "restartPolicy": "Never",
            "containers": [
                {
                    "name": "sh",
                    "image": "redis:7.0",
                    "command": ["sh", "-c", script],
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                }
            ],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": f"{CLAIM}-{pod}"}}],
        },
    }
    code, _, err = await kube.kubectl("create", "-f", "-", stdin=json.dumps(manifest))
    assert code == 0, err

    async def done() -> bool:
        found: Obj = await subject.client.get(PODS, subject.namespace, name)
        return bool(found["status"].get("phase") == "Succeeded")

    await eventually(done, f"{name} has run")
