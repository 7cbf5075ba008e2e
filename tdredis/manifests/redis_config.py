"""Decides what Redis is configured with: redis.conf without secrets, and the file with them that it includes.

Only directives that Redis 6, 7 and Valkey 8 all know.
"""

from __future__ import annotations

from typing import Final

from tdredis.api.instance import Instance
from tdredis.api.rediscluster import RedisCluster
from tdredis.api.redisstandby import RedisStandby
from tdredis.redis.ports import REDIS_PORT

NODE_TIMEOUT_MS: Final = 5000
# A standby's node boots as a replica of this, which is nobody: no process listens on that port.
NOBODY_HOST: Final = "127.0.0.1"
NOBODY_PORT: Final = 1
AUTH_FILE: Final = "/etc/tdredis-auth/auth.conf"


def build_redis_conf(instance: Instance) -> str:
    """redis.conf of every Redis pod of *instance*."""
    limit_mib = instance.spec.maxmemory_mib
    lines = [
        f"port {REDIS_PORT}",
        "protected-mode no",
        "tcp-keepalive 60",
        "dir /data",
        f"include {AUTH_FILE}",
        # The data set outlives the process: an emptyDir survives a container's restart, and a primary that came back
        # empty would have its replicas empty themselves after it.
        'save ""',
        "appendonly yes",
        "appendfsync everysec",
        "aof-use-rdb-preamble yes",
        "repl-diskless-sync yes",
        "repl-diskless-sync-delay 0",
        f"repl-backlog-size {backlog_mib(limit_mib)}mb",
        f"maxmemory {limit_mib}mb",
        "maxmemory-policy allkeys-lru",
        *_of_kind(instance),
    ]
    return "\n".join(lines) + "\n"


def _of_kind(instance: Instance) -> tuple[str, ...]:
    match instance:
        case RedisCluster():
            return (
                "cluster-enabled yes",
                # There is no other in a cluster; Redis 8 warns of any other number.
                "databases 1",
                "cluster-config-file nodes.conf",
                f"cluster-node-timeout {NODE_TIMEOUT_MS}",
                # Replicas stay in their shard: one that lends its replica to another is one pod's death from loss.
                "cluster-migration-barrier 1000",
            )
        case RedisStandby():
            return (
                # While nobody is the primary, what there is can be read.
                "replica-serve-stale-data yes",
                # What writePolicy asks for is set while it runs: one that is started anew must not refuse for ever.
                "min-replicas-to-write 0",
                f"min-replicas-max-lag {instance.spec.max_lag_s}",
            )
        case _:
            return ()


def backlog_mib(limit_mib: int) -> int:
    """A sixteenth of the memory limit, 1 to 128 MiB: enough for a replica's short absence, never most of the memory."""
    return 128 if limit_mib == 0 else min(128, max(1, limit_mib // 16))


def build_auth_conf(password: str) -> str:
    """requirepass and masterauth; empty for no password."""
    if not password:
        return ""
    quoted = quote(password)
    return f"requirepass {quoted}\nmasterauth {quoted}\n"


def quote(text: str) -> str:
    """*text* as one argument of a redis.conf line. Source: redis.conf, sdssplitargs: \\xHH inside double quotes."""
    plain = range(0x20, 0x7F)
    return (
        '"'
        + "".join(f"\\x{byte:02x}" if byte not in plain or chr(byte) in '"\\' else chr(byte) for byte in text.encode())
        + '"'
    )
