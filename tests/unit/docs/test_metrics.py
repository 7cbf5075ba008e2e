"""The page about metrics is the code's own, and every number has its unit in its name."""

from __future__ import annotations

import re
from pathlib import Path

from tdredis.controllers.metrics_page import UNITS, describe, render_metrics_page

ROOT = Path(__file__).parents[3]
DESCRIBED = describe()


def test_the_page_is_as_the_code_is() -> None:
    assert (ROOT / "docs/reference/metrics.md").read_text() == render_metrics_page(), "make generated"


def test_each_is_there_once() -> None:
    names = [each.name for each in DESCRIBED]

    assert sorted(names) == sorted(set(names))
    assert len(names) > 50


def test_names_say_unit_and_type() -> None:
    ours = [each for each in DESCRIBED if each.name.startswith("tdredis_")]

    assert [each.name for each in ours if (each.kind == "counter") != each.name.endswith("_total")] == []
    assert [each.name for each in ours if each.unit and each.unit not in each.name] == []
    assert [each.name for each in ours if not each.unit and any(unit in each.name for unit in UNITS)] == []
    assert [each.name for each in ours if not re.fullmatch(r"([A-Z0-9]|(metadata|status)\.).*[.]", each.meaning)] == []
    assert [each.name for each in ours if each.kind == "histogram" and each.unit != "seconds"] == []


def test_no_label_is_of_pods_addresses_or_sentences() -> None:
    """Each has as many values as the program, Kubernetes or a resource has: none grows with time."""
    known = {
        *("kind", "outcome", "step", "place", "verb", "resource", "type", "state", "why", "version"),
        *("env", "engine", "reason", "guard", "about"),
        *("generation", "implementation", "major", "minor", "patchlevel"),  # of Python
    }

    assert {label for each in DESCRIBED for label in each.labels} <= known
