"""Claims about single objects: writes, refusals, deletion; over HTTP, in a real server's words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.localkube.api.client import Api

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
STATEFULSETS = "/apis/apps/v1/namespaces/default/statefulsets"


def config_map(name: str = "a", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def pod(name: str = "a", **spec: Any) -> dict[str, Any]:
    containers = [{"name": "c", "image": "redis:7"}]
    return {"metadata": {"name": name}, "spec": {"containers": containers, **spec}}


def stateful_set(name: str = "a", **spec: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "redis:7"}]}}
    selector = {"matchLabels": {"app": "a"}}
    return {
        "metadata": {"name": name},
        "spec": {"selector": selector, "template": template, "serviceName": "a", **spec},
    }


async def test_a_stale_resource_version_is_refused_with_409(api: Api) -> None:
    first = (await api.create(CONFIGMAPS, config_map(k="1"))).object()
    await api.merge(f"{CONFIGMAPS}/a", {"data": {"k": "2"}})

    answer = await api.call("PUT", f"{CONFIGMAPS}/a", {**first, "data": {"k": "3"}})

    assert (answer.status, answer.body["reason"]) == (409, "Conflict")
    assert answer.message == (
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )


async def test_a_write_that_changes_nothing_keeps_the_resource_version(api: Api) -> None:
    before = (await api.create(CONFIGMAPS, config_map(k="1"))).object()

    after = (await api.merge(f"{CONFIGMAPS}/a", {"data": {"k": "1"}})).object()

    assert after == before


async def test_only_a_changed_spec_makes_a_new_generation(api: Api) -> None:
    await api.create(STATEFULSETS, stateful_set())
    labelled = (await api.merge(f"{STATEFULSETS}/a", {"metadata": {"labels": {"x": "y"}}})).object()
    reported = (await api.merge(f"{STATEFULSETS}/a/status", {"status": {"replicas": 1}})).object()

    scaled = (await api.merge(f"{STATEFULSETS}/a", {"spec": {"replicas": 3}})).object()

    assert [one["metadata"]["generation"] for one in (labelled, reported, scaled)] == [1, 1, 2]


async def test_status_and_spec_change_only_by_their_own_paths(api: Api) -> None:
    await api.create(STATEFULSETS, stateful_set())

    wrong = (await api.merge(f"{STATEFULSETS}/a", {"status": {"replicas": 9}})).object()
    right = (await api.merge(f"{STATEFULSETS}/a/status", {"spec": {"replicas": 9}, "status": {"replicas": 2}})).object()

    assert wrong["status"]["replicas"] == 0
    assert (right["spec"]["replicas"], right["status"]["replicas"]) == (1, 2)


@pytest.mark.parametrize(
    ("path", "body", "code", "message"),
    [
        (
            CONFIGMAPS,
            config_map("A"),
            422,
            'ConfigMap "A" is invalid: metadata.name: Invalid value: "A": a lowercase RFC 1123 subdomain',
        ),
        (PODS, {"metadata": {"name": "a"}}, 422, 'Pod "a" is invalid: spec.containers: Required value'),
        (
            PODS,
            pod(restartPolicy="Sometimes"),
            422,
            'Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"',
        ),
        (
            PODS,
            pod(hostname=7),
            400,
            'Pod in version "v1" cannot be handled as a Pod: spec.hostname: Invalid value: "integer"',
        ),
        (
            STATEFULSETS,
            stateful_set(selector={"matchLabels": {"app": "b"}}),
            422,
            "`selector` does not match template `labels`",
        ),
        (
            STATEFULSETS,
            stateful_set(replicas=-1),
            422,
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        ),
        ("/api/v1/namespaces/nowhere/configmaps", config_map(), 404, 'namespaces "nowhere" not found'),
        (CONFIGMAPS, {**config_map(), "kind": "Secret"}, 400, "the object provided is unrecognized"),
        (CONFIGMAPS, b"{", 400, "invalid JSON"),
        ("/apis/apps/v1/namespaces/default/daemonsets", {}, 404, "the server could not find the requested resource"),
    ],
)
async def test_bad_objects_are_refused_in_a_real_servers_words(
    api: Api, path: str, body: Any, code: int, message: str
) -> None:
    answer = await api.create(path, body)

    assert (answer.status, message in answer.message) == (code, True), answer.message


async def test_a_claim_template_is_a_volume_of_the_stateful_sets_pods(api: Api) -> None:
    mounting = stateful_set()
    container = mounting["spec"]["template"]["spec"]["containers"][0]
    container["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]

    refused = await api.create(STATEFULSETS, mounting)
    mounting["spec"]["volumeClaimTemplates"] = [
        {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}
    ]
    accepted = await api.create(STATEFULSETS, mounting)

    assert 'volumeMounts[0].name: Not found: "data"' in refused.message
    assert accepted.status == 201


async def test_an_immutable_stateful_set_field_is_forbidden(api: Api) -> None:
    await api.create(STATEFULSETS, stateful_set())

    answer = await api.merge(f"{STATEFULSETS}/a", {"spec": {"podManagementPolicy": "Parallel"}})

    assert answer.status == 422
    assert "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals'" in answer.message


@pytest.mark.parametrize(
    ("how", "code", "warned"), [("Strict", 400, False), ("Warn", 201, True), ("Ignore", 201, False)]
)
async def test_unknown_fields_are_refused_warned_of_or_ignored(api: Api, how: str, code: int, warned: bool) -> None:
    answer = await api.create(STATEFULSETS, stateful_set(replicaz=3), fieldValidation=how)

    assert answer.status == code
    assert (answer.headers.get("Warning") == '299 - "unknown field \\"spec.replicaz\\""') is warned
    if code == 400:
        assert answer.message.endswith('strict decoding error: unknown field "spec.replicaz"')


async def test_a_bound_pod_waits_for_its_kubelet(api: Api) -> None:
    await api.create(PODS, pod(nodeName="node-1", terminationGracePeriodSeconds=7))

    marked = (await api.call("DELETE", f"{PODS}/a")).object()
    api.registry.delete("pods", "default", "a", grace_s=0)
    gone = await api.get(f"{PODS}/a")

    assert marked["metadata"]["deletionGracePeriodSeconds"] == 7
    assert gone.status == 404


async def test_an_object_with_a_finalizer_stays_until_it_is_empty(api: Api) -> None:
    held = config_map()
    held["metadata"]["finalizers"] = ["example.com/hold"]
    await api.create(CONFIGMAPS, held)

    await api.call("DELETE", f"{CONFIGMAPS}/a")
    waiting = (await api.get(f"{CONFIGMAPS}/a")).object()
    added = await api.merge(f"{CONFIGMAPS}/a", {"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}})
    await api.merge(f"{CONFIGMAPS}/a", {"metadata": {"finalizers": None}})
    gone = await api.get(f"{CONFIGMAPS}/a")

    assert "deletionTimestamp" in waiting["metadata"]
    assert "no new finalizers can be added if the object is being deleted" in added.message
    assert gone.status == 404


async def test_deletion_by_a_wrong_uid_is_a_conflict(api: Api) -> None:
    await api.create(CONFIGMAPS, config_map())

    answer = await api.call("DELETE", f"{CONFIGMAPS}/a", {"preconditions": {"uid": "other"}})

    assert answer.status == 409
    assert "Precondition failed: UID in precondition: other" in answer.message


@pytest.mark.parametrize("uid", ["", "another"])
async def test_options_of_a_deletion_may_come_in_protobuf_as_typed_clients_send_them(api: Api, uid: str) -> None:
    """Bytes as client-go makes them: DeleteOptions of v1 with propagationPolicy Background and a precondition."""

    def text(number: int, value: bytes) -> bytes:
        return bytes((number << 3 | 2, len(value))) + value

    made = (await api.create(CONFIGMAPS, config_map())).object()
    wanted = text(2, text(1, (uid or made["metadata"]["uid"]).encode())) + text(4, b"Background")
    parts = text(1, text(1, b"v1") + text(2, b"DeleteOptions")), text(2, wanted), text(3, b""), text(4, b"")
    body = b"".join((b"k8s\x00", *parts))
    answer = await api.call("DELETE", f"{CONFIGMAPS}/a", body, kind="application/vnd.kubernetes.protobuf")

    assert answer.status == (409 if uid else 200), answer.body
    assert (await api.get(f"{CONFIGMAPS}/a")).status == (200 if uid else 404)


async def test_a_dry_run_stores_nothing(api: Api) -> None:
    answer = await api.create(CONFIGMAPS, config_map(), dryRun="All")

    assert answer.object()["metadata"]["uid"]
    assert (await api.get(f"{CONFIGMAPS}/a")).status == 404


async def test_nobody_enters_without_the_token(api: Api) -> None:
    answer = await api.call("GET", f"{api.server.url}/api/v1/namespaces", None)
    api.server._expected = "Bearer changed"

    refused = await api.call("GET", f"{api.server.url}/api/v1/namespaces", None)

    assert (answer.status, refused.status, refused.body["reason"]) == (200, 401, "Unauthorized")


@pytest.mark.parametrize("path", [f"{PODS}/a/exec", f"{PODS}/a/portforward", f"{PODS}/a/attach"])
async def test_what_is_missing_says_so(api: Api, path: str) -> None:
    await api.create(PODS, pod())

    answer = await api.create(path, {})

    assert answer.status == 501
    assert "localkube does not implement" in answer.message


async def test_eviction_asks_the_disruption_budget(api: Api) -> None:
    budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
    running = pod(nodeName="node-1")
    running["metadata"]["labels"] = {"app": "a"}
    await api.create(PODS, running)
    await api.merge(f"{PODS}/a/status", {"status": {"phase": "Running"}})
    await api.create(budgets, {"metadata": {"name": "b"}, "spec": {"selector": {"matchLabels": {"app": "a"}}}})

    refused = await api.create(f"{PODS}/a/eviction", {"metadata": {"name": "a"}})
    await api.merge(f"{budgets}/b/status", {"status": {"observedGeneration": 1, "disruptionsAllowed": 1}})
    accepted = await api.create(f"{PODS}/a/eviction", {"metadata": {"name": "a"}})

    assert (refused.status, refused.body["reason"]) == (429, "TooManyRequests")
    assert accepted.status == 201
    assert "deletionTimestamp" in (await api.get(f"{PODS}/a")).object()["metadata"]


async def test_a_plain_secret_text_is_stored_encoded_only(api: Api) -> None:
    secret = {"metadata": {"name": "a"}, "stringData": {"password": "p"}}

    stored = (await api.create("/api/v1/namespaces/default/secrets", secret)).object()

    assert (stored["data"], stored["type"], "stringData" in stored) == ({"password": "cA=="}, "Opaque", False)


async def test_a_pod_is_stored_with_a_real_servers_defaults(api: Api) -> None:
    stored = (await api.create(PODS, pod())).object()

    assert stored["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    assert stored["spec"] == {
        "containers": [
            {
                "name": "c",
                "image": "redis:7",
                "imagePullPolicy": "IfNotPresent",
                "resources": {},
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
            }
        ],
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "securityContext": {},
        "schedulerName": "default-scheduler",
    }
