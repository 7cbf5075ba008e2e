"""Decides how the commands read as a page: docs/reference/cli.md, made from the parser."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping

from tdredis.cli.parser import PROGRAM, build_parser

_HEAD = """\
# The command line

Made from tdredis/cli/parser.py by `make generated`; do not edit.

`tdredis` and the kubectl plugin `kubectl tdredis` are the same program ([cli.md](../howto/cli.md): how to get it, and
what to do with it). Commands about one resource take it as `KIND/NAME` (`rediscluster/redis-cluster-rat`, short `rdc/`,
`rdsb/`, `rdsa/`), or as `NAME` where only one kind has a resource of that name in the namespace. They end with 0, or
with 2 and a sentence on stderr that says what to do.
"""


def render_cli() -> str:
    """The page."""
    parser = build_parser(PROGRAM)
    lines = [_HEAD, "| command | what it does |", "|---|---|"]
    found = dict(leaves(parser))
    lines += [f"| [`{name}`](#{_anchor(name)}) | {_cell(each.description or '')} |" for name, each in found.items()]
    lines += ["", "## Before any command", "", *_table(parser)]
    for name, each in found.items():
        lines += ["", f"## {name}", "", each.description or "", "", "```text", f"{_usage(name, each)}", "```"]
        lines += ["", *_table(each)]
    return "\n".join(lines) + "\n"


def leaves(parser: argparse.ArgumentParser, above: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command with its parser, by its words: "config get"."""
    for name, each in subparsers(parser).items():
        words = f"{above} {name}".strip()
        if subparsers(each):
            yield from leaves(each, words)
        else:
            yield words, each


def subparsers(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    found = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    return found[0].choices if found else {}


def _anchor(name: str) -> str:
    return name.replace(" ", "-")


def _usage(name: str, parser: argparse.ArgumentParser) -> str:
    words = [f"{PROGRAM} {name}"]
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        if not action.option_strings:
            words.append(_positional(action))
            continue
        word = f"{action.option_strings[0]}{_value(action)}"
        words.append(word if action.required else f"[{word}]")
    return " ".join(words)


def _positional(action: argparse.Action) -> str:
    name = str(action.metavar or action.dest.upper())
    if action.choices is not None and action.metavar is None:
        name = "|".join(map(str, action.choices))
    return {None: name, "?": f"[{name}]", "*": f"[{name} …]", "+": f"{name} …", "...": f"[{name} …]"}[
        action.nargs if action.nargs is None else str(action.nargs)
    ]


def _value(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    if action.choices is not None:
        return f" {'|'.join(map(str, action.choices))}"
    return f" {action.metavar or action.dest.upper()}"


def _table(parser: argparse.ArgumentParser) -> Iterator[str]:
    shown = [
        action
        for action in parser._actions
        if not isinstance(action, argparse._HelpAction | argparse._SubParsersAction)
    ]
    if not shown:
        return
    yield "| argument | what it says |"
    yield "|---|---|"
    for action in shown:
        options = ", ".join(action.option_strings)
        name = f"{options}{_value(action)}" if options else _positional(action)
        yield f"| `{_cell(name)}` | {_cell(_help(action))} |"


def _help(action: argparse.Action) -> str:
    """What it says, without what differs from machine to machine."""
    return (action.help or "") % {"default": action.default, "prog": PROGRAM}


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
