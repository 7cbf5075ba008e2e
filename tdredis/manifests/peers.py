"""Decides as whom an instance's processes log in to each other: as a user of that instance alone.

Two instances may have one password, or none, and a network may give the address of one's pod to another's. Who follows
that address must be refused there, or it copies the data of the other. The name is of the resource's uid, so no two
instances share it; the password is the instance's own.
"""

from __future__ import annotations

import hashlib
from typing import Final

from tdredis.api.instance import Instance
from tdredis.manifests.redis_config import quote

PEERS_KEY: Final = "peers.conf"
PEERS_6_KEY: Final = "peers-6.conf"  # Redis 6.0 knows no channels in ACLs, and 6.2 allows all by itself


def peer_user(instance: Instance) -> str:
    return f"tdredis-{hashlib.sha1(instance.metadata.uid.encode()).hexdigest()[:12]}"  # noqa: S324 a name


def peer_password(instance: Instance, password: str) -> str:
    """What it logs in with. One without a password needs a word all the same: without any nobody logs in at all
    (replication.c, syncWithMaster: masteruser is used with masterauth only).
    """
    return password or peer_user(instance)


def peer_rules(password: str, *, channels: bool) -> tuple[str, ...]:
    """The user's ACL. Source: redis.io, "ACL"."""
    secret = f"#{hashlib.sha256(password.encode()).hexdigest()}" if password else "nopass"
    return ("on", secret, "~*", *(("&*",) if channels else ()), "+@all")


def build_peers_files(instance: Instance, password: str) -> dict[str, str]:
    user = peer_user(instance)
    login = f"masteruser {user}\nmasterauth {quote(peer_password(instance, password))}\n"
    return {
        name: f"user {user} {' '.join(peer_rules(password, channels=channels))}\n{login}"
        for name, channels in ((PEERS_KEY, True), (PEERS_6_KEY, False))
    }
