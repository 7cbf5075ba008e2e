"""Decides when a primary takes writes alone: spec.writePolicy, carried out by min-replicas-to-write.

availability: always. consistency: only when nobody could be made the primary beside it. While a replica could be, the
primary counts on one, and stops by itself when none answers it: a cut-off primary stops before Sentinels replace it
(`RedisStandbySpec.max_lag_s`). Somebody who is promoted begins with 0: it takes writes until its replica is in sync.

Whatever the policy, a primary that hands over counts on all of its replicas (`steps.primaries.fence`). That is taken
back when it is a replica, or stays the primary because no failover goes on any more. One whose pod is to go may hand
over by itself (stop.sh), unseen: it keeps that.
"""

from __future__ import annotations

from collections.abc import Iterator

from tdredis.api.redisstandby import RedisStandby
from tdredis.planning.findings import Finding
from tdredis.planning.plan import Hold, Ruling
from tdredis.planning.proof import is_proven_dead
from tdredis.planning.replication.members import Member
from tdredis.planning.replication.world import World
from tdredis.planning.sentences import list_names
from tdredis.planning.steps import SetConfig

LEAST, LAG = "min-replicas-to-write", "min-replicas-max-lag"


def keep_write_policy(world: World) -> Ruling:
    """Every process has the values that the policy gives its role. The lag before the number that it is about."""
    standby = world.standby
    if standby is None:
        return Ruling()
    lag, asks = standby.spec.max_lag_s, f"writePolicy is {standby.spec.write_policy}"
    steps = [
        SetConfig(
            process=member.process, parameter=LAG, before=member.facts.min_replicas_max_lag_s, value=lag, why=asks
        )
        for member in world.members
        if member.facts.min_replicas_max_lag_s not in (None, lag)
    ]
    holds: tuple[Hold, ...] = ()
    for member in world.members:
        found = _wanted(world, standby, member)
        if isinstance(found, Hold):
            holds = (found,)
        elif found is not None and member.facts.min_replicas_to_write not in (None, found[0]):
            before, (value, why) = member.facts.min_replicas_to_write, found
            if value < before and (_is_being_replaced(world, member) or _may_hand_over(world, member)):
                continue
            steps.append(SetConfig(process=member.process, parameter=LEAST, before=before, value=value, why=why))
    return Ruling(steps=tuple(steps), holds=holds)


def _wanted(world: World, standby: RedisStandby, member: Member) -> tuple[int, str] | Hold | None:
    """How many replicas must be in reach of *member*, and why; None: as many as now."""
    if standby.spec.write_policy != "consistency":
        return 0, "writePolicy is availability"
    if member is not world.primary:
        return 0, "a replica that becomes the primary takes writes at once"
    if replicas := _in_reach(world, member):
        return 1, f"writePolicy is consistency, and {list_names(replicas)} is in sync"
    if member.facts.min_replicas_to_write and (hold := _replica_is_proven_dead(world, member)):
        return hold
    return 0, "no replica could become a second primary: they are proven dead, or have no copy"


def _is_being_replaced(world: World, member: Member) -> bool:
    """A primary that another one takes over from, or may at any moment, keeps what stops it until it is one no more."""
    if not member.is_primary:
        return False
    return member is not world.primary or (world.in_failover and not world.is_promoted(member))


def _may_hand_over(world: World, member: Member) -> bool:
    """Its pod is to go, and its own stop.sh hands over behind a fence of which nobody else is told, as long as somebody
    could be promoted.
    """
    return member.is_primary and member.pod.deleting and bool(_able_beside(world, member))


def _in_reach(world: World, primary: Member) -> list[str]:
    """Replicas of which both sides say that they are in sync."""
    online = primary.facts.replication.online
    return [member.name for member in world.replicas_in_sync() if member.place in online]


def _replica_is_proven_dead(world: World, primary: Member) -> Hold | None:
    """Guard: nobody but *primary* could become the primary. None: so it is."""
    able = _able_beside(world, primary)
    if not able:
        return None
    why = f"{list_names(able)} could become the primary: {primary.name} refuses writes until one is in sync or dead"
    return Hold(guard="replica_is_proven_dead", why=why)


def _able_beside(world: World, primary: Member) -> list[str]:
    others = sorted({*world.redis.wanted, *world.snapshot.pods} - {primary.name})
    return [name for name in others if _may_take_over(world, name)]


def _may_take_over(world: World, name: str) -> bool:
    """The process in *name* could be made the primary, for all that is known. The proof that it could not is
    that by which a primary is dead: its process ended, its pod is gone, another process began in it, which has no copy
    yet; or it refuses connections, and most Sentinels have lost it too.
    """
    member = next((each for each in world.members if each.name == name), None)
    if member is not None:
        return member.is_primary or member.may_be_chosen
    unknown = world.redis.unresponsive.get(name)
    if unknown is None:
        return False
    pod = world.snapshot.pods[name]
    lost = sum(not world.finds(watcher, pod) for watcher in world.watchers)
    return not is_proven_dead(pod, unknown, lost=lost, observers=len(world.watchers), losers="most Sentinels")


def writes_are_taken(world: World) -> Iterator[Finding]:
    """A primary that counts on a replica has one. Who hands over is to refuse them."""
    primary = world.primary
    if primary is None or world.in_failover:
        return
    least, there = primary.facts.min_replicas_to_write, primary.facts.replication.in_reach
    if least and there is not None and there < least:
        message = f"{primary.name} refuses writes: no reachable replica confirms them (min-replicas-to-write)"
        if there:
            message = f"{primary.name} refuses writes: min-replicas-to-write is {least}, and {there} in reach"
        yield Finding(reason="WritesRefused", message=message, serious=True)
