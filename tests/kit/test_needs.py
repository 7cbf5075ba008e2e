"""What a Kubernetes has, as its nodes tell it."""

from __future__ import annotations

import pytest

from tests.e2e.needs import images_of
from tests.e2e.world import Obj


@pytest.mark.parametrize(
    ("status", "names"),
    [
        ({}, set()),
        ({"images": None}, set()),
        (
            {"images": [{"names": ["docker.io/library/redis:7.0", "redis@sha256:1"]}]},
            {"docker.io/library/redis:7.0", "redis@sha256:1"},
        ),
        ({"images": [{"names": None, "sizeBytes": 1}, {"names": ["a:1"]}, {"sizeBytes": 2}]}, {"a:1"}),
    ],
    ids=["none", "null", "all names", "one whose name another has now"],
)
def test_images_are_known_by_all_of_their_names_also_beside_one_that_has_none(status: Obj, names: set[str]) -> None:
    assert images_of({"status": status}) == names
