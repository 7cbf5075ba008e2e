"""Decides how a line that somebody types becomes a command: it is read by the parser, for which nothing of the project
is loaded, and then the module of that command alone is.
"""

from __future__ import annotations

import importlib
import os
import sys

from tdredis.cli.errors import CommandError, explain_error
from tdredis.cli.parser import PLUGIN, PROGRAM, build_parser

TYPE_CHECKING = False  # as typing has it, which is not loaded for this
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    Command = Callable[[argparse.Namespace], int]

FAILED = 2  # as argparse has it for a line that it does not understand
INTERRUPTED = 130  # 128 and SIGINT, as shells have it


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the process's exit code."""
    chosen = build_parser(PROGRAM).parse_args(arguments)
    return _run(chosen)


def plugin() -> int:
    """`kubectl tdredis`: kubectl starts kubectl-tdredis with what follows that word."""
    return _run(build_parser(PLUGIN).parse_args())


def _run(chosen: argparse.Namespace) -> int:
    module, _, function = chosen.command.partition(":")
    try:
        command: Command = getattr(importlib.import_module(f"tdredis.cli.commands.{module}"), function)
        return command(chosen)
    except CommandError as error:
        print(f"{chosen.program}: {error}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        # Whoever reads has enough (as `head` has). What Python would still write when it ends goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        sentence = explain_error(error)
        if sentence is None:
            raise
        print(f"{chosen.program}: {sentence}", file=sys.stderr)
        return FAILED
