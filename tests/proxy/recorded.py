"""Decides in which form the outcomes of all commands are kept: docs/reference/proxy-commands.json."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

FOLDER: Final = Path(__file__).parents[2] / "docs" / "reference"
RECORD: Final = FOLDER / "proxy-commands.json"
PAGE: Final = FOLDER / "proxy-commands.md"


class SceneRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    scene: str
    outcome: str  # same, refused, differs
    across: bool = False
    error: str = ""  # the words of a refusal
    refused_by_both: bool = False  # the plain server answers with an error too


class CommandRecord(msgspec.Struct, frozen=True):
    command: str
    group: str
    scenes: tuple[SceneRecord, ...]


class Record(msgspec.Struct, frozen=True):
    envoy: str
    engine: str
    commands: tuple[CommandRecord, ...]  # by group, then name


def load() -> Record:
    return msgspec.json.decode(RECORD.read_bytes(), type=Record)
