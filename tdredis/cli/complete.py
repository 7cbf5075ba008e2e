"""Decides what a shell offers to complete: words of the parser, and names of resources, of the API server.

`kubectl_complete-tdredis` is what kubectl 1.26 and later calls for a plugin: it prints a candidate a line and, last, a
colon and a number. Source: kubernetes/kubectl, pkg/cmd/plugin_completion.go, and cobra's ShellCompDirective.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from tdredis.cli.page import subparsers
from tdredis.cli.parser import PROGRAM, build_parser

NO_FILES: Final = ":4"  # ShellCompDirectiveNoFileComp
FILES: Final = ":0"
ASKS_S: Final = 2.0  # who presses Tab does not wait longer


def complete() -> int:
    """`kubectl_complete-tdredis WORD ...`: the last word is the one that is typed, and may be empty."""
    print(answer(sys.argv[1:]))
    return 0


def answer(words: Sequence[str]) -> str:
    """A candidate a line, and the directive."""
    return "\n".join([*candidates(words), FILES if _wants_file(words) else NO_FILES])


def candidates(words: Sequence[str]) -> list[str]:
    """What the last of *words* may become; the others were typed before it."""
    *before, typed = words or [""]
    parser, given = _descend(build_parser(PROGRAM), before)
    action = _awaiting_value(parser, before)
    if action is not None:
        return _starting([str(each) for each in action.choices or ()], typed)
    if typed.startswith("-"):
        options = [word for each in parser._actions for word in each.option_strings if word.startswith("--")]
        return _starting(sorted(options), typed)
    if commands := subparsers(parser):
        return [] if given else _starting(list(commands), typed)
    positionals = [each for each in parser._actions if not each.option_strings]
    if given >= len(positionals):
        return []
    action = positionals[given]
    if action.choices is not None:
        return _starting([str(each) for each in action.choices], typed)
    if action.dest == "resource":
        return _resources(before, typed)
    return []


def _descend(parser: argparse.ArgumentParser, before: Sequence[str]) -> tuple[argparse.ArgumentParser, int]:
    """The parser of the command that was typed, and how many of its own words were."""
    given, is_value = 0, False
    for word in before:
        if is_value:
            is_value = False
        elif word.startswith("-"):
            is_value = "=" not in word and _takes_value(parser, word)
        elif word in subparsers(parser):
            parser, given = subparsers(parser)[word], 0
        else:
            given += 1
    return parser, given


def _option(parser: argparse.ArgumentParser, word: str) -> argparse.Action | None:
    return next((each for each in parser._actions if word in each.option_strings), None)


def _takes_value(parser: argparse.ArgumentParser, word: str) -> bool:
    action = _option(parser, word)
    return action is not None and action.nargs != 0


def _awaiting_value(parser: argparse.ArgumentParser, before: Sequence[str]) -> argparse.Action | None:
    return _option(parser, before[-1]) if before and _takes_value(parser, before[-1]) else None


def _wants_file(words: Sequence[str]) -> bool:
    *before, _ = words or [""]
    parser, _ = _descend(build_parser(PROGRAM), before)
    action = _awaiting_value(parser, before)
    return action is not None and action.choices is None and action.dest in ("kubeconfig", "file", "apply", "reference")


def _starting(found: Sequence[str], typed: str) -> list[str]:
    return [each for each in found if each.startswith(typed)]


def _resources(before: Sequence[str], typed: str) -> list[str]:
    """KIND/NAME of all in the namespace that is meant; none where the server does not say so in time."""
    from tdredis.cli.names import list_names  # noqa: PLC0415 asking the server loads ten times as much as the words

    return _starting(
        list_names(_value(before, "--kubeconfig"), _value(before, "--context"), _namespace(before), ASKS_S), typed
    )


def _namespace(before: Sequence[str]) -> str | None:
    return _value(before, "-n") or _value(before, "--namespace")


def _value(before: Sequence[str], name: str) -> str | None:
    found = [after for word, after in pairwise(before) if word == name]
    found += [word.partition("=")[2] for word in before if word.startswith(f"{name}=")]
    return found[-1] if found else None
