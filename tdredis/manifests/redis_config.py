"""Decides what Redis is configured with: redis.conf without secrets, and the file with them that it includes.

Only directives that Redis 6, 7 and Valkey 8 all know.
"""

from __future__ import annotations

from typing import Final

from tdredis.api.rediscluster import RedisCluster

NODE_TIMEOUT_MS: Final = 5000
AUTH_FILE: Final = "/etc/tdredis-auth/auth.conf"


def build_redis_conf(cluster: RedisCluster) -> str:
    """redis.conf of every pod of *cluster*."""
    limit_mib = cluster.spec.maxmemory_mib
    lines = [
        "port 6379",
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
        f"repl-backlog-size {_backlog_mib(limit_mib)}mb",
        f"maxmemory {limit_mib}mb",
        "maxmemory-policy allkeys-lru",
        "cluster-enabled yes",
        "cluster-config-file nodes.conf",
        f"cluster-node-timeout {NODE_TIMEOUT_MS}",
        # Replicas stay in their shard: a StatefulSet that lends its replica to another is one pod's death from loss.
        "cluster-migration-barrier 1000",
    ]
    return "\n".join(lines) + "\n"


def _backlog_mib(limit_mib: int) -> int:
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
