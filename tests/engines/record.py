"""Asks engines which parameters they know and which of them can be set while they run, and writes what was found down.

`python -m tests.engines.record SERVER...`: paths of redis-server or valkey-server programs, one of each version. Writes
tdredis/redis/parameter_table.py and docs/reference/parameters.md. What is asked: `CONFIG GET *` of a process that was
just started with nothing but a port of its own, and for each parameter `CONFIG SET` to the value that it has already.
Of what is read only when it starts also, how it refuses to start with a value that is none; and what a database costs.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.engines.scratch import Engine, ask
from tests.engines.table import render_module, render_page

ROOT: Final = Path(__file__).parents[2]
MODULE: Final = ROOT / "tdredis/redis/parameter_table.py"
PAGE: Final = ROOT / "docs/reference/parameters.md"


async def record(programs: Sequence[str]) -> tuple[Engine, ...]:
    found = []
    for program in programs:
        with tempfile.TemporaryDirectory() as folder:
            found.append(await ask(program, Path(folder)))
    return tuple(sorted(found, key=lambda engine: (engine.name, engine.order)))


def main() -> None:
    engines = asyncio.run(record(sys.argv[1:]))
    MODULE.write_text(render_module(engines))
    PAGE.write_text(render_page(engines))


if __name__ == "__main__":
    main()
