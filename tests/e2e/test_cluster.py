"""A RedisCluster from the published sample, on real processes: made, used, kept, explained and deleted."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tdredis.kube.client import FIELD_MANAGER, Client
from tdredis.kube.resources import (
    CONFIGMAPS,
    DEPLOYMENTS,
    ENDPOINTS,
    EVENTS,
    PODS,
    REDISCLUSTERS,
    SECRETS,
    SERVICES,
    STATEFULSETS,
)
from tdredis.manifests.names import MANAGED_BY_SELECTOR
from tdredis.redislink.access import Access
from tdredis.redislink.link import connect
from tests.e2e.leftovers import OURS, nothing_left, ours
from tests.e2e.needs import SIX_NODES
from tests.e2e.reach import write_and_read
from tests.e2e.world import (
    BIN,
    Kube,
    Obj,
    Operator,
    condition,
    eventually,
    get_cluster,
    never,
    new_namespace,
    sample,
    until_ready,
)

PEACE_S = 20.0  # a pass comes every fifteen
INNER, OUTER = "inner-vault-4711", "outer-door-4712"


async def test_the_sample_becomes_ready_takes_keys_and_leaves_nothing(
    kube: Kube, client: Client, namespace: str
) -> None:
    spreads = SIX_NODES.is_met(kube.kubeconfig)
    async with Operator(kube, namespace):
        await client.create(REDISCLUSTERS, sample(namespace, env="production" if spreads else "demo"))
        resource = await until_ready(client, namespace)

        status = resource["status"]
        assert (status["size"], status["capacity"], len(status["shards"])) == (3, 192, 3)
        assert status["slots"]["redis-cluster-rat-1"] == ["5461-10922"]
        await write_and_read(resource["status"]["clusterIP"], "abc")
        await eventually(lambda: speaks_resp3(client, namespace), "a client of RESP3 reads by its own port")
        nodes = {pod["spec"]["nodeName"] for pod in await redis_pods(client, namespace)}
        assert len(nodes) == 6 or not spreads

        await client.delete(REDISCLUSTERS, namespace, "redis-cluster-rat")

        await eventually(lambda: nothing_left(client, namespace), "everything of the resource is gone")


async def speaks_resp3(client: Client, namespace: str) -> bool:
    """By the address that status names, with the settings that the client has by itself."""
    status = (await get_cluster(client, namespace))["status"]
    address = status["addresses"].get("redis-resp3")
    if address is None:
        return False
    assert status["addresses"]["redis"] == status["clusterIP"]
    host, _, port = address.rpartition(":")
    async with Redis(host=host, port=int(port), password="abc", socket_timeout=10) as user:
        await user.hset("told:once", mapping={"by": "resp3"})
        return await user.hgetall("told:once") == {b"by": b"resp3"}


async def test_a_resource_made_again_under_its_name_at_once_is_a_new_one(
    kube: Kube, client: Client, namespace: str
) -> None:
    async with Operator(kube, namespace):
        await client.create(REDISCLUSTERS, sample(namespace))
        resource = await until_ready(client, namespace)
        await write_and_read(resource["status"]["clusterIP"], "abc", count=10)

        await client.delete(REDISCLUSTERS, namespace, "redis-cluster-rat")
        await client.create(REDISCLUSTERS, sample(namespace, secret="other", proxysecret="another"))

        resource = await until_ready(client, namespace)
        host, _, port = resource["status"]["clusterIP"].rpartition(":")
        link = await connect(host, int(port), access=Access(("another",)), timeout_s=10)
        assert await link.call("GET", "key:1", timeout_s=10) is None
        link.close()


async def redis_pods(client: Client, namespace: str) -> list[Obj]:
    return await client.list(PODS, namespace, label_selector="app.kubernetes.io/component=redis")


@pytest.mark.parametrize("for_s", [PEACE_S, pytest.param(4 * PEACE_S, marks=pytest.mark.long)])
async def test_in_peace_nothing_is_written_not_even_after_a_second_apply_or_a_restart(
    kube: Kube, client: Client, namespace: str, for_s: float
) -> None:
    """Counted where it cannot hide: the operator's own counter of requests, and the version of every object."""
    manifest = json.dumps(sample(namespace))
    async with Operator(kube, namespace) as operator:
        assert (await kube.kubectl("apply", "-f", "-", stdin=manifest))[0] == 0
        await until_ready(client, namespace)
        await until_nothing_is_left_to_do(kube, namespace)
        await eventually(lambda: all_pods_are_ready(client, namespace), "the last proxy's pod is ready too")
        before = await versions(client, namespace)

        assert (await kube.kubectl("apply", "-f", "-", stdin=manifest))[0] == 0
        await operator.end()
        await operator.start()
        await eventually(lambda: leads(operator), "the operator leads again")

        async def somebody_wrote() -> str:
            now = await versions(client, namespace)
            changed = [name for name in {**before, **now} if before.get(name) != now.get(name)]
            return ", ".join([*changed, *await operator.writes()])

        await never(somebody_wrote, "written in peace", for_s=for_s, pause_s=2.0)


async def all_pods_are_ready(client: Client, namespace: str) -> bool:
    """One proxy's pod is enough for Ready; what the others still do is Kubernetes' own writing."""
    pods: list[Obj] = await client.list(PODS, namespace)
    return all(condition(pod, "Ready").get("status") == "True" for pod in pods)


async def leads(operator: Operator) -> bool:
    return operator.log.read_text().count('"became leader"') == 2


async def until_nothing_is_left_to_do(kube: Kube, namespace: str) -> None:
    async def no_plan() -> bool:
        return "nothing to do" in await explain(kube, namespace)

    await eventually(no_plan, "the plan is empty", pause_s=0.3)


async def versions(client: Client, namespace: str) -> dict[str, object]:
    """resourceVersion of every object of the namespace, but for the operator's own lease, and for what others say in
    events: a kubelet counts up one of its own for as long as a pod runs.
    """
    found: dict[str, object] = {}
    for kind in (*OURS, REDISCLUSTERS, EVENTS, ENDPOINTS):
        if kind.key not in await client.discover():
            continue
        for item in await client.list(kind, namespace):
            metadata: Obj = item["metadata"]  # type: ignore[assignment]
            if kind is EVENTS and item["source"].get("component") != FIELD_MANAGER:  # type: ignore[union-attr]
                continue
            found[f"{kind}/{metadata['name']}"] = metadata["resourceVersion"]
    return found


async def explain(kube: Kube, namespace: str) -> str:
    images = [word for old, new in kube.images.items() for word in ("--image-map", f"{old}={new}")]
    process = await asyncio.create_subprocess_exec(
        str(BIN / "tdredis"),
        *("explain", "--kubeconfig", str(kube.kubeconfig), "-n", namespace, *images, "rediscluster/redis-cluster-rat"),
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(120):
        out, _ = await process.communicate()
    return out.decode()


async def test_explain_says_what_would_be_done_and_does_nothing(kube: Kube, client: Client, namespace: str) -> None:
    await client.create(REDISCLUSTERS, sample(namespace))

    text = await explain(kube, namespace)

    assert text.startswith(f"rediscluster/redis-cluster-rat in namespace {namespace}: forming (phase NotReady)")
    assert "1. apply ConfigMap redis-cluster-rat - it does not exist" in text
    assert "status" not in await get_cluster(client, namespace)
    assert await ours(client, CONFIGMAPS, namespace) == []


@pytest.mark.timeout(900)
@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.long), 8])
async def test_an_operator_killed_after_any_step_of_creation_is_succeeded_by_one_that_finishes(
    kube: Kube, client: Client, every: int
) -> None:
    """Walks the steps, all or one in *every*: the first run that is Ready without having died was one step too long,
    and ends the walk.
    """
    at_once = asyncio.Semaphore(2)  # more would wait for each other's processors, and run into deadlines
    walked = asyncio.Event()
    died: list[int] = []

    async def live_and_die(after: int) -> None:
        async with at_once:
            if walked.is_set():
                return
            async with new_namespace(client) as namespace:
                if await dies(kube, client, namespace, after):
                    died.append(after)
                    async with Operator(kube, namespace):
                        resource = await until_ready(client, namespace)
                        await write_and_read(resource["status"]["clusterIP"], "abc", count=20)
                else:
                    walked.set()
                await client.delete(REDISCLUSTERS, namespace, "redis-cluster-rat")

    async with asyncio.TaskGroup() as group:
        for after in range(1, 80, every):
            group.create_task(live_and_die(after))

    assert walked.is_set()
    first = range(1, 21, every)
    assert sorted(died)[: len(first)] == list(first)


async def dies(kube: Kube, client: Client, namespace: str, after: int) -> bool:
    """True: the operator died after its step number *after*. False: Ready came first."""
    program = (sys.executable, str(Path(__file__).with_name("dying_operator.py")), str(after))
    async with Operator(kube, namespace, program=program) as operator:
        await client.create(REDISCLUSTERS, sample(namespace))
        process = operator.process
        assert process is not None

        async def over() -> str:
            if process.returncode is not None:
                return "died"
            resource = await get_cluster(client, namespace)
            done = resource.get("status", {}).get("phase") == "Ready"
            return "ready" if done and "nothing to do" in await explain(kube, namespace) else ""

        end = await eventually(over, "the operator died, or Ready")
        if end == "died":
            assert process.returncode == -signal.SIGKILL, operator.log.read_text()[-2000:]
        return end == "died"


async def test_passwords_are_in_secrets_and_in_nothing_else(kube: Kube, client: Client, namespace: str) -> None:
    async with Operator(kube, namespace) as operator:
        await client.create(REDISCLUSTERS, sample(namespace, secret=INNER, proxysecret=OUTER))
        resource = await until_ready(client, namespace)
        await write_and_read(resource["status"]["clusterIP"], OUTER, count=10)

        places = {"operator log": operator.log.read_text(), "status": json.dumps(resource["status"])}
        for kind in (CONFIGMAPS, EVENTS, PODS, STATEFULSETS, DEPLOYMENTS, SERVICES):
            places[str(kind)] = json.dumps(await client.list(kind, namespace))
        for process in Path("/proc").glob("[0-9]*/cmdline"):  # noqa: ASYNC240 procfs does not block
            try:
                places[str(process)] = process.read_bytes().decode("utf-8", "replace")
            except OSError:
                continue  # it ended while we looked
        for pod in await client.list(PODS, namespace):
            name: str = pod["metadata"]["name"]  # type: ignore[index, call-overload, assignment]
            code, out, err = await kube.kubectl("logs", "-n", namespace, name, "--all-containers")
            assert code == 0, err
            places[f"log of {name}"] = out

        assert [place for place, text in places.items() if INNER in text or OUTER in text] == []
        secrets = await client.list(SECRETS, namespace, label_selector=MANAGED_BY_SELECTOR)
        assert len(secrets) == 2


async def test_an_image_that_does_not_exist_is_named_and_correcting_it_heals(
    kube: Kube, client: Client, namespace: str
) -> None:
    async with Operator(kube, namespace):
        await client.create(REDISCLUSTERS, sample(namespace, image="no-such-redis:99"))

        async def named() -> bool:
            ready = condition(await get_cluster(client, namespace), "Ready")
            return (
                ready.get("reason") in ("ErrImagePull", "ImagePullBackOff")
                and "redis-cluster-rat-0-0" in ready["message"]
            )

        await eventually(named, "the condition names pod and reason")

        async def told() -> bool:
            events = await client.list(EVENTS, namespace, field_selector="involvedObject.kind=RedisCluster")
            return any(each["type"] == "Warning" and "redis-cluster-rat-0-0" in str(each["message"]) for each in events)

        await eventually(told, "an event names pod and reason")
        await client.patch(REDISCLUSTERS, namespace, "redis-cluster-rat", {"spec": {"image": "redis:7.0"}})

        resource = await until_ready(client, namespace)
        await write_and_read(resource["status"]["clusterIP"], "abc", count=10)


async def test_an_object_of_somebody_else_is_left_alone_and_named(kube: Kube, client: Client, namespace: str) -> None:
    theirs: Obj = {
        "metadata": {"name": "redis-cluster-rat-auth", "namespace": namespace},
        "stringData": {"a": "theirs"},
    }
    await client.create(SECRETS, theirs)
    async with Operator(kube, namespace):
        await client.create(REDISCLUSTERS, sample(namespace))

        async def named() -> bool:
            message = condition(await get_cluster(client, namespace), "Progressing").get("message", "")
            return "apply Secret redis-cluster-rat-auth: there is one that is not ours" in message

        await eventually(named, "the condition names the object")
        assert list((await client.get(SECRETS, namespace, "redis-cluster-rat-auth"))["data"]) == ["a"]  # type: ignore[arg-type]
        await client.delete(SECRETS, namespace, "redis-cluster-rat-auth")

        await until_ready(client, namespace)


@pytest.mark.needs(SIX_NODES)
async def test_too_few_nodes_leave_pods_pending_and_the_condition_says_so(
    kube: Kube, client: Client, namespace: str
) -> None:
    async with Operator(kube, namespace):
        await client.create(REDISCLUSTERS, sample(namespace, env="production", size=4, capacity=256))

        async def said() -> bool:
            ready = condition(await get_cluster(client, namespace), "Ready")
            return (
                ready.get("reason") == "Unschedulable"
                and "6 node(s) didn't match pod anti-affinity rules" in ready["message"]
            )

        await eventually(said, "the condition has the scheduler's words")
