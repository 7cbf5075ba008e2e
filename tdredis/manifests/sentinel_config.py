"""Decides what Sentinels are configured with: what is the same for all of them, their ids, and whom they let in.

Whom they watch is not here: the operator tells them (SENTINEL MONITOR), and they remember it in /data.
"""

from __future__ import annotations

import hashlib
from typing import Final

from tdredis.api.redisstandby import RedisStandby
from tdredis.manifests.names import sentinel_pod_names
from tdredis.manifests.peers import peer_password, peer_user
from tdredis.manifests.redis_config import quote
from tdredis.redis.ports import SENTINEL_PORT

SENTINEL_AUTH_KEY: Final = "sentinel-auth.conf"
AUTH_PASS_KEY: Final = "sentinel-auth-pass.conf"  # noqa: S105 a file
SENTINEL_CONF: Final = f"""\
port {SENTINEL_PORT}
protected-mode no
dir /data
include /etc/tdredis-auth/{SENTINEL_AUTH_KEY}
"""


def build_sentinel_auth_files(standby: RedisStandby, password: str) -> dict[str, str]:
    """Whom Sentinels let in, and how they log in to Redis. requirepass alone serves the first: with it a Sentinel also
    logs in to the others (sentinel.c, sentinelSendAuthIfNeeded).
    """
    name, user = standby.spec.sentinel.master_name, peer_user(standby)
    return {
        SENTINEL_AUTH_KEY: f"requirepass {quote(password)}\n" if password and standby.spec.sentinel.auth else "",
        AUTH_PASS_KEY: f"sentinel auth-pass {name} {quote(peer_password(standby, password))}\n"
        f"sentinel auth-user {name} {user}\n",
    }


def build_sentinel_ids(standby: RedisStandby) -> dict[str, str]:
    """A file for each Sentinel's id: it stays the same where its data is lost, so that no other keeps a ghost of it
    that would count for the majority.
    """
    return {f"sentinel-id.{pod}": build_sentinel_id(standby, pod) for pod in sentinel_pod_names(standby)}


def build_sentinel_id(standby: RedisStandby, pod: str) -> str:
    """Of the Sentinel in *pod*."""
    return hashlib.sha1(f"{standby.metadata.uid}/{pod}".encode()).hexdigest()  # noqa: S324 a name
