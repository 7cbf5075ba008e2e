"""Decides what predixy is configured with. Source: its conf/*.conf."""

from __future__ import annotations

from typing import Final

from tdredis.redis.ports import REDIS_PORT

PREDIXY_CONF: Final = """\
Name PredixyTD
WorkerThreads 4
ClientTimeout 300
LogVerbSample 0
LogDebugSample 0
LogInfoSample 10000
LogNoticeSample 1
LogWarnSample 1
LogErrorSample 1
Include /etc/proxy-secret/auth.conf
Include /etc/proxy-secret/cluster.conf
"""


def build_predixy_auth(password: str) -> str:
    return f"Authority {{\n    Auth {_quoted(password)}{{\n        Mode admin\n    }}\n}}\n"


def build_predixy_pool(password: str, seed_ip: str) -> str:
    host = f"[{seed_ip}]" if ":" in seed_ip else seed_ip
    return (
        "ClusterServerPool {\n"
        "    MasterReadPriority 60\n"
        "    StaticSlaveReadPriority 50\n"
        "    DynamicSlaveReadPriority 50\n"
        "    RefreshInterval 1\n"
        "    ServerTimeout 1\n"
        "    ServerFailureLimit 10\n"
        "    ServerRetryTimeout 1\n"
        "    KeepAlive 120\n"
        + (f"    Password {_quoted(password)}\n" if password else "")
        + f"    Servers {{\n        + {host}:{REDIS_PORT}\n    }}\n}}\n"
    )


def _quoted(password: str) -> str:
    """A word of predixy's configuration, or nothing for no password."""
    if not password:
        return ""
    escaped = password.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" '
