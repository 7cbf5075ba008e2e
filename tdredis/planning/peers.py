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


class Peers(World, Protocol):
    @property
    def members(self) -> Sequence[Peer]: ...


def log_in_to_peers(world: Peers) -> Ruling:
    """Nobody follows, or is followed by, a process of another instance that has an earlier address of ours."""
    return tell_user(world, world.members)


def tell_user(world: World, members: Sequence[Peer]) -> Ruling:
    """Those of *members* that do not know the instance's own user. Primaries first: whoever follows them is refused
    until they know it.
    """
    user = peer_user(world.instance)
    late = [member for member in members if member.facts.masteruser not in (None, user)]
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
