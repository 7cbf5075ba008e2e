"""Claims about CRDs: what a definition makes the server refuse, fill in and drop, in a real server's words."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.localkube.api.client import Api

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
FOOS = "/apis/example.com/v1/namespaces/default/foos"
SPEC = {
    "type": "object",
    "required": ["app"],
    "x-kubernetes-validations": [
        {
            "rule": "!has(self.capacity) || self.capacity >= self.size",
            "messageExpression": "'write at least ' + string(self.size)",
        },
        {
            "rule": "self.app == oldSelf.app",
            "message": "app never changes",
            "fieldPath": ".app",
            "reason": "FieldValueForbidden",
        },
    ],
    "properties": {
        "app": {"type": "string", "maxLength": 5, "pattern": "^[a-z]+$"},
        "size": {"type": "integer", "minimum": 3, "default": 3},
        "capacity": {"type": "integer"},
        "ratio": {"type": "number", "maximum": 1, "exclusiveMaximum": True},
        "env": {"type": "string", "enum": ["production", "demo"]},
        "port": {"x-kubernetes-int-or-string": True},
        "note": {"type": "string", "nullable": True},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "tags": {"type": "array", "x-kubernetes-list-type": "set", "maxItems": 2, "items": {"type": "string"}},
        "parts": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "size": {"type": "integer"}},
                "x-kubernetes-validations": [{"rule": "self.size >= oldSelf.size", "message": "parts never shrink"}],
            },
        },
    },
}
CRD: dict[str, Any] = {
    "metadata": {"name": "foos.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "foos", "kind": "Foo", "shortNames": ["fo"], "categories": ["bars"]},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {
                    "status": {},
                    "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"},
                },
                "additionalPrinterColumns": [{"name": "SIZE", "type": "integer", "jsonPath": ".spec.size"}],
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "required": ["spec"],
                        "x-kubernetes-validations": [
                            {"rule": "size(self.metadata.name) < 6", "message": "write a shorter name"}
                        ],
                        "properties": {
                            "spec": SPEC,
                            "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
                        },
                    }
                },
            }
        ],
    },
}


def foo(name: str = "a", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "example.com/v1", "kind": "Foo", "metadata": {"name": name}, "spec": {"app": "x", **spec}}


@pytest.fixture
async def foos(api: Api) -> Api:
    (await api.create(CRDS, CRD)).object()
    return api


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ({"size": 2}, "spec.size: Invalid value: 2: spec.size in body should be greater than or equal to 3"),
        ({"size": "3"}, 'spec.size: Invalid value: "string": spec.size in body must be of type integer: "string"'),
        ({"app": None}, 'spec.app: Invalid value: "null": spec.app in body must be of type string: "null"'),
        ({"app": "toolong"}, "spec.app: Too long: may not be more than 5 bytes"),
        ({"app": "X"}, "spec.app: Invalid value: \"X\": spec.app in body should match '^[a-z]+$'"),
        ({"app": "x\n"}, "spec.app in body should match '^[a-z]+$'"),
        ({"ratio": 1}, "spec.ratio: Invalid value: 1: spec.ratio in body should be less than 1"),
        ({"env": "x"}, 'spec.env: Unsupported value: "x": supported values: "production", "demo"'),
        (
            {"port": True},
            'spec.port: Invalid value: "boolean": spec.port in body must be of type integer,string: "boolean"',
        ),
        ({"tags": ["a", "a"]}, 'spec.tags[1]: Duplicate value: "a"'),
        ({"tags": ["a", "b", "c"]}, "spec.tags: Too many: 3: must have at most 2 items"),
        ({"parts": [{"name": "a"}, {"name": "a"}]}, 'spec.parts[1]: Duplicate value: {"name":"a"}'),
        ({"parts": [{}]}, "spec.parts[0].name: Required value"),
        ({"capacity": 4, "size": 5}, "spec: Invalid value: write at least 5"),
    ],
)
async def test_a_bad_spec_is_refused_and_told_where(foos: Api, spec: dict[str, Any], complaint: str) -> None:
    answer = await foos.create(FOOS, foo(**spec))

    assert (answer.status, answer.body["reason"]) == (422, "Invalid")
    assert answer.message.startswith('Foo.example.com "a" is invalid: ')
    assert complaint in answer.message


async def test_every_complaint_is_a_cause_with_its_field(foos: Api) -> None:
    answer = await foos.create(FOOS, foo(size=2, env="x"))

    assert [(one["field"], one["reason"]) for one in answer.body["details"]["causes"]] == [
        ("spec.env", "FieldValueNotSupported"),
        ("spec.size", "FieldValueInvalid"),
        ("<nil>", "FieldValueInvalid"),  # of the rules, which are not asked then
    ]


async def test_a_missing_required_field_is_named(foos: Api) -> None:
    answer = await foos.create(FOOS, {**foo(), "spec": {}})

    assert answer.message.startswith(
        'Foo.example.com "a" is invalid: [spec.app: Required value, <nil>: Invalid value: '
    )
    assert "some validation rules were not checked because the object was invalid" in answer.message


async def test_a_rule_at_the_root_sees_the_name(foos: Api) -> None:
    answer = await foos.create(FOOS, foo("abcdef"))

    assert "<nil>: Invalid value: write a shorter name" in answer.message


@pytest.mark.parametrize(("since", "code"), [("2024-01-01T00:00:00Z", 201), ("2019-01-01T00:00:00Z", 422), (None, 201)])
async def test_a_rule_compares_times_and_durations(api: Api, since: str | None, code: int) -> None:
    crd = copy.deepcopy(CRD)
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    schema["properties"]["since"] = {"type": "string", "format": "date-time"}
    schema["properties"]["grace"] = {"type": "string", "format": "duration", "default": "1h30m"}
    schema["x-kubernetes-validations"] = [
        {"rule": "!has(self.since) || self.since > timestamp('2020-01-01T00:00:00Z')", "message": "too long ago"},
        {"rule": "self.grace < duration('2h')", "message": "too long"},
    ]
    await api.create(CRDS, crd)

    answer = await api.create(FOOS, foo(**({"since": since} if since else {})))

    assert answer.status == code, answer.body


async def test_a_rule_sees_a_status_with_times_in_it(api: Api) -> None:
    crd = copy.deepcopy(CRD)
    properties = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    properties["status"]["properties"]["at"] = {"type": "string", "format": "date-time"}
    await api.create(CRDS, crd)
    await api.create(FOOS, foo())

    answer = await api.merge(f"{FOOS}/a/status", {"status": {"at": "2024-01-01T00:00:00Z"}})

    assert answer.object()["status"] == {"at": "2024-01-01T00:00:00Z"}


async def test_a_rule_on_a_change_speaks_of_changes_only(foos: Api) -> None:
    created = await foos.create(FOOS, foo(parts=[{"name": "p", "size": 2}]))
    renamed = await foos.merge(f"{FOOS}/a", {"spec": {"app": "y"}})
    shrunk = await foos.merge(f"{FOOS}/a", {"spec": {"parts": [{"name": "q", "size": 1}, {"name": "p", "size": 1}]}})

    assert created.status == 201
    assert renamed.message == 'Foo.example.com "a" is invalid: spec.app: Forbidden: app never changes'
    assert shrunk.message == 'Foo.example.com "a" is invalid: spec.parts[1]: Invalid value: parts never shrink'


async def test_defaults_are_filled_in_and_unknown_fields_dropped(foos: Api) -> None:
    created = (await foos.create(FOOS, foo(extra=1, note=None, free={"any": {"thing": 1}}))).object()

    assert created["spec"] == {"app": "x", "size": 3, "note": None, "free": {"any": {"thing": 1}}}


async def test_an_unknown_field_is_refused_when_asked_to_be_strict(foos: Api) -> None:
    wrong = foo(extra=1, parts=[{"name": "a", "b": 1}])
    wrong["metadata"]["lables"] = {}

    answer = await foos.create(FOOS, wrong, fieldValidation="Strict")

    assert (answer.status, answer.message) == (
        400,
        'Foo in version "v1" cannot be handled as a Foo: strict decoding error: '
        'unknown field "metadata.lables", unknown field "spec.extra", unknown field "spec.parts[0].b"',
    )


async def test_status_is_validated_and_leaves_the_generation(foos: Api) -> None:
    await foos.create(FOOS, {**foo(), "status": {"phase": "Forged"}})
    born = (await foos.get(f"{FOOS}/a")).object()

    bad = await foos.merge(f"{FOOS}/a/status", {"status": {"phase": 1}})
    good = (await foos.merge(f"{FOOS}/a/status", {"spec": {"size": 9}, "status": {"phase": "Ready"}})).object()

    assert "status" not in born
    assert 'status.phase: Invalid value: "integer": phase in body must be of type string' in bad.message
    assert (good["status"], good["spec"]["size"], good["metadata"]["generation"]) == ({"phase": "Ready"}, 3, 1)


async def test_a_status_nobody_described_is_kept_where_anything_goes(api: Api) -> None:
    crd = copy.deepcopy(CRD)
    crd["spec"]["versions"] = [
        {
            "name": "v1",
            "served": True,
            "storage": True,
            "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
        }
    ]
    await api.create(CRDS, crd)
    await api.create(FOOS, foo())

    answer = await api.merge(f"{FOOS}/a/status", {"status": {"ready": False}})

    assert answer.object()["status"] == {"ready": False}


async def test_scale_reads_and_writes_the_named_field(foos: Api) -> None:
    await foos.create(FOOS, foo())

    scale = (await foos.merge(f"{FOOS}/a/scale", {"spec": {"replicas": 5}})).object()

    assert (scale["kind"], scale["spec"]["replicas"]) == ("Scale", 5)
    assert (await foos.get(f"{FOOS}/a")).object()["spec"]["size"] == 5


async def test_a_new_definition_is_established_and_discovered(foos: Api) -> None:
    crd = (await foos.get(f"{CRDS}/foos.example.com")).object()
    listed = (await foos.get("/apis/example.com/v1")).object()["resources"]

    assert {one["type"]: one["status"] for one in crd["status"]["conditions"]}["Established"] == "True"
    assert [(one["name"], one.get("shortNames")) for one in listed] == [
        ("foos", ["fo"]),
        ("foos/status", None),
        ("foos/scale", None),
    ]


async def test_deleting_a_definition_deletes_its_objects_first(foos: Api) -> None:
    held = foo()
    held["metadata"]["finalizers"] = ["example.com/hold"]
    await foos.create(FOOS, held)

    await foos.call("DELETE", f"{CRDS}/foos.example.com")
    late = await foos.create(FOOS, foo("b"))
    still = await foos.get(f"{CRDS}/foos.example.com")
    await foos.merge(f"{FOOS}/a", {"metadata": {"finalizers": None}})

    assert late.status == 405
    assert still.status == 200
    assert (await foos.get(f"{CRDS}/foos.example.com")).status == 404
    assert (await foos.get(FOOS)).status == 404


async def test_a_definition_whose_objects_nothing_holds_is_deleted_with_them(foos: Api) -> None:
    for name in "ab":
        await foos.create(FOOS, foo(name))

    answer = await foos.call("DELETE", f"{CRDS}/foos.example.com")

    assert answer.status == 200
    assert (await foos.get(f"{CRDS}/foos.example.com")).status == 404


async def test_another_served_version_shows_the_same_object(api: Api) -> None:
    crd = copy.deepcopy(CRD)
    old = {**crd["spec"]["versions"][0], "name": "v1beta1", "storage": False, "deprecated": True}
    crd["spec"]["versions"].append(old)
    await api.create(CRDS, crd)
    await api.create(FOOS, foo())

    answer = await api.get("/apis/example.com/v1beta1/namespaces/default/foos/a")

    assert answer.object()["apiVersion"] == "example.com/v1beta1"


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ("self.size >", "compilation failed"),
        ("self.nosuch > 1", "undefined field 'nosuch'"),
        ("nosuch(self)", "undeclared reference to 'nosuch'"),
        ("'text'", "must evaluate to a"),
    ],
)
async def test_a_rule_that_makes_no_sense_is_refused_with_its_definition(api: Api, rule: str, complaint: str) -> None:
    crd = copy.deepcopy(CRD)
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    schema["x-kubernetes-validations"] = [{"rule": rule}]

    answer = await api.create(CRDS, crd)

    assert answer.status == 422
    assert complaint in answer.message


async def test_a_schema_that_is_not_structural_is_refused(api: Api) -> None:
    crd = copy.deepcopy(CRD)
    del crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["type"]

    answer = await api.create(CRDS, crd)

    assert "properties[status].type: Required value: must not be empty for specified object fields" in answer.message
