"""Every field of spec has a class of change, and no line speaks of a field that is not there."""

from __future__ import annotations

import re

import pytest

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
