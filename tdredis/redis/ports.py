"""Decides on which ports everything listens: nowhere else does one stand as a number."""

from __future__ import annotations

from typing import Final

REDIS_PORT: Final = 6379
BUS_PORT: Final = REDIS_PORT + 10000  # of a cluster's nodes among each other, unless they announce another
RESP3_PORT: Final = 6380  # of a proxy: one listener speaks one version of the protocol
SENTINEL_PORT: Final = 26379
EXPORTER_PORT: Final = 9121
SCRATCH_PORT: Final = 6380  # of an engine that only tries, on loopback, whether it can read the files
