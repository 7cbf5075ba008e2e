"""The command line starts at once: what it loads before it knows its command is counted, not timed."""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tdredis.cli import main
from tdredis.cli import parser as words_of
from tdredis.cli.page import leaves
from tdredis.cli.parser import PLUGIN, PROGRAM, build_parser
from tdredis.controllers.loop import MOST_ROLLS
from tdredis.controllers.manager import LEASE

# argparse and what it loads by itself (gettext, re, enum, functools, ...), in Python 3.11 to 3.13.
OF_ARGPARSE = "import argparse, importlib, warnings, os, sys"
MOST_OF_OURS = 8

TOLD = """
import json, sys
before = set(sys.modules)
try:
    {code}
finally:
    sys.stderr.write(json.dumps(sorted(set(sys.modules) - before)))
"""


PROJECT = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]


def loaded_by(code: str) -> set[str]:
    """Modules that *code* adds to those of `python -c pass`; what it prints is nobody's business."""
    done = subprocess.run(
        [sys.executable, "-c", TOLD.format(code=code)], capture_output=True, text=True, timeout=60, check=False
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    "words", [["--version"], ["--help"], ["explain", "--help"], ["handover", "--help"], ["run", "--help"]]
)
def test_nothing_but_argparse_and_the_parser_is_loaded_before_the_command_is_known(words: list[str]) -> None:
    # A shell's width of the terminal is asked for by argparse when it prints help.
    argparse = loaded_by(f"{OF_ARGPARSE}; argparse.ArgumentParser(prog='x').print_help()")
    ours = loaded_by(f"sys.argv[1:] = {words!r}\n    from tdredis.cli import plugin\n    plugin()") - argparse

    assert {name.partition(".")[0] for name in ours} <= {"tdredis", "__future__"}
    assert len(ours) <= MOST_OF_OURS
    assert "tdredis.cli.parser" in ours


def test_the_console_scripts_of_the_wheel_are_these_functions() -> None:
    scripts = PROJECT["scripts"]

    assert (scripts["tdredis"], scripts["kubectl-tdredis"]) == ("tdredis.cli:main", "tdredis.cli:plugin")


def test_the_version_is_that_of_the_wheel(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])

    assert capsys.readouterr().out == f"tdredis {PROJECT['version']}\n"


@pytest.mark.parametrize("columns", ["60", "200", ""])
def test_help_is_as_wide_as_argparse_would_make_it(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    parser = build_parser(PROGRAM)
    ours = parser.format_help()
    parser.formatter_class = argparse.HelpFormatter

    assert ours == parser.format_help()


def test_defaults_that_stand_in_the_parser_are_those_of_the_rooms() -> None:
    assert (words_of.ROLLS, words_of.LEASE) == (MOST_ROLLS, LEASE)


def test_the_plugin_and_the_program_have_the_same_commands() -> None:
    commands = [dict(leaves(build_parser(program))) for program in (PROGRAM, PLUGIN)]

    assert list(commands[0]) == list(commands[1])


@pytest.mark.parametrize("name", dict(leaves(build_parser(PROGRAM))))
def test_every_command_leads_to_a_function(name: str) -> None:
    module, _, function = dict(leaves(build_parser(PROGRAM)))[name].get_default("command").partition(":")

    assert callable(getattr(importlib.import_module(f"tdredis.cli.commands.{module}"), function))
