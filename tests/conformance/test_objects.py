"""Claims: what a single object promises when it is created, read, replaced and refused."""

from __future__ import annotations

import base64

from tests.conformance.client import Api
from tests.conformance.namespace import Namespace, build_configmap, build_deployment, names


async def test_create_answers_201_with_identity(ns: Namespace) -> None:
    answer = await ns.api.post(ns.path("configmaps"), build_configmap("a", k="v"))

    meta = answer.body["metadata"]
    assert (answer.status, meta["name"], meta["namespace"]) == (201, "a", ns.name)
    assert all(meta[field] for field in ("uid", "resourceVersion", "creationTimestamp"))


async def test_creating_an_existing_name_is_409_already_exists(ns: Namespace) -> None:
    await ns.create("configmaps", build_configmap("a"))

    again = await ns.api.post(ns.path("configmaps"), build_configmap("a"))

    assert again.refused() == (409, "AlreadyExists")
    assert again.message == 'configmaps "a" already exists'
    assert again.body["details"] == {"name": "a", "kind": "configmaps"}


async def test_generate_name_makes_names_of_its_own(ns: Namespace) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "x-"}}

    made = [await ns.create("configmaps", body) for _ in range(5)]

    assert len(set(names(made))) == 5
    assert all(name.startswith("x-") and len(name) == 7 for name in names(made))


async def test_reading_what_is_absent_is_404_with_its_name(ns: Namespace) -> None:
    answer = await ns.api.get(ns.path("configmaps", "absent"))

    assert answer.refused() == (404, "NotFound")
    assert answer.message == 'configmaps "absent" not found'
    assert answer.body["details"] == {"name": "absent", "kind": "configmaps"}


async def test_an_unknown_resource_is_404(ns: Namespace) -> None:
    answer = await ns.api.get(ns.path("unicorns", group="/apis/conformance.example.com/v1"))

    assert answer.status == 404


async def test_creating_in_an_absent_namespace_is_404(api: Api) -> None:
    answer = await api.post("/api/v1/namespaces/conformance-absent/configmaps", build_configmap("a"))

    assert answer.refused() == (404, "NotFound")
    assert answer.message == 'namespaces "conformance-absent" not found'


async def test_a_body_of_another_namespace_is_refused(ns: Namespace) -> None:
    body = build_configmap("a")
    body["metadata"]["namespace"] = "kube-system"

    answer = await ns.api.post(ns.path("configmaps"), body)

    assert answer.refused() == (400, "BadRequest")


async def test_an_impossible_name_is_422_and_names_the_field(ns: Namespace) -> None:
    answer = await ns.api.post(ns.path("configmaps"), build_configmap("Not_A_Name"))

    assert answer.refused() == (422, "Invalid")
    assert [cause["field"] for cause in answer.body["details"]["causes"]] == ["metadata.name"]


async def test_a_stale_replace_is_409_conflict(ns: Namespace) -> None:
    first = await ns.create("configmaps", build_configmap("a", k="1"))
    (await ns.api.put(ns.path("configmaps", "a"), first | {"data": {"k": "2"}})).accepted()

    stale = await ns.api.put(ns.path("configmaps", "a"), first | {"data": {"k": "3"}})

    assert stale.refused() == (409, "Conflict")
    assert stale.message.endswith(
        "the object has been modified; please apply your changes to the latest version and try again"
    )
    assert (await ns.read("configmaps", "a"))["data"] == {"k": "2"}


async def test_a_replace_without_resource_version_wins(ns: Namespace) -> None:
    await ns.create("configmaps", build_configmap("a", k="1"))

    replaced = (await ns.api.put(ns.path("configmaps", "a"), build_configmap("a", k="2"))).accepted()

    assert replaced["data"] == {"k": "2"}


async def test_replacing_with_the_same_keeps_the_resource_version(ns: Namespace) -> None:
    first = await ns.create("configmaps", build_configmap("a", k="1"))

    again = (await ns.api.put(ns.path("configmaps", "a"), first)).accepted()

    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_a_replace_of_what_is_absent_is_404(ns: Namespace) -> None:
    answer = await ns.api.put(ns.path("configmaps", "a"), build_configmap("a"))

    assert answer.refused() == (404, "NotFound")


async def test_uid_and_creation_time_do_not_change(ns: Namespace) -> None:
    first = await ns.create("configmaps", build_configmap("a", k="1"))

    replaced = (await ns.api.put(ns.path("configmaps", "a"), build_configmap("a", k="2"))).accepted()

    assert [replaced["metadata"][f] for f in ("uid", "creationTimestamp")] == [
        first["metadata"][f] for f in ("uid", "creationTimestamp")
    ]
    assert replaced["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]


async def test_a_replace_with_another_uid_is_409(ns: Namespace) -> None:
    first = await ns.create("configmaps", build_configmap("a"))
    first["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000"

    answer = await ns.api.put(ns.path("configmaps", "a"), first)

    assert answer.refused() == (409, "Conflict")


async def test_generation_is_bumped_by_spec_only(ns: Namespace) -> None:
    path = ns.path("deployments", "a")
    made = await ns.create("deployments", build_deployment("a", replicas=0))

    labelled = (await ns.api.patch(path, {"metadata": {"labels": {"x": "y"}}})).accepted()
    respecified = (await ns.api.patch(path, {"spec": {"minReadySeconds": 1}})).accepted()
    reported = (await ns.api.patch(path + "/status", {"status": {"collisionCount": 7}})).accepted()

    generations = [o["metadata"]["generation"] for o in (made, labelled, respecified, reported)]
    assert generations == [1, 1, 2, 2]


async def test_each_of_spec_and_status_is_written_only_through_its_own_path(ns: Namespace) -> None:
    path = ns.path("deployments", "a")
    await ns.create("deployments", build_deployment("a", replicas=0))
    both = {"spec": {"minReadySeconds": 5}, "status": {"collisionCount": 7}}

    through_main = (await ns.api.patch(path, both)).accepted()
    through_status = (
        await ns.api.patch(path + "/status", {"spec": {"minReadySeconds": 9}, "status": {"collisionCount": 8}})
    ).accepted()

    assert (through_main["spec"]["minReadySeconds"], through_main["status"].get("collisionCount")) == (5, None)
    assert (through_status["spec"]["minReadySeconds"], through_status["status"]["collisionCount"]) == (5, 8)


async def test_a_dry_run_shows_the_result_and_stores_nothing(ns: Namespace) -> None:
    shown = await ns.api.create(ns.path("configmaps"), build_configmap("a", k="v"), dryRun="All")

    assert (shown["data"], (await ns.api.get(ns.path("configmaps", "a"))).status) == ({"k": "v"}, 404)


async def test_string_data_of_a_secret_becomes_data(ns: Namespace) -> None:
    made = await ns.create(
        "secrets", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"password": "abc"}}
    )

    assert (made["data"], made["type"]) == ({"password": base64.b64encode(b"abc").decode()}, "Opaque")
    assert "stringData" not in made


async def test_an_impossible_label_is_422(ns: Namespace) -> None:
    body = build_configmap("a")
    body["metadata"]["labels"] = {"dc": "not a label value"}

    answer = await ns.api.post(ns.path("configmaps"), body)

    assert answer.refused() == (422, "Invalid")
    assert answer.body["details"]["causes"][0]["field"] == "metadata.labels"


async def test_a_body_that_is_not_json_is_400(ns: Namespace) -> None:
    answer = await ns.api.post(ns.path("configmaps"), b"{not json")

    assert answer.refused() == (400, "BadRequest")
