"""Decides what the command line offers, to people and to kubectl: the parser, and one module a group of commands, which
is loaded when one of them is called.
"""

from tdredis.cli.entry import main, plugin

__all__ = ["main", "plugin"]
