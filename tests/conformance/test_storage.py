"""Claims: a claim gets a volume of its class, keeps what is written there, and is protected while in use."""

from __future__ import annotations

from typing import Any

from tests.conformance.client import Obj
from tests.conformance.namespace import Namespace, build_container


def build_claim(name: str, **spec: Any) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}} | spec,
    }


def mounting(claim: str, script: str) -> Obj:
    return {
        "containers": [build_container(script, volumeMounts=[{"name": "data", "mountPath": "/data"}])],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
        "restartPolicy": "Never",
    }


async def until_succeeded(ns: Namespace, name: str) -> Obj:
    return await ns.until("pods", name, lambda p: p["status"]["phase"] == "Succeeded", 60)


async def test_there_is_one_default_class(ns: Namespace) -> None:
    classes = (await ns.api.read("/apis/storage.k8s.io/v1/storageclasses"))["items"]

    defaults = [
        c["metadata"]["name"]
        for c in classes
        if c["metadata"].get("annotations", {}).get("storageclass.kubernetes.io/is-default-class") == "true"
    ]
    assert len(defaults) == 1


async def test_a_claim_without_class_gets_the_default_one_and_a_volume(ns: Namespace) -> None:
    made = await ns.create("persistentvolumeclaims", build_claim("c"))
    await ns.run("p", **mounting("c", "true"))
    await until_succeeded(ns, "p")

    claim = await ns.until("persistentvolumeclaims", "c", lambda c: c["status"]["phase"] == "Bound")
    volume = await ns.api.read(f"/api/v1/persistentvolumes/{claim['spec']['volumeName']}")

    assert made["spec"]["storageClassName"] == claim["spec"]["storageClassName"]
    assert claim["status"]["capacity"]["storage"] == "1Gi"
    assert volume["spec"]["claimRef"]["uid"] == made["metadata"]["uid"]
    assert volume["status"]["phase"] == "Bound"


async def test_what_is_written_is_there_for_the_next_pod(ns: Namespace) -> None:
    await ns.create("persistentvolumeclaims", build_claim("c"))
    await ns.run("writer", **mounting("c", "echo kept > /data/mark"))
    await until_succeeded(ns, "writer")

    await ns.run("reader", **mounting("c", "cat /data/mark"))
    await until_succeeded(ns, "reader")

    assert await ns.log("reader") == "kept\n"


async def test_a_claim_in_use_goes_only_when_its_pod_has(ns: Namespace) -> None:
    await ns.create("persistentvolumeclaims", build_claim("c"))
    await ns.run("p", **mounting("c", "trap 'exit 0' TERM; echo up; while :; do sleep 0.1; done"))
    await ns.until_log("p", "up")

    (await ns.api.delete(ns.path("persistentvolumeclaims", "c"))).accepted()
    held = await ns.read("persistentvolumeclaims", "c")
    (await ns.api.delete(ns.path("pods", "p"))).accepted()
    await ns.api.until_gone(ns.path("persistentvolumeclaims", "c"))

    assert held["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    assert "deletionTimestamp" in held["metadata"]


async def test_a_removed_claim_takes_its_volume(ns: Namespace) -> None:
    await ns.create("persistentvolumeclaims", build_claim("c"))
    await ns.run("p", **mounting("c", "true"))
    await until_succeeded(ns, "p")
    claim = await ns.read("persistentvolumeclaims", "c")

    (await ns.api.delete(ns.path("pods", "p"))).accepted()
    (await ns.api.delete(ns.path("persistentvolumeclaims", "c"))).accepted()

    await ns.api.until_gone(f"/api/v1/persistentvolumes/{claim['spec']['volumeName']}")


async def test_a_claim_of_an_unknown_class_stays_pending_and_so_does_its_pod(ns: Namespace) -> None:
    made = await ns.create("persistentvolumeclaims", build_claim("c", storageClassName="conformance-absent"))
    await ns.run("p", **mounting("c", "true"))

    event, *_ = await ns.until_list(
        "events",
        lambda found: found,
        fieldSelector=f"involvedObject.uid={made['metadata']['uid']},reason=ProvisioningFailed",
    )
    claim, pod = await ns.read("persistentvolumeclaims", "c"), await ns.read("pods", "p")

    assert (claim["status"]["phase"], pod["status"]["phase"]) == ("Pending", "Pending")
    assert '"conformance-absent" not found' in event["message"]


async def test_a_claim_grows_and_does_not_shrink(ns: Namespace) -> None:
    path = ns.path("persistentvolumeclaims", "c")
    await ns.create("persistentvolumeclaims", build_claim("c"))
    await ns.run("p", **mounting("c", "true"))
    await ns.until("persistentvolumeclaims", "c", lambda c: c["status"]["phase"] == "Bound")

    (await ns.api.patch(path, {"spec": {"resources": {"requests": {"storage": "2Gi"}}}})).accepted()
    grown = await ns.until("persistentvolumeclaims", "c", lambda c: c["status"]["capacity"]["storage"] == "2Gi", 60)
    shrunk = await ns.api.patch(path, {"spec": {"resources": {"requests": {"storage": "1Gi"}}}})

    assert grown["spec"]["resources"]["requests"]["storage"] == "2Gi"
    assert shrunk.refused() == (422, "Invalid")
    assert "field can not be less than" in shrunk.message


async def test_a_claim_without_a_volume_stays_as_it_is(ns: Namespace) -> None:
    path = ns.path("persistentvolumeclaims", "c")
    await ns.create("persistentvolumeclaims", build_claim("c", storageClassName="conformance-absent"))

    answer = await ns.api.patch(path, {"spec": {"resources": {"requests": {"storage": "2Gi"}}}})

    assert answer.refused() == (422, "Invalid")
    assert "spec is immutable after creation except resources.requests" in answer.message


async def test_a_claim_whose_class_does_not_say_so_does_not_grow(ns: Namespace) -> None:
    classes = "/apis/storage.k8s.io/v1/storageclasses"
    (known, *_) = (await ns.api.read(classes))["items"]
    fixed = {"metadata": {"generateName": "conformance-fixed-"}, "provisioner": known["provisioner"]}
    made = (await ns.api.post(classes, fixed)).accepted()
    name = made["metadata"]["name"]
    try:
        await ns.create("persistentvolumeclaims", build_claim("c", storageClassName=name))
        await ns.run("p", **mounting("c", "true"))
        await ns.until("persistentvolumeclaims", "c", lambda c: c["status"]["phase"] == "Bound")

        answer = await ns.api.patch(
            ns.path("persistentvolumeclaims", "c"), {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
        )
    finally:
        (await ns.api.delete(f"{classes}/{name}")).accepted()

    assert answer.refused() == (403, "Forbidden")
    assert "only dynamically provisioned pvc can be resized and the storageclass" in answer.message
    assert "must support resize" in answer.message
