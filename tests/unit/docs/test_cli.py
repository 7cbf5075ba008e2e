"""The page of the command line is the one that is made from the parser, on any machine."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from tdredis.cli.page import leaves, render_cli
from tdredis.cli.parser import PROGRAM, build_parser

PAGE = Path(__file__).parents[3] / "docs/reference/cli.md"


def test_the_page_is_the_one_that_is_generated() -> None:
    assert PAGE.read_text() == render_cli(), "make generated"


def test_the_page_does_not_depend_on_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POD_NAME", "operator-7")
    monkeypatch.setenv("POD_NAMESPACE", "elsewhere")
    monkeypatch.setenv("COLUMNS", "40")

    assert PAGE.read_text() == render_cli()


@pytest.mark.parametrize(("name", "parser"), tuple(leaves(build_parser(PROGRAM))))
def test_every_argument_has_a_sentence(name: str, parser: argparse.ArgumentParser) -> None:
    assert parser.description
    assert [action.dest for action in parser._actions if not action.help] == []
