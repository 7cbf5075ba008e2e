"""Every field of spec has a class of change, and no line speaks of a field that is not there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tdredis.api.changes import ChangeClass, change_of, field_paths, lines_of
from tdredis.api.kinds import KINDS
from tests.unit.docs.test_night import guards_of_spec


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_has_a_class(kind: str) -> None:
    assert all(change_of(kind, path).class_ in ChangeClass for path in field_paths(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_every_line_is_about_a_field(kind: str) -> None:
    paths = field_paths(kind)

    assert [
        line for line in lines_of(kind) if not any(path == line or path.startswith(f"{line}.") for path in paths)
    ] == []


@pytest.mark.parametrize(("kind", "path"), [("RedisStandalone", "replicas"), ("RedisCluster", "sentinel.auth")])
def test_a_field_of_another_kind_is_none(kind: str, path: str) -> None:
    with pytest.raises(KeyError):
        change_of(kind, path)


@pytest.mark.parametrize("kind", KINDS)
def test_guards_that_the_page_names_exist(kind: str) -> None:
    named = {guard for path in field_paths(kind) for guard in re.findall(r"`(\w+)`", change_of(kind, path).today)}

    assert named <= guards_of_spec()


ROOT = Path(__file__).parents[3]


def fields_of(schema: dict[str, Any], above: str = "") -> Iterator[str]:
    """Every field that the definition has, down to those that hold no others."""
    for name, found in schema.get("properties", {}).items():
        below = [*fields_of(found, f"{above}{name}."), *fields_of(found.get("items", {}), f"{above}{name}.")]
        yield from below or [f"{above}{name}"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_has_each_field_of_the_definition_in_one_row_with_a_class(kind: str) -> None:
    definitions = yaml.safe_load_all((ROOT / "deploy/crds/cache.tongdun.net.yaml").read_text())
    (definition,) = (each for each in definitions if each["spec"]["names"]["kind"] == kind)
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    page = (ROOT / "docs/reference/changes.md").read_text().partition(f"\n## {kind}\n")[2].partition("\n## ")[0]
    rows = [cells for line in page.splitlines() if len(cells := line.split(" | ")) > 3]
    listed = [(name, cells[1]) for cells in rows for name in cells[0].removeprefix("| ").split(", ")]
    classes = {str(each) for each in ChangeClass}

    fields = list(fields_of(schema))
    found = {field: [class_ for name, class_ in listed if f"{field}.".startswith(f"{name}.")] for field in fields}

    assert len(fields) > 30
    assert {field: classes_of for field, classes_of in found.items() if len(classes_of) != 1} == {}
    assert {class_ for _, class_ in listed} <= classes | {"class"}
