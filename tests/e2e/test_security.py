"""What the pods may do: nothing that Redis does not need."""

from __future__ import annotations

from tdredis.kube.client import Client
from tests.e2e.test_day_two import Manifest, kinds
from tests.e2e.world import Kube, Operator, Subject, standalone

LOOK = """
id -u
grep -q '^CapEff:[[:space:]]*0*$' /proc/1/status && echo no-capabilities
touch /not-allowed 2>/dev/null || echo read-only
test -e /var/run/secrets/kubernetes.io/serviceaccount || echo no-token
"""


@kinds("standby")
async def test_redis_runs_as_nobody_in_particular_and_can_write_its_data_only(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, manifest(namespace))
        await subject.until_ready()
        for pod in await subject.pods():
            code, out, err = await kube.kubectl("exec", "-n", namespace, pod, "-c", "redis", "--", "sh", "-c", LOOK)
            assert (code, out.split(), err) == (0, ["999", "no-capabilities", "read-only", "no-token"], "")


async def test_an_image_that_needs_more_is_given_what_it_has_itself(kube: Kube, client: Client, namespace: str) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, standalone(namespace, pod={"security": "image"}))
        await subject.until_ready()
        (pod,) = await subject.pods()
        code, out, _ = await kube.kubectl(
            "exec", "-n", namespace, pod, "-c", "redis", "--", "sh", "-c", "id -u; touch /tmp/allowed && echo written"
        )
        assert (code, out.split()) == (0, ["0", "written"])
