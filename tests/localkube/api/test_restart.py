"""Claims about the end and the beginning: nothing that a client was told is lost, and clients find their way back."""

from __future__ import annotations

from pathlib import Path

import pytest

from localkube.errors import ApiError
from localkube.journal import Journal
from localkube.registry import Registry
from tests.localkube.api.test_custom_resources import CRD, foo

CRDS = "customresourcedefinitions.apiextensions.k8s.io"


def opened(path: Path) -> Registry:
    registry = Registry()
    Journal(path).open(registry)
    return registry


def filled(path: Path) -> Registry:
    registry = opened(path)
    registry.create("namespaces", {"metadata": {"name": "default"}})
    registry.create(CRDS, CRD)
    registry.create("foos.example.com", {**foo(), "metadata": {"name": "a", "namespace": "default"}})
    registry.create("foos.example.com", {**foo(), "metadata": {"name": "b", "namespace": "default"}})
    registry.delete("foos.example.com", "default", "b")
    return registry


def test_a_killed_server_finds_its_objects_again(tmp_path: Path) -> None:
    before = filled(tmp_path / "journal")

    after = opened(tmp_path / "journal")

    assert after.list("foos.example.com") == before.list("foos.example.com")
    assert after.version == before.version


def test_a_torn_last_line_costs_that_line_only(tmp_path: Path) -> None:
    before = filled(tmp_path / "journal")
    with (tmp_path / "journal").open("ab") as journal:
        journal.write(b'{"r":"foos.example.com","v":99,"s":"defa')

    after = opened(tmp_path / "journal")

    assert after.list("foos.example.com") == before.list("foos.example.com")


def test_a_watch_resumes_over_a_restart_only_if_it_missed_nothing(tmp_path: Path) -> None:
    before = filled(tmp_path / "journal")
    latest = before.version

    after = opened(tmp_path / "journal")

    assert after.events_since("foos.example.com", latest) == []
    with pytest.raises(ApiError) as refused:
        after.events_since("foos.example.com", latest - 1)
    assert refused.value.code == 410


def test_a_version_of_another_life_is_too_old() -> None:
    with pytest.raises(ApiError) as refused:
        Registry().events_since("pods", 10**9)

    assert refused.value.code == 410
