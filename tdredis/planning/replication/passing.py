"""Decides how a standalone hands its data over to the pod that is beside it for as long as it is recreated, and back.

No Sentinel watches them: the engine itself hands over, and the Service leads to whoever is the primary.
"""

from __future__ import annotations

from collections.abc import Sequence

from tdredis.manifests.names import client_service_name
from tdredis.manifests.services import POD_NAME_LABEL
from tdredis.planning.plan import Ruling, held
from tdredis.planning.replication.members import Member
from tdredis.planning.replication.world import World
from tdredis.planning.snapshot import Ref
from tdredis.planning.steps import Disconnect, PassOn, TakeBack
from tdredis.planning.surplus import surplus_pod


def knows_failover(member: Member) -> bool:
    """Source: redis.io, "FAILOVER": since 6.2."""
    return not member.facts.version.startswith("6.0.")


def client_pod(world: World) -> str:
    """The pod to which a standalone's Service leads: its primary's, or the last one's; "": its first, or it is none."""
    if world.standby is not None:
        return ""
    name = world.primary.name if world.primary else world.recorded
    return name if name in world.snapshot.pods else ""


def pods_beside(world: World) -> int:
    """How many pods a standalone has beyond its own."""
    if world.standby is not None:
        return 0
    return int(surplus_pod(world.snapshot, world.instance.name, len(world.redis.wanted)) is not None)


def pass_on(primary: Member, candidates: Sequence[Member], why: str) -> Ruling:
    """*candidates*: replicas in sync, the best first.

    A primary sends a new replica nothing for up to a second after its copy is complete, until it hears of it, and its
    clients would wait for that too. Source: replication.c, replicaPutOnline.
    """
    if primary.facts.replication.is_handing_over:
        return held("handover_ends", f"{primary.name} hands over")
    if not candidates:
        return Ruling()
    best = next((each for each in candidates if each.place in primary.facts.replication.heard), None)
    if best is None:
        return held("copies_are_whole", f"{primary.name} has not heard yet that {candidates[0].name} has its copy")
    host, port = best.place
    why = f"{why}; {best.name} has its data"
    return Ruling(steps=(PassOn(process=primary.process, candidate=best.process, host=host, port=port, why=why),))


def handover_ends(world: World) -> Ruling | None:
    """None: nobody hands over. One that does to somebody who is gone tries for ever, and its clients wait."""
    leaving = next((each for each in world.members if each.facts.replication.is_handing_over), None)
    if leaving is None:
        return None
    if any(leaving.follows is not None and each.is_at(leaving.follows) for each in world.members):
        return held("handover_ends", f"{leaving.name} hands over")
    return Ruling(steps=(TakeBack(process=leaving.process, why="whom it hands over to does not answer"),))


def send_clients_on(world: World) -> Ruling:
    """Where a standalone's Service leads to another pod by now, clients of the one before are to come by it again: that
    is a replica, and refuses their writes. Its pod is recreated, so that this is done once.
    """
    service = world.snapshot.children.get(Ref("Service", client_service_name(world.instance.name)))
    if world.standby is not None or world.primary is None or service is None:
        return Ruling()
    before = service.service.selector.get(POD_NAME_LABEL)
    left = [each for each in world.members if each.name == before and world.is_attached(each)]
    why = f"{world.primary.name} is the primary by now"
    return Ruling(steps=tuple(Disconnect(process=each.process, why=why) for each in left))
