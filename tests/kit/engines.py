"""Engines beside this machine's own, where somebody has put them: tests that need one are there where it is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

BIN: Final = Path(sys.executable).parent
ALWAYS: Final = ("redis-server", str(BIN / "valkey-server"))  # the machine's Redis 7.0, and Valkey 8 of `make install`
ENGINES: Final = Path("/tmp/engines")  # NAME/redis-server
IMAGES: Final = {"redis80": "redis:8.0", "redis86": "redis:8.6", "valkey91": "valkey/valkey:9.1"}


def engine(name: str) -> Path | None:
    """The server of another engine; None: it is not there."""
    found = ENGINES / name / "redis-server"
    return found if found.exists() else None


def found_of(*names: str) -> tuple[str, ...]:
    """Those of *names* that are there."""
    return tuple(name for name in names if engine(name))


def localkube_options() -> list[str]:
    """So that `localkube up` plays IMAGES by the engines that are there."""
    played = [word for name in found_of(*IMAGES) for word in ("--play", f"{IMAGES[name]}={engine(name)}")]
    return [*played, "--seen", str(ENGINES)] if played else []
