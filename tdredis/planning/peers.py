"""Decides that every process knows the instance's own user, and logs in to others as that: see manifests/peers.py.

Start scripts see to it; processes that an older version of the operator started are told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tdredis.manifests.peers import peer_user
from tdredis.planning.health import Limited, World
from tdredis.planning.plan import Ruling
from tdredis.planning.steps import SetPeerUser


class Peer(Limited, Protocol):
    @property
    def name(self) -> str: ...
    @property
    def has_place(self) -> bool: ...


class Peers(World, Protocol):
    @property
    def members(self) -> Sequence[Peer]: ...


def log_in_to_peers(world: Peers) -> Ruling:
    """Nobody follows, or is followed by, a process of another instance that has an earlier address of ours.

    Primaries first: whoever follows them is refused until they know the user. That is why a process without a place in
    its cluster is not told: it may have begun anew, without data, where replicas still look for their primary.
    """
    user = peer_user(world.instance)
    late = [member for member in world.members if member.has_place and member.facts.masteruser not in (None, user)]
    return Ruling(
        steps=tuple(
            SetPeerUser(
                process=member.process,
                user=user,
                channels=not member.facts.version.startswith("6.0."),
                why=f"{member.name} would follow any process at its primary's address that has the same password",
            )
            for member in sorted(late, key=lambda member: (member.facts.replication.role != "master", member.name))
        )
    )
