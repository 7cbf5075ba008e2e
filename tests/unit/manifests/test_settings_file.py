"""Parameters stand in the ConfigMap as lines that every engine reads as they were meant, and as what they are."""

from __future__ import annotations

from typing import Any

import pytest

from tdredis.manifests.config_map import build_config_map
from tdredis.manifests.settings_file import parse_settings, render_settings, with_settings
from tests.kit.builders import standby


@pytest.mark.parametrize(
    ("name", "value", "lines"),
    [
        ("timeout", "300", 'timeout "300"\n'),
        ("save", "", 'save ""\n'),
        ("save", "900 1 300 10", "save 900 1\nsave 300 10\n"),
        (
            "client-output-buffer-limit",
            "normal 0 0 0 replica 1mb 1mb 5",
            "client-output-buffer-limit normal 0 0 0\nclient-output-buffer-limit replica 1mb 1mb 5\n",
        ),
        ("oom-score-adj-values", "0 200 800", "oom-score-adj-values 0 200 800\n"),
        ("proc-title-template", '{title} "x" \\', 'proc-title-template "{title} \\x22x\\x22 \\x5c"\n'),
        ("timeout", None, ""),
    ],
)
def test_a_value_is_written_as_a_file_has_it(name: str, value: str | None, lines: str) -> None:
    assert render_settings({name: value}) == lines


def test_what_is_written_is_read_again() -> None:
    bare: Any = build_config_map(standby())
    settings: dict[str, str | None] = {"timeout": "300", "save": "", "hz": None}

    made: Any = with_settings(bare, settings)

    assert parse_settings(made) == settings
    assert with_settings(bare, {}) == bare
    assert set(made["data"]) - set(bare["data"]) == {"settings.conf", "settings.json"}
    assert parse_settings(bare) == {}
