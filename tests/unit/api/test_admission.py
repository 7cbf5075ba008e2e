"""localkube answers the cases as a modern API server does; the operator says the same of what an old one lets by."""

from __future__ import annotations

from typing import Any

import pytest

from localkube.errors import ApiError
from localkube.schema.admission import admit_object, schema_of
from localkube.schema.crd import CustomResource, parse_crd
from localkube.schema.structural import unknown_fields
from tdredis.api.crd import build_crds
from tdredis.api.kinds import KINDS, InvalidResourceError, parse
from tdredis.api.validation import problems
from tests.unit.api.admission_cases import CASES, Case

CRDS: dict[str, CustomResource] = {}
for crd in build_crds():
    custom = parse_crd(crd)
    CRDS[custom.rtype.kind] = custom

every_case = pytest.mark.parametrize("case", CASES, ids=str)


def errors_of_localkube(case: Case) -> set[str]:
    """What localkube says of *case*; empty if it takes it."""
    return judge(case.kind, case.manifest, case.former, case.subresource)


def judge(kind: str, manifest: dict[str, Any], former: dict[str, Any] | None = None, subresource: str = "") -> set[str]:
    """What localkube says of a resource that is made, or updated; empty if it takes it."""
    custom = CRDS[kind]
    schema = schema_of(custom.rtype, custom)
    assert schema is not None
    if unknown := unknown_fields(schema, manifest):
        return {f'strict decoding error: unknown field "{path}"' for path in unknown}
    try:
        admit_object(
            custom.rtype,
            custom,
            manifest,
            former,
            subresource=subresource or None,
            admissions=(),
            now=lambda: "2026-01-02T03:04:05Z",
        )
    except ApiError as error:
        assert error.details is not None
        return {f"{cause['field']}: {cause['message']}" for cause in error.details["causes"]}
    return set()


@every_case
def test_localkube_says_what_is_expected(case: Case) -> None:
    errors = errors_of_localkube(case)

    assert bool(errors) == bool(case.says), errors
    assert case.says in " | ".join(sorted(errors))


@pytest.mark.parametrize("case", [case for case in CASES if not case.subresource], ids=str)
def test_the_operator_says_the_same(case: Case) -> None:
    advises = case.says if case.advises is None else case.advises
    try:
        said = problems(parse(KINDS[case.kind], case.manifest))
    except InvalidResourceError as error:
        said = (str(error),)

    assert bool(said) == bool(advises), said
    assert advises in " | ".join(said)
