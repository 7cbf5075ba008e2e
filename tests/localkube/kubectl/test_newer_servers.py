"""Claims about verbs whose kubectl asks for what older servers do not have: explanations, CronJobs, resizing."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.conformance.namespace import Namespace, build_container, container_status, is_ready
from tests.localkube.kubectl.command import Kubectl

CRDS = Path(__file__).parents[3] / "deploy" / "crds" / "cache.tongdun.net.yaml"


async def test_explain_says_what_our_definitions_say(kubectl: Kubectl) -> None:
    (await kubectl("apply", "--server-side", "-f", str(CRDS))).ok()
    [definition] = [
        one for one in yaml.safe_load_all(CRDS.read_text()) if one["spec"]["names"]["kind"] == "RedisCluster"
    ]
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    (await kubectl("wait", "--for=condition=Established", f"crd/{definition['metadata']['name']}")).ok()

    explained = (await kubectl("explain", "redisclusters.spec")).ok()
    size = (await kubectl("explain", "redisclusters.spec.size")).ok()

    assert all(f"\n  {name}\t<" in explained for name in schema["properties"])
    assert "size\t<integer> -required-" in explained
    assert "".join(schema["properties"]["size"]["description"].split()) in "".join(size.split())


async def test_explain_knows_the_built_in_kinds(kubectl: Kubectl) -> None:
    explained = (await kubectl("explain", "statefulset.spec.template.spec.containers.ports")).ok()

    assert "containerPort\t<integer> -required-" in explained


async def test_a_cron_job_is_created_as_typed(ns: Namespace, kubectl: Kubectl) -> None:
    said = await kubectl("create", "cronjob", "a", "--image=busybox", "--schedule=0 0 1 1 *", "--", "true")

    made = await ns.api.read(f"/apis/batch/v1/namespaces/{ns.name}/cronjobs/a")
    assert said.ok() == "cronjob.batch/a created\n"
    assert made["spec"]["schedule"] == "0 0 1 1 *"
    assert made["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["command"] == ["true"]


async def test_a_running_pod_is_resized_through_its_own_door(ns: Namespace, kubectl: Kubectl) -> None:
    await ns.run("a", containers=[build_container(resources={"requests": {"cpu": "10m"}})])
    await ns.until("pods", "a", is_ready)
    patch = '{"spec":{"containers":[{"name":"main","resources":{"requests":{"cpu":"20m"}}}]}}'

    said = await kubectl("patch", "pod", "a", "--subresource", "resize", "--patch", patch)

    assert said.ok() == "pod/a patched\n"
    await ns.until("pods", "a", lambda pod: container_status(pod)["allocatedResources"] == {"cpu": "20m"})
