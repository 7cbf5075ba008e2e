"""Decides how a plan names the process that it means: by what no other process has."""

from __future__ import annotations

from dataclasses import dataclass

from tdredis.redis.ports import REDIS_PORT


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """The Redis process a step is meant for; *id* is checked again before anything is done to it."""

    pod: str
    uid: str
    ip: str
    id: str  # of the cluster node if *in_cluster*, else the run id, which changes with every start
    port: int = REDIS_PORT
    in_cluster: bool = True

    def __str__(self) -> str:
        return self.pod
