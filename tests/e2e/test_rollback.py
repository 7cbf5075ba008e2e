"""An edit whose first new pod does not come up is given up after its time: nobody touched spec, and nothing is lost."""

from __future__ import annotations

import signal

import pytest

from tdredis.kube.client import Client
from tests.e2e.faults import NOISE_S, lost, under_load
from tests.e2e.test_faults import uids_of
from tests.e2e.world import Kube, Obj, Operator, Subject, condition, eventually, standalone, standby

ENDS = {"name": "ends", "image": "redis:7.0", "command": ["sh", "-c", "exit 3"]}


def rollout(kube: Kube) -> Obj:
    """Longer than a good pod takes to come up there."""
    return {"progressDeadlineSeconds": 4 if kube.is_localkube else 30}


async def given_up(subject: Subject) -> Obj:
    """The condition that says so, when all is well again."""

    async def is_back() -> Obj | None:
        resource = await subject.get()
        told = [each for each in resource["status"]["conditions"] if each["type"] == "RolledBack"]
        is_whole = condition(resource, "Ready")["status"] == "True"
        return told[0] if told and is_whole else None

    found: Obj | None = await eventually(is_back, "pods are as before", deadline_s=90.0)
    assert found is not None
    assert found["status"] == "True"
    return found


@pytest.mark.alone
async def test_an_image_that_does_not_exist_is_given_up_by_an_operator_that_is_killed_meanwhile(
    kube: Kube, client: Client, namespace: str
) -> None:
    async with Operator(kube, namespace) as operator:
        subject = await Subject.create(client, standby(namespace, rollout=rollout(kube)))
        await subject.until_ready()
        before = await uids_of(subject)
        async with under_load(subject) as ledgers:
            await subject.change(image="no-such-redis:99")

            async def is_tried() -> bool:
                return bool((await subject.get())["status"].get("rollout", {}).get("tried"))

            await eventually(is_tried, "it is tried")
            await operator.end(signal.SIGKILL)
            await operator.start()
            told = await given_up(subject)

            async def are_those() -> bool:
                return await uids_of(subject) == before

            await eventually(are_those, "nobody was recreated, and the pod that came first is gone")
        assert "generation 2 is not carried out" in told["message"]
        assert "no-such-redis:99" in told["message"]
        assert (await subject.get())["spec"]["image"] == "no-such-redis:99"
        assert await lost(subject, ledgers) == {}
        gaps = {way: round(ledger.longest_gap_s(), 3) for way, ledger in ledgers.items()}
        assert max(gaps.values()) <= NOISE_S, gaps


async def test_a_standalone_whose_new_pod_ends_over_and_over_has_its_data_again_and_takes_the_next_edit(
    kube: Kube, client: Client, namespace: str
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, standalone(namespace, rollout=rollout(kube)))
        await subject.until_ready()
        async with under_load(subject) as ledgers:
            await subject.change(pod={"annotations": {"team": "a"}, "containers": [ENDS]})
            told = await given_up(subject)
        assert "CrashLoopBackOff: container ends" in told["message"]
        assert await lost(subject, ledgers) == {}

        await subject.change(pod={"annotations": {"team": "a"}, "containers": None})

        async def is_carried_out() -> bool:
            resource = await subject.get()
            pods = [pod["metadata"]["annotations"].get("team") for pod in (await subject.pods()).values()]
            told = {each["type"]: each["status"] for each in resource["status"]["conditions"]}
            return pods == ["a"] and "RolledBack" not in told and (told["Ready"], told["Accepted"]) == ("True", "True")

        await eventually(is_carried_out, "the next edit is carried out", deadline_s=60.0)
