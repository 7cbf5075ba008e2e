"""Decides how a plan is shown to a person or a program; nothing is done."""

from __future__ import annotations

import argparse

from tdredis.cli.output import print_data
from tdredis.cli.relay import relayed
from tdredis.cli.seen import describe, look
from tdredis.controllers.explain import render


def explain(chosen: argparse.Namespace) -> int:
    if (code := relayed(chosen, "explain")) is not None:
        return code
    key, judged = look(chosen)
    print_data(describe(key, judged), chosen.output, lambda: render(key, judged))
    return 0
