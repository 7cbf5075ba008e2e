"""Decides which texts are made from code: the custom resource definitions, and the pages of docs/reference."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tdredis.api.crd import render_crds
from tdredis.api.reference import render_references
from tdredis.cli.page import render_cli
from tdredis.controllers.metrics_page import render_metrics_page
from tdredis.healing import advice
from tdredis.healing.page import render_page
from tdredis.healing.rows import ROWS


def crds(chosen: argparse.Namespace) -> int:
    if chosen.reference is None:
        print(render_crds(), end="")
        return 0
    for name, text in render_references().items():
        (chosen.reference / name).write_text(text)
    numbers = chosen.reference / "healing.json"
    measured = json.loads(numbers.read_text()) if numbers.exists() else {}
    (chosen.reference / "healing.md").write_text(render_page(ROWS, measured))
    (chosen.reference / "metrics.md").write_text(render_metrics_page())
    (chosen.reference / "cli.md").write_text(render_cli())
    night = chosen.reference.parent / "howto/night.md"
    if night.exists():
        Path(advice.__file__).with_name("advice.json").write_text(advice.render_advice(night.read_text()))
    return 0
